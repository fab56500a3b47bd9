"""Fixtures of several folders."""

import pytest

from tests._data import MixedModel, School


@pytest.fixture(scope="session")
def school():
    return School()


@pytest.fixture(params=MixedModel.ALL)
def mixed_model(request):
    return MixedModel(request.param)
