"""Steps from changes of the gradient, in place of Newton steps far from the solution."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from skmtl import PooledClassifier
from skmtl.solvers import _joint, _secants
from tests._problems import assert_same_model, fit_long, make_rows, models

K = 3


@pytest.fixture
def calls(monkeypatch):
    """Return a list that has an entry for each step, and let small problems take them."""
    found, step = [], _secants.Secants.step

    def counted(*args):
        found.append(step(*args))
        return found[-1]

    monkeypatch.setattr(_joint, "_WORTH_SECANTS", 0)
    monkeypatch.setattr(_secants.Secants, "step", counted)
    return found


@pytest.mark.parametrize("name", models(K))
def test_same_solution_without_them(name, calls, monkeypatch):
    """Whatever the steps, the certificate is met, and solutions are those of Newton steps."""
    rows, model = make_rows(K), models(K)[name]
    corrected = fit_long(model, rows, tol=1e-11)
    monkeypatch.setattr(_joint, "_WORTH_SECANTS", np.inf)
    n_calls = len(calls)
    newton = fit_long(model, rows, tol=1e-11)
    assert len(calls) == n_calls
    assert_same_model(corrected, newton, rtol=1e-8)
    assert corrected.optimality_ <= 1e-11


def test_far_from_the_solution_only(calls):
    """Against scikit-learn; the last steps are those of conjugate gradients."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = (X @ rng.normal(size=(4, K)) + rng.gumbel(size=(300, K))).argmax(axis=1)
    ours = PooledClassifier(2.0, tol=1e-11).fit(X, y)
    theirs = LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000).fit(X, y)
    assert_allclose(ours.shared_coef_, theirs.coef_, rtol=1e-6, atol=1e-7)
    assert calls[0] is not None
    assert calls[-1] is None
    assert sum(step is not None for step in calls) > 2
