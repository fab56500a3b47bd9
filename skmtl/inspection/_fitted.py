"""Access to fitted models inside pipelines and searches."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def fitted_model(estimator):
    """Return the fitted multi-task model and the preceding transformers, or None."""
    inner = getattr(estimator, "best_estimator_", estimator)
    before = None
    if isinstance(inner, Pipeline):
        before, inner = (inner[:-1] if len(inner) > 1 else None), inner[-1]
        inner = getattr(inner, "best_estimator_", inner)
    check_is_fitted(inner)
    if not hasattr(inner, "coef_") or not hasattr(inner, "tasks_"):
        raise TypeError(
            "estimator must be a fitted multi-task model with coef_ and tasks_, a Pipeline that "
            f"ends in one, or a search over either; got {type(inner).__name__}."
        )
    return inner, before


def transformed(before, X):
    """Return X after the transformers that precede the model."""
    return X if before is None else before.transform(X)


def coefficient_rows(model, *, centered=False):
    """Return the coefficients of each task in one row, (T, d), or (T, K d) with K classes.

    ``centered`` subtracts the shared coefficients, or the mean if the model has no center.
    """
    coef = np.asarray(model.coef_)
    if centered:
        coef = coef - getattr(model, "shared_coef_", coef.mean(axis=0))
    return coef.reshape(len(coef), -1)
