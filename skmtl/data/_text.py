"""Format lists in messages."""


def listed(items, most=5):
    """Format the first few items, and the number of further ones."""
    names = ", ".join(repr(item) for item in items[:most])
    return names + (f", ... ({len(items) - most} more)" if len(items) > most else "")
