"""Register tiles: blocks of a matrix product's result that stay in vector registers.

A tile is a few rows by a few vectors of columns. For each step of the reduction it loads its
vectors of columns once and each of its rows' elements once, and uses every load many times. The
rows are an unrolled loop around a vector loop, so that the kernel's text says it all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
from graphc.passes.decisions import record
from graphc.passes.ordered_loops import is_ordered

# More rows than this need more registers for loads than the reuse is worth.
MAX_ROWS, MAX_VECTORS = 8, 4
# Bytes of a first cache. Columns that do not stay in it come from further away for each tile, and
# as many rows as there are registers share them.
FIRST_CACHE = 1 << 15
# Columns are the outer loop where they make this many tasks: a tile of columns stays in cache
# while all rows pass by, and rows are narrower, so that the other order reads more memory.
ENOUGH_TASKS = 4
# A symbolic number of tiles counts as this many.
TYPICAL_TILES = 6


@dataclass(frozen=True, slots=True)
class Registers:
    """A target's vector registers: how wide and how many."""

    bits: int = 512
    count: int = 32


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an axis in equal tiles: `tiles` of `width` elements from `start` on."""

    start: Size
    tiles: Size
    width: int
    limit: Size | None = None  # elements of the last tile's stretch, where it may be partial


def is_tileable(nest: For) -> bool:
    """Whether a pair of loops over results holds one sum that reuses loads along both."""
    if not nest.body or not isinstance(nest.body[-1], For):
        return False
    rows, columns = nest, nest.body[-1]
    if columns.kind != "parallel" or any(isinstance(s, For) for s in rows.body[:-1]):
        return False
    if columns.limit == 0:
        return False
    sums = [s for s in columns.body if isinstance(s, Accumulator)]
    loops = [s for s in columns.body if isinstance(s, For)]
    if len(sums) != 1 or len(loops) != 1 or sums[0].kind != "sum" or loops[0].kind != "serial":
        return False
    if is_ordered(loops[0]):
        return False
    return reuses(rows, columns, loops[0])


def reuses(rows: For, columns: For, reduction: For) -> bool:
    """Whether one load serves all rows and is contiguous, and another serves all columns."""
    offsets = [load.offset for load in loads(reduction.body)]
    by_row = [dim.coefficient(offset, rows.variable.name) for offset in offsets]
    by_column = [dim.coefficient(offset, columns.variable.name) for offset in offsets]
    shared = any(r == 0 and c == 1 for r, c in zip(by_row, by_column, strict=True))
    return shared and 0 in by_column and all(c in (0, 1) for c in by_column)


def register_tile(
    nest: For, registers: Registers, name: str, threads: bool = True
) -> tuple[Statement, ...]:
    """The pair of loops in tiles; columns run on threads where they make enough tiles."""
    columns_loop = nest.body[-1]
    assert isinstance(columns_loop, For)
    rows, columns = shape_of_tile(nest, columns_loop, registers)
    by_rows = tile_count(columns) < ENOUGH_TASKS
    record(Decision(
        "tile_loops", f"tile of {rows[0].width} rows by {columns[0].width} columns", name,
        "accumulators stay in registers, and each load is used for the whole tile",
        (("registers", str(registers.count)), ("threads over", "rows" if by_rows else "columns")),
    ))  # fmt: skip
    outer, inner = (rows, columns) if by_rows else (columns, rows)
    outer_name, inner_name = nest.variable.name, columns_loop.variable.name
    if not by_rows:
        outer_name, inner_name = inner_name, outer_name
    kind = "parallel" if threads else "serial"
    result: list[Statement] = []
    for part in outer:
        tiles: list[Statement] = []
        for other in inner:
            block = tile(nest, *((part, other) if by_rows else (other, part)))
            tiles.extend(tile_loop(f"{inner_name}o", other, "serial", (block,)))
        result.extend(tile_loop(f"{outer_name}o", part, kind, tuple(tiles)))
    return tuple(result)


def shape_of_tile(rows: For, columns: For, registers: Registers) -> tuple[list[Part], list[Part]]:
    """How rows and columns are cut: as wide as the registers allow, with little left over."""
    sums = next(s for s in columns.body if isinstance(s, Accumulator))
    lanes = registers.bits // max(sums.dtype.bits, 32)
    vectors = vectors_for(columns.limit, lanes)
    most = max(1, (registers.count - vectors - 1) // vectors)
    if steps_of(columns) * vectors * lanes * sums.dtype.bytes <= FIRST_CACHE:
        most = min(MAX_ROWS, most)
    return row_parts(rows.limit, most), column_parts(columns.limit, vectors * lanes, lanes)


def steps_of(columns: For) -> int:
    """How many products a sum adds up; a symbolic number counts as none."""
    steps = 1
    for statement in statements(columns.body):
        if isinstance(statement, For):
            steps *= statement.limit if isinstance(statement.limit, int) else 0
    return steps


def vectors_for(limit: Size, lanes: int) -> int:
    """How many vectors wide a tile is: two, or the number that leaves the least idle."""
    if not isinstance(limit, int):
        return 2
    return min((2, 3, MAX_VECTORS, 1), key=lambda v: -(-limit // (v * lanes)) * v * lanes - limit)


def row_parts(limit: Size, most: int) -> list[Part]:
    """The rows in tiles of equal height, then what is left in smaller ones."""
    if isinstance(limit, int):
        height = -(-limit // -(-limit // most)) if limit else 1
        full, left = Part(0, limit // height, height), limit % height
        return [full, *([Part(limit - left, 1, left)] if left else [])]
    parts = [Part(0, limit // most, most)]
    start, rest = limit - limit % most, limit % most
    height = 1 << ((most - 1).bit_length() - 1)
    while height:
        parts.append(Part(start, rest // height, height))
        start, rest = start + rest // height * height, rest % height
        height //= 2
    return parts


def column_parts(limit: Size, width: int, lanes: int) -> list[Part]:
    """The columns in full tiles, then the rest as one partial tile."""
    if not isinstance(limit, int):
        return [Part(0, (limit + width - 1) // width, width, limit)]
    full, rest = limit // width, limit % width
    parts = [Part(0, full, width)] if full else []
    if rest:
        parts.append(Part(full * width, 1, -(-rest // lanes) * lanes, limit))
    return parts


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


def tile(nest: For, rows: Part, columns: Part) -> For:
    """One tile: an unrolled loop over rows around a vector loop over columns."""
    row, columns_loop = nest.variable.name, nest.body[-1]
    assert isinstance(columns_loop, For)
    column = columns_loop.variable.name
    row_tile = dim.symbol(f"{row}o", "index", rows.tiles)
    column_tile = dim.symbol(f"{column}o", "index", columns.tiles)
    first = columns.start + column_tile * columns.width
    limit = columns.width if columns.limit is None else stretch(columns, first)
    inner = loop(f"{column}i", limit, "vector", (), columns.width)
    outer = loop(f"{row}i", rows.width, "unrolled", ())
    at = {
        row: rows.start + row_tile * rows.width + variable(outer),
        column: first + variable(inner),
    }
    body = replace(inner, body=substitute(columns_loop.body, at))
    return replace(outer, body=(*substitute(nest.body[:-1], at), body))


def stretch(columns: Part, first: Size) -> Size:
    """How many columns a tile really has."""
    assert columns.limit is not None
    if columns.tiles == 1:
        return columns.limit - columns.start
    return dim.minimum(columns.width, columns.limit - first)
