"""What searches and inspection need of an estimator beside its public methods."""

import numpy as np

from skmtl.data import adaptive_weights, encode_tasks, read_rows
from skmtl.fitting import pose


def spec_of(estimator):
    """Return the ``Spec`` of a fit of an estimator, whose parameters are checked."""
    return estimator._spec()


def set_fit(estimator, fit):
    """Set the fitted attributes of an estimator, as its ``fit`` does."""
    estimator._set_attributes(fit)


def fitted_problem(model, X, y, sample_weight=None):
    """Return the problem that a fitted model solved, and where its tasks are in ``tasks_``.

    Parameters
    ----------
    model : estimator
        Fitted.
    X, y, sample_weight : array-like
        What it was fitted with.

    Returns
    -------
    problem : Problem
    place : ndarray of shape (T,)
    """
    rows = read_rows(model, X, y, sample_weight, reset=False)
    weight = model.task_weight_ if adaptive_weights(model.task_weight) else None
    posed = pose(model._spec(), rows, reference=model._reference, task_weight=weight)
    tasks, column, place = posed.rows.tasks, model.task_column, np.arange(len(posed.rows.tasks))
    if len(model.tasks_) != len(tasks) or column is not None:
        place = encode_tasks(tasks, model.tasks_, column)
    if (place < 0).any():
        raise ValueError(
            "X has tasks that the model was not fitted to. Pass the X, y and sample_weight of fit."
        )
    return posed.problem, place
