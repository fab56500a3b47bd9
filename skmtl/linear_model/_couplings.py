"""Penalties of the regressors and classifiers of this folder."""

import numpy as np

from skmtl.data import check_alpha, read_per_task
from skmtl.penalties import MeanCoupling

AUTO = "auto"  # a penalty weight to estimate from the data


def pooled_coupling(model, tasks):
    """Return the penalty of one w for all tasks, fixed at the center; only w is penalized."""
    return _coupling(model, tasks, np.inf, model.alpha, "alpha", model.alpha_intercept)


def separate_coupling(model, tasks):
    """Return the penalty around a center fixed at zero, with unpenalized intercepts."""
    return _coupling(model, tasks, model.alpha, np.inf, "alpha_shared", 0.0)


def mean_coupling(model, tasks):
    """Return the penalty around an estimated center; 1.0 is a placeholder for "auto"."""
    alpha, alpha_intercept = (
        1.0 if is_auto(weight) else weight for weight in (model.alpha, model.alpha_intercept)
    )
    return _coupling(model, tasks, alpha, model.alpha_shared, "alpha_shared", alpha_intercept)


def is_auto(weight):
    """Return whether a penalty weight is "auto"."""
    return isinstance(weight, str) and weight == AUTO


def _coupling(model, tasks, alpha, center, name, alpha_intercept):
    """Return the coupling; ``name`` is the parameter that penalizes the center."""
    return MeanCoupling(
        read_per_task(alpha, "alpha", tasks),
        check_alpha(center, name),
        # without fit_intercept all intercepts are fixed at zero
        check_alpha(alpha_intercept, "alpha_intercept") if model.fit_intercept else np.inf,
        fixed_intercept=not model.fit_intercept,
    )
