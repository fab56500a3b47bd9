"""Pipelines whose transformers do not change the task column."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted, validate_data

from skmtl._typing import Estimator
from skmtl._warn import listed
from skmtl.data import (
    LabeledFeatures,
    check_in_memory,
    column_names,
    columns_of_fit,
    is_frame,
    only_column,
    split_task_column,
    task_columns,
    with_features,
    without_task_column,
)
from skmtl.model_selection import RegularizationPathCV, TaskKFold

__all__ = ["make_task_pipeline"]


class TaskColumnTransformer(  # type: ignore[call-arg]
    TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Apply transformers to all columns but those of the task labels, which come first.

    Of a dataframe it makes a dataframe, with labels in their own type, and of an array an array.
    Features that are sparse, or have no names that a dataframe can have, come out as
    ``LabeledFeatures``.

    Parameters
    ----------
    task_column : str, int or list of these
        Name or position of the column of labels in X, or of several.
    remainder : Pipeline
        Transformers of the other columns. One that reads a single column, such as text, gets it
        as a Series or an array (n,).

    Attributes
    ----------
    remainder_ : Pipeline
        Fitted transformers.
    """

    def __init__(self, task_column, remainder):
        self.task_column = task_column
        self.remainder = remainder

    def fit(self, X, y=None, **params):
        """Fit the transformers."""
        self.fit_transform(X, y, **params)
        return self

    def fit_transform(self, X, y=None, **params):
        """Fit the transformers and transform X."""
        X, labels, features = self._split(X, reset=True)
        remainder = clone(self.remainder)
        reader = _reader_of_one_column(remainder)
        if reader is not None:
            _check_one_column(reader, features)
        elif not features.shape[1]:  # transformers refuse data without columns
            remainder = Pipeline([("passthrough", "passthrough")])
        features = features if reader is None else only_column(features)
        routed = process_routing(self, "fit_transform", **params)["remainder"]["fit_transform"]
        Z = remainder.fit_transform(features, y, **routed)
        self.remainder_ = remainder
        return self._joined(X, labels, Z)

    def transform(self, X, **params):
        """Transform X."""
        check_is_fitted(self, "remainder_")
        X, labels, features = self._split(X, reset=False)
        reader = _reader_of_one_column(self.remainder_)
        features = features if reader is None else only_column(features)
        routed = process_routing(self, "transform", **params)["remainder"]["transform"]
        return self._joined(X, labels, self.remainder_.transform(features, **routed))

    def _split(self, X, *, reset):
        """Return X, its labels (n,) and its other columns.

        After fit, a dataframe may have more columns, and in any order, as for ColumnTransformer.
        """
        check_in_memory(X, "X")
        if not hasattr(X, "shape"):
            X = check_array(X, dtype=object, ensure_all_finite=False)
        if not reset and hasattr(self, "feature_names_in_"):
            X = columns_of_fit(X, self.feature_names_in_.tolist())
        labels, features = split_task_column(X, self.task_column)
        validate_data(self, X, reset=reset, skip_check_array=True)
        return X, labels, features

    def _joined(self, X, labels, Z):
        """Return features Z with the labels."""
        if issparse(Z):
            return self._labeled(Z.tocsr(), labels)
        if not is_frame(Z) and Z.dtype.kind not in "biuf":
            try:
                Z = Z.astype(np.float64)
            except (TypeError, ValueError):  # text, of which the estimator says so
                return self._labeled(Z, labels)
        names = column_names(X) or [f"x{j}" for j in range(X.shape[1])]
        positions = self._positions(names)
        if not is_frame(X) and not is_frame(Z):
            if len(positions) > 1:
                return np.column_stack([X[:, positions], Z])
            numbers = labels.dtype.kind in "biuf"
            return np.column_stack([labels if numbers else labels.astype(object), Z])
        names = [*(names[position] for position in positions), *self._names_of(Z)]
        if len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
            return self._labeled(Z, labels)
        return with_features(X, positions, Z, names)

    def _labeled(self, Z, labels):
        return LabeledFeatures(Z, labels, n_columns=len(task_columns(self.task_column)))

    def _positions(self, names):
        """Return the positions of the task columns among the names of all columns, a list."""
        columns = task_columns(self.task_column)
        return [names.index(c) if isinstance(c, str) else c % len(names) for c in columns]

    def _names_of(self, Z):
        """Return the names of the features Z, numbered if the transformers give none, (d,)."""
        if is_frame(Z):
            return column_names(Z)
        try:
            labels = len(task_columns(self.task_column))
            return self.get_feature_names_out().tolist()[labels:]
        except (AttributeError, ValueError):
            return [f"x{j}" for j in range(1, Z.shape[1] + 1)]

    def get_feature_names_out(self, input_features=None):
        """Return the names of the task column and of the transformed features, (d + 1,)."""
        check_is_fitted(self, "remainder_")
        names = getattr(self, "feature_names_in_", input_features)
        names = [f"x{j}" for j in range(self.n_features_in_)] if names is None else list(names)
        places = self._positions(names)
        labels, others = [names[j] for j in places], without_task_column(names, self.task_column)
        features = self.remainder_.get_feature_names_out(np.array(others, dtype=object))
        return np.array([*labels, *features], dtype=object)

    def set_output(self, *, transform=None):
        """Set the output of the transformers, of which the dataframe is one of that library."""
        for remainder in (self.remainder, getattr(self, "remainder_", None)):
            if remainder is not None:
                remainder.set_output(transform=transform)
        return self

    def get_metadata_routing(self):
        """Return the routing of metadata to the transformers."""
        mapping = MethodMapping()
        for caller in ("fit", "fit_transform"):
            mapping.add(caller=caller, callee="fit_transform")
        mapping.add(caller="transform", callee="transform")
        return MetadataRouter(owner=self).add(remainder=self.remainder, method_mapping=mapping)


