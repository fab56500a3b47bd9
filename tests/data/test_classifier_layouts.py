"""Classifiers take arrays of any layout, and write to none."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests._problems import assert_same_model
from tests.data.test_classifier_input import CODES, INDICATOR, ROWS, N, X, every_classifier


@every_classifier
@pytest.mark.parametrize("n_classes", [2, 3])
def test_layouts_and_inputs_not_written_to(estimator, n_classes, tmp_path):
    y, weight = CODES[n_classes], np.linspace(0, 2, N)
    np.save(tmp_path / "X.npy", X)
    read_only = [X.copy(), y.copy(), weight.copy()]
    for part in read_only:
        part.flags.writeable = False
    expected = estimator(task_column=0).fit(X.copy(), y.copy(), weight.copy())
    for data in [
        tuple(read_only),
        (np.load(tmp_path / "X.npy", mmap_mode="r"), y, weight),
        (np.asfortranarray(X), y, weight),
        (np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3], np.repeat(y, 2)[::2], weight),
        (X.astype(np.float32), y.astype(np.float32), weight),
        (X.tolist(), y.tolist(), weight.tolist()),
    ]:
        before = [np.array(part) for part in data]
        model = estimator(task_column=0).fit(*data)
        assert_same_model(model, expected, rtol=1e-12)
        p = model.predict_proba(data[0])
        assert_allclose(p, expected.predict_proba(X), rtol=1e-12)
        assert p.dtype == np.float64
        for part, original in zip(data, before, strict=True):
            assert_array_equal(part, original)


@every_classifier
def test_layouts_of_the_wide_form(estimator):
    expected = estimator().fit(ROWS.X.copy(), INDICATOR.copy())
    features, targets = np.asfortranarray(ROWS.X), np.asfortranarray(INDICATOR.astype(float))
    features.flags.writeable = targets.flags.writeable = False
    assert_same_model(estimator().fit(features, targets), expected, rtol=1e-12)
    assert_same_model(estimator().fit(features.astype("f4"), targets), expected, rtol=1e-12)
