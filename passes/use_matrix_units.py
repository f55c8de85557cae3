"""use_matrix_units: let warps multiply the tiles of contractions of 16-bit floats.

GPUs have units that add the product of a 16 by 16 and a 16 by 8 matrix to a 16 by 8 one in a few
cycles, where 32 threads, a warp, hold parts of the three in registers. Here a block's eight warps
share the tile of a contraction (`passes/contraction_tiling.py`): each has some such matrices of
sums, and the operands are brought to shared memory as they lie in memory, neighbours side by side,
from where units load them either way. A `matrix` loop over 16 terms is what the unit does; it says
what is multiplied with what, and a device without one runs it as it stands (`graphc.ir.kernel`).

Sums are of float32, as they are without. Only the order in which a unit adds 16 terms is its own.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, For, Let, loop, variable
from graphc.ir.program import Program
from graphc.ir.scalar import Call, Load, Ref, Scalar, cast
from graphc.ir.types import bfloat16, float16, float32
from graphc.passes.block_tile import THREADS, BlockTile, block_tile, tiles_of
from graphc.passes.contraction import Contraction
from graphc.passes.contraction_tiling import Operand, Tiling
from graphc.passes.tile_contractions import counts, in_tiles
from graphc.passes.widen_accesses import Starts

WARP = 32
"""Threads of a warp."""
WARPS = THREADS // WARP
ROWS, COLUMNS, TERMS = 16, 8, 16
"""The matrices of a unit."""
DEPTH = 32
"""Terms that are brought at a time."""
SKEW = 8
"""Elements between the rows of a slice, 16 bytes: those that a unit loads at once lie in all
banks."""


def use_matrix_units(program: Program) -> Program:
    """Let warps compute the contractions of 16-bit floats that are large enough in tiles."""
    return in_tiles(program, tiling_of, "use_matrix_units")


def tiling_of(found: Contraction, starts: Starts) -> Tiling | None:
    """The tiles of a contraction of 16-bit floats; None for any other."""
    left, right = halves_in(found.left), halves_in(found.right)
    if left is None or right is None or left.dtype != right.dtype or found.sum.dtype != float32:
        return None
    fitting = [replace(tile, depth=DEPTH) for tile in tiles_of(float32) if warps_of(tile)]
    tile = block_tile(*counts(found), fitting)
    return UnitTiling(replace(found, left=left, right=right), tile, starts)


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
    """A contraction in tiles for matrix units; its factors are the 16-bit floats themselves."""

    def own_parts(self) -> dict[str, list[For]]:
        """The matrices of a warp, and in each two rows and two columns for a thread."""
        found = warps_of(self.tile)
        assert found is not None
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
        return each.width * (DEPTH + SKEW) if each.along else DEPTH * (each.width + SKEW)

    def at(self, each: Operand, row: Size, term: Size) -> Size:
        """Where an element of a slice lies among these: beside those that it was brought with."""
        return row * (DEPTH + SKEW) + term if each.along else term * (each.width + SKEW) + row

    def add_up(self) -> For:
        """Add the products of the terms of a slice, as many at a time as a unit takes."""
        steps = loop("%unit", DEPTH // TERMS, "serial", ())
        term = loop("%term", TERMS, "matrix", ())
        lets = tuple(
            self.read(each, variable(steps) * TERMS + variable(term)) for each in self.operands
        )
        left, right = (Ref(float32, let.name) for let in lets)
        product = Accumulate(self.found.sum.name, left * right)
        return replace(steps, body=(replace(term, body=(*lets, product)),))

    def read(self, each: Operand, term: Size) -> Let:
        """An element of a slice, for the rows or columns of a thread, in float32."""
        let = super().read(each, term)
        return Let(let.name, cast(let.value, float32))
