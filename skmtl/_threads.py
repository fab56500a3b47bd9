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

_WORTH_A_THREAD = 20_000_000  # multiplications, some milliseconds: threads take one to start
_WORTH_BLAS = 2**31  # multiplications, a tenth of a second
_here = threading.local()  # whether this thread works on a chunk


def in_chunks(function, size, work):
    """Call ``function(first, last)`` on chunks that cover ``range(size)``; return the results.

    ``work`` is the number of multiplications in all: small work stays in this thread, and so does
    what a chunk of other work calls for.
    """
    threads = min(thread_count(), size, 1 + work // _WORTH_A_THREAD)
    if threads <= 1 or getattr(_here, "busy", False):
        return [function(0, size)]

    def chunk(first, last):
        _here.busy = True  # threads of the pool, which end with it
        return function(first, last)

    n_chunks = min(4 * threads, size)  # more chunks than threads: tasks differ in size
    edges = [size * i // n_chunks for i in range(n_chunks + 1)]
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(chunk, edges[:-1], edges[1:]))


def one_blas_thread():
    """Return a context in which BLAS keeps to one thread.

    Its threads and ours would wait for each other, and for small products they wait longer than
    they work.
    """
    return _held


def blas_threads_for(work):
    """Return a context in which BLAS takes its threads for much work, and one for less.

    ``work`` is the number of multiplications in all. Factors of some hundred columns are many small
    steps; numpy and scipy each bring a BLAS with threads of its own, and where something else
    runs on the machine, all wait for the slowest of them at every step.
    """
    return one_blas_thread() if work < _WORTH_BLAS else nullcontext()


class _HeldAtOne:
    """BLAS at one thread as long as any thread is in here; the last one out gives it back.

    What BLAS is told holds for the whole process. The contexts of threadpoolctl remember what each
    thread found on its way in: where two overlap, the second would leave BLAS at one for ever.
    """

    def __init__(self):
        self.forget()

    def forget(self):
        """Start anew: in a process that was forked, other threads are gone."""
        self._lock, self._inside, self._before = threading.Lock(), 0, []

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                self._before = [(library, library.num_threads) for library in _blas()]
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
    """Set the threads of a library; threadpoolctl 3.8 lets one thread do that until released."""
    release = getattr(library, "clear_controlling_thread", lambda force: None)
    release(force=True)
    library.set_num_threads(count)
    release(force=True)


@cache
def _blas():
    """Return the controllers of BLAS libraries: numpy and scipy bring one each."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


_held = _HeldAtOne()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.forget)
