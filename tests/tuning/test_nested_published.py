"""Variances of two columns against what R prints of two textbook examples."""

import numpy as np
import pandas as pd
import pytest

from skmtl import MeanRegularizedRegressor, TaskMoments
from skmtl.inspection import coef_table

# Strength of paste: two assays of each of three casks, of ten batches. O. Davies and P. Goldsmith
# (1972), Statistical methods in research and production; ``Pastes`` of R's lme4.
STRENGTH = """
62.8 62.6 60.1 62.3 62.7 63.1   60.0 61.4 57.5 56.9 61.1 58.9   58.7 57.5 63.9 63.1 65.4 63.7
57.1 56.4 56.9 58.6 64.7 64.5   55.1 55.1 54.7 54.2 58.8 57.5   63.4 64.9 59.3 58.1 60.5 60.0
62.5 62.6 61.0 58.7 56.9 57.7   59.2 59.4 65.2 66.0 64.8 64.1   54.8 54.8 64.0 64.0 57.7 56.8
58.3 59.3 59.2 59.2 58.9 56.6
"""
# Yield of oats at four levels of nitrogen (0, 0.2, 0.4, 0.6), in six blocks, of three varieties
# that have a plot in each: Victory, Golden Rain, Marvellous. F. Yates (1935), Complex experiments;
# ``Oats`` of R's nlme.
YIELD = """
111 130 157 174  61 91  97 100  68  64 112  86  74  89  81 122  62 90 100 116  53 74 118 113
117 114 161 141  70 108 126 149 60 102  89  96  64 103 132 133  80 82  94 126  89 82  86 104
105 140 118 156  96 124 121 144 89 129 132 124  70  89 104 117  63 70 109  99  97 99 119 121
"""


def pastes():
    """Return the labels of batch and cask, and the strengths."""
    row = np.arange(60)
    labels = {"batch": np.array(list("ABCDEFGHIJ"))[row // 6], "cask": row % 6 // 2}
    return pd.DataFrame(labels), np.array(STRENGTH.split(), dtype=float)


def oats():
    """Return the labels of block and variety with the nitrogen, and the yields."""
    row = np.arange(72)
    variety = np.array(["Victory", "Golden Rain", "Marvellous"])[row // 24]
    X = pd.DataFrame({"block": row % 24 // 4, "variety": variety, "nitro": row % 4 * 0.2})
    return X, np.array(YIELD.split(), dtype=float)


@pytest.mark.parametrize("by_moments", [False, True])
def test_paste(by_moments):
    """lmer(strength ~ 1 + (1 | batch/cask), Pastes)

    REML criterion 246.99; standard deviations 2.90408 (cask:batch), 1.28737 (batch) and 0.8234075
    (residual); intercept 60.05333 with the standard error 0.6768701.
    """
    X, y = pastes()
    model = MeanRegularizedRegressor("auto", task_column=["batch", "cask"])
    if by_moments:
        moments = TaskMoments.from_data(X, y, task_column=["batch", "cask"])
        model.fit_moments(moments)
    else:
        model.fit(X, y)
    tau2 = model.tau2_intercept_
    assert abs(-2 * model.restricted_log_likelihood_ - 246.99) < 0.005
    np.testing.assert_allclose(np.sqrt(tau2["cask"]), 2.90408, rtol=2e-5)
    np.testing.assert_allclose(np.sqrt(tau2["batch"]), 1.28737, rtol=2e-5)
    np.testing.assert_allclose(np.sqrt(model.sigma2_), 0.8234075, rtol=2e-5)
    center = coef_table(model).iloc[0]
    assert center["feature"] == "intercept"
    np.testing.assert_allclose(center["estimate"], 60.05333, atol=5e-6)
    np.testing.assert_allclose(center["std_error"], 0.6768701, rtol=2e-5)


def test_oats():
    """summary(lme(yield ~ nitro, data = Oats, random = ~ 1 | Block/Variety))

    J. Pinheiro and D. Bates (2000), Mixed-effects models in S and S-PLUS, section 1.6. Logarithm of
    the restricted likelihood -296.5209; standard deviations 14.50598 (block), 11.00467 (variety
    in block), 12.86696 (residual).
    """
    X, y = oats()
    model = MeanRegularizedRegressor(
        np.inf,
        alpha_intercept="auto",
        alpha_shared=0.0,
        task_column=["block", "variety"],
    ).fit(X, y)
    tau2 = model.tau2_intercept_
    np.testing.assert_allclose(model.restricted_log_likelihood_, -296.5209, atol=5e-5)
    np.testing.assert_allclose(np.sqrt(tau2["block"]), 14.50598, rtol=2e-5)
    np.testing.assert_allclose(np.sqrt(tau2["variety"]), 11.00467, rtol=2e-5)
    np.testing.assert_allclose(np.sqrt(model.sigma2_), 12.86696, rtol=2e-5)
    center = coef_table(model).iloc[:2]
    assert center["feature"].tolist() == ["nitro", "intercept"]
    np.testing.assert_allclose(center["estimate"], [73.66667, 81.87222], atol=5e-6)
    np.testing.assert_allclose(center["std_error"], [6.781483, 6.945280], rtol=2e-6)
