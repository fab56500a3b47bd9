"""Rows of tasks side by side in lanes, and task by task, have the same likelihood."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skmtl.data import LongData
from skmtl.losses import SquaredLoss
from skmtl.penalties import MeanCoupling
from skmtl.tuning import _packs
from skmtl.tuning._compressed import CompressedRows


def compressed(sizes, d, alpha_intercept):
    rng, T = np.random.default_rng(0), len(sizes)
    codes = np.repeat(np.arange(T), sizes)
    X, y = rng.normal(size=(len(codes), d)), rng.normal(size=len(codes))
    weight = rng.uniform(0.5, 2.0, size=len(codes))
    data = LongData(X, y, weight, codes, T, np.zeros(d))
    penalty = MeanCoupling(rng.uniform(0.5, 2.0, size=T), 0.0, alpha_intercept)
    return CompressedRows(data, penalty, SquaredLoss())


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("alpha_intercept", [0.0, 1.0])
@pytest.mark.parametrize("d", [1, 2, 3, 14])
def test_lanes(monkeypatch, d, alpha_intercept, diagonal):
    """Tasks have 1 to 20 rows, so that some have fewer than others of their pack."""
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 21, size=150)
    lanes = compressed(sizes, d, alpha_intercept)
    monkeypatch.setattr(_packs, "SMALL", 0)
    blocks = compressed(sizes, d, alpha_intercept)
    assert (lanes.R.ndim, blocks.R.ndim) == (3, 2)
    F = np.diag(rng.uniform(0.1, 1.0, size=d + 1))
    if not diagonal:
        F += np.tril(rng.normal(size=F.shape), -1)
    beta, root = rng.normal(size=d + 1), np.triu(rng.normal(size=F.shape))
    results = []
    for rows in (lanes, blocks):
        marginal = rows.at(F)
        e, squares = rows.residuals(marginal, beta)
        slopes = rows.slopes(marginal, e, root, 1.5, diagonal=diagonal)
        part = (rows.products(), rows.information(marginal), rows.n_flat, rows.within)
        results.append((*marginal[2:], squares, slopes, *part))
    for own, other in zip(*results, strict=True):
        assert_allclose(own, other, rtol=1e-10, atol=1e-10)


def test_a_sample_of_all_packs_is_all():
    rows = compressed(np.random.default_rng(1).integers(1, 9, size=150), 2, 1.0)
    part, F = rows.sample(150), np.diag([1.0, 2.0, 0.5])
    assert_allclose(part.at(F).gram, rows.at(F).gram, rtol=1e-12)
    assert_allclose([part.total, part.within, part.n_flat], [rows.total, rows.within, rows.n_flat])
