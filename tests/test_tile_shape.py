"""Shapes of register tiles: they cover every row and column once, and fit the registers."""

import math

from hypothesis import given
from hypothesis import strategies as st

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.passes.machine import FIRST_CACHE, LINE, WAYS, lines_to_a_set
from graphc.passes.tile_shape import Part, column_parts, shape_of_tile

ROWS, COLUMNS = st.integers(1, 300), st.integers(1, 700)
TARGETS = st.sampled_from([(16, 32), (8, 32), (8, 16), (4, 16), (2, 16)])
"""Lanes of a vector and number of registers."""


def covered(parts: list[Part], values: dict[str, int]) -> list[int]:
    """Every place that parts of an axis cover, in order."""
    found: list[int] = []
    for part in parts:
        start, tiles = (dim.evaluate(size, values) for size in (part.start, part.tiles))
        end = start + tiles * part.width
        limit = end if part.limit is None else dim.evaluate(part.limit, values)
        found.extend(range(start, min(end, limit)))
    return found


@given(ROWS, COLUMNS, TARGETS, st.booleans(), st.booleans(), st.sampled_from([4, 400, 40000]))
def test_tiles_cover_all_and_fit(
    m: int, n: int, target: tuple[int, int], fixed_rows: bool, fixed_columns: bool, depth: int
) -> None:
    lanes, registers = target
    rows: Size = m if fixed_rows else dim.symbol("m", "size")
    columns: Size = n if fixed_columns else dim.symbol("n", "size")
    shape = shape_of_tile(rows, columns, lanes, registers, depth)
    values = {"m": m, "n": n}
    assert covered([part for part, _ in shape], values) == list(range(m))
    for part, vectors in shape:
        assert part.width * vectors + vectors + 1 <= registers
        assert covered(column_parts(columns, vectors, lanes), values) == list(range(n))


@given(ROWS, COLUMNS, TARGETS)
def test_tiles_of_known_sizes_are_about_equal(m: int, n: int, target: tuple[int, int]) -> None:
    lanes, registers = target
    shape = shape_of_tile(m, n, lanes, registers)
    heights = {part.width for part, _ in shape if part.tiles}
    widths = {part.width // lanes for part in column_parts(n, shape[0][1], lanes) if part.tiles}
    assert max(heights) - min(heights) <= 1
    assert max(widths) - min(widths) <= 1


@given(st.integers(1, 32), st.integers(1, 4096))
def test_lines_share_places_as_addresses_say(count: int, lines: int) -> None:
    places = [at * lines % (FIRST_CACHE // WAYS // LINE) for at in range(count)]
    fullest = max(places.count(place) for place in places)
    assert fullest == math.ceil(lines_to_a_set(count, lines * LINE))
