"""Progress of long work, through scikit-learn's callbacks where it has them (1.9 and later)."""

import copy
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, TypeVar

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # an older scikit-learn

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: there are no callbacks to set."""

    def with_callbacks(method):
        """Return the method."""
        return method


Method = TypeVar("Method", bound=Callable[..., Any])


def reporting_fit(method: Method) -> Method:
    """Make a fit tell the callbacks of its estimator; its type stays what it is."""
    return with_callbacks(method)


class Progress:
    """What callbacks are told of a fit; nothing where there are none.

    Parameters
    ----------
    estimator : estimator
        Whose fit it is: the one that callbacks were set on, or are propagated to.
    X, y : what fit was given
    sample_weight : array-like or None
    n_parts : int or None, default=None
        How many parts the work has, None where no one knows.
    """

    def __init__(self, estimator, X, y, sample_weight=None, n_parts=None):
        self._estimator, self._context = estimator, None
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"X": X, "y": y, "metadata": metadata}
        if hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=n_parts)
        self._begin()

    def part(self, name, n_parts=0):
        """Return the progress of a part of the work, which begins."""
        part = self._child(name, n_parts)
        part._begin()
        return part

    @contextmanager
    def fit_of(self, sub_estimator, name):
        """Make the fit of another estimator a part of the work; hand callbacks on to it."""
        part = self._child(name, 0)
        if part._context is None:
            yield
            return
        with part._context.propagate_callback_context(sub_estimator):
            part._begin()  # those that are handed on hear of it from the estimator
            yield
        part.end()

    def end(self, attributes=None):
        """Say that the work is done; return whether a callback asks to stop.

        ``attributes`` returns what a copy of the estimator needs to predict at this point, a dict.
        """
        if self._context is None:
            return False
        return self._context.call_on_fit_task_end(
            estimator=self._estimator, reconstruction_attributes=attributes, **self._data
        )

    @property
    def watched(self):
        """Whether there is a callback to tell."""
        return self._context is not None and bool(getattr(self._estimator, "_skl_callbacks", []))

    def _begin(self):
        if self._context is not None:
            self._context.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def _child(self, name, n_parts):
        part = copy.copy(self)
        if self._context is not None:
            part._context = self._context.subcontext(task_name=name, max_subtasks=n_parts)
        return part
