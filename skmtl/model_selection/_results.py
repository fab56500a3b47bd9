"""Tables of scores, and the choice of a candidate."""

from numbers import Real

import numpy as np
from scipy.stats import rankdata


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


def best_index(table, n_splits, one_standard_error):
    """Return the index of the best candidate, or of the one-standard-error rule.

    That is the largest alpha with a mean score within one standard error of the best, with the
    other parameters of the best candidate.
    """
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
