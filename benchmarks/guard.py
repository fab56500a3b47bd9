"""Runs that may take too long, fail, or warn."""

import contextlib
import io
import os
import signal
import time
import warnings
from typing import Any, NamedTuple


class LimitReached(BaseException):
    """The time is up. Not an ``Exception``: searches must not take it for a failed fit."""


class Outcome(NamedTuple):
    """What became of a run: ``status`` is "ok", "limit" or "failed"."""

    status: str
    value: Any
    seconds: float
    warnings: int
    reason: str


@contextlib.contextmanager
def time_limit(seconds):
    """Interrupt what runs in the main thread, as soon as it is back in Python code.

    And again every second, where a library swallowed it.
    """

    def interrupt(*_):
        raise LimitReached

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3), 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def kept_streams():
    """Undo what a library that silences itself, and was interrupted, left of the two streams."""
    saved = os.dup(1), os.dup(2)
    try:
        yield
    finally:
        for stream, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, stream)
            os.close(copy)


def attempt(run, limit):
    """Return the ``Outcome`` of ``run()`` within so many seconds; it prints nothing."""
    status, value, reason = "ok", None, ""
    start = time.perf_counter()
    with (
        kept_streams(),
        warnings.catch_warnings(record=True) as said,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("always")
        start = time.perf_counter()
        try:
            with time_limit(limit):
                value = run()
        except LimitReached:
            status, reason = "limit", f"more than {limit:.3g} s"
        except Exception as error:  # whatever a library raises is a result
            lines = str(error).strip().splitlines() or [""]
            status, reason = "failed", f"{type(error).__name__}: {lines[0][:160]}"
        seconds = time.perf_counter() - start
    if status == "failed" and seconds >= limit:  # the interruption, in a library's own words
        status, reason = "limit", f"more than {limit:.3g} s"
    return Outcome(status, value, seconds, len(said), reason)
