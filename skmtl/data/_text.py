"""Words that several messages use."""


def listed(items, most=5):
    """Return the first few items as text, and how many more there are."""
    names = ", ".join(repr(item) for item in items[:most])
    return names + (f", ... ({len(items) - most} more)" if len(items) > most else "")
