"""Loops and names as machine code, against NumPy."""

import time

import numpy as np
import pytest

from graphc.ir import dim, scalar
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
from graphc.ir.types import float16, float32, int64
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
        start = time.process_time()
        emit_kernel(kernel(count), Target(512, 32))
        return time.process_time() - start

    short, long = (min(seconds(count) for _ in range(2)) for count in (2_000, 10_000))
    assert long < 15 * short  # in quadratic time 25 times as long


def test_a_parallel_loop_inside_of_others_runs_in_order(run):
    i, j = var("i", 4), var("j", symbol("n"))
    store = Store("y", i * symbol("n") + j, load("x", i * symbol("n") + j) * 2.0)
    nest = loop("i", 4, "serial", (loop("j", symbol("n"), "parallel", (store,)),))
    kernel = Kernel("twice", (buffer("x", 4 * symbol("n")),
                              buffer("y", 4 * symbol("n"), written=True)), (nest,))  # fmt: skip
    x = random.normal(size=(4, 7)).astype(np.float32)
    y = np.zeros_like(x)
    run(kernel, x, y, n=7)
    np.testing.assert_array_equal(y, 2 * x)


def test_a_store_that_lockstep_iterations_have_in_common_is_written_once(run):
    i, j = var("i", 4), var("j", 32)
    doubled = load("x", j) * scalar.const(float32, 2)
    stores = (Store("y", i * 32 + j, doubled), Store("z", j, doubled))
    body = (loop("i", 4, "unrolled", (loop("j", 32, "vector", stores, 32),)),)
    buffers = (buffer("x", 32), buffer("y", 128, written=True), buffer("z", 32, written=True))
    kernel = Kernel("common", buffers, body)
    x, y, z = random.normal(size=32).astype(np.float32), np.zeros(128, "f"), np.zeros(32, "f")
    run(kernel, x, y, z)
    np.testing.assert_array_equal(y.reshape(4, 32), [2 * x] * 4)
    np.testing.assert_array_equal(z, 2 * x)
    text = emit_kernel(kernel, Target(vector_bits=512)).text
    assert text.count("store <16 x float>") == 4 * 2 + 2


def test_lets_of_one_name_in_blocks_side_by_side(run):
    k = var("k", 2)
    blocks = [
        loop(f"t{tap}", 1, "serial", (
            Let("value", load("w", 2 * k + tap, float16)),
            Accumulate("s", scalar.cast(Ref(float16, "value"), float32)),
        ))
        for tap in range(2)
    ]  # fmt: skip
    body = (Accumulator("s", "sum", float32), loop("k", 2, "serial", tuple(blocks)))
    buffers = (buffer("w", 4, float16), buffer("y", 1, written=True))
    y = np.zeros(1, np.float32)
    run(Kernel("blocks", buffers, (*body, Store("y", 0, Ref(float32, "s")))),
        np.array([1, 10, 100, 1000], np.float16), y)  # fmt: skip
    assert y == 1111


def windows(limit):
    """Sums over a row's window of three, those elements left out that are not below a limit."""
    i, j, t = var("i", 4), var("j", 32), var("t", 3)
    inside = scalar.call("less", scalar.index(i + t), scalar.index(limit))
    seen = load("x", i + t, guard=inside)
    added = scalar.where(inside, seen * load("w", t * 32 + j), 0.0)
    inner = (
        Accumulator("s", "sum", float32),
        Accumulator("all", "sum", float32),
        loop("t", 3, "unrolled", (Accumulate("s", added), Accumulate("all", seen))),
        Store("y", i * 32 + j, Ref(float32, "s")),
        Store("z", i * 32 + j, Ref(float32, "all")),
    )
    nest = loop("i", 4, "unrolled", (loop("j", 32, "vector", inner, 32),))
    buffers = (buffer("x", 6), buffer("w", 96), buffer("y", 128, written=True))
    return Kernel("windows", (*buffers, buffer("z", 128, written=True)), (nest,))


@pytest.mark.parametrize("symbolic", [False, True])
def test_a_sum_leaves_out_what_its_guard_leaves_out(run, symbolic):
    x, w = np.arange(1, 7, dtype="f"), np.ones((3, 32), "f")
    w[2] = np.inf
    y, z = np.zeros((4, 32), "f"), np.zeros((4, 32), "f")
    run(windows(symbol("n") if symbolic else 4), x, w, y, z, n=4)
    np.testing.assert_array_equal(y[:, 0], [np.inf, np.inf, 7, 4])
    np.testing.assert_array_equal(z[:, 0], [6, 9, 7, 4])


def test_what_a_guard_is_known_to_leave_out_is_not_written():
    known, asked = (emit_kernel(windows(n), Target(512)).text for n in (4, symbol("n")))
    assert known.count("@llvm.fma.v16f32(") == 9 * 2
    assert asked.count("@llvm.fma.v16f32(") == 12 * 2
    assert "icmp" not in known
    assert "select" not in known


def test_places_that_are_only_compared_do_not_narrow_vectors(run):
    inside = scalar.call("greater_equal", scalar.index(var("i", 100) - 3), 0)
    i = var("i", 100)
    value = load("x", i - 3, guard=inside) * scalar.const(float32, 2)
    body = (loop("i", 100, "vector", (Store("y", i, value),), 64),)
    kernel = Kernel("shifted", (buffer("x", 100), buffer("y", 100, written=True)), body)
    text = emit_kernel(kernel, Target(vector_bits=512, registers=32)).text
    assert "icmp sge <16 x i64>" in text
    assert "masked.load.v16f32" in text
    assert "<8 x float>" not in text
    x, y = random.normal(size=100).astype(np.float32), np.full(100, 7, np.float32)
    run(kernel, x, y)
    np.testing.assert_array_equal(y, np.concatenate([np.zeros(3, np.float32), 2 * x[:-3]]))


def test_places_that_are_values_take_vectors_of_their_width(run):
    i = var("i", 100)
    place = scalar.index(i) * 3
    value = scalar.where(scalar.call("less", place, 150), place, scalar.const(int64, -1))
    body = (loop("i", 100, "vector", (Store("y", i, value),), 64),)
    kernel = Kernel("places", (buffer("y", 100, int64, written=True),), body)
    assert "<16 x" not in emit_kernel(kernel, Target(vector_bits=512, registers=32)).text
    y = np.zeros(100, np.int64)
    run(kernel, y)
    np.testing.assert_array_equal(y, np.where(np.arange(100) < 50, np.arange(100) * 3, -1))
