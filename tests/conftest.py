"""Fixtures of several folders."""

import pytest

from tests._data import MIXED_MODELS, MixedModel, School


@pytest.fixture(scope="session")
def school():
    return School()


@pytest.fixture(params=MIXED_MODELS)
def mixed_model(request):
    return MixedModel(request.param)
