"""NumPy's scalars and arrays where Python's numbers or nodes are expected."""

import numpy as np
import pytest

import graphc as gx

x = gx.input("x", (5,), "float32")
n = gx.input("n", ("size",), "float32")


def test_numpy_integers_are_integers_in_slices_and_ranges():
    one, three = np.int64(1), np.int64(3)
    assert x[one:three] is x[1:3]
    assert x[three::-one] is x[3::-1]
    assert n[one:] is n[1:]
    assert n[-three:] is n[-3:]
    assert gx.arange(one, three, one) is gx.arange(1, 3, 1)


@pytest.mark.parametrize("value", [1.5, np.float32(1.5), np.float64(1.5), np.array(1.5)])
def test_padding_keeps_the_dtype(value):
    assert gx.pad(x, 1, value).type == gx.pad(x, 1).type


def test_numpy_does_not_take_a_node_apart():
    for use in (np.asarray, gx.constant, lambda node: np.array([node, node])):
        with pytest.raises(gx.GraphError, match="a node"):
            use(x)


@pytest.mark.parametrize("bounds", [(float("inf"),), (float("nan"),), (0, 1.5, float("inf"))])
def test_ranges_are_finite(bounds):
    with pytest.raises(gx.GraphError, match="finite"):
        gx.arange(*bounds)


def test_none_is_no_dtype():
    with pytest.raises(gx.GraphError, match="not a dtype"):
        gx.input("x", (3,), None)


def test_integers_are_assigned_to_variables_where_they_fit():
    small = gx.variable(np.zeros(2, "uint8"), name="small")
    small.value = [1, 255]
    np.testing.assert_array_equal(small.value, [1, 255])
    for beyond in ([1, 256], [-1, 0], np.array([0, 2**40])):
        with pytest.raises(gx.GraphError, match="beyond"):
            small.value = beyond
    np.testing.assert_array_equal(small.value, [1, 255])
