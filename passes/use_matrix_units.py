"""use_matrix_units: let warps multiply the tiles of contractions of 16-bit floats, or of tf32.

GPUs have units that add the product of a 16 by 16 and a 16 by 8 matrix to a 16 by 8 one in a few
cycles, where 32 threads, a warp, hold parts of the three in registers. Of float32 they take half as
many terms, rounded to the 11 bits of tf32, which is for the user to allow. Here a block's eight
warps share the tile of a contraction (`passes/contraction_tiling.py`): each has some such matrices
of sums, and the operands are brought to shared memory as they lie in memory, neighbours side by
side (`passes/swizzled_lines.py`), from where units load them either way. A `matrix` loop over the
terms is what the unit does; it says what is multiplied with what, and a device without one runs it
as it stands (`graphc.ir.kernel`).

Where operands come as they lie in memory, several neighbours at once, `copy` loops bring them while
the units multiply. Shared memory has room for three slices: one that is added up, one that is there
when the threads meet next, and one that may still be on its way then. What a thread loads into its
registers would be there as early, but compilers load it as late as they can.

Sums are of float32, as they are without. Only the order in which a unit adds its terms is its own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, Barrier, For, Let, Statement, loop, variable
from graphc.ir.program import Program
from graphc.ir.scalar import Call, Load, Ref, Scalar, cast
from graphc.ir.types import DType, bfloat16, float16, float32
from graphc.passes.block_tile import THREADS, BlockTile, block_tile, tiles_of
from graphc.passes.contraction import Contraction
from graphc.passes.contraction_tiling import WARP, Operand, Tiling
from graphc.passes.loop_nests import nested
from graphc.passes.swizzled_lines import PIECE_BYTES, SwizzledLines
from graphc.passes.tile_contractions import counts, in_tiles
from graphc.passes.widen_accesses import Starts

WARPS = THREADS // WARP
ROWS, COLUMNS, TERM_BYTES = 16, 8, 32
"""The matrices of a unit: rows and columns of sums, and bytes of the terms of one."""
DEPTH_BYTES = 64
"""Bytes of the terms of a row that are brought at a time."""
SKEW_BYTES = 16
"""Bytes between the rows of a slice that is in no lines: those loaded at once lie in all banks."""
SKEW = 8
"""Elements between the terms of such a slice where rows lie side by side, for the same reason."""
COPIES = (4, 8, 16)
"""Bytes that a device copies to shared memory by itself."""


def use_matrix_units(program: Program, tf32: bool = False) -> Program:
    """Let warps compute the contractions of 16-bit floats that are large enough in tiles.

    Those of float32 as well, where the user allows that their factors are rounded to tf32.
    """
    return in_tiles(program, partial(tiling_of, tf32=tf32), "use_matrix_units")


def tiling_of(found: Contraction, starts: Starts, tf32: bool = False) -> Tiling | None:
    """The tiles of a contraction of 16-bit floats, or of float32 as tf32; None for any other."""
    if found.sum.dtype != float32:
        return None
    left, right = halves_in(found.left), halves_in(found.right)
    if left is not None and right is not None and left.dtype == right.dtype:
        return UnitTiling(
            replace(found, left=left, right=right), tile_of(found, left.dtype), starts
        )
    is_single = found.left.dtype == found.right.dtype == float32
    return UnitTiling(found, tile_of(found, float32), starts) if tf32 and is_single else None


def tile_of(found: Contraction, dtype: DType) -> BlockTile:
    """The tile of a contraction over factors of a dtype."""
    depth = DEPTH_BYTES // dtype.bytes
    fitting = [replace(tile, depth=depth) for tile in tiles_of(float32) if warps_of(tile)]
    return block_tile(*counts(found), fitting)


def halves_in(value: Scalar) -> Load | None:
    """The load of a 16-bit float that a factor is, converted to float32; None for others."""
    if not isinstance(value, Call) or value.function != "cast" or value.dtype != float32:
        return None
    (inner,) = value.arguments
    return inner if isinstance(inner, Load) and inner.dtype in (float16, bfloat16) else None


def warps_of(tile: BlockTile) -> tuple[int, int] | None:
    """How many warps share the rows and the columns of a tile, as even as matrices allow."""
    ways = [(n, WARPS // n) for n in (1, 2, 4, 8)]
    fitting = [
        (rows, columns)
        for rows, columns in ways
        if tile.rows % (rows * ROWS) == 0 and tile.columns % (columns * COLUMNS) == 0
    ]
    return min(fitting, key=lambda w: tile.rows // w[0] + tile.columns // w[1], default=None)


class UnitTiling(Tiling):
    """A contraction in tiles for matrix units; its factors are what these multiply."""

    @property
    def is_copied(self) -> bool:
        """Whether both operands are as they lie in memory, neighbours that are copied together."""
        return all(
            isinstance(each.value, Load)
            and each.lanes > 1
            and each.lanes * each.value.dtype.bytes in COPIES
            for each in self.operands
        )

    @property
    def slots(self) -> int:
        """How many slices shared memory has room for: copies are one more ahead."""
        return 3 if self.is_copied else 2

    def block(self) -> For:
        """The loop over threads; what is copied is in no registers on its way."""
        if not self.is_copied:
            return super().block()
        sums = nested(
            [*self.parts["left"], *self.parts["right"]],
            (
                self.found.sum,
                *(self.bring(each, 0, each.name) for each in self.operands),
                self.meet(),
                *(self.bring(each, 1, each.name) for each in self.operands),
                replace(self.slices, body=self.slice()),
                Barrier(),
                *self.finish(),
            ),
        )
        return replace(self.thread, body=(sums,))

    def meet(self) -> Barrier:
        """Wait for all copies but those of the newest slice."""
        return Barrier(pending=1)

    def slice(self) -> tuple[Statement, ...]:
        """Add up the slice that is there while two others are on their way."""
        if not self.is_copied:
            return super().slice()
        later = variable(self.slices) + 2
        copies = (self.bring(each, later, each.name) for each in self.operands)
        return (self.meet(), *copies, self.add_up())

    def bring(self, each: Operand, number: Size, target: str) -> For:
        """Load or copy a thread's elements of a slice."""
        steps = super().bring(each, number, target)
        if not self.is_copied:
            return steps
        (lane,) = steps.body
        assert isinstance(lane, For)
        return replace(steps, body=(replace(lane, kind="copy"),))

    def own_parts(self) -> dict[str, list[For]]:
        """The matrices of a warp, and in each two rows and two columns for a thread."""
        found = self.own_warps()
        self.warps = {"left": found[0], "right": found[1]}
        rows, columns = (
            self.tile.rows // (found[0] * ROWS),
            self.tile.columns // (found[1] * COLUMNS),
        )
        return {
            "left": [loop("%row_part", rows, "unrolled", ()), loop("%row", 2, "unrolled", ())],
            "right": [
                loop("%column_part", columns, "unrolled", ()),
                loop("%column", 2, "unrolled", ()),
            ],
        }

    def own_warps(self) -> tuple[int, int]:
        """How many warps share the rows and the columns of the tile."""
        found = warps_of(self.tile)
        assert found is not None
        return found

    def own_place(self, each: Operand) -> Size:
        """A thread's row or column in the tile, as units deal matrices of sums to a warp."""
        thread = variable(self.thread)
        warp, lane = dim.floor_divide(thread, WARP), dim.remainder(thread, WARP)
        part, inner = map(variable, self.parts[each.name])
        width = each.width // self.warps[each.name]
        if each is self.left:
            first = dim.floor_divide(warp, self.warps["right"]) * width
            return first + part * ROWS + inner * (ROWS // 2) + dim.floor_divide(lane, 4)
        first = dim.remainder(warp, self.warps["right"]) * width
        return first + part * COLUMNS + dim.remainder(lane, 4) * 2 + inner

    def elements(self, each: Operand) -> int:
        """Elements of shared memory that a slice takes."""
        if self.is_in_lines(each):
            return each.width * self.tile.depth
        return (each.width if each.along else self.tile.depth) * self.pitch(each)

    def at(self, each: Operand, row: Size, term: Size) -> Size:
        """Where an element of a slice lies among these: beside those that it was brought with."""
        outer, inner = (row, term) if each.along else (term, row)
        if self.is_in_lines(each):
            sides = each.width, self.tile.depth
            lines = SwizzledLines(*(sides if each.along else sides[::-1]), each.lanes)
            return lines.at(outer, inner)
        return outer * self.pitch(each) + inner

    def is_in_lines(self, each: Operand) -> bool:
        """Whether an operand is stored and loaded by whole pieces of lines."""
        size = each.value.dtype.bytes
        is_loaded_whole = each.along or size == 2  # units turn no larger elements
        return each.lanes * size == PIECE_BYTES and is_loaded_whole

    def pitch(self, each: Operand) -> int:
        """From one row of a slice to the next, or from one term where rows lie side by side."""
        if each.along:
            return self.tile.depth + SKEW_BYTES // each.value.dtype.bytes
        return each.width + SKEW

    def add_up(self) -> For:
        """Add the products of the terms of a slice, as many at a time as a unit takes."""
        terms = TERM_BYTES // self.left.value.dtype.bytes
        steps = loop("%unit", self.tile.depth // terms, "serial", ())
        term = loop("%term", terms, "matrix", ())
        lets = tuple(
            self.read(each, variable(steps) * terms + variable(term)) for each in self.operands
        )
        left, right = (Ref(float32, let.name) for let in lets)
        product = Accumulate(self.found.sum.name, left * right)
        return replace(steps, body=(replace(term, body=(*lets, product)),))

    def read(self, each: Operand, term: Size) -> Let:
        """An element of a slice, for the rows or columns of a thread, in float32."""
        let = super().read(each, term)
        return Let(let.name, cast(let.value, float32))
