"""What is asked for ahead: rows behind the sum of a tile, and the next row of a softmax."""

import re
from dataclasses import replace

import numpy as np
import pytest

from graphc.ir import scalar
from graphc.ir.dim import symbol
from graphc.ir.kernel import Accumulate, Accumulator, Buffer, Kernel, Store, loop
from graphc.ir.scalar import Load, Ref
from graphc.ir.types import float32
from graphc.runtime.cpu.emit import emit_kernel
from graphc.runtime.cpu.target import Target

ROWS, COLUMNS = 8, 64


def load(name, offset):
    return Load(float32, name, offset, None)


def update(steps, rows=ROWS, apart=lambda row: row * COLUMNS):
    """c = a @ b + c + d in tiles of some rows, each of which begins in c where apart says."""
    io, ii, j = symbol("io", "index", 2), symbol("ii", "index", rows), symbol("j", "index", COLUMNS)
    k = symbol("k", "index", steps if isinstance(steps, int) else None)
    row = io * rows + ii
    place = apart(row) + j
    sums = (
        Accumulator("s", "sum", float32),
        loop("k", steps, "serial", (
            Accumulate("s", load("a", row * steps + k) * load("b", k * COLUMNS + j)),)),
        Store("c", place, Ref(float32, "s") + load("c", place) + load("d", j)),
    )  # fmt: skip
    columns = loop("j", COLUMNS, "vector", sums, 32)
    nest = loop("io", 2, "parallel", (loop("ii", rows, "unrolled", (columns,)),))
    buffers = (
        Buffer("a", float32, 2 * rows * steps),
        Buffer("b", float32, COLUMNS * steps),
        Buffer("c", float32, apart(2 * rows), written=True),
        Buffer("d", float32, COLUMNS),
    )
    return Kernel("update", buffers, (nest,))


def emitted(kernel):
    return emit_kernel(kernel, Target(512, 32)).text


def test_the_rows_behind_a_sum_are_asked_for_one_after_another_while_it_is_added_up():
    before, _, steps = emitted(update(160)).partition("phi <16 x float>")
    assert "call void @llvm.prefetch" not in before
    step, _, behind = steps.partition(".done:")
    # every sixteenth step, while there are rows
    assert re.search(r"and i64 %k\.\d+, 15\n", step)
    row = re.search(r"(%row\.\d+) = lshr i64 %k\.\d+, 4\n", step)[1]
    assert f"icmp ult i64 {row}, {ROWS}" in step
    # the two vectors of a row; what all rows share is near anyway
    assert re.findall(rf"= mul i64 {row}, (\d+)", step) == [str(COLUMNS)]
    assert step.count("call void @llvm.prefetch") == 2
    assert "call void @llvm.prefetch" not in behind


@pytest.mark.parametrize(("steps", "mask"), [(40, 3), (64, 7), (1000, 15)])
def test_each_row_has_its_turn_before_the_sum_is_done(steps, mask):
    assert re.search(rf"and i64 %k\.\d+, {mask}\n", emitted(update(steps)))
    assert (mask + 1) * ROWS <= steps


def test_rows_of_a_sum_of_unknown_length_are_asked_for_in_its_first_steps():
    assert re.search(r"and i64 %k\.\d+, 3\n", emitted(update(symbol("n"))))


@pytest.mark.parametrize(
    "kernel", [update(40, rows=24), update(160, apart=lambda row: row * row * COLUMNS)]
)
def test_too_many_rows_and_rows_unevenly_apart_are_asked_for_before_the_sum(kernel):
    before, _, behind = emitted(kernel).partition("phi <16 x float>")
    (nest,) = kernel.body
    assert before.count("call void @llvm.prefetch") == 2 * nest.body[0].limit
    assert "call void @llvm.prefetch" not in behind


def test_a_tile_that_loads_nothing_behind_its_sum_asks_for_nothing():
    kernel = update(160)
    (outer,) = kernel.body
    (rows,) = outer.body
    (columns,) = rows.body
    *sums, store = columns.body
    plain = replace(columns, body=(*sums, replace(store, value=Ref(float32, "s"))))
    nest = replace(outer, body=(replace(rows, body=(plain,)),))
    assert "call void @llvm.prefetch" not in emitted(replace(kernel, body=(nest,)))


@pytest.mark.parametrize("steps", [0, 1, 33, 40, 160])
@pytest.mark.parametrize("symbolic", [False, True])
def test_asking_changes_no_result(run, steps, symbolic):
    kernel = update(symbol("n") if symbolic else steps)
    random = np.random.default_rng(steps)
    a, b, c, d = (
        random.normal(size=size).astype(np.float32)
        for size in ((2 * ROWS, steps), (steps, COLUMNS), (2 * ROWS, COLUMNS), (COLUMNS,))
    )
    expected = a @ b + c + d
    run(kernel, a, b, c, d, **({"n": steps} if symbolic else {}))
    np.testing.assert_allclose(c, expected, rtol=1e-4, atol=1e-4)


def rows_of_exponentials(columns, first):
    """Exponentials of rows less their maxima, which the first loop takes of the buffer named."""
    i, k, j = (symbol(n, "index", size) for n, size in (("i", 64), ("k", columns), ("j", columns)))
    value = scalar.call("exp", load("x", i * columns + j) - Ref(float32, "m"))
    body = (
        Accumulator("m", "max", float32),
        loop("k", columns, "vector", (Accumulate("m", load(first, i * columns + k)),), 32),
        loop("j", columns, "vector", (Store("y", i * columns + j, value),), 32),
    )
    count = 64 * columns
    inputs = (Buffer("x", float32, count), Buffer("z", float32, count))
    buffers = (*inputs, Buffer("y", float32, count, written=True))
    return Kernel("exponentials", buffers, (loop("i", 64, "serial", body),))


def test_a_loop_of_exponentials_asks_for_the_next_row_of_what_it_has_in_cache():
    text = emitted(rows_of_exponentials(1024, "x"))
    maxima, _, exponentials = text.partition("; for vector j < 1024")
    assert "call void @llvm.prefetch" not in maxima
    asked = re.findall(r"ptr %\S+, i64 (\d+)\n  call void @llvm.prefetch", exponentials)
    assert asked == ["1024", "1040"]  # behind the element that is loaded: two vectors, a row on


def test_what_is_a_stream_or_a_long_row_is_not_asked_for():
    stream = rows_of_exponentials(1024, "z")
    long = rows_of_exponentials(100_000, "x")
    for kernel in (stream, long):
        assert "call void @llvm.prefetch" not in emitted(kernel)
