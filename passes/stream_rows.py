"""Sums down the columns of a large matrix, read row by row as it lies in memory.

A vector of such sums in registers takes a short piece of every row, and the pieces lie far apart.
Where the matrix is larger than the cache, the processor then waits for memory it could not foresee.
Here the results so far stand in the output itself, a strip of it that stays in cache, and a few
rows at a time are added to them from left to right. Each sum adds up in the same order as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from graphc.ir import dim
from graphc.ir.dim import Size, product
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    For,
    Kernel,
    Let,
    Statement,
    Store,
    loads,
    loop,
    substitute,
    variable,
)
from graphc.ir.program import Decision
from graphc.ir.scalar import Load, Ref, const
from graphc.passes.choose import Way, choose
from graphc.passes.decisions import record
from graphc.passes.loop_nests import chain
from graphc.passes.machine import FIRST_CACHE, SECOND_CACHE
from graphc.passes.predict_cost import predicted, work_of

Sweep: TypeAlias = Callable[[tuple[Statement, ...]], For]

# Rows that are added at a time, and results side by side in a loop over them. More rows, a power of
# two apart, would drive one another out of the cache.
ROWS, LANES = 6, 64
# Bytes of a strip of results where their number is symbolic, and at least: a page of memory, which
# the processor reads ahead to the end of. Longer strips begin less often in each row: as long ones
# as stay in the first cache and leave enough tasks for threads.
USUAL_STRIP, SHORT_STRIP, LONG_STRIP, ENOUGH_STRIPS = 8192, 4096, FIRST_CACHE // 2, 4
# What a search may take in their place; a strip is a multiple of the results side by side.
OTHER_ROWS, OTHER_STRIPS = (2, 4, 6), (2048, 4096, 8192, 16384)
# Matrices of fewer bytes stay in cache, so that the order does not matter.
LARGE = SECOND_CACHE // 4


def is_streamable(nest: For) -> bool:
    """Whether a loop over results adds up the rows of a matrix, for one result in place."""
    if len(nest.body) < 3:
        return False
    accumulator, reduction, *rest, store = nest.body
    if not isinstance(accumulator, Accumulator) or not isinstance(reduction, For):
        return False
    if not isinstance(store, Store) or not all(isinstance(s, Let) for s in rest):
        return False
    if accumulator.kind != "sum" or store.value.dtype != accumulator.dtype:
        return False
    if dim.coefficient(store.offset, nest.variable.name) != 1:
        return False
    if any(load.buffer == store.buffer for load in loads(nest.body)):
        return False
    return any(rows_read(nest, reduction))


def rows_read(nest: For, reduction: For) -> Iterator[Load]:
    """The loads by which the innermost loop of a reduction goes from row to row of a matrix."""
    inner = chain(reduction)[-1]
    if inner.kind != "serial" or not all(isinstance(s, Let | Accumulate) for s in inner.body):
        return
    for load in loads(inner.body):
        step = dim.coefficient(load.offset, inner.variable.name)
        along = dim.coefficient(load.offset, nest.variable.name)
        if along == 1 and step is not None and dim.is_nonnegative(step - nest.limit):
            yield load


def is_large(nest: For) -> bool:
    """Whether the matrix whose rows a loop adds up is surely too large for the cache."""
    count, rows = elements(nest)
    if not isinstance(count, int) or not isinstance(rows, int):
        return False
    return rows >= ROWS and count * bytes_of(nest) > LARGE


def is_small(nest: For) -> bool:
    """Whether such a matrix surely stays in cache."""
    count, _ = elements(nest)
    return isinstance(count, int) and count * bytes_of(nest) <= LARGE


def elements(nest: For) -> tuple[Size, Size]:
    """How many elements a loop adds up, and in how many rows that follow one another."""
    (reduction,) = (s for s in nest.body if isinstance(s, For))
    loops = chain(reduction)
    return product((nest.limit, *(each.limit for each in loops))), loops[-1].limit


def stream_rows(nest: For, kind: str, kernel: Kernel) -> For:
    """The loop in strips, which run as the given kind, over blocks of rows."""
    columns = nest.limit
    seconds = work_of((nest,), kernel.buffers).seconds

    def way(rows: int, strip: int) -> Way[tuple[int, int]]:
        width = strip // bytes_of(nest)
        width = min(width, columns) if isinstance(columns, int) else width
        return Way(f"rows in strips of {width}, {rows} at a time", (rows, width), seconds)

    others = (way(rows, strip) for rows in OTHER_ROWS for strip in OTHER_STRIPS)
    chosen = choose(kernel.name, way(ROWS, strip_of(columns, bytes_of(nest))), lambda: others)
    rows, width = chosen.value
    record(Decision(
        "tile_loops", f"rows in strips of {width}", kernel.name,
        "the matrix is read in the order of memory",
        (("rows at a time", str(rows)), predicted(seconds)),
    ))  # fmt: skip
    index = nest.variable.name
    strips = loop(f"{index}o", (columns + width - 1) // width, kind, ())
    start = variable(strips) * width
    whole = isinstance(columns, int) and columns % width == 0
    length = width if whole else dim.minimum(width, columns - start)
    inner = loop(f"{index}i", length, "vector", (), LANES)
    at = {index: start + variable(inner)}
    body = swept(nest, rows, lambda b: replace(inner, body=substitute(b, at)))
    return replace(strips, body=body)


def strip_of(columns: Size, size: int) -> int:
    """The bytes of a strip of so many results of a size."""
    if not isinstance(columns, int):
        return USUAL_STRIP
    share = -(-columns // (ENOUGH_STRIPS * LANES)) * LANES * size
    return min(max(share, SHORT_STRIP), LONG_STRIP)


def bytes_of(nest: For) -> int:
    """The bytes of a result."""
    accumulator = nest.body[0]
    assert isinstance(accumulator, Accumulator)
    return accumulator.dtype.bytes


def swept(nest: For, rows: int, sweep: Sweep) -> tuple[Statement, ...]:
    """Zeros, then the sums of all rows, then what becomes of them, each a sweep over results."""
    accumulator, reduction, *rest, store = nest.body
    assert isinstance(accumulator, Accumulator)
    assert isinstance(reduction, For)
    assert isinstance(store, Store)
    zero = Store(store.buffer, store.offset, const(accumulator.dtype, 0))
    so_far = Load(accumulator.dtype, store.buffer, store.offset, None)
    total = Ref(accumulator.dtype, accumulator.name)
    before = (accumulator, Accumulate(accumulator.name, so_far))
    after = (replace(store, value=total),)
    body = in_blocks(reduction, lambda added: sweep((*before, *added, *after)), rows)
    if store.value is total:
        return (sweep((zero,)), *body)
    return (sweep((zero,)), *body, sweep((Let(accumulator.name, so_far), *rest, store)))


def in_blocks(reduction: For, sweep: Sweep, rows: int = ROWS) -> tuple[Statement, ...]:
    """The loops of a reduction, the innermost a few rows at a time; what is left at the end."""
    if isinstance(reduction.body[0], For):
        return (replace(reduction, body=in_blocks(reduction.body[0], sweep, rows)),)
    if rows == 1:
        return (replace(reduction, body=(sweep(reduction.body),)),)
    blocks, left = dim.floor_divide(reduction.limit, rows), dim.remainder(reduction.limit, rows)
    outer = loop(f"{reduction.variable.name}o", blocks, "serial", ())
    body = sweep(rows_from(reduction, variable(outer) * rows, rows))
    result = (replace(outer, body=(body,)),)
    if isinstance(left, int):
        return (*result, sweep(rows_from(reduction, blocks * rows, left))) if left else result
    rest = loop(f"{reduction.variable.name}r", left, "serial", ())
    row = sweep(rows_from(reduction, blocks * rows + variable(rest), 1))
    return (*result, replace(rest, body=(row,)))


def rows_from(reduction: For, first: Size, count: int) -> tuple[Statement, ...]:
    """Some iterations of a reduction written out, with names of their own."""
    lets = [s.name for s in reduction.body if isinstance(s, Let)]
    result: list[Statement] = []
    for row in range(count):
        names = {name: f"{name}r{row}" for name in lets}
        result.extend(substitute(reduction.body, {reduction.variable.name: first + row}, names))
    return tuple(result)
