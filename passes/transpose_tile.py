"""Transpose tiles: square blocks of a result that is read across its rows.

Where a result is written along one axis and an operand lies along another, each step down a
column touches another cache line. In a square block those lines are used up before they leave
the cache.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Dim, Size
from graphc.ir.kernel import For, Kernel, Statement, loads, loop, stores, substitute, variable
from graphc.ir.program import Decision
from graphc.passes.choose import Way, choose
from graphc.passes.decisions import record
from graphc.passes.predict_cost import predicted, work_of

# Rows and columns of a block: 64 bytes of float32, a cache line, along both.
SIDE = 16
# What a search may take in its place.
OTHER_SIDES = (8, 32, 64)


def is_transposing(nest: For) -> bool:
    """Whether a pair of loops reads along the outer axis and writes along the inner."""
    if len(nest.body) != 1 or not isinstance(nest.body[0], For):
        return False
    outer, inner = nest.variable.name, nest.body[0].variable.name
    if nest.body[0].kind != "parallel" or any(isinstance(s, For) for s in nest.body[0].body):
        return False
    if any(dim.coefficient(store.offset, inner) != 1 for store in stores(nest.body)):
        return False
    return any(
        dim.coefficient(load.offset, outer) == 1
        and dim.coefficient(load.offset, inner) not in (0, 1)
        for load in loads(nest.body)
    )


def transpose_tile(nest: For, kind: str, kernel: Kernel) -> Statement:
    """The pair of loops in square blocks; rows of blocks run as the given kind."""
    columns = nest.body[0]
    assert isinstance(columns, For)
    seconds = work_of((nest,), kernel.buffers).seconds

    def way(side: int) -> Way[int]:
        return Way(f"blocks of {side} by {side}", side, seconds)

    chosen = choose(kernel.name, way(SIDE), lambda: map(way, OTHER_SIDES))
    record(Decision(
        "tile_loops", chosen.name, kernel.name,
        "an operand lies across the result: blocks use each of its cache lines up",
        (predicted(seconds),),
    ))  # fmt: skip
    side = chosen.value
    row_blocks, row, rows = split(nest, side, kind)
    column_blocks, column, vector = split(columns, side, "serial")
    at = {nest.variable.name: row, columns.variable.name: column}
    vector = replace(vector, kind="vector", lanes=side, body=substitute(columns.body, at))
    inside = replace(column_blocks, body=(replace(rows, body=(vector,)),))
    return replace(row_blocks, body=(inside,))


def split(loop_over: For, side: int, kind: str) -> tuple[For, Size, For]:
    """A loop over blocks, the loop inside a block, and the variable that both make up."""
    name, limit = loop_over.variable.name, loop_over.limit
    blocks = loop(f"{name}o", (limit + side - 1) // side, kind, ())
    first: Dim | int = variable(blocks) * side
    whole = isinstance(limit, int) and limit % side == 0
    inside = loop(f"{name}i", side if whole else dim.minimum(side, limit - first), "serial", ())
    return blocks, first + variable(inside), inside
