"""The argument `out`: results in arrays of the caller."""

import operator
import threading
import time
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.runtime.prepare import Preparation
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


def several(kind: type) -> gx.Executable:
    """Of x with symbolic rows: its squares, its sums, and which are positive, of three dtypes."""
    x = gx.input("x", ("n", 3), "float32")
    return gx.compile([x], kind([x * x, gx.sum(gx.astype(x, "float64"), axis=1), x > 0]))


def arrays_for(rows: int) -> list[np.ndarray[Any, Any]]:
    """Arrays for the results of `several`."""
    return [
        np.full((rows, 3), 7, np.float32),
        np.full(rows, 7, np.float64),
        np.ones((rows, 3), bool),
    ]


@pytest.mark.parametrize("kind", [list, tuple])
def test_several_results_are_written_into_a_list_or_a_tuple(way: str, kind: type) -> None:
    step = several(kind)
    for rows in (4, 2, 4, 0):
        x = ramp(rows, 3) - 4
        for _ in range(2):
            out = arrays_for(rows)
            result = step(x, out=kind(out))
            assert type(result) is kind
            assert all(map(operator.is_, result, out))
            np.testing.assert_array_equal(out[0], x * x)
            np.testing.assert_array_equal(out[1], x.sum(axis=1))
            np.testing.assert_array_equal(out[2], x > 0)


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.cpu("native calls")
def test_several_results_do_not_go_through_python(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, x, out = several(kind), ramp(4, 3), arrays_for(4)
    step(x)
    monkeypatch.setattr(Preparation, "__call__", None)  # cannot be called
    for given in (out, tuple(out)):
        assert step(x, out=given)[1] is out[1]
    with pytest.raises(TypeError, match="not callable"):
        step(x, out=kind([*out[:2], x > 0][::-1]))


@pytest.mark.parametrize("kind", [list, tuple])
def test_several_results_are_refused_where_one_cannot_be_written(way: str, kind: type) -> None:
    step, x = several(kind), ramp(4, 3)
    step(x)
    squares, sums, positive = arrays_for(4)
    memory = np.zeros(48, np.float32)
    overlapping = memory[:12].reshape(4, 3), memory[8:16].view(np.float64)
    for out, reason in (
        (kind([squares, sums]), "the structure of the outputs, 3 arrays"),
        (squares, "the structure of the outputs, 3 arrays"),
        (
            kind([squares, sums[:2], positive]),
            r"\(array 1\) has shape \(2,\), the output has \(4,\)",
        ),
        (kind([squares, sums, positive.T]), r"\(array 2\) has shape \(3, 4\)"),
        (kind([squares, squares, positive]), r"\(array 1\) has dtype float32"),
        (kind([squares, 1.0, positive]), r"\(array 1\) must be a NumPy array"),
        (kind([x, sums, positive]), r"\(array 0\) overlaps with an argument"),
        (kind([*overlapping, positive]), r"overlaps with another array of out"),
    ):
        with pytest.raises(gx.GraphError, match=reason):
            step(x, out=out)


@pytest.mark.parametrize("kind", [list, tuple])
def test_results_that_are_one_value_are_written_into_each(way: str, kind: type) -> None:
    x = gx.input("x", (3,), "float32")
    step = gx.compile([x], kind([x + 1, x, x + 1]))
    for _ in range(2):
        out = [np.zeros(3, np.float32) for _ in range(3)]
        assert all(map(operator.is_, step(ramp(3), out=kind(out)), out))
        assert [array.tolist() for array in out] == [[1, 2, 3], [0, 1, 2], [1, 2, 3]]


def test_the_arrays_of_a_list_live_as_long_as_the_call() -> None:
    step, rows = long_step_of_several(), 3
    for _ in range(rows):
        out = [np.zeros(1024) for _ in range(2)]
        clearing = threading.Thread(target=clear_soon, args=(out,))
        clearing.start()
        first, second = step(ramp(), out=out)
        clearing.join()
        assert out == []
        assert first.sum() == second.sum() != 0


def long_step_of_several() -> gx.Executable:
    """Two results of a step that takes some hundredths of a second, Python's lock given away."""
    x = gx.input("x", (), "float32")
    start = gx.full((1024,), 1.0, "float64") + x
    slow = gx.scan(lambda c, _: (gx.sin(c), c), start, length=2_000)[0]
    step = gx.compile([x], [slow, slow * 1.0 + 0.0 * x])
    step(ramp())
    return step


def clear_soon(out: list[Any]) -> None:
    """Take away what a list holds while a step writes into it."""
    time.sleep(0.005)
    out.clear()


def test_an_input_named_out_is_an_input(way: str) -> None:
    x = gx.input("out", (2,), "float32")
    step = gx.compile(x, x + 1)
    assert step(out=ramp(2)).tolist() == [1, 2]
