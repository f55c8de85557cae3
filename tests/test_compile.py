"""What gx.compile promises: structure, arguments, state, sizes, memory, and what a step shows."""

import gc
import re
import weakref
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.program import Program
from graphc.runtime.compiler import compile_graph
from graphc.runtime.reference.evaluate import evaluate
from tests.corpus import NETWORKS, Case

Pair = namedtuple("Pair", ("first", "second"))


@pytest.fixture
def x() -> gx.Node:
    return gx.input("x", (3,), "float32")


def ramp(*shape: int, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """0, 1, 2, ... in a shape."""
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


def variable(*values: float) -> gx.Variable:
    """A variable of 32-bit floats."""
    return gx.variable(np.array(values, np.float32))


def arena_bytes(step: gx.Executable) -> list[int]:
    """The bytes for temporaries in each arena that a step holds."""
    _, records, *_ = step.__call__.__self__  # type: ignore[attr-defined]
    return list(records.arena_bytes)


# --- structure and arguments ---------------------------------------------------------------------


def test_results_have_the_structure_of_the_outputs(x: gx.Node) -> None:
    step = gx.compile([x], {"sum": gx.sum(x), "rest": [x + 1, (x, Pair(-x, []))]})
    result = step(ramp(3))
    assert result["sum"] == 3
    plus, (same, pair) = result["rest"]
    np.testing.assert_array_equal(plus, [1, 2, 3])
    np.testing.assert_array_equal(same, [0, 1, 2])
    np.testing.assert_array_equal(pair.first, [0, -1, -2])
    assert pair.second == []


def test_one_output_is_an_array_and_no_output_an_empty_list(x: gx.Node) -> None:
    assert isinstance(gx.compile(x, x * 2)(ramp(3)), np.ndarray)
    assert gx.compile([x], [])(ramp(3)) == []


def test_arguments_go_by_position_or_by_name(x: gx.Node) -> None:
    y = gx.input("y", (), "float32")
    step = gx.compile([x, y], x * y)
    for result in (step(ramp(3), 2), step(ramp(3), y=2), step(y=2, x=ramp(3))):
        np.testing.assert_array_equal(result, [0, 2, 4])


@pytest.mark.parametrize(
    "argument",
    [
        [0, 1, 2], (0.0, 1.0, 2.0), range(3), np.arange(3, dtype=np.int8), ramp(6)[:3],
        np.arange(6, dtype=np.float32)[::2] / 2, ramp(3)[::-1][::-1], ramp(3).astype(">f4"),
        np.frombuffer(b"\0" + ramp(3).tobytes(), np.uint8)[1:].view(np.float32),
    ],
    ids=str,
)  # fmt: skip
def test_what_holds_the_same_numbers_is_taken(x: gx.Node, argument: object) -> None:
    np.testing.assert_array_equal(gx.compile([x], x + 1)(argument), [1, 2, 3])


def test_arguments_are_not_changed_and_results_are_not_shared(x: gx.Node) -> None:
    step = gx.compile([x], [x, x + 1, x + 1])
    argument = ramp(3)
    first, second = step(argument), step(argument)
    for array in first:
        array[:] = 99
    np.testing.assert_array_equal(argument, [0, 1, 2])
    np.testing.assert_array_equal(second, [[0, 1, 2], [1, 2, 3], [1, 2, 3]])


def test_outputs_may_be_inputs_variables_and_constants(x: gx.Node) -> None:
    w = variable(5, 6)
    constant = gx.constant(np.array([7, 8], np.float32))
    step = gx.compile([x], [x, w, constant, gx.constant(9), w, x])
    for array in step(ramp(3)):
        array[...] = 99
    values = [array.tolist() for array in step(ramp(3))]
    assert values == [[0, 1, 2], [5, 6], [7, 8], 9, [5, 6], [0, 1, 2]]
    assert w.value.tolist() == [5, 6]


def test_a_step_may_have_no_inputs_and_ignore_some(x: gx.Node) -> None:
    assert gx.compile([], gx.arange(3) * 2)().tolist() == [0, 2, 4]
    assert gx.compile([x], gx.constant(1))(ramp(3)) == 1


# --- state ---------------------------------------------------------------------------------------


def test_updates_see_the_values_before_the_call() -> None:
    a, b, c = variable(1, 2), variable(3, 4), variable(5, 6)
    step = gx.compile([], [a, b * 1, c + a], updates={a: b, b: a, c: a + b})
    before = [array.tolist() for array in step()]
    assert before == [[1, 2], [3, 4], [6, 8]]
    assert [v.value.tolist() for v in (a, b, c)] == [[3, 4], [1, 2], [4, 6]]
    step()
    assert [v.value.tolist() for v in (a, b, c)] == [[1, 2], [3, 4], [4, 6]]


def test_a_variable_may_become_another_an_input_a_number_or_itself(x: gx.Node) -> None:
    a, b, c, d, e = variable(0, 0, 0), variable(1, 1, 1), variable(2), variable(3), variable(4)
    zero = gx.variable(1.0)
    updates = {a: b, b: x, c: c, d: e, zero: 0}
    gx.compile([x], [], updates=updates)(ramp(3))
    values = [v.value.tolist() for v in (a, b, c, d, e, zero)]
    assert values == [[1, 1, 1], [0, 1, 2], [2], [4], [4], 0]


def test_an_output_may_be_the_next_value_of_a_variable() -> None:
    w = variable(1, 2)
    following = w * 10
    result = gx.compile([], [following, gx.sum(following)], updates={w: following})()
    result[0][:] = 0
    assert w.value.tolist() == [10, 20]
    assert result[1] == 30


def test_steps_share_a_variable(x: gx.Node) -> None:
    w = variable(1, 1, 1)
    add, look = gx.compile([x], [], updates={w: w + x}), gx.compile([], w * 2)
    add(ramp(3))
    assert look().tolist() == [2, 4, 6]
    w.value = [5, 5, 5]
    add(ramp(3))
    assert look().tolist() == [10, 12, 14]


def test_a_value_taken_from_a_variable_is_a_copy() -> None:
    w = variable(1, 2)
    taken = w.value
    taken[:] = 9
    assert w.value.tolist() == [1, 2]


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "adam_step", "attention"])
def test_one_compilation_serves_every_batch(name: str) -> None:
    case = NETWORKS[name]()
    step = compile_graph(case.graph)
    for rows in (1, 7, 64, 1000, 7):
        check(step, case, rows)


