"""Run a callable with a time limit; record failures and warnings."""

import contextlib
import io
import os
import signal
import time
import warnings
from typing import Any, NamedTuple


class LimitReached(BaseException):
    """The time limit is reached. Not an ``Exception``: searches would treat it as a failed fit."""


class Outcome(NamedTuple):
    """Outcome of a run: ``status`` is "ok", "limit" or "failed"."""

    status: str
    value: Any
    seconds: float
    warnings: int
    reason: str


@contextlib.contextmanager
def time_limit(seconds):
    """Interrupt the main thread when it is next in Python code.

    Repeats every second, in case a library caught the interruption.
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
    """Restore stdout and stderr, which interrupted libraries may leave redirected."""
    saved = os.dup(1), os.dup(2)
    try:
        yield
    finally:
        for stream, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, stream)
            os.close(copy)


def attempt(run, limit):
    """Return the ``Outcome`` of ``run()`` within ``limit`` seconds; output is suppressed."""
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
        except Exception as error:  # any exception of a library is a result
            lines = str(error).strip().splitlines() or [""]
            status, reason = "failed", f"{type(error).__name__}: {lines[0][:160]}"
        seconds = time.perf_counter() - start
    if status == "failed" and seconds >= limit:  # the interruption, wrapped by a library
        status, reason = "limit", f"more than {limit:.3g} s"
    return Outcome(status, value, seconds, len(said), reason)
