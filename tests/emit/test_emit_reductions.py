"""Accumulators as machine code: values, order, positions and identities, against NumPy."""

import numpy as np
import pytest

from graphc.ir import types
from graphc.ir.dim import symbol
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Buffer,
    Kernel,
    Store,
    loop,
)  # fmt: skip
from graphc.ir.scalar import Load, Ref
from graphc.ir.types import float32, int32, int64

random = np.random.default_rng(3)


def var(name, limit=None, kind="index"):
    return symbol(name, kind, limit)


def load(buffer, offset, dtype=float32, guard=None):
    return Load(dtype, buffer, offset, guard)


def buffer(name, size, dtype=float32, written=False):
    return Buffer(name, dtype, size, written)


def by_halves(values, combine):
    """What lanes hold, combined as the kernel's text says."""
    while len(values) > 1:
        half = len(values) // 2
        values = combine(values[half:], values[:half])
    return values[0]


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("count", [0, 5, 64, 200])
@pytest.mark.parametrize("symbolic", [False, True])
def test_sum_has_the_order_of_its_lanes(run, count, symbolic, bits):
    n = symbol("n") if symbolic else count
    x = random.normal(size=count).astype(np.float32)
    body = (
        Accumulator("s", "sum", float32),
        loop("i", n, "vector", (Accumulate("s", load("x", var("i", n))),), 64),
        Store("y", 0, Ref(float32, "s")),
    )
    y = np.empty(1, np.float32)
    kernel = Kernel("total", (buffer("x", n), buffer("y", 1, written=True)), body)
    run(kernel, x, y, bits=bits, **({"n": count} if symbolic else {}))
    lanes = np.zeros(64, np.float32)
    for start in range(0, count, 64):
        part = x[start : start + 64]
        lanes[: len(part)] += part
    assert y[0] == by_halves(lanes, np.add)


REDUCE = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}
ARG = {"argmax": np.argmax, "argmin": np.argmin}


def reduction(kind, dtype, result, count, vector=True):
    body = (
        Accumulator("s", kind, dtype),
        loop("i", count, "vector" if vector else "serial", (
            Accumulate("s", load("x", var("i", count), dtype), var("i", count)),),
            64 if vector else 1),
        Store("y", 0, Ref(result, "s")),
    )  # fmt: skip
    return Kernel("r", (buffer("x", count, dtype), buffer("y", 1, result, True)), body)


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("kind", REDUCE)
@pytest.mark.parametrize("dtype", [d for d in types.REAL_DTYPES if d.kind != "bool"], ids=str)
def test_reductions(run, dtype, kind, vector):
    for count in (1, 77, 128):
        x = random.normal(size=count) * (1 if kind == "prod" else 3)
        x = (np.abs(x) if dtype.kind == "uint" else x).astype(dtype.numpy)
        y = np.empty(1, dtype.numpy)
        run(reduction(kind, dtype, dtype, count, vector), x, y)
        wide = np.float64 if dtype.is_float else dtype.numpy
        expected = REDUCE[kind](x.astype(wide)).astype(dtype.numpy)
        tolerance = {16: 0.01, 32: 1e-4}.get(dtype.bits, 1e-12) if dtype.is_float else 0
        np.testing.assert_allclose(y[0].astype(wide), expected.astype(wide), tolerance, 1e-4)


@pytest.mark.parametrize("dtype", types.DTYPES, ids=str)
def test_last_is_a_variable(run, dtype):
    x = np.arange(5).astype(dtype.numpy)
    body = (
        Accumulator("s", "last", dtype),
        loop("i", 5, "serial", (
            Store("y", var("i", 5), Ref(dtype, "s")),
            Accumulate("s", load("x", var("i", 5), dtype)),)),
    )  # fmt: skip
    y = np.ones(5, dtype.numpy)
    run(Kernel("r", (buffer("x", 5, dtype), buffer("y", 5, dtype, True)), body), x, y)
    np.testing.assert_array_equal(y, np.concatenate([np.zeros(1, dtype.numpy), x[:-1]]))


@pytest.mark.parametrize("kind", ["max", "min"])
def test_extremes_remember_nan(run, kind):
    for at in (0, 64, 70):
        x = np.arange(71, dtype=np.float32)
        x[at] = np.nan
        y = np.empty(1, np.float32)
        run(reduction(kind, float32, float32, 71), x, y)
        assert np.isnan(y[0])


