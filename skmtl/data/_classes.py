"""Read, encode and weight class labels."""

from numbers import Real

import numpy as np
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_array, check_consistent_length, column_or_1d, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from skmtl.data._arrays import given_target
from skmtl.data._text import listed

_LONG_FORM = (
    "The long form allows any classes and any rows per task: one row of X per observed label, "
    "with a column of task labels named by task_column"
)


def read_class_labels(estimator, y, X, *, wide):
    """Return y as labels (n,) or, in the wide form, as an indicator (n, T) of 0 and 1."""
    y = given_target(estimator, y)
    if wide and y.ndim == 2 and y.shape[1] > 1:
        y = _read_indicator(y)
    else:
        y = column_or_1d(y, warn=True)
        y = check_array(y, dtype=None, ensure_2d=False, input_name="y", estimator=estimator)
        if y.dtype == object and any(label is None for label in y):
            raise ValueError("Input y contains None. Leave out rows whose class is missing.")
        check_classification_targets(y)
    check_consistent_length(X, y)
    return y


def _read_indicator(y):
    try:
        if any(isinstance(label, str) for label in np.ravel(y[:1])):
            raise ValueError("it holds strings")
        y = check_array(y, dtype=np.float64, ensure_all_finite=False, input_name="y")
    except ValueError as error:
        raise ValueError(
            f"A 2-D y must be an indicator of numbers 0 and 1, one task per column ({error}). "
            f"{_LONG_FORM}."
        ) from None
    missing = np.count_nonzero(np.isnan(y))
    if missing:
        raise ValueError(
            f"y has {missing} missing labels (NaN): the wide form of a classifier needs complete "
            f"indicators. {_LONG_FORM}."
        )
    other = (y != 0) & (y != 1)
    if other.any():
        raise ValueError(
            "A 2-D y must be an indicator of 0 and 1, one task per column, got values such as "
            f"{listed(np.unique(y[other]).tolist())}. {_LONG_FORM}."
        )
    return y.astype(np.intp)


def encode_classes(y, classes=None):
    """Return the sorted classes and each label's index into them.

    ``classes`` are those of an earlier fit; other classes in y raise a ValueError.
    """
    encoder = LabelEncoder()
    if classes is None:
        codes = encoder.fit_transform(y)
        return encoder.classes_, codes
    encoder.classes_ = classes
    try:
        return classes, encoder.transform(y)
    except ValueError:
        unknown = [label for label in np.unique(y).tolist() if label not in classes.tolist()]
        raise ValueError(
            f"y holds classes not seen in fit: {listed(unknown)} (fitted classes: "
            f"{listed(classes.tolist())}). Fit again with rows of all classes."
        ) from None


def read_class_weights(class_weight, classes, totals):
    """Return the weight of each class, (K,), given the total weight of its rows.

    "balanced" is sum(totals) / (K totals), as in scikit-learn.
    """
    if isinstance(class_weight, str) and class_weight == "balanced":
        return totals.sum() / (len(classes) * totals)
    given = {} if class_weight is None else class_weight
    if not isinstance(given, dict) or not all(_is_number(weight) for weight in given.values()):
        raise ValueError(
            "class_weight must be None, 'balanced' or a dict from class to a positive number, got "
            f"{class_weight!r}."
        )
    weights = compute_class_weight(class_weight, classes=classes, y=classes)
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError(
            f"class_weight must be positive and finite for every class, got {class_weight!r}. "
            "Leave the rows of a class out, or give them sample_weight 0, to fit without it."
        )
    return weights


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def class_mask_of(has_class):
    """Return what excludes the classes that tasks do not have, added to their intercepts.

    Parameters
    ----------
    has_class : bool ndarray of shape (T, K)

    Returns
    -------
    ndarray of shape (K, T) or None
        -inf for each class that a task does not have; for two classes of shape (1, T), -inf for
        the second and inf for the first. None where no class is excluded.
    """
    if has_class.all():
        return None
    if has_class.shape[1] > 2:
        return np.where(has_class.T, 0.0, -np.inf)
    first, second = has_class.T[:, None]
    return np.where(first, 0.0, np.inf) + np.where(second, 0.0, -np.inf)
