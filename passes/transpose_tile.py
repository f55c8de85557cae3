"""Transpose tiles: square blocks of a result that is read across its rows.

Where a result is written along one axis and an operand lies along another, each step down a
column touches another cache line. In a square block those lines are used up before they leave
the cache; and where the rows of a block run side by side, its vectors are turned in registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Dim, Size
from graphc.ir.kernel import (
    For,
    Kernel,
    Let,
    Statement,
    loads,
    loop,
    stores,
    substitute,
    variable,
)
from graphc.ir.program import Decision
from graphc.passes.choose import Way, choose
from graphc.passes.decisions import record
from graphc.passes.loop_nests import nested, perfect
from graphc.passes.predict_cost import predicted, work_of
from graphc.passes.register_tile import columns_outside, rows_outside
from graphc.passes.stage_rows import instructions
from graphc.passes.tile_shape import Part, Shape

# Rows and columns of a block: 64 bytes of float32, a cache line, along both.
SIDE = 16
# What a search may take in its place, where vectors are not turned.
OTHER_SIDES = (8, 32, 64)
# A processor reads ahead along pieces of so many elements.
LONG_PIECE = 128
# With so many blocks side by side there is one for each thread.
ENOUGH_BLOCKS = 8
# Formulas of more instructions than this are not written out for all rows of a block.
FEW_INSTRUCTIONS = 32


def is_transposing(nest: For) -> bool:
    """Whether loops over results read along one of them and write along the innermost."""
    return rows_of(*perfect(nest)) is not None


def rows_of(loops: Sequence[For], inside: tuple[Statement, ...]) -> For | None:
    """The loop along which what loops read lies, if it is not the one they write along."""
    inner = loops[-1].variable.name
    if any(isinstance(s, For) for s in inside):
        return None
    if any(dim.coefficient(store.offset, inner) != 1 for store in stores(inside)):
        return None
    across = [s.offset for s in loads(inside) if dim.coefficient(s.offset, inner) not in (0, 1)]
    for outer in reversed(loops[:-1]):
        if any(dim.coefficient(offset, outer.variable.name) == 1 for offset in across):
            return outer
    return None


def transpose_tile(nest: For, kind: str, kernel: Kernel) -> tuple[Statement, ...]:
    """The loops with square blocks of two of them inside; the outermost run as the given kind."""
    loops, inside = perfect(nest)
    rows, columns = rows_of(loops, inside), loops[-1]
    assert rows is not None
    around = [replace(s, kind="serial") for s in loops[:-1] if s is not rows]
    if around:
        around[0], kind = replace(around[0], kind=kind), "serial"
    pair = replace(rows, body=(replace(columns, body=inside),))
    tiles = blocks(pair, kind, kernel.name, work_of((nest,), kernel.buffers).seconds)
    return (nested(around, tiles),) if around else tiles


def blocks(pair: For, kind: str, name: str, seconds: float) -> tuple[Statement, ...]:
    """The pair of loops in blocks, which takes so long; rows of blocks run as the given kind."""
    columns = pair.body[0]
    assert isinstance(columns, For)
    known = isinstance(pair.limit, int) and isinstance(columns.limit, int)
    turned = known and is_short(columns.body)

    def way(side: int) -> Way[int]:
        how = ", turned in registers" if turned else ""
        return Way(f"blocks of {side} by {side}{how}", side, seconds)

    chosen = choose(name, way(SIDE), lambda: [] if turned else map(way, OTHER_SIDES))
    record(Decision(
        "tile_loops", chosen.name, name,
        "an operand lies across the result: blocks use each of its cache lines up",
        (predicted(seconds),),
    ))  # fmt: skip
    if turned:
        assert isinstance(pair.limit, int)
        whole, rest = divmod(pair.limit, SIDE)
        parts = [Part(0, whole, SIDE), Part(whole * SIDE, 1, rest)]
        shape = [(part, 1) for part in parts if part.tiles and part.width]
        return along_source(pair, columns, shape, kind)
    return (in_order(pair, columns, chosen.value, kind),)


def along_source(rows: For, columns: For, shape: Shape, kind: str) -> tuple[Statement, ...]:
    """The blocks in the order of what is read, which a processor reads ahead.

    In the order of what is written where that is in longer pieces, or threads would have too few.
    """
    assert isinstance(rows.limit, int)
    assert isinstance(columns.limit, int)
    short = rows.limit < min(LONG_PIECE, columns.limit)
    few = kind == "parallel" and columns.limit < ENOUGH_BLOCKS * SIDE
    order = rows_outside if short or few else columns_outside
    return order(rows, columns, shape, SIDE, kind)


def is_short(body: tuple[Statement, ...]) -> bool:
    """Whether a body of a few instructions loads without asking."""
    lets = sum(instructions(s.value) for s in body if isinstance(s, Let))
    return lets <= FEW_INSTRUCTIONS and all(load.guard is None for load in loads(body))


def in_order(pair: For, columns: For, side: int, kind: str) -> For:
    """The pair in blocks of one row after another."""
    row_blocks, row, rows = split(pair, side, kind)
    column_blocks, column, vector = split(columns, side, "serial")
    at = {pair.variable.name: row, columns.variable.name: column}
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
