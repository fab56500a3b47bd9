"""Fixtures of searches."""

import functools

import pytest

from tests._problems import REGRESSORS


@pytest.fixture
def fits(monkeypatch):
    """A list that every fit of the three regressors adds to."""
    done = []
    for kind in REGRESSORS:

        def counted(model, *args, _fit=kind.fit, **kwargs):
            done.append(model)
            return _fit(model, *args, **kwargs)

        monkeypatch.setattr(kind, "fit", functools.wraps(kind.fit)(counted))
    return done
