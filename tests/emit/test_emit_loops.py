"""Loops, accumulators and offsets as machine code, against NumPy."""

import time

import numpy as np
import pytest

from graphc.ir import dim, scalar, types
from graphc.ir.dim import symbol
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Buffer,
    Kernel,
    Let,
    Store,
    loop,
)  # fmt: skip
from graphc.ir.scalar import Load, Ref
from graphc.ir.types import float32, int32, int64
from graphc.runtime.cpu.emit import emit_kernel
from graphc.runtime.cpu.target import Target

random = np.random.default_rng(3)


def var(name, limit=None, kind="index"):
    return symbol(name, kind, limit)


def load(buffer, offset, dtype=float32, guard=None):
    return Load(dtype, buffer, offset, guard)


def buffer(name, size, dtype=float32, written=False):
    return Buffer(name, dtype, size, written)


def matmul(m, n, k, rows, columns, kind="parallel"):
    """An unpacked tile of rows x columns accumulators; ragged columns in a masked step."""
    io, ii, j = var("io", dim.floor_divide(m, rows)), var("ii", rows), var("j", n)
    kk = var("k", k)
    row = io * rows + ii
    inner = (
        Accumulator("s", "sum", float32),
        loop("k", k, "serial", (
            Accumulate("s", load("a", row * k + kk) * load("b", kk * n + j)),)),
        Store("c", row * n + j, Ref(float32, "s")),
    )  # fmt: skip
    nest = loop("j", n, "vector", inner, columns)
    nest = loop("io", dim.floor_divide(m, rows), kind, (loop("ii", rows, "unrolled", (nest,)),))
    return Kernel(
        "matmul",
        (buffer("a", m * k), buffer("b", k * n), buffer("c", m * n, written=True)),
        (nest,),
    )


@pytest.mark.parametrize("shape", [(8, 96, 40), (16, 50, 7), (4, 3, 1), (4, 200, 0)])
@pytest.mark.parametrize("symbolic", [False, True])
def test_matmul_tile(run, shape, symbolic):
    m, n, k = shape
    a = random.normal(size=(m, k)).astype(np.float32)
    b = random.normal(size=(k, n)).astype(np.float32)
    c = np.full((m, n), 7, np.float32)
    sizes = dict(zip("MNK", shape, strict=True)) if symbolic else {}
    dims = [symbol(s) for s in "MNK"] if symbolic else shape
    run(matmul(*dims, 4, 32), a, b, c, **sizes)
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-5)


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
@pytest.mark.parametrize("dtype", [d for d in types.DTYPES if d.kind != "bool"], ids=str)
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


@pytest.mark.parametrize(
    ("kind", "dtype", "identity"),
    [("max", float32, -np.inf), ("min", types.uint8, 255), ("prod", int32, 1),
     ("max", types.int8, -128), ("all", types.bool_, True), ("sum", types.float16, 0)],
)  # fmt: skip
def test_an_empty_range_gives_the_identity(run, kind, dtype, identity):
    y = np.empty(1, dtype.numpy)
    run(reduction(kind, dtype, dtype, 0), np.empty(0, dtype.numpy), y)
    assert y[0] == identity


def test_a_vector_loop_around_a_serial_loop_sums_columns(run):
    m, n = symbol("m"), symbol("n")
    i, j = var("i", m), var("j", n)
    body = (loop("j", n, "vector", (
        Accumulator("s", "sum", float32),
        loop("i", m, "serial", (Accumulate("s", load("x", i * n + j)),)),
        Store("y", j, Ref(float32, "s")),
    ), 64),)  # fmt: skip
    kernel = Kernel("columns", (buffer("x", m * n), buffer("y", n, written=True)), body)
    for rows, columns in ((5, 130), (0, 3), (3, 64)):
        x = random.normal(size=(rows, columns)).astype(np.float32)
        y = np.empty(columns, np.float32)
        run(kernel, x, y, m=rows, n=columns)
        np.testing.assert_allclose(y, x.sum(0), rtol=1e-5, atol=1e-6)


