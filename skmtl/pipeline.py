"""Pipelines whose transformers do not change the task column."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline, make_pipeline

from skmtl._typing import Estimator
from skmtl.data import is_frame, split_task_column, with_features
from skmtl.model_selection import RegularizationPathCV, TaskKFold

__all__ = ["make_task_pipeline"]


class TaskColumnTransformer(ColumnTransformer):
    """ColumnTransformer that makes a dataframe of a dataframe, if the transformers name features.

    The first column has the task labels in the type that they have in X, such as categories.
    """

    def fit_transform(self, X, y=None, **params):
        column = self.transformers[0][2][0]
        if isinstance(column, str):  # the message of a name that is not found
            split_task_column(X[:0] if hasattr(X, "shape") else X, column)
        return self._named(super().fit_transform(X, y, **params), X)

    def transform(self, X, **params):
        return self._named(super().transform(X, **params), X)

    def _named(self, Z, X):
        """Return transformed rows Z as a dataframe of the library of X where names are known."""
        known = hasattr(self, "feature_names_in_") and is_frame(X)
        if not known or not isinstance(Z, np.ndarray):
            return Z
        try:
            features = Z[:, 1:].astype(np.float64, copy=False)
        except (TypeError, ValueError):  # text, of which the estimator says so
            return Z
        try:
            names = self.get_feature_names_out().tolist()
        except (AttributeError, ValueError):  # a transformer names nothing
            names = [f"x{j}" for j in range(Z.shape[1])]
        column = self.transformers[0][2][0]
        column = column if isinstance(column, str) else self.feature_names_in_[column]
        return with_features(X, column, features, names[1:])


def make_task_pipeline(*steps: Estimator) -> Pipeline:
    """Make a pipeline of transformers, applied to the features only, and a multi-task estimator.

    Equivalent to ::

        make_pipeline(
            ColumnTransformer(
                [("task", "passthrough", [task_column])],
                remainder=make_pipeline(*transformers),
                sparse_threshold=0,
                verbose_feature_names_out=False,
            ),
            clone(estimator).set_params(task_column=0),
        )

    with the ``task_column`` of the estimator, which is the first output of the
    ColumnTransformer. Of a dataframe the estimator gets a dataframe: labels in their own type,
    and features with the names that the transformers give them, so that it has
    ``feature_names_in_`` and displays take these names. Parameters of a transformer are named
    ``columntransformer__remainder__standardscaler__with_mean`` in a search, those of the
    estimator ``meanregularizedregressor__alpha``.

    Parameters
    ----------
    *steps : transformers, then one estimator
        The estimator has ``task_column`` set as without the pipeline; it may be a
        `RegularizationPathCV` of such an estimator.

    Returns
    -------
    Pipeline
        Not fitted; steps are named as in scikit-learn's ``make_pipeline``.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmtl import MeanRegularizedRegressor
    >>> from skmtl.datasets import load_radon
    >>> from skmtl.pipeline import make_task_pipeline
    >>> X, y = load_radon(return_X_y=True, as_frame=True)
    >>> model = make_task_pipeline(
    ...     StandardScaler(), MeanRegularizedRegressor(task_column="county")
    ... )
    >>> model.fit(X, y).predict(X).shape
    (919,)
    """
    if not steps:
        raise TypeError("make_task_pipeline needs a multi-task estimator as its last step.")
    *transformers, estimator = steps
    name = type(estimator).__name__
    known = estimator.get_params() if hasattr(estimator, "get_params") else {}
    inside = "estimator__" if isinstance(estimator, RegularizationPathCV) else ""
    parameter = f"{inside}task_column"
    if parameter not in known:
        raise TypeError(
            f"The last step must be an estimator with a parameter task_column, got {name}. "
            "Use sklearn.pipeline.make_pipeline for other estimators; put a search other than "
            "RegularizationPathCV around the pipeline, not into it."
        )
    column = known[parameter]
    if isinstance(column, bool) or not isinstance(column, Integral | str):
        raise ValueError(
            f"The {name} has task_column={column!r}: set it to the name or position of the column "
            "of task labels. The wide form has no such column: use "
            "sklearn.pipeline.make_pipeline."
        )
    for step in transformers:
        if hasattr(step, "build_analyzer"):
            raise TypeError(
                f"{type(step).__name__} reads one column of text, and gives it sparse features, "
                "which the estimators do not take. Use a ColumnTransformer that passes the task "
                'column through, with ("text", make_pipeline('
                f'{type(step).__name__}(), TruncatedSVD(100)), "name of the column of text").'
            )
    features = TaskColumnTransformer(
        [("task", "passthrough", [column if isinstance(column, str) else int(column)])],
        remainder=make_pipeline(*(transformers or ["passthrough"])),
        sparse_threshold=0,  # string labels cannot be in a sparse matrix
        verbose_feature_names_out=False,
    )
    last = clone(estimator).set_params(**{parameter: 0})
    if isinstance(known.get("cv"), TaskKFold):
        last.cv.task_column = 0
    return Pipeline([("columntransformer", features), (name.lower(), last)])
