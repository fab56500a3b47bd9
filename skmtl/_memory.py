"""Memory available to solvers."""

import os
from pathlib import Path


def memory_limit():
    """Return half the memory of the machine or container in bytes, 4 GiB where it is unknown."""
    limits = []
    try:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (AttributeError, ValueError, OSError):  # another system, or a container without limit
        pass
    return min(limits, default=2.0**33) / 2
