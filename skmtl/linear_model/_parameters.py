"""Check the parameters of the estimators that are independent of the data."""

import copy
from numbers import Integral, Real

import numpy as np

from skmtl.data import is_auto

_FROZEN = ("task_column", "fit_intercept", "task_classes")  # define the fitted attributes


def check_parameters(model):
    """Raise if a parameter has no valid value."""
    choices = ["error", "shared", "warn"]
    if model.handle_unknown not in choices:
        raise ValueError(f"handle_unknown must be one of {choices}, got {model.handle_unknown!r}.")
    if model.handle_unknown != "error" and not model._has_center:
        raise ValueError(
            f"{type(model).__name__} has no shared model to predict unknown tasks with, got "
            f"handle_unknown={model.handle_unknown!r}. Use handle_unknown='error', or a model "
            f"with a center such as {model._alternative}."
        )
    if model.solver not in ("auto", *model._solvers):
        raise ValueError(
            f"solver must be 'auto' or one of {list(model._solvers)}, got {model.solver!r}."
        )
    for name in ("fit_intercept", "warm_start"):
        if not isinstance(getattr(model, name), bool | np.bool_):
            raise ValueError(f"{name} must be True or False, got {getattr(model, name)!r}.")
    whole = isinstance(model.max_iter, Integral) and not isinstance(model.max_iter, bool)
    if not whole or model.max_iter < 1:
        raise ValueError(f"max_iter must be an integer of at least 1, got {model.max_iter!r}.")
    if not isinstance(model.tol, Real) or not 0 < model.tol < 1:
        raise ValueError(f"tol must be a number between 0 and 1, got {model.tol!r}.")
    forms, form = ("spherical", "diag", "full"), getattr(model, "covariance_type", None)
    if form not in (None, *forms):
        raise ValueError(f"covariance_type must be None or one of {list(forms)}, got {form!r}.")
    if form in ("diag", "full") and not is_auto(model.alpha):
        raise ValueError(
            f"covariance_type={form!r} is estimated, and alpha is a number. Set alpha to 'auto', "
            "or covariance_type to None."
        )
    prior = getattr(model, "covariance_prior", 0.0)
    if not isinstance(prior, Real) or not 0 <= prior < np.inf:
        raise ValueError(f"covariance_prior must be a number of at least 0, got {prior!r}.")
    classes = getattr(model, "task_classes", "union")
    if classes not in ("union", "seen"):
        raise ValueError(f"task_classes must be 'union' or 'seen', got {classes!r}.")
    if not model.fit_intercept and is_auto(getattr(model, "alpha_intercept", None)):
        raise ValueError(
            "alpha_intercept='auto' with fit_intercept=False: there are no intercepts whose "
            "variance could be estimated. Set alpha_intercept to a number, or fit_intercept to "
            "True."
        )


def frozen_parameters(model):
    """Return the parameters that cannot change after fit, a dict."""
    # copies: a list of columns may change in place
    return {name: copy.copy(getattr(model, name)) for name in _FROZEN if hasattr(model, name)}


def check_unchanged(model):
    """Raise if a parameter that defines the fitted attributes has changed since fit."""
    for name, fitted in model._fitted_with.items():
        if getattr(model, name) != fitted:
            raise ValueError(
                f"{name} was {fitted!r} in fit and is {getattr(model, name)!r} now. Fit again."
            )
