"""Where the pieces of rows lie in shared memory: lines of all banks, each with its pieces swapped.

Memory that threads share has 32 banks of 4 bytes, so a line of 128 bytes, eight pieces of 16, takes
all of them at once. Rows are stored piece beside piece, which fills lines; a matrix unit loads the
same piece of eight rows, which as they come would be the same banks of eight lines. So a piece
stands where its number crossed with that of its line says, modulo 8, bit by bit:

    line 0   0 1 2 3 4 5 6 7
    line 1   1 0 3 2 5 4 7 6
    line 2   2 3 0 1 6 7 4 5

Both take each bank once, and no space is lost between rows. Short rows share a line. Of longer ones
the first 128 bytes of all come first, a panel, then the next. It is what NVIDIA calls swizzling by
128 bytes, as its warpgroups read matrices (PTX ISA, "Shared Memory Matrix Layout").
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.dim import Size

PIECE_BYTES = 16
"""Bytes that a thread stores at once, and a row of a matrix that a unit loads."""
PIECES = 8
"""Pieces of a line, one for each four banks."""


@dataclass(frozen=True, slots=True)
class SwizzledLines:
    """So many rows of as many elements, a power of two, whose pieces have so many elements."""

    rows: int
    width: int
    piece: int

    def at(self, row: Size, column: Size) -> Size:
        """Where an element lies among those of all rows."""
        line, place = self.line(row, dim.floor_divide(column, self.piece))
        swapped = crossed(place, line)
        return (line * PIECES + swapped) * self.piece + dim.remainder(column, self.piece)

    def line(self, row: Size, piece: Size) -> tuple[Size, Size]:
        """The line of a piece of a row, and its place there before pieces are swapped."""
        count = self.width // self.piece
        if count >= PIECES:
            panel = dim.floor_divide(piece, PIECES)
            return panel * self.rows + row, dim.remainder(piece, PIECES)
        shared = PIECES // count
        return dim.floor_divide(row, shared), piece + count * dim.remainder(row, shared)


def crossed(place: Size, line: Size) -> Size:
    """The exclusive or of a piece's place and the last bits of its line's number."""
    bits = (1, 2, 4)
    return sum(
        (bit * dim.remainder(dim.floor_divide(place, bit) + dim.floor_divide(line, bit), 2)
         for bit in bits),
        start=0,
    )  # fmt: skip
