"""Calls of compiled steps: native and in Python alike, from threads, without leaks, into `out`."""

import gc
import os
import signal
import sys
import threading
import time
import tracemalloc
import weakref
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir import turn
from graphc.runtime.cpu import device as cpu
from graphc.runtime.cpu import python_api
from graphc.runtime.cpu.keeper_code import MOST_KEPT, WORTH_KEEPING
from graphc.runtime.prepare import Preparation
from graphc.structure import flatten, same_structure

Array = np.ndarray[Any, Any]
Pair = namedtuple("Pair", ("first", "second"))
REASON = "as a test has it"


@pytest.fixture(params=["native", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How steps compiled in the test are called."""
    name: str = request.param
    if name == "python":
        monkeypatch.setattr(cpu, "why_not_native", lambda: REASON)
    return name


def is_native(step: gx.Executable) -> bool:
    return type(step.__call__) is type(len)


def ramp(*shape: int, dtype: str = "float32") -> Array:
    """0, 1, 2, ... in a shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def affine() -> gx.Executable:
    """2 x + y for x of symbolic rows, y of 3 columns."""
    x, y = gx.input("x", ("n", 3), "float32"), gx.input("y", (3,), "float32")
    return gx.compile([x, y], 2 * x + y)


def long_step(rounds: int = 2_000) -> tuple[gx.Executable, gx.Variable]:
    """A step that takes some hundredths of a second and adds its argument to each of a variable."""
    x = gx.input("x", (), "float64")
    w = gx.variable(np.zeros(1024), name="w")
    slow = gx.scan(lambda c, _: (gx.sin(c), c), gx.full((1024,), 1.0, "float64"), length=rounds)[0]
    return gx.compile([x], gx.sum(slow), updates={w: w + x + 0 * slow}), w


# --- what is usual and what is not ---------------------------------------------------------------


def test_the_call_is_native_and_says_so_where_it_is_not(way: str) -> None:
    step = affine()
    found = [(d.stage, d.choice, d.reason) for d in step.decisions if d.stage == "call"]
    assert is_native(step) == (way == "native")
    assert found == ([] if way == "native" else [("call", "in Python", REASON)])


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


# --- state and threads ---------------------------------------------------------------------------


def test_a_training_step_of_many_variables(way: str) -> None:
    x = gx.input("x", (), "float32")
    weights = [gx.variable(np.full(k + 1, k, np.float32)) for k in range(30)]
    step = gx.compile([x], gx.sum(weights[-1]), updates={w: w + x for w in weights})
    for count in range(5):
        assert step(np.array(1, np.float32)) == 30 * (29 + count)
    for k, w in enumerate(weights):
        assert w.value.tolist() == [k + 5] * (k + 1)


def test_random_keys_go_on_from_call_to_call(way: str) -> None:
    key = gx.variable(np.array([0, 7], np.uint32), name="key")
    keys = gx.random.split(key)
    step = gx.compile([], gx.random.uniform(keys[0], (3,)), updates={key: keys[1]})
    draws = [step().tolist() for _ in range(4)]
    assert len({tuple(draw) for draw in draws}) == 4


@pytest.mark.parametrize("rows", [2, 20_000])
def test_eight_threads_call_one_step(way: str, rows: int) -> None:
    x = gx.input("x", ("n", 16), "float64")
    step = gx.compile([x], gx.softmax(gx.cumulative_sum(x, axis=0) @ np.eye(16), axis=1))
    arrays = [np.random.default_rng(k).normal(size=(rows + k % 3, 16)) for k in range(8)]
    expected = [step(array) for array in arrays]

    def call(k: int) -> bool:
        return all(np.array_equal(step(arrays[k]), expected[k]) for _ in range(20))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(8)))


@pytest.mark.parametrize("rounds", [1, 500])
def test_eight_threads_change_one_variable(way: str, rounds: int) -> None:
    step, w = long_step(rounds)
    other = gx.compile([], [w + 1], updates={w: w + 1})

    def call(k: int) -> bool:
        return len([step(1.0) if k % 2 else other() for _ in range(25)]) == 25

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(8)))
    assert w.value.tolist() == [200] * 1024
    assert not any(word[0] for word in (turn.WAITING, turn.RUNNING, w.attrs["state"].users))


def in_flight() -> bool:
    """Wait for a native call that has given Python's global lock away and marked variables."""
    end = time.monotonic() + 20
    while not turn.RUNNING[0] and time.monotonic() < end:
        time.sleep(0)
    return bool(turn.RUNNING[0])


def test_a_long_call_lets_other_threads_run_and_is_waited_for() -> None:
    step, w = long_step(60_000)
    other = affine()
    step(0)
    thread = threading.Thread(target=step, args=(np.array(1.0),))
    thread.start()
    assert in_flight()
    assert other(ramp(2, 3), ramp(3)).tolist() == [[0, 3, 6], [6, 9, 12]]
    assert w.value.tolist() == [1] * 1024
    thread.join()


