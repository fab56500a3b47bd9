"""Limits on the threads of BLAS, and that they are lifted."""

import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skmtl import MeanRegularizedRegressor, _threads
from skmtl._threads import blas_threads_for, one_blas_thread
from skmtl.datasets import make_multitask_regression


@pytest.fixture
def blas():
    """The BLAS libraries with two threads each, whatever the environment says."""
    libraries = _threads._blas()
    before = [library.num_threads for library in libraries]
    for library in libraries:
        _threads._tell(library, 2)
    yield [library for library in libraries if library.num_threads == 2]  # one may be built for 1
    for library, count in zip(libraries, before, strict=True):
        _threads._tell(library, count)


def threads(libraries):
    return {library.num_threads for library in libraries}


@pytest.mark.parametrize("first", ["this", "other"])
def test_contexts_of_several_threads_overlap(blas, first):
    """Neither order of leaving may leave a limit behind."""
    inside, leave = threading.Event(), threading.Event()

    def other():
        with one_blas_thread():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with one_blas_thread():
        thread.start()
        inside.wait()
        assert threads(blas) == {1}
        if first == "other":
            leave.set()
            thread.join()
            assert threads(blas) == {1}
    leave.set()
    thread.join()
    assert threads(blas) == {2}


def test_an_error_gives_the_threads_back(blas):
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        1 / 0  # noqa: B018
    assert threads(blas) == {2}


def test_blas_has_its_threads_for_much_work(blas):
    with blas_threads_for(10**12):
        assert threads(blas) == {2}
    with blas_threads_for(10**6):
        assert threads(blas) == {1}
    with blas_threads_for(10**3):  # for which it starts none
        assert threads(blas) == {2}
    assert threads(blas) == {2}


class Watched(MeanRegularizedRegressor):
    """Records how many threads BLAS has while it fits."""

    seen = []  # noqa: RUF012

    def _penalty(self, tasks):
        self.seen.append(threads(_threads._blas()))
        return super()._penalty(tasks)


def test_a_fit_that_is_not_large_keeps_blas_to_one_thread(blas, monkeypatch):
    X, y = make_multitask_regression(4, 200, 5, random_state=0)
    monkeypatch.setattr(Watched, "seen", [])
    Watched(task_column=0).fit(X, y).adapt(X, y)
    assert Watched.seen == [{1}, {1}]
    monkeypatch.setattr(_threads, "_WORTH_BLAS", 0)
    Watched(task_column=0).fit(X, y)
    assert 2 in Watched.seen[-1]


def test_fits_in_many_threads_leave_blas_as_it_was(blas):
    X, y = make_multitask_regression(4, 20, 6, random_state=0)
    expected = MeanRegularizedRegressor(task_column=0).fit(X, y).coef_

    def coefficients(_):
        return MeanRegularizedRegressor(task_column=0).fit(X, y).coef_

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(coefficients, range(300)))
    assert threads(blas) == {2}
    assert all(np.array_equal(coef, expected) for coef in found)


def _sums(first, last):
    return sum(range(first, last))


def _in_chunks(results):
    results.put(_threads.in_chunks(_sums, 1000, 10**10))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_threads_after_a_fork(monkeypatch):
    """A forked process has none of the threads that its parent keeps."""
    monkeypatch.setattr(_threads, "thread_count", lambda: 2)
    _threads._pool.cache_clear()
    assert len(_threads.in_chunks(_sums, 1000, 10**10)) == 8
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    process = context.Process(target=_in_chunks, args=(results,))
    process.start()
    try:
        assert sum(results.get(timeout=30)) == 499500
    finally:
        process.kill()
        _threads._pool.cache_clear()
