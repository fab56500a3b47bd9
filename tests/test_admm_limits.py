"""Where penalties leave nothing, or all: ``alpha_max``, limits and equal models."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, Lasso, MultiTaskLasso

from skmtl import (
    ADMMClassifier,
    ADMMRegressor,
    GraphRegularizedClassifier,
    GraphRegularizedRegressor,
    MeanRegularizedClassifier,
    MeanRegularizedRegressor,
    PooledRegressor,
    SharedL2Classifier,
    SharedL2Regressor,
    alpha_max,
)
from skmtl.penalties import (
    L1,
    L21,
    Decomposed,
    Graph,
    MeanRegularized,
    NetworkLasso,
    Ridge,
    RobustMean,
    TaskL2,
    TemporalFused,
    TraceNorm,
)
from tests import _classification
from tests._problems import TASK_WEIGHT, fit_long, make_rows, make_wide, weighted_rows

GRAPH = [(0, 1, 2.0), (1, 2), (2, 3, 0.5), (0, 3)]
NORMS = {
    "l1": L1(),
    "l21": L21(0.5),
    "task_l2": TaskL2(),
    "trace_norm": TraceNorm(2.0),
    "robust_mean": RobustMean(),
    "network_lasso": NetworkLasso(1.0, GRAPH),
    "network_lasso-all-pairs": NetworkLasso(),
    "network_lasso-two-components": NetworkLasso(1.0, [(0, 3), (1, 2)]),
    "temporal_fused": TemporalFused(0.7),
    "l1+trace": L1(0.5) + TraceNorm(1.0),
    "l21+ridge": L21(1.0) + Ridge(2.0),
    "l1+temporal": L1(0.5) + TemporalFused(2.0),
    "dirty": Decomposed(L21(2.0), L1(1.0)),
}
LEVELS = {"drawn": 1.0, "free": 0.0, "one": np.inf}


def is_trivial(penalty, W):
    """Whether a norm leaves nothing of W: exactly."""
    if isinstance(penalty, NetworkLasso) and penalty.task_graph and len(penalty.task_graph) == 2:
        return bool((W[0] == W[3]).all() and (W[1] == W[2]).all())
    if isinstance(penalty, RobustMean | NetworkLasso | TemporalFused):
        return bool((W == W[0]).all())
    return not W.any()


def problem(kind, form):
    """An estimator of weighted tasks, and what it is fitted to."""
    classifies = kind is ADMMClassifier
    if form == "wide":
        X, Y = _classification.make_indicator() if classifies else make_wide()
        weight = np.random.default_rng(2).uniform(0.2, 3.0, len(X))
        return kind(task_weight=list(TASK_WEIGHT.values())), (X, Y, weight)
    rows, weight, _ = (_classification if classifies else TESTS).weighted_rows()
    return kind(task_column=0, task_weight=TASK_WEIGHT), (rows.long, rows.y, weight)


class TESTS:
    weighted_rows = staticmethod(weighted_rows)


kinds = pytest.mark.parametrize("kind", [ADMMRegressor, ADMMClassifier], ids=["squared", "logit"])
forms = pytest.mark.parametrize("form", ["long", "wide"])


@kinds
@forms
@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("penalty", NORMS.values(), ids=NORMS)
def test_alpha_max_is_where_nothing_begins(penalty, level, form, kind):
    model, data = problem(kind, form)
    model.set_params(penalty=penalty, alpha_intercept=level)
    largest = alpha_max(model, *data)
    assert 0 < largest < np.inf
    for factor in (1.0 + 1e-9, 1.0):
        model.set_params(alpha=factor * largest).fit(*data)
        assert is_trivial(penalty, model.coef_), (factor, np.abs(model.coef_).max())
    model.set_params(alpha=0.98 * largest).fit(*data)
    assert not is_trivial(penalty, model.coef_)