@pytest.mark.parametrize("kind", ["any", "all"])
def test_conditions(run, kind):
    for chosen in ([], [3], range(70), [69]):
        x = np.zeros(70, bool)
        x[list(chosen)] = True
        y = np.empty(1, bool)
        run(reduction(kind, types.bool_, types.bool_, 70), x, y)
        assert y[0] == getattr(np, kind)(x)


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("kind", ARG)
@pytest.mark.parametrize("dtype", [float32, types.float64, types.float16, int32, types.uint8],
                         ids=str)  # fmt: skip
def test_positions(run, dtype, kind, vector):
    for count in (1, 64, 200):
        x = random.integers(0, 9, count).astype(dtype.numpy)
        cases = [x, np.full(count, -np.inf if dtype.is_float else 0).astype(dtype.numpy)]
        if dtype.is_float:
            with_nan = x.copy()
            with_nan[[count // 2, count - 1]] = np.nan
            cases.append(with_nan)
        for case in cases:
            y = np.empty(1, np.int64)
            run(reduction(kind, dtype, int64, count, vector), case, y)
            assert y[0] == ARG[kind](case)


@pytest.mark.parametrize("kind", ARG)
@pytest.mark.parametrize("steps", [(8, 1), (1, 13), (-8, -1)], ids=["rows", "columns", "backward"])
def test_of_equal_values_the_lowest_position_wins_in_any_order(run, kind, steps):
    x = random.integers(0, 3, (13, 8)).astype(np.float32)
    first = -min(steps[0] * 12, 0) - min(steps[1] * 7, 0)
    position = first + steps[0] * var("i", 13) + steps[1] * var("j", 8)
    body = (
        Accumulator("s", kind, float32),
        loop("i", 13, "serial", (
            loop("j", 8, "vector", (
                Accumulate("s", load("x", var("i", 13) * 8 + var("j", 8)), position),), 4),)),
        Store("y", 0, Ref(int64, "s")),
    )  # fmt: skip
    y = np.empty(1, np.int64)
    run(Kernel("r", (buffer("x", 104), buffer("y", 1, int64, True)), body), x, y)
    i, j = np.indices(x.shape)
    by_position = np.argsort((first + steps[0] * i + steps[1] * j).ravel())
    assert y[0] == ARG[kind](x.ravel()[by_position])


@pytest.mark.parametrize(
    ("kind", "dtype", "identity"),
    [("max", float32, -np.inf), ("min", types.uint8, 255), ("prod", int32, 1),
     ("max", types.int8, -128), ("all", types.bool_, True), ("sum", types.float16, 0)],
)  # fmt: skip
def test_an_empty_range_gives_the_identity(run, kind, dtype, identity):
    y = np.empty(1, dtype.numpy)
    run(reduction(kind, dtype, dtype, 0), np.empty(0, dtype.numpy), y)
    assert y[0] == identity


@pytest.mark.parametrize("bits", [128, 512])
@pytest.mark.parametrize("dtype", [types.float32, types.float64, types.int8], ids=str)
@pytest.mark.parametrize("rows", [2, 3, 5, 16, 21])
def test_sums_side_by_side_have_the_order_of_one(run, rows, dtype, bits):
    x = (random.normal(size=(rows, 37)) * 50).astype(dtype.numpy)
    row, term = var("r", rows), var("i", 37)
    inside = (
        Accumulator("s", "sum", dtype),
        loop("i", 37, "vector", (Accumulate("s", load("x", 37 * row + term, dtype)),), 16),
        Store("y", row, Ref(dtype, "s")),
    )
    body = (loop("r", rows, "unrolled", inside),)
    y = np.empty(rows, dtype.numpy)
    buffers = (buffer("x", 37 * rows, dtype), buffer("y", rows, dtype, written=True))
    run(Kernel("totals", buffers, body), x, y, bits=bits)
    lanes = np.zeros((rows, 16), dtype.numpy)
    for start in (0, 16, 32):
        part = x[:, start : start + 16]
        lanes[:, : part.shape[1]] += part
    assert y.tolist() == [by_halves(each, np.add) for each in lanes]
