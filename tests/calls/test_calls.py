"""Calls mean the same natively and in Python, whatever the arguments are."""

import subprocess
import sys
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.runtime.cpu import python_api
from graphc.runtime.prepare import Preparation
from graphc.structure import flatten, same_structure
from tests.calling import affine, ramp

Pair = namedtuple("Pair", ("first", "second"))


def is_native(step: gx.Executable) -> bool:
    return type(step.__call__) is type(len)


@pytest.mark.cpu("native calls")
def test_the_call_is_native_and_says_so_where_it_is_not(way: str) -> None:
    step = affine()
    found = [(d.stage, d.choice, d.reason) for d in step.decisions if d.stage == "call"]
    assert is_native(step) == (way == "native")
    assert found == ([] if way == "native" else [("call", "in Python", way)])


@pytest.mark.cpu("native calls")
def test_usual_calls_do_not_go_through_python(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = []

    def prepare(self: Preparation, *arguments: Any, **named: Any) -> Any:
        prepared.append(named)
        return original(self, *arguments, **named)

    original = Preparation.__call__
    monkeypatch.setattr(Preparation, "__call__", prepare)
    step, x, y, out = affine(), ramp(4, 3), ramp(3), np.zeros((4, 3), np.float32)
    for _ in range(3):
        step(x, y)
        step(x, y, out=out)
        step(x[:2], y)
    assert prepared == [{}, {}]
    step(x, y=y)
    assert prepared == [{}, {}, {"y": y}]


def test_unusual_arguments_mean_what_they_meant(way: str) -> None:
    step, x, y = affine(), ramp(4, 3), ramp(3)
    expected = 2 * x + y
    padded, backwards = np.repeat(x, 2, axis=0)[::2], ramp(3)[::-1].copy()[::-1]
    unaligned = np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(4, 3)
    for left in (x, x.tolist(), padded, np.asfortranarray(x), unaligned, x.astype(np.float16)):
        for right in (y, [0, 1, 2], (0, 1.0, 2), backwards, y.astype(">f4"), y.astype(np.int8)):
            for _ in range(2):
                np.testing.assert_array_equal(step(left, right), expected)
    np.testing.assert_array_equal(step(y=y, x=x), expected)
    np.testing.assert_array_equal(step(x, y=y), expected)


def test_errors_are_the_same_after_calls_that_fit(way: str) -> None:
    step, x, y = affine(), ramp(4, 3), ramp(3)
    step(x, y)
    with pytest.raises(gx.GraphError, match="the step takes 2"):
        step(x, y, y)
    with pytest.raises(gx.GraphError, match="no argument was given for 'y'"):
        step(x)
    with pytest.raises(gx.GraphError, match="there is no input 'z'"):
        step(x, y, z=y)
    with pytest.raises(gx.GraphError, match=r"'x' has shape \(4, 2\)"):
        step(x[:, :2].copy(), y)
    with pytest.raises(gx.GraphError, match="'y' has dtype float64"):
        step(x, y.astype(np.float64))
    np.testing.assert_array_equal(step(x, y), 2 * x + y)


def test_more_bindings_than_entries_are_told_apart(way: str) -> None:
    a, b = gx.input("a", ("m", "n"), "int32"), gx.input("b", ("n", "m"), "int32")
    step = gx.compile([a, b], (gx.sum(a, axis=0), gx.sum(b, axis=0)))
    for _ in range(2):
        for m in range(15):
            for n in range(15):
                left, right = step(np.ones((m, n), np.int32), np.ones((n, m), np.int32))
                assert (left.tolist(), right.tolist()) == ([m] * n, [n] * m)


def test_results_have_their_structure_and_are_not_shared(way: str) -> None:
    x = gx.input("x", (3,), "float32")
    outputs = [x + 1, x + 1, [x + 1], (), (x, x), {"a": x, "b": [x + 1, x]}, Pair(x, (x, x + 1))]
    for tree in outputs:
        step = gx.compile([x], tree)
        for _ in range(2):
            result = step(ramp(3))
            leaves = flatten(result)[0]
            assert same_structure(result, tree)
            assert type(result) is (np.ndarray if isinstance(tree, gx.Node) else type(tree))
            assert not any(np.may_share_memory(a, b) for a in leaves for b in leaves if a is not b)
            assert len({id(leaf) for leaf in leaves}) == len(leaves)
            expected = [ramp(3) + (node is not x) for node in flatten(tree)[0]]
            np.testing.assert_array_equal(leaves, expected)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1, 1), (5, 2)])
def test_every_shape_and_dtype(way: str, dtype: str, shape: tuple[int, ...]) -> None:
    x = gx.input("x", shape, dtype)
    step = gx.compile([x], [x, gx.positive(x), x])
    array = (ramp(*shape) * (1j if "complex" in dtype else 1)).astype(dtype)
    for _ in range(2):
        for result in step(array):
            assert (type(result), result.shape, result.dtype) == (np.ndarray, shape, array.dtype)
            assert result.flags.writeable
            assert not np.may_share_memory(result, array)
            np.testing.assert_array_equal(result, array)


def test_short_floats(way: str) -> None:
    short = pytest.importorskip("ml_dtypes").bfloat16
    x = gx.input("x", (4,), "bfloat16")
    step = gx.compile([x], x + x)
    for _ in range(2):
        assert step(ramp(4).astype(short)).dtype == short
        assert step(ramp(4).astype(short)).astype(float).tolist() == [0, 2, 4, 6]


def test_what_differs_from_the_known_layout_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(python_api.differences()) == []
    for name, word in (("DATA", "memory"), ("DTYPE", "dtype"), ("FLAGS", "order")):
        with monkeypatch.context() as changed:
            changed.setattr(python_api, name, python_api.TYPE)
            assert f"an array's {word} is not where it should be" in list(python_api.differences())


KEPT = """
import sys
import graphc as gx
x = gx.input("x", (2,), "float32")
step = gx.compile([x], x + 1)
step([1.0, 2.0])
sys.modules["graphc.runtime.cpu.call"].kept = step
"""


@pytest.mark.cpu("native calls")
def test_a_step_that_a_module_holds_is_freed_in_silence_when_python_ends() -> None:
    command = [sys.executable, "-c", KEPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