def test_a_call_within_the_turn_of_its_own_thread_goes_ahead(way: str) -> None:
    step, w = long_step(500)
    with turn.turn([w.attrs["state"].users]):  # as a signal's handler finds it
        step(np.array(1.0))
        step(np.array(1.0))
        assert w.value.tolist() == [2] * 1024
    assert not any(word[0] for word in (turn.WAITING, turn.HOLDER))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer")
def test_an_interrupt_while_calls_are_in_flight_leaves_no_marks() -> None:
    step, w = long_step(5_000)
    one = np.array(1.0)
    step(one)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    count = 0
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes when it comes
            while True:
                count += 1
                step(one)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not any(word[0] for word in (turn.WAITING, turn.RUNNING, w.attrs["state"].users))
    assert w.value[0] in (count, count + 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_waits_for_calls_that_use_variables() -> None:
    step, w = long_step(60_000)
    step(0)
    thread = threading.Thread(target=step, args=(np.array(1.0),))
    thread.start()
    assert in_flight()
    child = os.fork()
    if child == 0:
        step(np.array(1.0))
        os._exit(0 if w.value.tolist() == [2] * 1024 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
    assert w.value.tolist() == [1] * 1024


# --- memory --------------------------------------------------------------------------------------


def test_many_calls_leave_nothing_behind() -> None:
    x = gx.input("x", (3,), "float32")
    w = gx.variable(np.zeros(3, np.float32))
    steps = [gx.compile([x], t, updates={w: x}) for t in (x + 1, [x, (w,)], (x + 1, x + 1))]
    array, wrong = ramp(3), ramp(4)
    watched = (array, wrong, np.dtype("float32"), array.shape)
    for step in steps:
        step(array)
    gc.collect()
    before = [sys.getrefcount(found) for found in (*watched, *steps)]
    tracemalloc.start()
    for round in range(2):
        gc.collect()
        start = tracemalloc.get_traced_memory()[0]
        for step in steps:
            for _ in range(2_000 if round == 0 else 30_000):
                step(array)
            for _ in range(40):
                with pytest.raises(gx.GraphError):
                    step(wrong)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    assert grown < 10_000  # a tenth of a byte a call
    assert [sys.getrefcount(found) for found in (*watched, *steps)] == before


def test_a_step_is_freed_without_the_garbage_collector(way: str) -> None:
    step, result = affine(), 2 * ramp(4, 3) + ramp(3)
    step(ramp(4, 3), ramp(3))
    freed, call = weakref.ref(step.loaded), step.__call__
    gc.disable()
    try:
        del step
        np.testing.assert_array_equal(call(ramp(4, 3), ramp(3)), result)
        np.testing.assert_array_equal(call(ramp(2, 3), ramp(3)), result[:2])
        del call
        assert freed() is None
    finally:
        gc.enable()


def test_an_output_for_which_there_is_no_memory_is_an_error(way: str) -> None:
    x = gx.input("x", ("n",), "float64")
    step = gx.compile([x], [x + 1, gx.reshape(x, (-1, 1)) * x])
    many, few = np.ones(1 << 23), np.ones(2)
    for _ in range(2):
        with pytest.raises(MemoryError):
            step(many)
        assert [array.tolist() for array in step(few)] == [[2, 2], [[1, 1], [1, 1]]]


@pytest.fixture
def double() -> gx.Executable:
    x = gx.input("x", ("n",), "float64")
    return gx.compile([x], 2 * x)


def test_the_memory_of_large_outputs_is_used_again(double: gx.Executable) -> None:
    x = ramp(WORTH_KEEPING, dtype="float64")
    double(x)
    first = double(x)
    second = double(x)
    assert first.flags.owndata
    assert not np.may_share_memory(first, second)
    place = second.ctypes.data
    del second
    third = double(x)
    assert third.ctypes.data == place
    np.testing.assert_array_equal(third, 2 * x)
    np.testing.assert_array_equal(first, 2 * x)


def test_memory_of_outputs_can_be_resized_and_is_bounded(double: gx.Executable) -> None:
    result = double(ramp(WORTH_KEEPING, dtype="float64"))
    result.resize(2 * WORTH_KEEPING, refcheck=False)
    assert result[WORTH_KEEPING - 1] == 2 * WORTH_KEEPING - 2
    for size in range(WORTH_KEEPING, WORTH_KEEPING + 30):
        assert double(np.ones(size))[-1] == 2
    too_large = np.broadcast_to(np.float64(1), MOST_KEPT // 8 + 1)
    assert double(too_large)[-1] == 2
    assert double(np.ones(0)).tolist() == []


# --- out -----------------------------------------------------------------------------------------


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
