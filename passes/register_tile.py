"""Register tiles: blocks of a matrix product's result that stay in vector registers.

A tile is a few rows by a few vectors of columns. For each step of the reduction it loads its
vectors of columns once and each of its rows' elements once, and uses every load many times. The
rows are an unrolled loop around a vector loop, so that the kernel's text says it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Accumulator,
    For,
    Statement,
    loads,
    loop,
    statements,
    substitute,
    variable,
)
from graphc.ir.program import Decision
from graphc.ir.scalar import Load
from graphc.ir.types import DType
from graphc.passes.choose import Way, choose
from graphc.passes.decisions import record
from graphc.passes.machine import Registers, machine, typical
from graphc.passes.narrow_sums import conditions, narrowed, parts_apart, with_taps_apart
from graphc.passes.ordered_loops import is_ordered
from graphc.passes.predict_cost import predicted
from graphc.passes.settle_guards import settle_guards
from graphc.passes.tile_shape import (
    Part,
    Shape,
    column_parts,
    other_shapes,
    shape_of_tile,
    steps_of,
)

# Columns are the outer loop where they make this many tasks: a tile of columns stays in cache
# while all rows pass by, and rows are narrower, so that the other order reads more memory.
ENOUGH_TASKS = 4
# Rows at most so many elements apart share lines of the cache.
NEAR_ROWS = 8
# A symbolic number of tiles counts as this many.
TYPICAL_TILES = 6


class Pair(NamedTuple):
    """Two loops over results around one sum."""

    rows: For
    columns: For
    sum: Accumulator
    reduction: For


def pair_around_sum(nest: For) -> Pair | None:
    """The pair of independent loops that holds one sum; None if it holds anything else."""
    if not nest.body or not isinstance(nest.body[-1], For):
        return None
    rows, columns = nest, nest.body[-1]
    if columns.kind != "parallel" or any(isinstance(s, For) for s in rows.body[:-1]):
        return None
    if columns.limit == 0:
        return None
    sums = [s for s in columns.body if isinstance(s, Accumulator)]
    loops = [s for s in columns.body if isinstance(s, For)]
    if len(sums) != 1 or len(loops) != 1 or sums[0].kind != "sum" or loops[0].kind != "serial":
        return None
    pair = Pair(rows, columns, sums[0], loops[0])
    return None if is_ordered(loops[0]) or is_uneven(pair) else pair


def is_uneven(pair: Pair) -> bool:
    """Whether the sum has more terms for some results than for others, so not side by side."""
    results = {pair.rows.variable, pair.columns.variable}
    inner = [pair.reduction, *(s for s in statements(pair.reduction.body) if isinstance(s, For))]
    return any(results & dim.variables(each.limit) for each in inner)


def terms_read(pair: Pair) -> Iterator[Load]:
    """The loads of a sum; one that is the same for all of its terms is no reuse of any."""
    loops = [pair.reduction, *(s for s in statements(pair.reduction.body) if isinstance(s, For))]
    along = {each.variable for each in loops}
    return (load for load in loads(pair.reduction.body) if along & dim.variables(load.offset))


def is_tileable(nest: For) -> bool:
    """Whether a pair of loops over results holds one sum that reuses loads along both.

    One load serves all rows and is contiguous, and another serves all columns.
    """
    pair = pair_around_sum(nest)
    if pair is None:
        return False
    offsets = [load.offset for load in terms_read(pair)]
    by_row = [dim.coefficient(offset, pair.rows.variable.name) for offset in offsets]
    by_column = [dim.coefficient(offset, pair.columns.variable.name) for offset in offsets]
    shared = any(r == 0 and c == 1 for r, c in zip(by_row, by_column, strict=True))
    return shared and 0 in by_column and all(c in (0, 1) for c in by_column)


def register_tile(
    nest: For, registers: Registers, name: str, threads: bool = True
) -> tuple[Statement, ...]:
    """The pair of loops in tiles; columns run on threads where they make enough tiles."""
    columns = nest.body[-1]
    assert isinstance(columns, For)
    sums = next(s for s in columns.body if isinstance(s, Accumulator))
    lanes = lanes_of(columns, registers)
    depth = depth_of(columns)
    near = has_near_rows(nest)
    limits = nest.limit, columns.limit, lanes, registers.count, depth * sums.dtype.bytes, near
    shape = shape_of_tile(*limits)
    tasks = tile_count(column_parts(columns.limit, shape[0][1], lanes))
    work = Tiled(nest.limit, columns.limit, depth, sums.dtype, lanes, near)
    way = choose(
        name,
        work.way(shape, tasks < ENOUGH_TASKS),
        lambda: [work.way(s, by) for s in (shape, *other_shapes(*limits)) for by in (False, True)],
    )
    shape, by_rows = way.value
    record(Decision(
        "tile_loops", way.name.partition(",")[0], name,
        "accumulators stay in registers, and each load is used for the whole tile",
        (("registers", str(registers.count)), ("threads over", "rows" if by_rows else "columns"),
         predicted(way.seconds)),
    ))  # fmt: skip
    kind = "parallel" if threads else "serial"
    nest, columns = leaving_out(nest, columns)
    shape = [(part, vectors) for rows, vectors in shape for part in parts_apart(rows, asking(nest))]
    if by_rows:
        return rows_outside(nest, columns, shape, lanes, kind)
    return columns_outside(nest, columns, shape, lanes, kind)


def leaving_out(nest: For, columns: For) -> tuple[For, For]:
    """The pair of loops with a sum that leaves out what its guard leaves out for all rows."""
    lockstep = nest.variable.name, columns.variable.name
    body = tuple(narrowed(s, lockstep) if isinstance(s, For) else s for s in columns.body)
    columns = replace(columns, body=body)
    return replace(nest, body=(*nest.body[:-1], columns)), columns


def asking(nest: For) -> Callable[[Part], bool]:
    """Whether the terms of a sum are asked for in a tile of rows."""

    def asks(rows: Part) -> bool:
        inner = loop(f"{nest.variable.name}i", rows.width, "unrolled", ())
        at = {nest.variable.name: rows.start + variable(inner)}
        return bool(conditions(settle_guards(substitute(nest.body, at))))

    return asks if conditions((nest,)) else lambda rows: False


@dataclass(frozen=True, slots=True)
class Tiled:
    """What is cut into tiles: rows by columns of sums of so many terms, in vectors of so many.

    near_rows tells that rows lie side by side.
    """

    rows: Size
    columns: Size
    depth: Size
    dtype: DType
    lanes: int
    near_rows: bool

    def way(self, shape: Shape, by_rows: bool) -> Way[tuple[Shape, bool]]:
        """Tiles of a shape, those of the same rows or those of the same columns one after another.

        Predicted is the time of their multiplications.
        """
        rows, vectors = shape[0]
        order = "rows" if by_rows else "columns"
        name = f"tile of {rows.width} rows by {vectors * self.lanes} columns, {order} outside"
        depth = self.depth * self.dtype.bytes
        steps = steps_of(shape, self.columns, self.lanes, depth, self.near_rows)
        known = machine()
        rate = known.float64 if self.dtype.bits > 32 else known.float32
        operations = 2 * self.lanes * steps * typical(self.depth)
        return Way(name, (shape, by_rows), operations / rate)


def has_near_rows(nest: For) -> bool:
    """Whether what a sum reads of neighbouring rows lies within a few lines."""
    steps = [dim.coefficient(load.offset, nest.variable.name) for load in loads(nest.body)]
    return all(isinstance(step, int) and abs(step) <= NEAR_ROWS for step in steps)


def lanes_of(columns: For, registers: Registers) -> int:
    """How many sums of a loop over columns a register holds."""
    sums = next(s for s in columns.body if isinstance(s, Accumulator))
    return registers.bits // max(sums.dtype.bits, 32)


def depth_of(columns: For) -> Size:
    """How many products each sum of a loop over columns adds up."""
    depth: Size = 1
    for inner in statements(columns.body):
        depth = depth * inner.limit if isinstance(inner, For) else depth
    return depth


def rows_outside(
    nest: For, columns: For, shape: Shape, lanes: int, kind: str
) -> tuple[Statement, ...]:
    """All columns of a tile of rows before the next ones."""
    result: list[Statement] = []
    for rows, vectors in shape:
        tiles: list[Statement] = []
        for part in column_parts(columns.limit, vectors, lanes):
            block = tile(nest, rows.first(nest.variable.name), rows.width, part)
            tiles.extend(tile_loop(f"{columns.variable.name}o", part, "serial", (block,)))
        result.extend(tile_loop(f"{nest.variable.name}o", rows, kind, tuple(tiles)))
    return tuple(result)


def columns_outside(
    nest: For, columns: For, shape: Shape, lanes: int, kind: str
) -> tuple[Statement, ...]:
    """All rows of a tile of columns before the next ones; of a strip where widths differ."""
    widest = max(vectors for _, vectors in shape)
    narrow = min(vectors for _, vectors in shape)
    row, column = nest.variable.name, columns.variable.name
    result: list[Statement] = []
    for strip in column_parts(columns.limit, widest, lanes):
        body: list[Statement] = []
        for rows, vectors in shape:
            part = strip if widest == narrow else part_of_strip(strip, column, vectors * lanes)
            block = tile(nest, rows.first(row), rows.width, part)
            tiles = tile_loop(f"{row}o", rows, "serial", (block,))
            body.extend(tiles if part is strip else tile_loop(f"{column}o", part, "serial", tiles))
        name = f"{column}o" if widest == narrow else f"{column}s"
        result.extend(tile_loop(name, strip, kind, tuple(body)))
    return tuple(result)


def part_of_strip(strip: Part, column: str, width: int) -> Part:
    """The columns of a strip in tiles of a width that divides it."""
    start = strip.start + dim.symbol(f"{column}s", "index", strip.tiles) * strip.width
    if strip.limit is None:
        return Part(start, strip.width // width, width)
    tiles = (dim.minimum(strip.width, strip.limit - start) + width - 1) // width
    return Part(start, 1 if width == strip.width else tiles, width, strip.limit)


def tile_count(parts: list[Part]) -> int:
    """How many tiles an axis has, a symbolic number counting as a few."""
    return sum(p.tiles if isinstance(p.tiles, int) else TYPICAL_TILES for p in parts)


def tile_loop(
    name: str, part: Part, kind: str, body: tuple[Statement, ...]
) -> tuple[Statement, ...]:
    """A loop over the tiles of a part; the body alone where there is one tile."""
    if part.tiles == 1:
        return substitute(body, {name: 0})
    return (loop(name, part.tiles, kind, body),)


def tile(nest: For, first_row: Size, height: int, columns: Part) -> For:
    """One tile: an unrolled loop over rows around a vector loop over columns."""
    row, columns_loop = nest.variable.name, nest.body[-1]
    assert isinstance(columns_loop, For)
    column = columns_loop.variable.name
    first = columns.first(column)
    limit = columns.width if columns.limit is None else stretch(columns, first)
    inner = loop(f"{column}i", limit, "vector", (), columns.width)
    outer = loop(f"{row}i", height, "unrolled", ())
    at: dict[str, Size] = {
        row: first_row + variable(outer),
        column: first + variable(inner),
    }
    body = replace(inner, body=substitute(columns_loop.body, at))
    return with_taps_apart(replace(outer, body=(*substitute(nest.body[:-1], at), body)))


def stretch(columns: Part, first: Size) -> Size:
    """How many columns a tile really has."""
    assert columns.limit is not None
    return dim.minimum(columns.width, columns.limit - first)
