"""Warnings that point at the line of the user's code, and lists of names in messages."""

import difflib
import sys
import threading
import warnings
from typing import NamedTuple

_PASSED_ON = ("skmtl.", "sklearn.callback")  # callbacks wrap every fit


class _Record(NamedTuple):
    """Warning of a job; ``cause`` is the line of code that issued it."""

    cause: str
    category: type
    text: str
    times: int


def warn(message, category=UserWarning):
    """Warn with the stacklevel of the nearest caller outside of the package."""
    code = sys._getframe(1)
    _issue(_Record(f"{code.f_code.co_filename}:{code.f_lineno}", category, message, 1))


def recorded(function, *arguments):
    """Call a function; return its result and a list of its warnings, which are not issued.

    In a thread they are issued as usual: Python can catch warnings of all threads only.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result, error = function(*arguments), None
        except Exception as raised:
            result, error = None, raised
    records = [
        getattr(w.message, "record", None)
        or _Record(f"{w.filename}:{w.lineno}", w.category, str(w.message), 1)
        for w in caught
    ]
    if error is not None:
        warn_once(records)
        raise error
    return result, records


def warn_once(records):
    """Issue one warning for each cause among those of `recorded`, with their number."""
    by_cause = {}
    for record in records:
        first = by_cause.setdefault(record[:2], record._replace(times=0))
        by_cause[record[:2]] = first._replace(times=first.times + record.times)
    for record in by_cause.values():
        _issue(record)


def _issue(record):
    times = "" if record.times == 1 else f" (This is the first of {record.times} such warnings.)"
    try:
        warning = record.category(record.text + times)
    except TypeError:  # it takes other arguments
        warning = UserWarning(f"{record.category.__name__}: {record.text}{times}")
    warning.record = record
    frame, level = sys._getframe(1), 2
    while frame.f_back and f"{frame.f_globals.get('__name__')}.".startswith(_PASSED_ON):
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level)


def listed(items, most=5):
    """Format the first few items, and the number of further ones."""
    items = list(items)
    names = ", ".join(repr(item) for item in items[:most])
    return names + (f", ... ({len(items) - most} more)" if len(items) > most else "")


def did_you_mean(name, names):
    """Ask for names that are alike; "" if there are none.

    They differ by a transformer's prefix or a few letters, or the name has their initials. Names
    that are no strings are like no other.
    """
    if not isinstance(name, str):
        return ""
    names = [other for other in dict.fromkeys(names) if isinstance(other, str)]
    alike = [n for n in names if n.endswith(f"__{name}") or name.endswith(f"__{n}")]
    if not alike and len(name) > 1:
        initials = name.casefold()
        alike = [n for n in names if "".join(w[:1] for w in n.casefold().split("_")) == initials]
    if not alike:
        lower = {other.casefold(): other for other in names}
        alike = [lower[n] for n in difflib.get_close_matches(name.casefold(), lower)]
    return f" Did you mean {' or '.join(map(repr, alike[:3]))}?" if alike else ""
