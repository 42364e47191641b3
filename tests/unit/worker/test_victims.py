"""Every point at which a test can kill a process names something that is there."""

import importlib
from functools import reduce

import pytest

from tests.harness.victims import POINTS


@pytest.mark.parametrize("name", POINTS)
def test_a_point_of_death_exists(name: str) -> None:
    module, _, path = POINTS[name].where.partition(":")
    assert callable(reduce(getattr, path.split("."), importlib.import_module(module)))
