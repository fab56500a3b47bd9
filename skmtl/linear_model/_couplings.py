"""What the models of this folder penalize, of regressors and classifiers alike."""

import numpy as np

from skmtl.data import check_alpha, read_per_task
from skmtl.penalties import MeanCoupling

AUTO = "auto"  # a strength that the data are to tell


def pooled_coupling(model, tasks):
    """One w for all tasks: they cannot leave the center, which alone is penalized."""
    return _coupling(model, tasks, np.inf, model.alpha, "alpha", model.alpha_intercept)


def separate_coupling(model, tasks):
    """Tasks around a center that is held at zero, with free levels."""
    return _coupling(model, tasks, model.alpha, np.inf, "alpha_shared", 0.0)


def mean_coupling(model, tasks):
    """Tasks around a center that is found with them; 1.0 holds the place of what is "auto"."""
    alpha, alpha_intercept = (
        1.0 if is_auto(strength) else strength for strength in (model.alpha, model.alpha_intercept)
    )
    return _coupling(model, tasks, alpha, model.alpha_shared, "alpha_shared", alpha_intercept)


def is_auto(strength):
    """Return whether a strength is "auto"."""
    return isinstance(strength, str) and strength == AUTO


def _coupling(model, tasks, alpha, center, name, alpha_intercept):
    """Return the coupling, ``name`` what the strength on the center is called by users."""
    return MeanCoupling(
        read_per_task(alpha, "alpha", tasks),
        check_alpha(center, name),
        # without an intercept all levels stay at zero
        check_alpha(alpha_intercept, "alpha_intercept") if model.fit_intercept else np.inf,
        fixed_intercept=not model.fit_intercept,
    )
