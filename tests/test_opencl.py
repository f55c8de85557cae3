"""The device opencl on PoCL: programs of every kind against the CPU, variables, and errors."""

import gc
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_pocl

import graphc as gx
from graphc import locks
from graphc.errors import GraphError
from graphc.ir import turn
from graphc.ir.node import Node
from graphc.ir.state import Variable
from graphc.ir.types import as_dtype
from graphc.runtime.opencl import device as opencl_device
from graphc.runtime.opencl import machine as opencl_machine
from graphc.runtime.opencl.machine import POCL

require_pocl()

OPENCL = f"opencl:{POCL}"
CYCLES, COMPILED = 1000, 100
"""Steps that are compiled, called and forgotten, and after how many their program is made anew."""
Array = np.ndarray[Any, Any]


def numbers(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def on_both(
    inputs: Sequence[Node],
    arrays: Sequence[Array],
    outputs: Sequence[Node],
    updates: Mapping[Node, Node] | None = None,
    calls: int = 1,
) -> list[tuple[Array, Array]]:
    """The results of the last call on the CPU and on the device, and the variables after it."""
    variables = [node for node in updates or {} if isinstance(node, Variable)]
    before = [variable.value for variable in variables]
    found = []
    for device in ("cpu", OPENCL):
        for variable, value in zip(variables, before, strict=True):
            variable.value = value
        step = gx.compile(inputs, outputs, updates, device=device)
        results = [step(*arrays) for _ in range(calls)][-1]
        found.append([*results, *(variable.value for variable in variables)])
    return list(zip(*found, strict=True))


def assert_same_bits(pairs: Sequence[tuple[Array, Array]]) -> None:
    for at, (want, got) in enumerate(pairs):
        np.testing.assert_array_equal(got, want, f"output {at}", strict=True)


def assert_close(pairs: Sequence[tuple[Array, Array]], bound: float) -> None:
    for at, (want, got) in enumerate(pairs):
        np.testing.assert_allclose(got, want, bound, bound, err_msg=f"output {at}")


# --- formulas ------------------------------------------------------------------------------------

FUNCTIONS = (
    "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "sigmoid", "sqrt", "floor", "ceil", "trunc", "round", "abs",
    "sign", "square", "erf", "exp2", "cbrt",
)  # fmt: skip
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 1e-3, 80.0, -95.0, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elementary_functions_have_the_bits_of_the_cpu(dtype: str) -> None:
    x = gx.input("x", ("n",), dtype)
    values = np.array([*SPECIAL, *numbers(0, 50)], dtype)
    with np.errstate(all="ignore"):
        assert_same_bits(on_both([x], [values], [getattr(gx, name)(x) for name in FUNCTIONS]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_operators_of_floats(dtype: str) -> None:
    x, y = gx.input("x", (len(SPECIAL), 1), dtype), gx.input("y", (len(SPECIAL),), dtype)
    values = np.array(SPECIAL, dtype)
    outputs = [
        x + y, x - y, x * y, x / y, x // y, x % y, gx.minimum(x, y), gx.maximum(x, y),
        gx.where(x < y, x, -y), x == y, x != y, gx.copysign(x, y), gx.power(x, y), gx.atan2(x, y),
    ]  # fmt: skip
    assert_same_bits(on_both([x, y], [values[:, None], values], outputs))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_operators_of_integers(dtype: str) -> None:
    limits = np.iinfo(dtype)
    edges = [0, 1, 2, 3, 7, limits.max, limits.min, limits.max - 1, limits.min + 1]
    values = np.array(edges, dtype)
    x, y = gx.input("x", (9, 1), dtype), gx.input("y", (9,), dtype)
    outputs = [
        x + y, x - y, x * y, x // y, x % y, gx.minimum(x, y), x & y, x | y, x ^ y, ~x, x << y,
        x >> y, x < y, gx.abs(x + y), x.astype("float32"), x.astype("int16"), x.astype("bool"),
    ]  # fmt: skip
    assert_same_bits(on_both([x, y], [values[:, None], values], outputs))


def test_conversions_of_floats_saturate() -> None:
    x = gx.input("x", ("n",), "float64")
    values = np.array([*SPECIAL, 1e10, -1e10, 1e30, 127.5, -128.5, 65519.99, 65520.0, 6e-8, 3e-8])
    kinds = ("int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "bfloat16", "bool")
    pairs = on_both([x], [values], [x.astype(kind) for kind in kinds])
    for kind, (want, got) in zip(kinds, pairs, strict=True):
        np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8), kind)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats(dtype: str) -> None:
    x = gx.input("x", ("n",), dtype)
    values = np.array([*SPECIAL, 6e-8, 1e-6, 60000, *numbers(1, 40)]).astype(as_dtype(dtype).numpy)
    pairs = on_both([x], [values], [gx.exp(x), x * x + 1, gx.tanh(x), gx.maximum(x, 0)])
    for want, got in pairs:
        np.testing.assert_array_equal(got.astype(np.float32), want.astype(np.float32))


# --- kernels -------------------------------------------------------------------------------------


def test_reductions_by_blocks_and_by_threads() -> None:
    x = gx.input("x", ("n", 300), "float32")
    outputs = [
        gx.sum(x), gx.sum(x, axis=1), gx.mean(x, axis=0), gx.max(x, axis=1), gx.argmax(x, axis=1),
        gx.argmin(x), gx.prod(gx.tanh(x[:, :40]) + 1, axis=1), gx.any(x > 3, axis=1),
        gx.softmax(x, axis=1), gx.logsumexp(x, axis=1), x @ x.T,
    ]  # fmt: skip
    assert_close(on_both([x], [numbers(2, 5, 300)], outputs), 2e-5)


def test_a_long_sum_has_the_same_bits_each_time() -> None:
    x = gx.input("x", (200_000,), "float32")
    step = gx.compile([x], [gx.sum(x), gx.argmax(x), gx.softmax(x)], device=OPENCL)
    values = numbers(3, 200_000)
    first, again = step(values), step(values)
    assert_same_bits(list(zip(first, again, strict=True)))
    np.testing.assert_allclose(first[0], values.sum(dtype=np.float64), rtol=1e-4)
    assert first[1] == values.argmax()


def test_a_nan_is_found_wherever_it_is() -> None:
    x = gx.input("x", (4, 500), "float32")
    values = numbers(4, 4, 500)
    values[1, 333] = values[1, 400] = np.nan
    outputs = [gx.argmax(x, axis=1), gx.argmin(x, axis=1), gx.max(x, axis=1), gx.min(x)]
    assert_same_bits(on_both([x], [values], outputs))


def test_one_step_for_every_size() -> None:
    x = gx.input("x", ("n", 3), "float32")
    step = gx.compile([x], [gx.sum(x, axis=0), gx.exp(x), gx.concat([x, x * 2])], device=OPENCL)
    for size in (7, 0, 1, 300, 7):
        values = numbers(5, size, 3)
        total, powers, both = step(values)
        np.testing.assert_allclose(total, values.sum(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(powers, np.exp(values), rtol=1e-6)
        np.testing.assert_array_equal(both, np.concatenate([values, values * 2]))


def test_places_in_axes_of_divided_sizes() -> None:
    x = gx.input("x", (4, "n", "m"), "float32")
    every = x[:, ::3, ::2]
    outputs = [gx.permute_dims(every, (2, 0, 1)) * 2, gx.sum(gx.exp(x)[:, ::3, ::2], axis=0)]
    assert_close(on_both([x], [numbers(16, 4, 20, 30)], outputs), 1e-5)


def test_matrices_without_elements() -> None:
    x = gx.input("x", (2, 0, 0), "float64")
    assert_same_bits(on_both([x], [np.zeros((2, 0, 0))], [gx.linalg.det(x), gx.linalg.inv(x)]))


def test_order_and_places() -> None:
    x, at = gx.input("x", (3, 50), "float32"), gx.input("at", (20,), "int64")
    places = np.random.default_rng(6).integers(0, 50, 20)
    taken = gx.take(x, at, axis=1)
    outputs = [
        gx.sort(x, axis=1), gx.argsort(x, axis=0), gx.cumulative_sum(x, axis=1), taken,
        gx.grad(gx.sum(taken * taken), x), gx.searchsorted(gx.sort(x[0]), x[1]),
    ]  # fmt: skip
    assert_same_bits(on_both([x, at], [numbers(7, 3, 50), places], outputs))


def test_a_convolution_and_its_gradients() -> None:
    x, w = gx.input("x", (2, 3, 8, 8), "float32"), gx.input("w", (4, 3, 3, 3), "float32")
    y = gx.nn.max_pool(gx.nn.conv2d(x, w, padding=1), 2)
    loss = gx.mean(y * y)
    arrays = [numbers(8, 2, 3, 8, 8), numbers(9, 4, 3, 3, 3)]
    assert_close(on_both([x, w], arrays, [y, gx.grad(loss, w), gx.grad(loss, x)]), 1e-5)


def test_complex_numbers_and_random_ones() -> None:
    x = gx.input("x", (16,), "complex64")
    key = gx.random.key(3)
    outputs = [
        gx.exp(x) * x,
        gx.fft.fft(x),
        gx.random.normal(key, (20,)),
        gx.random.bits(key, (5,)),
    ]
    values = (numbers(10, 16) + 1j * numbers(11, 16)).astype(np.complex64)
    assert_close(on_both([x], [values], outputs), 1e-5)


# --- programs ------------------------------------------------------------------------------------


def test_loops_and_branches() -> None:
    x, start = gx.input("x", ("n", 4), "float32"), gx.input("start", (4,), "float32")
    last, states = gx.scan(lambda c, e: (gx.tanh(c + e), gx.tanh(c + e)), start, x)
    doubled, count = gx.while_loop(
        lambda pair: pair[0] < 100.0,
        lambda pair: (pair[0] * 2, pair[1] + 1),
        (gx.sum(last * last) + 1, gx.constant(0)),
    )
    chosen = gx.cond(doubled > 128, gx.exp, lambda v: v * 2, last)
    outputs = [last, states, doubled, count, chosen, gx.grad(gx.sum(states), x)]
    assert_same_bits(on_both([x, start], [numbers(12, 6, 4), numbers(13, 4)], outputs))


def test_training_gives_the_parameters_of_the_cpu() -> None:
    x, target = gx.input("x", (32, 20), "float32"), gx.input("target", (32,), "int64")
    w = gx.variable(numbers(14, 20, 10) / 5, "w")
    b = gx.variable(np.zeros(10, np.float32), "b")
    loss = gx.mean(gx.logsumexp(gx.tanh(x @ w + b), axis=1) - gx.tanh(x @ w + b)[:, 0])
    updates = gx.optim.adam([w, b], gx.grad(loss, [w, b]), 0.01)
    arrays = [numbers(15, 32, 20), np.zeros(32, np.int64)]
    assert_close(on_both([x, target], arrays, [loss], updates, calls=5), 1e-5)


# --- variables -----------------------------------------------------------------------------------


def test_a_variable_is_one_value_on_all_devices() -> None:
    w = gx.variable(np.ones(3, np.float32), "w")
    there = gx.compile([], w * 1, {w: w + 1}, device=OPENCL)
    here = gx.compile([], w * 1, {w: w * 10})
    reference = gx.compile([], w * 1, {w: w - 5}, device="reference")
    assert there()[0] == 1
    assert there()[0] == 2
    assert here()[0] == 3
    assert there()[0] == 30
    assert w.value[0] == 31
    w.value = np.full(3, 7, np.float32)
    assert there()[0] == 7
    assert reference()[0] == 8
    assert here()[0] == 3
    assert there()[0] == 30


def test_the_memory_of_a_dead_variable_is_given_back() -> None:
    residents = opencl_device.residence(POCL).residents
    gc.collect()
    before = len(residents)
    w = gx.variable(np.ones(3, np.float32), "w")
    step = gx.compile([], w * 1, {w: w + 1}, device=OPENCL)
    step()
    assert len(residents) == before + 1
    del w, step
    gc.collect()
    assert len(residents) == before


class Alive:
    """What of a machine is alive: blocks of memory, variables, programs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.residence = opencl_device.residence(POCL)
        self.blocks: weakref.WeakSet[Any] = weakref.WeakSet()
        blocks, machine = self.blocks, self.residence.machine
        assert isinstance(machine, opencl_machine.OpenClMachine)
        self.programs = machine.programs

        class Buffer(machine.cl.Buffer):  # type: ignore[misc, name-defined]
            """A block that can be counted."""

            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                blocks.add(self)

        monkeypatch.setattr(machine.cl, "Buffer", Buffer)

    def count(self) -> tuple[int, int, int, int]:
        gc.collect()
        residents = len(self.residence.residents)
        return len(self.blocks), residents, len(turn.ABSENT), len(self.programs)


def test_nothing_is_left_of_a_thousand_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHC_VERIFY")  # it takes most of the time, and other tests have it
    alive = Alive(monkeypatch)

    def step() -> gx.Executable:
        x = gx.input("x", ("n", 3), "float32")
        w = gx.variable(np.ones(3, np.float32), "w")
        table = gx.constant(np.arange(3, dtype=np.float32))
        made = gx.compile([x], x * w + table, {w: w + 1}, device=OPENCL, results="device")
        for size in (2, 5):
            result = made(np.ones((size, 3), np.float32))
        assert result.numpy()[4].tolist() == [2, 3, 4]
        result.__dlpack__()
        return made

    before = alive.count()
    kept = step()
    assert np.subtract(alive.count(), before).tolist() == [4, 1, 1, 1]  # two sizes, w, table
    for number in range(CYCLES):
        step()
        if number % COMPILED == 0:
            del kept
            gc.collect()
            kept = step()
    del kept
    assert alive.count() == before


def test_steps_of_equal_kernels_share_a_program() -> None:
    x = gx.input("x", (3,), "float32")
    one, other = (gx.compile([x], gx.exp(x) * 3.25, device=OPENCL) for _ in range(2))
    (kernel,), (same,) = one.loaded.kernels.values(), other.loaded.kernels.values()
    assert kernel[1].program is same[1].program


def test_a_forked_process_finds_values_at_home() -> None:
    w = gx.variable(np.ones(3, np.float32), "w")
    gx.compile([], w * 1, {w: w + 1}, device=OPENCL)()
    locks.before_fork()
    locks.after_fork()
    assert not turn.ABSENT
    assert w.value[0] == 2


# --- what a step says ----------------------------------------------------------------------------


def test_a_step_shows_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_DUMP", str(tmp_path))
    x = gx.input("x", (3,), "float32")
    step = gx.compile([x], gx.exp(x), device=OPENCL)
    assert "kernel_exp(" in step.source
    assert f"{Path(__file__).name}:" in step.source
    (dumped,) = tmp_path.rglob("source.cl")
    assert dumped.read_text() == step.source
    with pytest.raises(GraphError, match="no code 'llvm': it has source"):
        step.llvm_ir  # noqa: B018