def test_softmax_in_place_with_values_handed_to_threads(run):
    m, n = symbol("m"), 37
    i, j = var("i", m), var("j", n)
    x = load("x", i * n + j)
    body = (
        Let("scale", load("s", 0)),
        Accumulator("largest", "argmax", float32),
        loop("j", n, "vector", (Accumulate("largest", load("s", j), j),), 16),
        loop("i", m, "parallel", (
            Accumulator("top", "max", float32),
            loop("j", n, "vector", (Accumulate("top", x),), 64),
            Accumulator("total", "sum", float32),
            loop("j", n, "vector", (
                Let("e", scalar.call("exp", (x - Ref(float32, "top")) * Ref(float32, "scale"))),
                Accumulate("total", Ref(float32, "e")),
                Store("x", i * n + j, Ref(float32, "e"))), 64),
            loop("j", n, "vector", (Store("x", i * n + j, x / Ref(float32, "total")),), 64),
            Store("p", i, Ref(int64, "largest")),
        )),
    )  # fmt: skip
    buffers = (buffer("s", n), buffer("x", m * n, written=True), buffer("p", m, int64, True))
    for rows in (0, 1, 9):
        s, data = random.normal(size=n), random.normal(size=(rows, n)).astype(np.float32)
        s = s.astype(np.float32)
        shifted = np.exp((data - data.max(1, keepdims=True)) * s[0]) if rows else data
        p = np.empty(rows, np.int64)
        run(Kernel("softmax", buffers, body), s, data, p, m=rows)
        np.testing.assert_allclose(data, shifted / shifted.sum(1, keepdims=True), rtol=1e-5)
        assert (p == s.argmax()).all()


def gather_kernel(offset, count, size, lanes=64, dtype=float32, guard=None, lets=()):
    i = var("i", count)
    body = (*lets, Store("y", i, load("x", offset(i), dtype, guard(i) if guard else None)))
    nest = (loop("i", count, "vector", body, lanes),)
    return Kernel("g", (buffer("x", size, dtype), buffer("y", count, dtype, True)), nest)


OFFSETS = {
    "uniform": lambda i: 3 + 0 * i,
    "reversed": lambda i: 99 - i,
    "strided": lambda i: 2 * i + 1,
    "symbolic": lambda i: i * symbol("two") + 1,
    "quotient": lambda i: dim.floor_divide(i, 3) + i,
    "remainder": lambda i: dim.remainder(i, 7) * 2,
    "limited": lambda i: dim.FUNCTIONS["minimum"](i, symbol("two") * 20),
    "square": lambda i: dim.remainder(i * i, 200),
}


@pytest.mark.parametrize("dtype", [float32, types.int8, types.bool_, types.bfloat16], ids=str)
@pytest.mark.parametrize("name", OFFSETS)
def test_offsets(run, name, dtype):
    x = random.integers(0, 2 if dtype.kind == "bool" else 100, 200).astype(dtype.numpy)
    for count in (100, 64, 5):
        y = np.empty(count, dtype.numpy)
        run(gather_kernel(OFFSETS[name], count, 200, dtype=dtype), x, y, two=2)
        where = [dim.evaluate(OFFSETS[name](at), {"two": 2}) for at in range(count)]
        np.testing.assert_array_equal(y, x[where])


def test_an_offset_may_name_a_let(run):
    i, at = var("i", 100), var("at", kind="value")
    body = (Let("at", load("p", i, int64)), Store("y", 2 * at, load("x", at + 1)))
    nest = (loop("i", 100, "vector", body, 32),)
    buffers = (buffer("p", 100, int64), buffer("x", 101), buffer("y", 200, written=True))
    p, x = random.permutation(100), random.normal(size=101).astype(np.float32)
    y, expected = np.zeros(200, np.float32), np.zeros(200, np.float32)
    run(Kernel("scatter", buffers, nest), p, x, y)
    expected[2 * p] = x[p + 1]
    np.testing.assert_array_equal(y, expected)


