"""use_warpgroups: let four warps multiply large tiles of 16-bit floats that lie in shared memory.

NVIDIA's GPUs of compute capability 9.0 have units that four warps, a warpgroup, give a product of a
64 by 16 and a 16 by 128 matrix, which they read from shared memory by themselves while the threads
go on: `wgmma` in the PTX ISA. It is what these GPUs have most of their arithmetic for; what a warp
multiplies (`passes/use_matrix_units.py`) has less than two thirds of that rate.

So the tile of a contraction has 64 rows for each warpgroup, whose threads hold 64 sums each. Both
operands are copied ahead to swizzled lines of 128 bytes (`passes/swizzled_lines.py`), the layout
that the units read. The largest tile has a multiprocessor for itself: shared memory has room for
four slices, the two that products may still read while the others arrive, so that the units never
wait for threads that meet. Of a smaller one there are two blocks beside each other, of which one
adds up while the other waits.

A thread has two results side by side, 4 bytes of 16 bits, where memory takes 16 from each as well.
So results of 16 bits go through the memory of the slices, which nobody needs any more: there
threads pick up whole pieces of rows.

A contraction whose operands are no neighbours in memory, or with too few results, is for warps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.divisibility import is_multiple
from graphc.ir.kernel import WARPGROUP, Barrier, For, Let, Statement, Store, loop, variable
from graphc.ir.program import Program
from graphc.ir.scalar import Load
from graphc.ir.types import float32
from graphc.passes.block_tile import BlockTile
from graphc.passes.contraction import Contraction
from graphc.passes.contraction_tiling import WARP, Operand, lanes_along, needed
from graphc.passes.swizzled_lines import PIECE_BYTES, SwizzledLines
from graphc.passes.tile_contractions import counts, in_tiles
from graphc.passes.use_matrix_units import ROWS, UnitTiling, halves_in
from graphc.passes.widen_accesses import Starts

ROWS_OF_GROUP = ROWS * WARPGROUP // WARP
"""Rows of sums that a warpgroup has."""
DEPTH = 64
"""Terms of a slice: a line of 128 bytes."""
PIECE = PIECE_BYTES // 2
"""Elements of 16 bits that one access takes."""
MULTIPROCESSORS = 132
"""Of an H100."""
BESIDE = 8
"""Large tiles beside each other along the rows, and twice as many along the columns, are about as
many as there are multiprocessors, and about a square, which reads least of both operands."""
FEWEST_TILES = MULTIPROCESSORS // 3
"""With fewer small tiles, smaller ones of warps keep more of the GPU busy."""


@dataclass(frozen=True, slots=True)
class GroupTile:
    """How blocks compute tiles in warpgroups.

    slots is how many slices shared memory has room for, running how many barriers back products
    may have begun that are still added up. times are what a slice of one block takes on a
    multiprocessor, of two beside each other, and so on, measured on an H100 in units of a slice of
    the largest tile.
    """

    tile: BlockTile
    slots: int
    running: int
    times: tuple[float, ...]

    def time(self, separate: Size, rows: Size, columns: Size) -> float:
        """What a slice of all tiles takes, of so many separate products of rows and columns."""
        turns = math.ceil(self.tile.count(separate, rows, columns) / MULTIPROCESSORS)
        whole, rest = divmod(turns, len(self.times))
        return whole * self.times[-1] + (self.times[rest - 1] if rest else 0)


LARGE = GroupTile(BlockTile(256, 128, DEPTH), slots=4, running=1, times=(1.0,))
SMALL = GroupTile(BlockTile(128, 128, DEPTH), slots=3, running=0, times=(0.78, 1.08))


def use_warpgroups(program: Program) -> Program:
    """Let warpgroups compute the contractions of 16-bit floats that are large enough in tiles."""
    return in_tiles(program, tiling_of, "use_warpgroups")


def tiling_of(found: Contraction, starts: Starts) -> GroupTiling | None:
    """The tiles of a contraction of 16-bit floats; None for any other, or where there are few."""
    left, right, sizes = halves_in(found.left), halves_in(found.right), counts(found)
    if left is None or right is None or left.dtype != right.dtype or found.sum.dtype != float32:
        return None
    if SMALL.tile.count(*sizes) < FEWEST_TILES:
        return None
    chosen = min((LARGE, SMALL), key=lambda each: each.time(*sizes))
    tiling = GroupTiling(replace(found, left=left, right=right), chosen, starts)
    return tiling if tiling.is_copied and all(map(tiling.is_in_lines, tiling.operands)) else None


class GroupTiling(UnitTiling):
    """A contraction in tiles for warpgroups."""

    def __init__(self, found: Contraction, chosen: GroupTile, starts: Starts) -> None:
        self.chosen = chosen
        self.threads = chosen.tile.rows // ROWS_OF_GROUP * WARPGROUP
        super().__init__(found, chosen.tile, starts)

    @property
    def slots(self) -> int:
        """How many slices shared memory has room for."""
        return self.chosen.slots

    def own_warps(self) -> tuple[int, int]:
        """Each warp has 16 rows of all columns."""
        return self.threads // WARP, 1

    @property
    def row_loops(self) -> tuple[For, For]:
        """The loops over tiles along the rows: over groups of a few, and over those of a group."""
        count = self.tiles["left"].limit
        ways = (n for n in (BESIDE, BESIDE // 2, BESIDE // 4) if is_multiple(count, n))
        beside = next(ways, 1)
        outer = loop("%row_tile", dim.floor_divide(count, beside), "block", ())
        return outer, loop("%row_tile_beside", beside, "block", ())

    def tile_loops(self) -> list[For]:
        """Tiles run about in a square, a group of rows column by column: they read the same."""
        outer, inner = self.row_loops
        return [outer, self.tiles["right"], inner]

    def tile_number(self, each: Operand) -> Size:
        """The number of a block's tile along the rows or columns."""
        if each.name == "right":
            return super().tile_number(each)
        outer, inner = self.row_loops
        return variable(outer) * inner.limit + variable(inner)

    def meet(self) -> Barrier:
        """Wait for all copies but those of the newest slice, and for products that read older ones.

        What was added up last may still be read, where there is a slot more.
        """
        return Barrier(pending=1, running=self.chosen.running)

    def slice(self) -> tuple[Statement, ...]:
        """Begin to add up the slice that is there, then copies: the units have most to do."""
        meet, *copies, add_up = super().slice()
        return (meet, add_up, *copies)

    def finish(self) -> tuple[Statement, ...]:
        """What is made of a sum, and its stores: those of 16 bits by way of shared memory."""
        found = super().finish()
        count = len(self.found.after)
        free = [each.name for each in self.operands]
        stores: list[Statement] = []
        parked: list[For] = []
        for store, own in zip(self.found.after, found[-count:], strict=True):
            if free and isinstance(store, Store) and self.is_in_pieces(store):
                assert isinstance(own, Store)
                parked.append(self.pick_up(store, free[0]))
                stores.append(Store(free.pop(0), self.parking_place(), own.value))
            else:
                stores.append(own)
        meeting: tuple[Statement, ...] = (Barrier(), *parked) if parked else ()
        lets = [let for let in found[:-count] if isinstance(let, Let)]
        return (*needed(lets, stores), *stores, *meeting)

    def is_in_pieces(self, store: Store) -> bool:
        """Whether whole pieces of results of the operands' dtype lie side by side in memory."""
        dtype = self.left.value.dtype
        if store.value.dtype != dtype or store.guard is not None:
            return False
        there = Load(dtype, store.buffer, store.offset, None)
        return lanes_along(there, self.found.columns[-1], self.starts, PIECE) == PIECE

    @property
    def lines(self) -> SwizzledLines:
        """How results lie in shared memory."""
        return SwizzledLines(self.tile.rows, self.tile.columns, PIECE)

    def parking_place(self) -> Size:
        """Where a thread's result lies there."""
        row, column = (self.own_place(each) for each in self.operands)
        part, _ = map(variable, self.parts["right"])
        first = part * PIECE
        return self.lines.at(row, first) + (column - first)

    def pick_up(self, store: Store, parked: str) -> For:
        """Store whole pieces of results from shared memory, those that there are."""
        pieces = self.tile.columns // PIECE
        steps = loop("%step", self.tile.rows * pieces // self.threads, "serial", ())
        lane = loop("%lane", PIECE, "wide", (), PIECE)
        number = self.group(steps)
        at = {
            "left": dim.floor_divide(number, pieces),
            "right": dim.remainder(number, pieces) * PIECE,
        }
        indices: dict[str, Size] = {}
        guards: dict[str, Size] = {}
        for each in self.operands:
            place = self.tile_number(each) * each.width + at[each.name]
            indices |= each.axis.digits(place)
            if each.axis.is_inside(place, each.width) is not None:
                guards[each.name] = dim.minimum(1, dim.maximum(0, each.axis.count - place))
        found = self.lines.at(at["left"], at["right"]) + variable(lane)
        to = dim.substitute(store.offset, indices) + variable(lane)
        body = replace(
            lane, body=(Store(store.buffer, to, Load(store.value.dtype, parked, found, None)),)
        )
        for name, limit in guards.items():
            body = loop(f"%is_in_{name}", limit, "serial", (body,))
        return replace(steps, body=(body,))

    def add_up(self) -> For:
        """Add the products of the terms of a slice, for a warpgroup together."""
        steps = super().add_up()
        (terms,) = steps.body
        assert isinstance(terms, For)
        return replace(steps, body=(replace(terms, lanes=WARPGROUP),))
