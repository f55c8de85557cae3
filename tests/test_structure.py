"""Nested structures of arguments and results."""

import numpy as np
import pytest

import graphc as gx
from graphc.structure import flatten, same_structure


def test_flatten_and_rebuild():
    leaves, rebuild = flatten({"b": [1, (2,)], "a": 3})
    assert leaves == [1, 2, 3]
    assert rebuild("xyz") == {"b": ["x", ("y",)], "a": "z"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 2, True),
        ([1, 2], (3, 4), True),
        ([1], [1, 2], False),
        ([1], 1, False),
        ({"a": 1, "b": [2]}, {"a": 3, "b": [4]}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1, "b": 2}, {"b": 1, "a": 2}, False),  # their leaves would be paired wrongly
        ({"a": 1}, [1], False),
    ],
)
def test_same_structure(one, other, same):
    assert same_structure(one, other) is same


def test_tangents_in_another_order_are_refused_rather_than_mixed_up():
    x, y = (gx.input(name, (3,), "float64") for name in "xy")
    ones, zeros = np.ones(3), np.zeros(3)
    direction = gx.jvp(x * x * y, {"x": x, "y": y}, {"x": ones, "y": zeros})
    np.testing.assert_array_equal(gx.compile([x, y], direction)(ones, ones), 2 * ones)
    with pytest.raises(gx.GraphError, match="same structure"):
        gx.jvp(x * x * y, {"x": x, "y": y}, {"y": zeros, "x": ones})
