"""Tasks of Dask: their names on the dashboard, and sums of results in a tree."""

import sys
from contextlib import nullcontext
from functools import partial
from uuid import uuid4

import dask
from dask.optimization import cull
from dask.sizeof import sizeof
from dask.system import CPU_COUNT

from skmtl.data import LongData, TaskMoments

_WIDTH = 8  # results that one task sums


@sizeof.register(LongData)
@sizeof.register(TaskMoments)
def _size(data):
    """Return the bytes of the arrays, by which Dask moves and spills results."""
    return sum(getattr(part, "nbytes", 64) for part in vars(data).values())


def task(name, function, *arguments):
    """Return the ``Delayed`` of a call, which the dashboard shows as ``skmtl-name``."""
    key = f"skmtl-{name}-{uuid4().hex}"
    return dask.delayed(function, pure=False)(*arguments, dask_key_name=key)


def constant(name, value):
    """Return a value that is sent once, for many tasks."""
    return task(name, _same, _Held(value))


class _Held:
    """A value that Dask does not search for tasks."""

    def __init__(self, value):
        self.value = value


def _same(held):
    return held.value


def inlined(part):
    """Return a function that computes a ``Delayed`` where it is needed, None if it has inputs.

    A part of a file is one task without inputs. Read where it is needed, it is never kept.
    """
    graph, _ = cull(dict(part.__dask_graph__()), [part.key])
    return partial(dask.get, graph, part.key) if len(graph) == 1 else None


def tree(name, combine, parts):
    """Return the ``Delayed`` of all parts combined; ``combine`` takes a list of parts."""
    while len(parts) > 1:
        parts = [
            task(name, combine, parts[first : first + _WIDTH])
            for first in range(0, len(parts), _WIDTH)
        ]
    return parts[0]


def client():
    """Return the client of the distributed scheduler in use, or None."""
    owner = getattr(dask.base.get_scheduler(), "__self__", None)
    return owner if type(owner).__module__.startswith("distributed") else None


def threads():
    """Return the number of threads of the scheduler."""
    found = client()
    if found is None:
        return dask.config.get("num_workers", None) or CPU_COUNT
    return max(1, sum(found.nthreads().values()))


def by_worker(parts):
    """Return the numbers of kept parts that are on the same worker, a list of lists."""
    if client() is None:
        return [[number] for number in range(len(parts))]
    owners, found = client().who_has(parts), {}
    for number, part in enumerate(parts):
        found.setdefault(min(owners.get(part.key) or [number], key=str), []).append(number)
    return list(found.values())


def release_unused():
    """Return the memory that Arrow reserves for its next file: workers count it as their own."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()


def sends_coefficients():
    """Return a context in which graphs hold coefficients: no lost worker takes them along."""
    if client() is None:
        return nullcontext()
    return dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})


def kept(parts):
    """Return parts that stay on the workers; without these, they are computed when needed."""
    return list(dask.persist(*parts)) if client() is not None else parts


def computed(*parts):
    """Return the results of parts; those of a ``LocalCluster`` do not pass through its scheduler.

    Workers on other machines may be out of reach, unless the client has ``direct_to_workers``.
    """
    found = client()
    if found is None:
        return dask.compute(*parts)
    direct = found.direct_to_workers
    if direct is None:
        direct = type(found.cluster).__name__ == "LocalCluster"
    return dask.compute(*parts, direct=direct)
