"""Progress of long work, through scikit-learn's callbacks where it has them (1.9 and later)."""

from contextlib import nullcontext

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # an older scikit-learn

    class CallbackSupportMixin:
        """Nothing: there are no callbacks to set."""

    def with_callbacks(method):
        """Return the method."""
        return method


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
        self._estimator, self._context, self.stopped = estimator, None, False
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"X": X, "y": y, "metadata": metadata}
        if hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=n_parts)
            self._context.call_on_fit_task_begin(estimator=estimator, **self._data)

    def part(self, name, n_parts=0):
        """Return the progress of a part of the work, which begins."""
        part = object.__new__(Progress)
        part.__dict__ = self.__dict__ | {"stopped": False}
        if self._context is not None:
            part._context = self._context.subcontext(task_name=name, max_subtasks=n_parts)
            part._context.call_on_fit_task_begin(estimator=self._estimator, **self._data)
        return part

    def end(self, attributes=None):
        """Say that the work is done; return whether a callback asks to stop.

        ``attributes`` returns what a copy of the estimator needs to predict at this point, a dict.
        """
        if self._context is not None:
            self.stopped = self._context.call_on_fit_task_end(
                estimator=self._estimator, reconstruction_attributes=attributes, **self._data
            )
        return self.stopped

    @property
    def watched(self):
        """Whether there is a callback to tell."""
        return self._context is not None and bool(getattr(self._estimator, "_skl_callbacks", []))

    def of(self, sub_estimator):
        """Return a context in which the fit of another estimator is this part of the work."""
        if self._context is None:
            return nullcontext()
        return self._context.propagate_callback_context(sub_estimator)
