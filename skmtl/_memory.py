"""Memory available to solvers, and work in parts of it."""

import os
from pathlib import Path

_CACHED = 2**16  # numbers that fit into the cache


def memory_limit():
    """Return half the memory of the machine or container in bytes, 4 GiB where it is unknown."""
    limits = []
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (AttributeError, ValueError, OSError):  # another system, or a container without limit
        pass
    return min(limits, default=2.0**33) / 2


def strips(n, size, most=_CACHED, *, first=0):
    """Return slices that cover ``range(first, n)``, of about ``most`` numbers each.

    Each entry has ``size`` numbers.
    """
    step = max(1, most // max(1, size))
    return [slice(start, min(start + step, n)) for start in range(first, n, step)]
