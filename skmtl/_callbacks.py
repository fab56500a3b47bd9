"""Report progress through scikit-learn's callbacks, where available (1.9 and later)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, TypeVar

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # an older scikit-learn

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Empty: there are no callbacks to set."""

    def with_callbacks(method):
        """Return the method unchanged."""
        return method


Method = TypeVar("Method", bound=Callable[..., Any])


def reporting_fit(method: Method) -> Method:
    """Make a fit call the callbacks of its estimator; its type does not change."""
    return with_callbacks(method)


class Progress:
    """Report a fit to callbacks; do nothing without callbacks.

    Parameters
    ----------
    estimator : estimator
        The estimator being fitted: callbacks were set on it, or are propagated to it.
    X, y : the arguments of fit
    sample_weight : array-like or None
    """

    def __init__(self, estimator, X, y, sample_weight):
        self._estimator, self._context = estimator, None
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"X": X, "y": y, "metadata": metadata}
        if getattr(estimator, "_skl_callbacks", []):
            self._context = estimator._init_callback_context(max_subtasks=None)
        self._begin()

    def part(self, name, n_parts=0):
        """Begin a part of the work and return its progress."""
        return self._child(name, n_parts)._begin()

    @contextmanager
    def fit_of(self, sub_estimator, name):
        """Report the fit of another estimator as a part, and propagate callbacks to it."""
        part = self._child(name, 0)
        if part._context is None:
            yield
            return
        with part._context.propagate_callback_context(sub_estimator):
            part._begin()  # propagated callbacks are called by sub_estimator
            yield
        part.end()

    def end(self, attributes=None):
        """Report the end of the work; return whether a callback requests a stop.

        ``attributes`` returns a dict of the attributes that a copy needs to predict at this point.
        """
        if self._context is None:
            return False
        return self._context.call_on_fit_task_end(
            estimator=self._estimator, reconstruction_attributes=attributes, **self._data
        )

    @property
    def watched(self):
        """Whether the estimator has a callback."""
        return self._context is not None

    def _begin(self):
        if self._context is not None:
            self._context.call_on_fit_task_begin(estimator=self._estimator, **self._data)
        return self

    def _child(self, name, n_parts):
        part = copy.copy(self)
        if self._context is not None:
            part._context = self._context.subcontext(task_name=name, max_subtasks=n_parts)
        return part
