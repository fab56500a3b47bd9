"""Tasks added to a fitted model, or fitted again, around its center."""

import copy

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmtl._threads import blas_threads_for
from skmtl.data import encode_tasks, factorize, merge_labels, read_rows
from skmtl.linear_model._parameters import check_unchanged
from skmtl.linear_model._warnings import warn_of_convergence
from skmtl.tuning import fit_given_center


def adapted(model, X, y, sample_weight):
    """Return a copy of a fitted model with the tasks of these rows fitted given its center."""
    check_is_fitted(model)
    if model.task_column is None:
        raise ValueError(
            "adapt adds tasks by their labels, and this model was fitted without a "
            "task_column. Fit it in the long form, with task_column set."
        )
    spec = model._spec()
    check_unchanged(model)
    for name in ("alpha", "task_weight"):
        if np.ndim(getattr(model, name)) > 0:
            raise ValueError(
                f"{name} is an array in the order of the tasks of fit and does not apply to "
                "others. To adapt, set it to a number or to a dict with every label."
            )
    rows = read_rows(model, X, y, sample_weight, reset=False)
    center = model._reference.center
    w = model.shared_coef_.reshape(-1, len(center))
    c = np.reshape(model.shared_intercept_ + model.shared_coef_ @ center, len(w))
    with blas_threads_for(rows.work):
        fit = fit_given_center(spec, rows, model._reference, (w, c))
    warn_of_convergence(model, fit)
    model._warn(fit)
    new = copy.deepcopy(model)
    new._set_task_attributes(fit)
    kept = encode_tasks(model.tasks_, fit.rows.tasks, model.task_column) < 0
    labels = merge_labels(model.tasks_[kept], fit.rows.tasks)
    new.tasks_, place = factorize(labels, model.task_column)
    order = np.argsort(place)
    for name in (*model._by_task, *fit.found):
        both = np.concatenate([getattr(model, name)[kept], getattr(new, name)])
        setattr(new, name, both[order])
    new._set_solution_attributes(fit)
    return new
