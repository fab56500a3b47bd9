"""Read, encode and weight class labels."""

from numbers import Real

import numpy as np
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets

from skmtl._warn import listed
from skmtl.data._arrays import one_target, plain_target
from skmtl.data._labels import distinct_integers, label_key

_LONG_FORM = (
    "The long form allows any classes and any rows per task: one row of X per observed label, "
    "with a column of task labels named by task_column"
)


def read_labels(estimator, y, *, wide):
    """Return the target y as labels (n,) or, in the wide form, an indicator (n, T) of 0 and 1.

    NaN in an indicator is not observed; it is then float64.
    """
    if wide and y.ndim == 2 and (y.shape[1] > 1 or _lacks_numbers(y)):
        return _read_indicator(y)
    if _are_few_integers(y):
        return y
    y = one_target(y)
    y = check_array(y, dtype=None, ensure_2d=False, input_name="y", estimator=estimator)
    y = plain_target(y)
    if y.dtype == object and not all(isinstance(label, str) for label in y):
        label = next(label for label in y if not isinstance(label, str))
        raise ValueError(
            f"Unknown label type: y holds {label!r} ({type(label).__name__}). Classes are strings, "
            "whole numbers, booleans or datetime64: convert them, for example by y.astype(str)."
        )
    check_classification_targets(y)
    return y


def _are_few_integers(y):
    """Return whether y is a plain array (n,) of integers or booleans, of n / 2 classes at most.

    What is left to check takes longer than some fits.
    """
    if type(y) is not np.ndarray or y.ndim != 1 or y.dtype.kind not in "iub" or not y.size:
        return False
    return y.dtype.kind == "b" or 2 * (int(y.max()) - int(y.min()) + 1) <= y.size


def _lacks_numbers(y):
    """Return whether a column of numbers has NaN: it is an indicator of one task."""
    y = plain_target(y)
    return y.dtype.kind == "f" and bool(np.isnan(y).any())


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
    missing = np.isnan(y)
    other = (y != 0) & (y != 1) & ~missing
    if other.any():
        raise ValueError(
            "A 2-D y must be an indicator of 0 and 1, one task per column, got values such as "
            f"{listed(np.unique(y[other]).tolist())}. {_LONG_FORM}."
        )
    return y if missing.any() else y.astype(np.intp)


def encode_targets(rows, name, class_weight, classes=None, weights=None):
    """Return the ``Rows`` of a classifier with the targets and weights that losses take.

    Targets are -1 and 1 for two classes, and class indices for more.

    Parameters
    ----------
    rows : Rows
    name : str
        Class of the estimator, for messages.
    class_weight : None, "balanced" or dict
        As of the estimators.
    classes, weights : ndarray of shape (K,), optional
        Classes and class weights of an earlier fit, which replace those of the rows.
    """
    observed = rows.observed if rows.codes is None else slice(None)
    if observed is None:
        observed = np.ones(rows.y.shape, dtype=bool)
    labels = rows.y[observed]
    if rows.codes is None:  # an indicator, which is float64 where it has NaN
        labels = labels.astype(np.intp)
    classes, known = _encode_classes(labels, classes)
    check_classes(classes, name)
    codes, wide = np.zeros(rows.y.shape, dtype=np.intp), rows.codes is None
    codes[observed] = known
    weight, totals = rows.weight, rows.totals
    of_entry = weight[:, None] if weight.ndim < codes.ndim else weight
    task = np.arange(len(rows.tasks)) if wide else rows.codes
    size = len(rows.tasks), len(classes)
    cell = size[1] * np.broadcast_to(task, codes.shape)[observed] + known
    has_class = np.bincount(cell, minlength=size[0] * size[1]).reshape(size) > 0
    if weights is None:
        by_class = np.bincount(known, np.broadcast_to(of_entry, codes.shape)[observed])
        weights = read_class_weights(class_weight, classes, by_class)
    if (weights != 1).any():
        weight = of_entry * weights[codes] * observed if wide else weight * weights[codes]
        totals = weight.sum(axis=0) if wide else np.bincount(task, weight)
    return rows._replace(
        y=2.0 * codes - 1.0 if len(classes) == 2 else codes,
        weight=weight,
        totals=totals,
        classes=classes,
        class_weight=weights,
        has_class=has_class,
    )


def check_classes(classes, name):
    """Return the classes of a fit; raise if there is one only."""
    if len(classes) < 2:
        raise ValueError(
            f"{name} needs samples of at least 2 classes in the data, but the data contain only "
            f"one class: {classes.tolist()[0]!r}."
        )
    return classes


def _encode_classes(y, classes):
    """Return the sorted classes, by default those of y, and each label's index into them."""
    if y.dtype.kind in "iub":
        found, codes = distinct_integers(y if y.dtype == np.uint64 else y.astype(np.int64))
        found = found.astype(y.dtype)
    else:
        encoder = LabelEncoder()
        codes = encoder.fit_transform(y)
        found = encoder.classes_
    if classes is None:
        return found, codes
    # equal as in Python: LabelEncoder would convert y to the dtype of the classes first
    number = {label: k for k, label in enumerate(classes.tolist())}
    unknown = [label for label in found.tolist() if label not in number]
    if unknown:
        raise ValueError(
            f"y holds classes not seen in fit: {listed(unknown)} (fitted classes: "
            f"{listed(classes.tolist())}). Fit again with rows of all classes."
        )
    return classes, np.array([number[label] for label in found.tolist()], dtype=np.intp)[codes]


def read_class_weights(class_weight, classes, totals):
    """Return the weight of each class, (K,), given the total weight of its rows.

    "balanced" is sum(totals) / (K totals), as in scikit-learn.
    """
    if isinstance(class_weight, str) and class_weight == "balanced":
        return totals.sum() / (len(classes) * totals)
    given = {} if class_weight is None else class_weight
    if not isinstance(given, dict) or not all(
        isinstance(weight, Real) and not isinstance(weight, bool) for weight in given.values()
    ):
        raise ValueError(
            "class_weight must be None, 'balanced' or a dict from class to a positive number, got "
            f"{class_weight!r}."
        )
    given = {label_key(label): weight for label, weight in given.items()}
    keys = [label_key(label) for label in classes.tolist()]
    strange = [label for label in given if label not in keys]
    if strange and not set(keys) <= given.keys():
        raise ValueError(
            f"class_weight names {listed(strange)}, which are not classes of y: "
            f"{listed(classes.tolist())}."
        )
    weights = np.array([float(given.get(key, 1.0)) for key in keys])
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError(
            f"class_weight must be positive and finite for every class, got {class_weight!r}. "
            "Leave the rows of a class out, or give them sample_weight 0, to fit without it."
        )
    return weights


def class_mask_of(has_class):
    """Return what excludes the classes that tasks do not have, added to their intercepts.

    Of ``has_class`` (T, K) this is (K, T): -inf for each class that a task does not have. For two
    classes it is (1, T): -inf for the second, inf for the first. None where no class is excluded.
    """
    if has_class.all():
        return None
    if has_class.shape[1] > 2:
        return np.where(has_class.T, 0.0, -np.inf)
    first, second = has_class.T[:, None]
    return np.where(first, 0.0, np.inf) + np.where(second, 0.0, -np.inf)