@pytest.mark.parametrize("name", ["elementwise_chain", "layer_norm", "narrow_floats", "gathered"])
def test_a_batch_may_be_empty(name: str) -> None:
    case = NETWORKS[name]()
    check(compile_graph(case.graph), case, 0)


def check(step: gx.Executable, case: Case, rows: int) -> None:
    """Compare a step with the reference for a number of rows."""
    arguments = case.with_rows(rows)
    expected = evaluate(case.graph, dict(zip(case.graph.inputs, arguments, strict=True)))
    actual = step(*arguments)
    for value, wanted in zip(actual, expected, strict=False):
        np.testing.assert_allclose(value, wanted, rtol=1e-9, atol=1e-12, equal_nan=True)
    for (target, _), wanted in zip(case.graph.updates, expected[len(actual) :], strict=True):
        np.testing.assert_allclose(target.value, wanted, rtol=1e-9, atol=1e-12)  # type: ignore[attr-defined]


def test_reductions_of_nothing() -> None:
    n = gx.input("n", ("rows", 2), "float32")
    step = gx.compile([n], [gx.sum(n, axis=0), gx.prod(n), gx.all(n > 0), gx.argmax(n, axis=0)])
    total, product, every, place = step(np.zeros((0, 2), np.float32))
    assert (total.tolist(), product, every, place.tolist()) == ([0, 0], 1, True, [0, 0])


def test_static_sizes_may_be_zero() -> None:
    n = gx.input("n", (0, 4), "float32")
    step = gx.compile([n], [n + 1, gx.sum(n, axis=0), n @ gx.ones((4, 5), dtype="float32")])
    shapes = [array.shape for array in step(np.zeros((0, 4)).astype("f4"))]
    assert shapes == [(0, 4), (4,), (0, 5)]


def test_several_symbolic_sizes() -> None:
    a, b = gx.input("a", ("n", "k"), "float64"), gx.input("b", ("k", "m"), "float64")
    step = gx.compile([a, b], a @ b)
    for n, k, m in ((1, 1, 1), (3, 5, 7), (33, 17, 65), (4, 0, 2)):
        left, right = ramp(n, k, dtype="float64"), ramp(k, m, dtype="float64")
        np.testing.assert_allclose(step(left, right), left @ right)


