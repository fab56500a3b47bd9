"""What BLAS is told of threads, and that it is taken back."""

import threading

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
    assert threads(blas) == {2}


def test_fits_in_many_threads_leave_blas_as_it_was(blas):
    X, y = make_multitask_regression(4, 30, 70, random_state=0)
    model = MeanRegularizedRegressor(task_column=0).fit(X, y)
    found = []
    workers = [
        threading.Thread(
            target=lambda: found.append(MeanRegularizedRegressor(task_column=0).fit(X, y).coef_)
        )
        for _ in range(8)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert threads(blas) == {2}
    assert all(np.array_equal(coef, model.coef_) for coef in found)
