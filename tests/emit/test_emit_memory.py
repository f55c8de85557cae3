"""Offsets, guards, and the order of loads and stores as machine code, against NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from graphc.ir import dim, scalar, types
from graphc.ir.dim import symbol
from graphc.ir.kernel import (
    Buffer,
    Kernel,
    Let,
    Local,
    Store,
    loop,
)  # fmt: skip
from graphc.ir.scalar import Load, Ref
from graphc.ir.types import float32, int64
from graphc.runtime.cpu.emit import emit_kernel
from graphc.runtime.cpu.target import host

random = np.random.default_rng(3)


def var(name, limit=None, kind="index"):
    return symbol(name, kind, limit)


def load(buffer, offset, dtype=float32, guard=None):
    return Load(dtype, buffer, offset, guard)


def buffer(name, size, dtype=float32, written=False):
    return Buffer(name, dtype, size, written)


def gather_kernel(offset, count, size, lanes=64, dtype=float32, guard=None, lets=()):
    i = var("i", count)
    body = (*lets, Store("y", i, load("x", offset(i), dtype, guard(i) if guard else None)))
    nest = (loop("i", count, "vector", body, lanes),)
    return Kernel("g", (buffer("x", size, dtype), buffer("y", count, dtype, True)), nest)


def pairs_kernel(count, lanes, dtype=float32):
    """Reads the second of each pair and writes it as the first of another pair."""
    i = var("i", count)
    body = (Store("y", 2 * i, load("x", 2 * i + 1, dtype)),)
    nest = (loop("i", count, "vector", body, lanes),)
    size = 2 * count
    return Kernel("g", (buffer("x", size, dtype), buffer("y", size, dtype, True)), nest)


@pytest.mark.parametrize("dtype", [float32, types.float64, types.int8, types.bool_], ids=str)
def test_every_second_element_and_nothing_between(run, dtype):
    for count in (64, 37, 3, 0):
        x = random.integers(0, 2, 2 * count).astype(dtype.numpy)
        y = np.full(2 * count, 1, dtype.numpy)
        run(pairs_kernel(count, 16, dtype), x, y)
        np.testing.assert_array_equal(y[::2], x[1::2])
        assert np.all(y[1::2] == 1)


def test_every_second_element_is_read_as_pairs_and_not_lane_by_lane():
    text = emit_kernel(pairs_kernel(64, 16), host()).text
    assert "masked.gather" not in text
    assert "masked.scatter" not in text


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


def test_a_stride_may_depend_on_an_outer_loop(run):
    i, j = var("i", 4), var("j", 20)
    inner = loop("j", 20, "vector", (Store("y", 20 * i + j, load("x", (i + 1) * j + i)),), 16)
    kernel = Kernel("strides", (buffer("x", 100), buffer("y", 80, written=True)),
                    (loop("i", 4, "serial", (inner,)),))  # fmt: skip
    x, y = random.normal(size=100).astype(np.float32), np.empty((4, 20), np.float32)
    run(kernel, x, y)
    rows, columns = np.arange(4)[:, None], np.arange(20)
    np.testing.assert_array_equal(y, x[(rows + 1) * columns + rows])


@pytest.mark.parametrize("dtype", [float32, types.bool_, types.float16], ids=str)
@pytest.mark.parametrize("kind", ["parallel", "serial"])
def test_a_local_buffer_is_an_iteration_s_own(run, kind, dtype):
    i, j = var("i", 6), var("j", 20)
    turned = Store("row", 19 - j, load("x", 20 * i + j, dtype))
    rows = (
        Local("row", dtype, 20),
        loop("j", 20, "vector", (turned,), 16),
        loop("j", 20, "vector", (Store("y", 20 * i + j, load("row", j, dtype)),), 16),
    )
    buffers = (buffer("x", 120, dtype), buffer("y", 120, dtype, written=True))
    x = random.integers(0, 2, (6, 20)).astype(dtype.numpy)
    y = np.empty_like(x)
    run(Kernel("turn", buffers, (loop("i", 6, kind, rows),)), x, y)
    np.testing.assert_array_equal(y, x[:, ::-1])


def past_cache_kernel(rows, columns):
    i, k = var("i", rows), var("k", columns)
    body = (Store("y", columns * i + k, load("x", columns * i + k)),)
    nest = loop("i", rows, "parallel", (loop("k", columns, "vector", body, 32),))
    size = rows * columns
    return Kernel("g", (buffer("x", size), Buffer("y", float32, size, True, True)), (nest,))


def test_stores_past_the_cache_are_a_form_of_the_loop_for_aligned_memory(run):
    kernel = past_cache_kernel(6, 80)
    x, memory = random.normal(size=480).astype(np.float32), np.zeros(480 + 32, np.float32)
    aligned = -memory.ctypes.data // 4 % 16
    for begin in (aligned, aligned + 1):
        y = memory[begin : begin + 480]
        run(kernel, x, y)
        np.testing.assert_array_equal(y, x)
        y[:] = 0
    text = emit_kernel(kernel, replace(host(), triple="x86_64-unknown-linux-gnu")).text
    assert text.count("define internal") == 2
    assert "!nontemporal" in text.partition(".parallel0.past(")[2].partition("fence")[0]
    assert "!nontemporal" not in emit_kernel(kernel, replace(host(), triple="aarch64-linux")).text
