"""The argument `out`: results in arrays of the caller."""

import numpy as np
import pytest

import graphc as gx
from tests.calling import affine, ramp


def test_out_takes_the_result(way: str) -> None:
    step, out = affine(), np.full((4, 3), 7, np.float32)
    for _ in range(2):
        assert step(ramp(4, 3), ramp(3), out=out) is out
        np.testing.assert_array_equal(out, 2 * ramp(4, 3) + ramp(3))
    assert step(ramp(4, 3), ramp(3), out=None) is not out


def test_out_has_the_structure_of_the_outputs(way: str) -> None:
    x = gx.input("x", (3,), "complex64")
    step = gx.compile([x], {"a": x + 1, "b": (x + 1, gx.real(x))})
    a, b = (np.zeros(3, np.complex64) for _ in range(2))
    c = np.zeros(3, np.float32)
    result = step(ramp(3), out={"a": a, "b": (b, c)})
    assert result["a"] is a
    assert result["b"][0] is b
    assert result["b"][1] is c
    for array, expected in ((a, [1, 2, 3]), (b, [1, 2, 3]), (c, [0, 1, 2])):
        np.testing.assert_array_equal(array, expected)
    with pytest.raises(gx.GraphError, match="the structure of the outputs, 3 arrays: this is"):
        step(ramp(3), out=[a, b, c])
    with pytest.raises(gx.GraphError, match=r"out \(array 1\) overlaps with another array of out"):
        step(ramp(3), out={"a": a, "b": (a, c)})


def test_out_is_refused_where_results_cannot_be_written_into_it(way: str) -> None:
    step, x, y = affine(), ramp(4, 3), ramp(3)
    fixed = np.zeros((4, 3), np.float32)
    fixed.flags.writeable = False
    memory = np.zeros(24, np.float32)
    step(x, y)
    for out, reason in (
        (x.tolist(), "the structure of the outputs, 1 array"),
        (1.0, "must be a NumPy array, this is"),
        (np.zeros((4, 3)), "has dtype float64, the output is float32"),
        (np.zeros((3, 4), np.float32), r"has shape \(3, 4\), the output has \(4, 3\)"),
        (np.zeros((3, 4), np.float32).T, "must be contiguous"),
        (fixed, "aligned and writeable"),
        (x, "overlaps with an argument"),
    ):
        with pytest.raises(gx.GraphError, match=reason):
            step(x, y, out=out)
    with pytest.raises(gx.GraphError, match="overlaps with an argument"):
        step(memory[:12].reshape(4, 3), y, out=memory[11:23].reshape(4, 3))
    assert (
        step(memory[:12].reshape(4, 3), y, out=memory[12:].reshape(4, 3)).tolist()
        == [[0, 1, 2]] * 4
    )


def test_an_input_named_out_is_an_input(way: str) -> None:
    x = gx.input("out", (2,), "float32")
    step = gx.compile(x, x + 1)
    assert step(out=ramp(2)).tolist() == [1, 2]