# --- the same on every device and for any number of threads --------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_results_have_the_same_bits_for_any_number_of_threads(name: str) -> None:
    """Shapes so large that every kernel's loops are cut into several tasks."""
    case = NETWORKS[name]()
    before = {target: target.value for target, _ in case.graph.updates}  # type: ignore[attr-defined]
    step = compile_graph(case.graph)
    arguments = case.with_rows(2000)
    bits = []
    try:
        for count in (1, 2, 3):
            gx.set_num_threads(count)
            for target, value in before.items():
                target.value = value
            results = [*step(*arguments), *(target.value for target in before)]
            bits.append([array.tobytes() for array in results])
    finally:
        gx.set_num_threads(2)
    assert bits[0] == bits[1] == bits[2]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_reference_device_agrees(name: str) -> None:
    case = NETWORKS[name]()
    results = []
    before = {target: target.value for target, _ in case.graph.updates}  # type: ignore[attr-defined]
    for device in ("cpu", "reference"):
        for target, value in before.items():
            target.value = value
        outputs = compile_graph(case.graph, device)(*case.arguments)
        results.append([*outputs, *(target.value for target in before)])
    for one, other in zip(*results, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(one, other, rtol=1e-2 if one.dtype == "f2" else 1e-9, atol=1e-9)


# --- memory and text -----------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 64, 0])
@pytest.mark.cpu("the arenas of a native call")
def test_memory_is_known_before_a_call_and_is_what_it_takes(rows: int) -> None:
    case = NETWORKS["adam_step"]()
    step = compile_graph(case.graph)
    plan = step.memory(rows=rows)
    outputs = step(*case.with_rows(rows))
    assert arena_bytes(step) == [plan.arena]
    assert sum(array.nbytes for array in outputs) == plan.outputs
    assert sum(variable.value.nbytes for variable in case.graph.variables) == plan.state  # type: ignore[attr-defined]
    assert plan.peak == plan.arena + plan.outputs + plan.state + plan.constants


def test_memory_without_symbolic_sizes_needs_none(x: gx.Node) -> None:
    step = gx.compile([x], x / gx.sum(x))
    assert step.memory.peak == step.memory().peak > 12


def test_a_step_shows_what_was_compiled(x: gx.Node) -> None:
    w = gx.variable(np.ones(3, np.float32), name="w")
    step = gx.compile([x], gx.exp(x), updates={w: w + x})
    text = str(step)
    assert re.match(r"compiled for cpu: 2 calls of 2 kernels, \d from the cache, in \d", text)
    assert "exp(x, y0)\n         from " in text
    assert f"{__file__}:" in text
    assert "gx.exp(x), updates={w: w + x}" in text
    assert "input: x f32[3]" in text
    assert "state: w f32[3]" in text
    assert str(gx.compile([x], x, device="reference")) == (
        "compiled for reference: evaluated node by node"
    )


@pytest.mark.parametrize("enabled", [True, False])
def test_compiling_leaves_the_collector_of_cycles_as_it_was(x: gx.Node, enabled: bool) -> None:
    try:
        (gc.enable if enabled else gc.disable)()
        gx.compile([x], gx.exp(x))
        assert gc.isenabled() is enabled
        with pytest.raises(gx.GraphError):
            gx.compile([x, x], x)
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


@pytest.mark.cpu("LLVM code")
def test_a_step_shows_its_code_and_why_it_is_so(x: gx.Node) -> None:
    step = gx.compile([x], gx.exp(x) / gx.sum(x))
    assert "define" in step.llvm_ir
    assert "ret" in step.assembly
    assert {decision.stage for decision in step.decisions} >= {"fuse"}
    assert list(step.seconds)[-2:] == ["emit", "machine code"]
    assert isinstance(parse(print_text(step.program)), Program)


def test_a_dump_has_a_text_for_every_pass(
    x: gx.Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_DUMP", str(tmp_path))
    gx.compile([x], gx.softmax(x))
    names = [path.stem for path in sorted((tmp_path / "000").iterdir())]
    for word in ("input", "simplify", "fuse", "lower", "collapse_loops", "plan_memory"):
        assert any(word in name for name in names), word
    for path in (tmp_path / "000").glob("*.txt"):
        parse(path.read_text())


# --- threads and lifetime ------------------------------------------------------------------------


def test_calls_from_several_threads_take_turns() -> None:
    n = gx.input("n", ("rows", 64), "float64")
    count = gx.variable(0.0)
    step = gx.compile([n], gx.sum(gx.softmax(n), axis=1), updates={count: count + 1})

    def call(rows: int) -> bool:
        array = np.random.default_rng(rows).normal(size=(rows, 64))
        return all(np.allclose(step(array), 1) for _ in range(20))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(call, (1, 10, 100, 1000))) == [True] * 4
    assert count.value == 80


def test_a_step_that_nobody_holds_is_freed() -> None:
    x = gx.input("x", (3,), "float32")
    w = variable(1, 2, 3)
    step = gx.compile([x], x + w, updates={w: w + x})
    result = step(ramp(3))
    freed, node = weakref.ref(step.loaded), weakref.ref(w)
    del step, w
    gc.collect()
    assert freed() is None
    assert node() is None
    assert result.tolist() == [1, 3, 5]


def test_steps_that_are_gone_leave_no_nodes_behind() -> None:
    nodes: list[weakref.ref[gx.Node]] = []
    for size in range(2, 12):
        x = gx.input("x", (size,), "float32")
        y = gx.exp(x) + size
        gx.compile([x], y)(ramp(size))
        nodes += [weakref.ref(x), weakref.ref(y)]
    del x, y
    gc.collect()
    assert [node() for node in nodes if node() is not None] == []