GUARDS = {
    "varying": lambda i: scalar.index(i) < 5,
    "uniform": lambda i: scalar.index(symbol("two")) < 1,
}


@pytest.mark.parametrize("offset", ["uniform", "reversed", "strided"])
@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("kind", ["vector", "serial"])
def test_nothing_is_read_where_a_guard_is_false(run, guard, offset, kind):
    x = np.arange(1, 201, dtype=np.float32)
    far = 1 << 40  # an address that must not be touched
    i = var("i", 70)

    def place(i):
        return OFFSETS[offset](i) + dim.floor_divide(symbol("two") + 3, 5) * far

    value = load("x", place(i), float32, GUARDS[guard](i))
    nest = loop("i", 70, kind, (Store("y", i, value),), 64 if kind == "vector" else 1)
    kernel = Kernel("g", (buffer("x", 200), buffer("y", 70, written=True)), (nest,))
    y = np.full(70, 9, np.float32)
    if guard == "uniform":
        run(kernel, x, y, two=2)
        assert (y == 0).all()
    y = np.full(70, 9, np.float32)
    run(kernel, x, y, two=1)
    expected = x[[dim.evaluate(OFFSETS[offset](at), {}) for at in range(70)]]
    allowed = np.arange(70) < 5 if guard == "varying" else np.zeros(70, bool)
    np.testing.assert_array_equal(y, np.where(allowed, expected, 0))


def test_stores_behind_a_stride_and_backward(run):
    i = var("i", 70)
    body = (
        Store("y", 3 * i, load("x", i)),
        Store("z", 69 - i, load("x", i)),
    )
    buffers = (buffer("x", 70), buffer("y", 210, written=True), buffer("z", 70, written=True))
    x, y, z = random.normal(size=70).astype("f4"), np.zeros(210, "f4"), np.zeros(70, "f4")
    run(Kernel("stores", buffers, (loop("i", 70, "vector", body, 32),)), x, y, z)
    np.testing.assert_array_equal(y[::3], x)
    assert not y[1::3].any()
    np.testing.assert_array_equal(z, x[::-1])


def test_a_load_behind_a_store_reads_what_was_stored(run):
    i = var("i", 5)
    y = load("y", 0, int64)
    body = (
        Let("before", y),
        Store("y", 0, y + 1),
        Store("y", 1, Ref(int64, "before")),
        loop("i", 5, "serial", (Store("y", 0, y * 2), Store("y", 2 + i, y))),
        Store("y", 7, y),
    )
    memory = np.full(8, 3, np.int64)
    run(Kernel("order", (buffer("y", 8, int64, True),), body), memory)
    assert memory.tolist() == [128, 3, 8, 16, 32, 64, 128, 128]


def test_a_running_accumulator_may_be_read(run):
    i = var("i", 10)
    nest = loop("i", 10, "serial", (
        Accumulate("s", load("x", i, int64)), Store("y", i, Ref(int64, "s"))))  # fmt: skip
    body = (Accumulator("s", "sum", int64), nest, Store("y", 0, Ref(int64, "s")))
    x, y = np.arange(1, 11), np.zeros(10, np.int64)
    run(Kernel("running", (buffer("x", 10, int64), buffer("y", 10, int64, True)), body), x, y)
    assert y.tolist() == [55, *np.cumsum(x)[1:]]


def test_one_accumulator_takes_several_loops(run):
    i, u = var("i", 70), var("u", 3)
    body = (
        Accumulator("s", "sum", int64),
        Accumulate("s", scalar.const(int64, 1000)),
        loop("i", 70, "vector", (Accumulate("s", load("x", i, int64)),), 32),
        loop("u", 3, "unrolled", (
            Accumulate("s", scalar.index(u)),
            loop("i", 70, "vector", (Accumulate("s", load("x", i, int64)),), 16))),
        Store("y", 0, Ref(int64, "s")),
    )  # fmt: skip
    x, y = np.arange(70), np.zeros(1, np.int64)
    run(Kernel("several", (buffer("x", 70, int64), buffer("y", 1, int64, True)), body), x, y)
    assert y[0] == 1000 + 4 * x.sum() + 3


