"""ptlasso: the pretrained lasso, a pooled model followed by one lasso per task."""

import numpy as np
from ptlasso import PretrainedLassoCV

from benchmarks.adapters._base import INNER_FOLDS, Method

SOLVERS = ()
NO_SOLVERS = "a lasso in two stages minimizes no objective of these"


def tiny_groups(fold):
    """Return the reason if a group is tiny: its path is empty, which raises an IndexError."""
    counts, what = np.bincount(fold.tasks, minlength=fold.n_tasks), "a single training row"
    if fold.classify:
        ones = np.bincount(fold.tasks, fold.y, minlength=fold.n_tasks)
        counts, what = np.minimum(ones, counts - ones), "fewer than two rows of a class"
    tiny = np.count_nonzero(counts < 2)
    return f"fails on groups with {what}: {tiny} of {fold.n_tasks}" if tiny else None


def pretrained(fold):
    """Search over the share of pretraining and alpha on the inner folds."""
    number = np.empty(len(fold.X), dtype=int)
    for k, (_, test) in enumerate(fold.folds):
        number[test] = k
    model = PretrainedLassoCV(
        n_folds=INNER_FOLDS,
        foldid=None if fold.classify else number,
        family="binomial" if fold.classify else "gaussian",
        verbose=False,
    ).fit(fold.X, fold.y.astype(float), fold.tasks)
    return np.asarray(model.predict(fold.X_test, fold.tasks_test)).ravel()


METHODS = (
    Method(
        "ptlasso",
        "PretrainedLassoCV",
        ("long",),
        ("regression", "classification"),
        pretrained,
        tiny_groups,
    ),
)
