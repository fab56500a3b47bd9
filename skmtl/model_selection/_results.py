"""Tables of scores, and the choice of a candidate."""

from numbers import Real

import numpy as np
from scipy.stats import rankdata

from skmtl._warn import listed


def results_table(candidates, scores, spread=None):
    """Return a dict with the keys of ``cv_results_`` of ``GridSearchCV``, in its order.

    ``spread`` (C,) is the ``std_test_score`` of leave-one-out, whose single split has no column.
    """
    table = {}
    for kind in ("fit", "score"):
        seconds = getattr(scores, f"{kind}_time")
        table[f"mean_{kind}_time"] = seconds.mean(axis=1)
        table[f"std_{kind}_time"] = seconds.std(axis=1)
    for name in sorted({name for candidate in candidates for name in candidate}):
        values = [candidate[name] for candidate in candidates]
        column = np.empty(len(values), dtype=object)
        column[:] = values
        if all(isinstance(value, Real) for value in values):
            column = np.array(values)
        table[f"param_{name}"] = np.ma.MaskedArray(column, mask=np.zeros(len(values), dtype=bool))
    table["params"] = candidates
    if spread is None:
        for number, column in enumerate(scores.test.T):
            table[f"split{number}_test_score"] = column
    mean = table["mean_test_score"] = scores.test.mean(axis=1)
    table["std_test_score"] = scores.test.std(axis=1) if spread is None else spread
    worst = np.nanmin(mean, initial=0.0) - 1.0
    ranks = rankdata(-np.where(np.isnan(mean), worst, mean), method="min")
    table["rank_test_score"] = ranks.astype(np.int32)
    return table


def best_index(table, n_splits, one_standard_error, scorer):
    """Return the index of the best candidate, or of the one-standard-error rule.

    Raises ValueError if all mean scores are NaN.

    The rule gives the largest alpha with a mean score within one standard error of the best, with
    the other parameters of the best candidate.
    """
    if np.isnan(table["mean_test_score"]).all():
        raise ValueError(_no_scores(table, n_splits, scorer))
    best = int(table["rank_test_score"].argmin())
    if not one_standard_error:
        return best
    count = n_splits - 1 if "split0_test_score" in table else n_splits
    error = table["std_test_score"][best] / np.sqrt(max(count, 1))
    mean, candidates = table["mean_test_score"], table["params"]
    near = [
        number
        for number, candidate in enumerate(candidates)
        if mean[number] >= mean[best] - error
        and {**candidate, "alpha": None} == {**candidates[best], "alpha": None}
    ]
    return max(near or [best], key=lambda number: candidates[number]["alpha"])


def _no_scores(table, n_splits, scorer):
    """Return the message of a search without a score that is not NaN."""
    if "split0_test_score" not in table:
        return (
            f"The score {scorer!r} of every candidate is NaN on the leave-one-out predictions. "
            "Check that y and the weights allow for this score, or set scoring or cv."
        )
    names = [f"split{number}_test_score" for number in range(n_splits)]
    empty = [number for number, name in enumerate(names) if np.isnan(table[name]).all()]
    where = f"on {len(empty)} of {n_splits} splits ({listed(empty)})" if empty else "on some split"
    return (
        f"The mean score of every candidate is NaN, so there is nothing to choose from: {scorer!r} "
        f"is NaN {where}. R^2, for instance, is NaN on a single test row, and scores by task are "
        "where no task has several rows or classes to test. Use fewer folds, scoring="
        "'neg_mean_squared_error', or a scoring that is defined on the test rows."
    )
