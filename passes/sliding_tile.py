"""Sliding tiles: some rows of results together, where the windows of neighbours overlap.

A convolution whose channels are by themselves multiplies vectors of elements with vectors of taps,
or with single ones, and no load serves all columns as one of a matrix product does. But a tap
serves every row, and an element every row whose window it is in. So a few rows are added up side by
side, and the taps across them are written out: what several of them read is then one load.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim, scalar
from graphc.ir.dim import Size, product
from graphc.ir.kernel import For, Statement, loads, loop, substitute, variable
from graphc.ir.program import Decision
from graphc.passes.decisions import record
from graphc.passes.loop_nests import chain, nested
from graphc.passes.machine import Registers
from graphc.passes.register_tile import Pair, pair_around_sum, terms_read, tile, tile_loop
from graphc.passes.settle_guards import settle_guards
from graphc.passes.tile_shape import Part, column_parts, row_parts

# Rows and vectors of columns side by side, and taps that are written out at most. More columns read
# memory further in one go, more rows use each element more often.
MAX_ROWS, MAX_VECTORS, MAX_TAPS = 8, 3, 8
# Where elements at the sides are asked about, so many taps in all are written out in tiles that run
# more than once, for then it is known which lanes of which vectors are left out.
MAX_ASKING = 9
# The part of the registers that sums take; the others are for taps, and elements on their way.
SUMS = 9 / 16
# Results of a block, at most: two vectors of columns fit beside them.
MOST_RESULTS = 9
# How far apart elements of a vector may lie: with every second one, two loads and a shuffle.
FARTHEST = 2


def sliding_pair(nest: For) -> Pair | None:
    """The pair of loops that holds one sum with loads in common along the rows alone, or None."""
    pair = pair_around_sum(nest)
    if pair is None or not isinstance(pair.rows.limit, int):
        return None
    along, across = steps(pair, pair.columns), steps(pair, pair.rows)
    near = all(isinstance(step, int) and 0 <= step <= FARTHEST for step in along)
    return pair if near and any(along) and 0 in across and any(across) else None


def steps(pair: Pair, along: For) -> list[Size | None]:
    """How far each load of the sum moves with a loop."""
    return [dim.coefficient(load.offset, along.variable.name) for load in terms_read(pair)]


def sliding_tile(
    nest: For, registers: Registers, name: str, threads: bool = True
) -> tuple[Statement, ...]:
    """A sliding pair with some rows side by side, and the taps across them written out."""
    pair = sliding_pair(nest)
    assert pair is not None
    assert isinstance(nest.limit, int)
    lanes = lanes_of(pair, registers)
    vectors = vectors_of(pair.columns.limit, lanes)
    parts = row_parts(nest.limit, min(MAX_ROWS, sums_in(registers) // vectors))
    record(Decision(
        "tile_loops", f"sliding tile of {parts[0].width} rows by {vectors * lanes} columns", name,
        "rows share taps, and elements where their windows overlap",
        (("registers", str(registers.count)),),
    ))  # fmt: skip
    kind, row = "parallel" if threads else "serial", nest.variable.name
    result: list[Statement] = []
    for part in peeled(parts) if asks(pair, pair.rows) else parts:
        body = taps_written_out(pair, part.tiles != 1 and asks(pair, pair.columns))
        columns = replace(pair.columns, body=body, kind="vector", lanes=lanes * vectors)
        rows = loop(f"{row}i", part.width, "unrolled", ())
        number = dim.symbol(f"{row}o", "index", part.tiles)
        at: dict[str, Size] = {row: part.start + number * part.width + variable(rows)}
        inside = settle_guards(substitute((*nest.body[:-1], columns), at))
        result.extend(tile_loop(f"{row}o", part, kind, (replace(rows, body=inside),)))
    return tuple(result)


def lanes_of(pair: Pair, registers: Registers) -> int:
    """How many sums a register holds."""
    return registers.bits // max(pair.sum.dtype.bits, 32)


def sums_in(registers: Registers) -> int:
    """How many vectors of sums stay in registers, beside what they are made of."""
    return int(registers.count * SUMS)


def vectors_of(columns: Size, lanes: int) -> int:
    """How many vectors of columns stand side by side."""
    return min(MAX_VECTORS, -(-columns // lanes)) if isinstance(columns, int) else MAX_VECTORS


def taps_written_out(pair: Pair, all_of_them: bool) -> tuple[Statement, ...]:
    """What the loop over columns holds, with the taps across rows innermost and side by side.

    So are all others if that is wanted and they are few.
    """
    taps = taps_across(pair)
    if taps is None:
        return pair.columns.body
    loops = chain(pair.reduction)
    order = [each for each in loops if each is not taps]
    count = product(each.limit for each in loops)
    if all_of_them and isinstance(count, int) and count <= MAX_ASKING:
        order = [replace(each, kind="unrolled") for each in order]
    new = nested([*order, replace(taps, kind="unrolled")], loops[-1].body)
    return tuple(new if s is pair.reduction else s for s in pair.columns.body)


def taps_across(pair: Pair) -> For | None:
    """The loop of the sum that moves as the rows do, so that neighbours load the same."""
    for taps in chain(pair.reduction):
        if not isinstance(taps.limit, int) or not 1 < taps.limit <= MAX_TAPS:
            continue
        moves = zip(steps(pair, pair.rows), steps(pair, taps), strict=True)
        if any(overlap(row, tap, taps.limit) for row, tap in moves):
            return taps
    return None


def overlap(row: Size | None, tap: Size | None, taps: int) -> bool:
    """Whether the windows of neighbouring rows have elements in common."""
    if not isinstance(row, int) or not isinstance(tap, int) or row == 0 or tap == 0:
        return False
    return row % tap == 0 and abs(row // tap) < taps


# --- borders --------------------------------------------------------------------------------------


def asks(pair: Pair, along: For) -> bool:
    """Whether some guard of the sum depends on a loop, as where windows look beyond a border."""
    guards = [load.guard for load in loads(pair.reduction.body) if load.guard is not None]
    asked = (part for part in scalar.walk(guards) if isinstance(part, scalar.Index))
    return any(along.variable in dim.symbols(index.value) for index in asked)


def peeled(parts: list[Part]) -> list[Part]:
    """Tiles of rows, the first and the last one apart, so that those between need not ask.

    What those two ask is about numbers, since they begin at a known row.
    """
    found: list[Part] = []
    for part in parts:
        assert isinstance(part.tiles, int)
        before = int(part is parts[0])
        after = int(part is parts[-1] and part.tiles > before)
        start = part.start
        for tiles in (before, part.tiles - before - after, after):
            found += [Part(start, tiles, part.width)] if tiles else []
            start = start + tiles * part.width
    return found


# --- blocks: all results of a kernel's taps -------------------------------------------------------


def sliding_block_pair(nest: For) -> Pair | None:
    """The sliding pair in a loop of few rows, which share loads with it too, or None."""
    if len(nest.body) != 1 or not isinstance(nest.body[0], For):
        return None
    pair = sliding_pair(nest.body[0])
    if pair is None or 0 not in steps(pair, nest):
        return None
    count = product((nest.limit, pair.rows.limit))
    return pair if isinstance(count, int) and 1 < count <= MOST_RESULTS else None


def sliding_block(
    nest: For, registers: Registers, name: str, threads: bool = True
) -> tuple[Statement, ...]:
    """All rows of both loops side by side, for some columns at a time."""
    pair = sliding_block_pair(nest)
    assert pair is not None
    count, lanes = product((nest.limit, pair.rows.limit)), lanes_of(pair, registers)
    assert isinstance(count, int)
    assert isinstance(pair.rows.limit, int)
    vectors = max(1, sums_in(registers) // count)
    record(Decision(
        "tile_loops", f"block of {count} rows by {vectors * lanes} columns", name,
        "all rows are made of the same loads, each of which is needed once",
        (("registers", str(registers.count)),),
    ))  # fmt: skip
    kind = "parallel" if threads else "serial"
    result: list[Statement] = []
    for part in column_parts(pair.columns.limit, vectors, lanes):
        block = (tile(pair.rows, 0, pair.rows.limit, part),)
        rows = replace(nest, kind="unrolled", body=block)
        result.extend(tile_loop(f"{pair.columns.variable.name}o", part, kind, (rows,)))
    return tuple(result)
