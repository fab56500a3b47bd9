"""Threads over chunks of tasks, for kernels that release the GIL.

Not numba's ``parallel=True``: one of its threading layers aborts the process when two Python
threads enter it, another hangs after a fork.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController

from skmtl._kernels import thread_count

_WORTH_A_THREAD = 20_000_000  # multiplications: some milliseconds
_WORTH_BLAS = 2**31  # multiplications: a tenth of a second
_WORTH_A_LIMIT = 2**14  # multiplications: for less, BLAS starts no threads by itself
_here = threading.local()  # busy: whether this thread works on a chunk


def in_chunks(function, size, work):
    """Call ``function(first, last)`` on chunks that cover ``range(size)``; return the results.

    ``work`` is the total number of multiplications. Small work and nested calls run in the calling
    thread.
    """
    threads = min(thread_count(), size, 1 + work // _WORTH_A_THREAD)
    if threads <= 1 or getattr(_here, "busy", False):
        return [function(0, size)]

    def chunk(first, last):
        _here.busy = True  # never reset: the pool's threads do nothing else
        return function(first, last)

    n_chunks = min(4 * threads, size)  # more chunks than threads: tasks differ in size
    edges = [size * i // n_chunks for i in range(n_chunks + 1)]
    with one_blas_thread():
        return list(_pool().map(chunk, edges[:-1], edges[1:]))


@cache
def _pool():
    """Return the threads of this process: starting them takes longer than many a computation."""
    return ThreadPoolExecutor(thread_count(), "skmtl")


def one_blas_thread():
    """Return a context in which BLAS uses one thread.

    Its threads contend with ours, and for small products waiting costs more than they gain.
    """
    return _held


def blas_threads_for(work):
    """Return a context in which BLAS uses all its threads for large work only, else one.

    ``work`` is the total number of multiplications. Factoring some hundred columns takes many
    small steps, and numpy and scipy each have a BLAS with threads of its own: on a busy machine,
    every step waits for the slowest thread.
    """
    return one_blas_thread() if _WORTH_A_LIMIT <= work < _WORTH_BLAS else nullcontext()


class _HeldAtOne:
    """Limit BLAS to one thread until the last thread leaves the context.

    The limit holds for the whole process. Contexts of threadpoolctl restore the count found on
    entry: if two overlap in time, the second would leave BLAS at one thread for good.
    """

    def __init__(self):
        self.forget()

    def forget(self):
        """Reset the state: in a forked process the other threads are gone."""
        self._lock, self._inside, self._before = threading.Lock(), 0, []

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                counts = [(library, library.num_threads) for library in _blas()]
                self._before = [(library, count) for library, count in counts if count > 1]
                for library, _ in self._before:
                    _tell(library, 1)
            self._inside += 1

    def __exit__(self, *_):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for library, count in self._before:
                    _tell(library, count)


def _tell(library, count):
    """Set the thread count of a library; threadpoolctl 3.8 reserves that to one thread."""
    release = getattr(library, "clear_controlling_thread", lambda force: None)
    release(force=True)
    library.set_num_threads(count)
    release(force=True)


@cache
def _blas():
    """Return the controllers of BLAS libraries: numpy and scipy have one each."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


_held = _HeldAtOne()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.forget)
    os.register_at_fork(after_in_child=_pool.cache_clear)
