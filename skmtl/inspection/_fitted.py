"""Access to fitted models inside pipelines and searches."""

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
