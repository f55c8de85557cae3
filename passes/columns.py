"""Reductions of columns: results side by side, each of what lies below one another in memory.

Registers hold a few columns. A row of more results is kept in memory, and rows are added to it from
left to right, so that memory is read forward:

    for parallel %j < 4096 { store %t[%j] = 0 }
    for serial %ko < m // 2 {
      for parallel %j < 4096 { store %t[%j] = load %t[%j] + load %x[...] + load %x[... + 4096] }
    }
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir import dim
from graphc.ir.kernel import Accumulate, Accumulator, For, Statement, Store, loads
from graphc.ir.scalar import Load
from graphc.passes.loop_nests import nested
from graphc.passes.machine import FIRST_CACHE, TYPICAL, typical
from graphc.passes.stream_rows import ROWS, in_blocks

# Columns that are added up side by side in registers.
IN_REGISTERS = 256
# Bytes that come from cache when they are read again; beyond, they come from memory.
IN_CACHE = TYPICAL.caches[-1] // 2
# Bytes of a row of results that stays in the first cache, with what is added to it.
NEAR_ROW = FIRST_CACHE // 2


def are_columns(last: For, reduction: For) -> bool:
    """Whether results that lie side by side are reductions of what lies side by side."""
    return any(
        dim.coefficient(load.offset, last.variable.name) == 1
        and dim.coefficient(load.offset, reduction.variable.name) != 1
        for load in loads(reduction.body)
    )


def is_wide(last: For, reduction: For) -> bool:
    """Whether registers do not hold a row of results, so that columns would be read in strips."""
    flat = not any(isinstance(s, For) for s in reduction.body)
    return flat and are_columns(last, reduction) and typical(last.limit) > IN_REGISTERS


def rows_at_a_time(columns: For, reduction: For) -> int:
    """How many rows are added to a row of results at a time.

    With more of them results are read and written less often. What comes from memory is read ahead
    best along one stream, and so are several matrices, which are streams already; that pays as long
    as the row of results stays near.
    """
    read = [load for load in loads(reduction.body)
            if dim.coefficient(load.offset, columns.variable.name) == 1]  # fmt: skip
    matrices = len({load.buffer for load in read})
    row = columns.limit * max(load.dtype.bytes for load in read)
    many = ROWS // min(matrices, ROWS)
    if not isinstance(row, int) or row > NEAR_ROW:
        return many
    stays = typical(reduction.limit) * row <= IN_CACHE
    return many if matrices == 1 and stays else 1


def by_rows(
    loops: list[For], sums: Sequence[tuple[Accumulator, Store]], reduction: For, rows: int
) -> tuple[Statement, ...]:
    """A reduction of columns in memory, a few rows at a time; sums have a place each."""
    empty = [accumulator for accumulator, _ in sums]
    stored = [store for _, store in sums]
    before = [
        Accumulate(s.name, Load(s.dtype, store.buffer, store.offset, None)) for s, store in sums
    ]

    def sweep(added: tuple[Statement, ...]) -> For:
        return nested(loops, (*empty, *before, *added, *stored))

    return nested(loops, (*empty, *stored)), *in_blocks(reduction, sweep, rows)
