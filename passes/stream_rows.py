"""Sums down the columns of a large matrix, read row by row as it lies in memory.

A vector of such sums in registers takes a short piece of every row, and the pieces lie far apart.
Where the matrix is larger than the cache, the processor then waits for memory it could not foresee.
Here the results so far stand in the output itself, a strip of it that stays in cache, and a few
rows at a time are added to them from left to right. Each sum adds up in the same order as before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from graphc.ir import dim
from graphc.ir.dim import product
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
from graphc.passes.machine import SECOND_CACHE
from graphc.passes.predict_cost import predicted, work_of

Sweep: TypeAlias = Callable[[tuple[Statement, ...]], For]

# Rows that are added at a time, and results side by side in a loop over them. More rows, a power of
# two apart, would drive one another out of the cache.
ROWS, LANES = 6, 64
# Bytes of a strip of results: a page of memory, which the processor reads ahead to the end of.
STRIP = 4096
# What a search may take in their place; a strip is a multiple of the results side by side.
OTHER_ROWS, OTHER_STRIPS = (2, 4, 6), (2048, 4096, 8192)
# Matrices of fewer bytes stay in cache, so that the order does not matter.
LARGE = SECOND_CACHE // 4


def is_streamable(nest: For) -> bool:
    """Whether a loop over results adds up rows of a large matrix, for one result in place."""
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
    return reads_rows(nest, reduction)


def reads_rows(nest: For, reduction: For) -> bool:
    """Whether the innermost loop of a reduction goes from row to row of a large matrix."""
    columns = nest.limit
    loops = chain(reduction)
    count, inner = product((columns, *(each.limit for each in loops))), loops[-1]
    if not isinstance(columns, int) or not isinstance(count, int):
        return False
    if not isinstance(inner.limit, int) or inner.limit < ROWS:
        return False
    if inner.kind != "serial" or not all(isinstance(s, Let | Accumulate) for s in inner.body):
        return False
    return any(
        dim.coefficient(load.offset, nest.variable.name) == 1
        and isinstance(step := dim.coefficient(load.offset, inner.variable.name), int)
        and step >= columns
        and count * load.dtype.bytes > LARGE
        for load in loads(inner.body)
    )


def stream_rows(nest: For, kind: str, kernel: Kernel) -> For:
    """The loop in strips, which run as the given kind, over blocks of rows."""
    columns = nest.limit
    assert isinstance(columns, int)
    seconds = work_of((nest,), kernel.buffers).seconds

    def way(rows: int, strip: int) -> Way[tuple[int, int]]:
        width = strip // bytes_of(nest)
        return Way(f"rows in strips of {width}, {rows} at a time", (rows, width), seconds)

    others = (way(rows, strip) for rows in OTHER_ROWS for strip in OTHER_STRIPS)
    chosen = choose(kernel.name, way(ROWS, STRIP), lambda: others)
    rows, width = chosen.value
    record(Decision(
        "tile_loops", f"rows in strips of {width}", kernel.name,
        "the matrix is read in the order of memory",
        (("rows at a time", str(rows)), predicted(seconds)),
    ))  # fmt: skip
    index = nest.variable.name
    strips = loop(f"{index}o", -(-columns // width), kind, ())
    start = variable(strips) * width
    length = width if columns % width == 0 else dim.minimum(width, columns - start)
    inner = loop(f"{index}i", length, "vector", (), LANES)
    at = {index: start + variable(inner)}
    body = swept(nest, rows, lambda b: replace(inner, body=substitute(b, at)))
    return replace(strips, body=body)


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
    body = in_blocks(reduction, rows, lambda added: sweep((*before, *added, *after)))
    if store.value is total:
        return (sweep((zero,)), *body)
    return (sweep((zero,)), *body, sweep((Let(accumulator.name, so_far), *rest, store)))


def in_blocks(reduction: For, rows: int, sweep: Sweep) -> tuple[Statement, ...]:
    """The loops of a reduction, the innermost a few rows at a time; what is left at the end."""
    if isinstance(reduction.body[0], For):
        return (replace(reduction, body=in_blocks(reduction.body[0], rows, sweep)),)
    assert isinstance(reduction.limit, int)
    blocks, left = divmod(reduction.limit, rows)
    outer = loop(f"{reduction.variable.name}o", blocks, "serial", ())
    body = sweep(rows_from(reduction, variable(outer) * rows, rows))
    result = (replace(outer, body=(body,)),)
    return (*result, sweep(rows_from(reduction, blocks * rows, left))) if left else result


def rows_from(reduction: For, first: dim.Size, count: int) -> tuple[Statement, ...]:
    """Some iterations of a reduction written out, with names of their own."""
    lets = [s.name for s in reduction.body if isinstance(s, Let)]
    result: list[Statement] = []
    for row in range(count):
        names = {name: f"{name}r{row}" for name in lets}
        result.extend(substitute(reduction.body, {reduction.variable.name: first + row}, names))
    return tuple(result)
