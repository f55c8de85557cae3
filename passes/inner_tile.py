"""Inner tiles: a few rows by a few columns of a product, with vectors along their sums.

Where a product has fewer columns than a vector has lanes, vectors of columns are mostly idle. If
both operands lie along the sum, a vector of terms of each row meets one of each column, and every
load is used for a row or a column of the tile. The lanes of its sums are added up at the end.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulator, For, Statement, loads, loop, substitute, variable
from graphc.ir.program import Decision
from graphc.passes.decisions import record
from graphc.passes.machine import VECTOR, Registers
from graphc.passes.register_tile import pair_around_sum, tile_loop
from graphc.passes.tile_shape import MAX_ROWS, Part, row_parts

# Columns that may stand side by side in registers, with a sum of each row for each of them.
MOST_COLUMNS = 8


def is_inner(nest: For) -> bool:
    """Whether a pair of loops over results holds one sum along which both operands lie."""
    pair = pair_around_sum(nest)
    if pair is None or any(isinstance(s, For) for s in pair.reduction.body):
        return False
    columns = pair.columns.limit
    if not isinstance(columns, int) or columns > MOST_COLUMNS or dim.variables(nest.limit):
        return False
    names = [each.variable.name for each in (pair.rows, pair.columns, pair.reduction)]
    steps = [[dim.coefficient(load.offset, name) for name in names]
             for load in loads(pair.reduction.body)]  # fmt: skip
    along = all(term in (0, 1) for _, _, term in steps)
    of_rows = any(row != 0 and column == 0 and term == 1 for row, column, term in steps)
    of_columns = any(row == 0 and column != 0 and term == 1 for row, column, term in steps)
    return along and of_rows and of_columns


def inner_tile(nest: For, registers: Registers, name: str, threads: bool) -> tuple[Statement, ...]:
    """The pair of loops in tiles of all columns and as many rows as registers hold the sums of."""
    columns = nest.body[-1]
    assert isinstance(columns, For)
    assert isinstance(columns.limit, int)
    height = rows_that_fit(columns, registers)
    record(Decision(
        "tile_loops", f"tile of {height} rows by {columns.limit} columns, along their sums", name,
        "there are fewer columns than lanes, and both operands lie along the sums",
        (("registers", str(registers.count)),),
    ))  # fmt: skip
    result: list[Statement] = []
    for rows in parts_of(nest.limit, height):
        block = tile(nest, rows.first(nest.variable.name), rows.width)
        kind = "parallel" if threads else "serial"
        result.extend(tile_loop(f"{nest.variable.name}o", rows, kind, (block,)))
    return tuple(result)


def rows_that_fit(columns: For, registers: Registers) -> int:
    """How many rows have their sums in registers, with a vector of each column and one of a row."""
    (total,) = (s for s in columns.body if isinstance(s, Accumulator))
    assert isinstance(columns.limit, int)
    bits = VECTOR * max(total.dtype.bits, 32)
    vectors = registers.count * registers.bits // bits
    return max(1, min(MAX_ROWS, (vectors - columns.limit - 1) // columns.limit))


def parts_of(rows: Size, height: int) -> list[Part]:
    """Rows in tiles of at most a height; what is left of a symbolic number of them one by one."""
    if isinstance(rows, int):
        return row_parts(rows, height)
    whole = dim.floor_divide(rows, height)
    return [Part(0, whole, height), Part(whole * height, rows - whole * height, 1)]


def tile(nest: For, first: Size, height: int) -> For:
    """One tile: unrolled loops over rows and columns around vectors along the sum."""
    row, columns = nest.variable.name, nest.body[-1]
    assert isinstance(columns, For)
    rows = loop(f"{row}i", height, "unrolled", ())
    inside = tuple(
        replace(s, kind="vector", lanes=VECTOR) if isinstance(s, For) else s for s in columns.body
    )
    body = (*nest.body[:-1], replace(columns, kind="unrolled", body=inside))
    return replace(rows, body=substitute(body, {row: first + variable(rows)}))
