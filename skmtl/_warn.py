"""Warnings that point at the line of the user's code, and lists in messages."""

import sys
import warnings

_PASSED_ON = ("skmtl.", "sklearn.callback")  # callbacks wrap every fit


def warn(message, category=UserWarning):
    """Warn with the stacklevel of the nearest caller outside of the package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and f"{frame.f_globals.get('__name__')}.".startswith(_PASSED_ON):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def listed(items, most=5):
    """Format the first few items, and the number of further ones."""
    names = ", ".join(repr(item) for item in items[:most])
    return names + (f", ... ({len(items) - most} more)" if len(items) > most else "")