def _reader_of_one_column(transformer):
    """Return the transformer that gets X if it reads a single column, such as text, else None."""
    if isinstance(transformer, Pipeline):
        steps = [step for _, step in transformer.steps if step not in (None, "passthrough")]
        return _reader_of_one_column(steps[0]) if steps else None
    if isinstance(transformer, FeatureUnion):
        readers = (_reader_of_one_column(part) for _, part in transformer.transformer_list)
        return next((reader for reader in readers if reader is not None), None)
    tags = transformer.__sklearn_tags__() if hasattr(transformer, "__sklearn_tags__") else None
    tables = tags is None or tags.input_tags.two_d_array
    return None if tables and not hasattr(transformer, "build_analyzer") else transformer


def _check_one_column(reader, features):
    """Raise unless the features are the single column that a transformer reads."""
    if features.shape[1] != 1:
        name, names = type(reader).__name__, column_names(features)
        found = f"{features.shape[1]} columns" if names is None else listed(names) or "none"
        raise ValueError(
            f"{name} reads one column, and beside the task column X has {found}. Name its column: "
            f'make_task_pipeline(ColumnTransformer([("text", {name}(), "name of the column")]), '
            "estimator)."
        )


def make_task_pipeline(*steps: Estimator) -> Pipeline:
    """Make a pipeline of transformers, applied to the features only, and a multi-task estimator.

    The labels are split off X. The transformers get the other columns, and the estimator gets
    their output, which may be sparse, and the labels in their own type. Of a dataframe and dense
    features it gets a dataframe, so that it has ``feature_names_in_`` and displays take these
    names. With numeric labels and dense features this is ::

        make_pipeline(
            ColumnTransformer(
                [("task", "passthrough", [task_column])],
                remainder=make_pipeline(*transformers),
            ),
            clone(estimator).set_params(task_column=0),
        )

    A first transformer that reads one column, such as ``TfidfVectorizer``, gets the only column
    beside the labels. If there are more, the first transformer is to be a ColumnTransformer.

    Several task columns come first, in their order. If they are given by position, they are the
    columns 0, 1, ... of the estimator, also as keys of a dict of penalty weights.

    Parameters of a transformer are named
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
    if column is None:
        raise ValueError(
            f"The {name} has task_column=None: set it to the name or position of the column of "
            "task labels. The wide form has no such column: use sklearn.pipeline.make_pipeline."
        )
    n_columns = len(task_columns(column))
    features = TaskColumnTransformer(column, make_pipeline(*(transformers or ["passthrough"])))
    first: Any = 0 if n_columns == 1 else list(range(n_columns))
    if n_columns > 1 and all(isinstance(own, str) for own in column):
        first = list(column)  # the keys of dicts of penalty weights
    last = clone(estimator).set_params(**{parameter: first})
    if isinstance(known.get("cv"), TaskKFold):
        last.cv.task_column = first
    return Pipeline([("columntransformer", features), (name.lower(), last)])
