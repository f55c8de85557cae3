"""Swizzled lines: each element has a place of its own, and banks are taken once at a time."""

import itertools

import pytest

from graphc.ir.dim import Size
from graphc.passes.swizzled_lines import PIECES, SwizzledLines

WIDTHS = [8, 16, 32, 64, 128, 256]


def at(lines: SwizzledLines, row: int, column: int) -> int:
    """The place of an element, as a number."""
    found: Size = lines.at(row, column)
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("piece", [4, 8])
def test_rows_fill_memory(width: int, piece: int) -> None:
    lines = SwizzledLines(32, width, piece)
    elements = itertools.product(range(32), range(width))
    assert sorted(at(lines, *element) for element in elements) == list(range(32 * width))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("piece", [4, 8])
def test_a_piece_stays_together(width: int, piece: int) -> None:
    lines = SwizzledLines(32, width, piece)
    for row, column in itertools.product(range(9), range(0, width, piece)):
        first = at(lines, row, column)
        assert first % piece == 0
        assert [at(lines, row, column + more) - first for more in range(piece)] == [*range(piece)]


@pytest.mark.parametrize("width", WIDTHS)
def test_eight_rows_take_all_banks(width: int) -> None:
    lines = SwizzledLines(32, width, 8)
    for first, column in itertools.product(range(0, 32, 8), range(0, width, 8)):
        banks = {at(lines, first + row, column) // 8 % PIECES for row in range(8)}
        assert len(banks) == PIECES


@pytest.mark.parametrize("width", WIDTHS)
def test_eight_pieces_side_by_side_take_all_banks(width: int) -> None:
    lines, pieces = SwizzledLines(32, width, 8), width // 8
    for first in range(0, 32 * pieces, 8):
        numbers = range(first, first + 8)
        banks = {at(lines, n // pieces, n % pieces * 8) // 8 % PIECES for n in numbers}
        assert len(banks) == PIECES
