"""Where the pieces of rows lie in shared memory: lines of all banks, each turned by one piece more.

Memory that threads share has 32 banks of 4 bytes, so a line of 128 bytes, eight pieces of 16, takes
all of them at once. Rows are stored piece beside piece, which fills lines; a matrix unit loads the
same piece of eight rows, which as they come would be the same banks of eight lines. So the pieces
of each line stand further by one than those of the line before, those beyond its end at the start:

    row 0   0 1 2 3 4 5 6 7
    row 1   7 0 1 2 3 4 5 6
    row 2   6 7 0 1 2 3 4 5

Both take each bank once, and no space is lost between rows. Where several rows share a line, it is
lines that are turned; where a row has several, all of them as the row is.
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
class TurnedLines:
    """Rows of so many elements, a power of two, whose pieces have so many elements."""

    width: int
    piece: int

    def at(self, row: Size, column: Size) -> Size:
        """Where an element lies among those of all rows."""
        line, place, turn = self.line(row, dim.floor_divide(column, self.piece))
        turned = dim.remainder(place + turn, PIECES)
        return (line * PIECES + turned) * self.piece + dim.remainder(column, self.piece)

    def line(self, row: Size, piece: Size) -> tuple[Size, Size, Size]:
        """The line of a piece of a row, its place there, and by how many the line is turned."""
        count = self.width // self.piece
        if count >= PIECES:
            line = row * (count // PIECES) + dim.floor_divide(piece, PIECES)
            return line, dim.remainder(piece, PIECES), row
        rows = PIECES // count
        line = dim.floor_divide(row, rows)
        return line, piece + count * dim.remainder(row, rows), line