def test_the_limit_of_a_loop_may_depend_on_the_loop_around_it(run):
    n = symbol("n")
    i, j = var("i", n), var("j", var("i", n) + 1)
    inner = (
        Accumulator("s", "sum", float32),
        loop("j", i + 1, "vector", (Accumulate("s", load("x", i * n + j)),), 16),
        Store("y", i, Ref(float32, "s")),
    )
    kernel = Kernel("triangle", (buffer("x", n * n), buffer("y", n, written=True)),
                    (loop("i", n, "parallel", inner),))  # fmt: skip
    x, y = random.integers(0, 9, (40, 40)).astype(np.float32), np.empty(40, np.float32)
    run(kernel, x, y, n=40)
    np.testing.assert_array_equal(y, np.tril(x).sum(1))


def test_sibling_blocks_may_use_the_same_names(run):
    i = var("i", 70)

    def nest(buffer_name, factor):
        body = (
            Let("t", load("x", i) * factor),
            Let("u", Ref(float32, "t") + Ref(float32, "t")),
            Store(buffer_name, i, Ref(float32, "u")),
        )
        return loop("i", 70, "vector", body, 64)

    buffers = (buffer("x", 70), buffer("y", 70, written=True), buffer("z", 70, written=True))
    x, y, z = random.normal(size=70).astype("f4"), np.zeros(70, "f4"), np.zeros(70, "f4")
    run(Kernel("siblings", buffers, (nest("y", 1.0), nest("z", 2.0))), x, y, z)
    np.testing.assert_array_equal(y, x * 2)
    np.testing.assert_array_equal(z, x * 4)


def test_a_position_is_a_value(run):
    i, u = var("i", 50), var("u", 2)
    value = scalar.cast(scalar.index(i * symbol("n") + u), float32)
    nest = loop(
        "u", 2, "unrolled", (loop("i", 50, "vector", (Store("y", 50 * u + i, value),), 32),)
    )
    y = np.empty((2, 50), np.float32)
    run(Kernel("positions", (buffer("y", 100, written=True),), (nest,)), y, n=3)
    np.testing.assert_array_equal(y, np.arange(50) * 3 + np.arange(2)[:, None])


def test_a_stride_may_depend_on_an_outer_loop(run):
    i, j = var("i", 4), var("j", 20)
    inner = loop("j", 20, "vector", (Store("y", 20 * i + j, load("x", (i + 1) * j + i)),), 16)
    kernel = Kernel("strides", (buffer("x", 100), buffer("y", 80, written=True)),
                    (loop("i", 4, "serial", (inner,)),))  # fmt: skip
    x, y = random.normal(size=100).astype(np.float32), np.empty((4, 20), np.float32)
    run(kernel, x, y)
    rows, columns = np.arange(4)[:, None], np.arange(20)
    np.testing.assert_array_equal(y, x[(rows + 1) * columns + rows])


def test_a_long_chain_is_written_in_linear_time():
    def kernel(count):
        lets = [Let("t0", load("x", var("i", 64)))]
        for at in range(1, count):
            before = Ref(float32, f"t{at - 1}")
            lets.append(Let(f"t{at}", before * before + 1.0))
        lets.append(Store("y", var("i", 64), Ref(float32, f"t{count - 1}")))
        nest = (loop("i", 64, "vector", tuple(lets), 16),)
        return Kernel("chain", (buffer("x", 64), buffer("y", 64, written=True)), nest)

    def seconds(count):
        start = time.perf_counter()
        emit_kernel(kernel(count), Target(512, 32))
        return time.perf_counter() - start

    short, long = min(seconds(500) for _ in range(3)), seconds(10_000)
    assert long < 60 * short  # quadratic time would be 400 times as long
