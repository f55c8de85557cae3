"""How rows and columns of a product are cut into tiles: as many sums as registers hold, evenly.

Tiles of one axis differ by at most one row or one vector, so that none is small. Few rows get wide
tiles, since each vector loaded is used once for each row, and a row of memory is read further.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.passes.machine import FIRST_CACHE, SECOND_CACHE, typical

# More rows than this are not worth it where the columns of a tile stay in the first cache. Where
# they come from further away for each tile, as many share them as registers hold.
MAX_ROWS = 8
# How many vectors wide a tile is where the number of columns is symbolic; and one of few rows,
# where more would leave too few tiles for all threads.
USUAL_VECTORS, MANY_VECTORS = 2, 4
# What a step of the reduction costs beside its multiplications, and what it costs at least: so
# many sums must be on their way for each to be ready when its turn comes again.
STEP_COST, SUMS_ON_THEIR_WAY = 1, 8
# What an element of a row and two vectors of columns, which come from memory together, cost more in
# products of which one side is larger than the second cache. Rows side by side share lines.
FAR_ELEMENT, FAR_PAIR = 0.5, 1.2
# What a vector of columns costs more that comes from the second cache for each tile.
NEAR_VECTOR = 0.5
# Shapes that cost so much more are as good for small products, if they take fewer different tiles.
AS_GOOD = 1.03


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an axis in equal tiles: `tiles` of `width` elements from `start` on."""

    start: Size
    tiles: Size
    width: int
    limit: Size | None = None  # of the axis, where the last tile may be partial

    def first(self, name: str) -> Size:
        """The first element of the tile that the loop `{name}o` is at."""
        return self.start + dim.symbol(f"{name}o", "index", self.tiles) * self.width


# How many other shapes a search is offered.
MANY_SHAPES = 10

Shape: TypeAlias = list[tuple[Part, int]]
"""The rows in parts, for each with how many vectors wide its tiles are."""


def shape_of_tile(
    rows: Size,
    columns: Size,
    lanes: int,
    registers: int,
    depth: Size = 0,
    near_rows: bool = False,
) -> Shape:
    """How rows are cut, and how wide their tiles are, for vectors of so many lanes.

    depth is how many bytes of either side each sum is made of; near_rows tells that those of
    neighbouring rows lie side by side.
    """
    if not isinstance(rows, int):
        return by_halves(rows, columns, lanes, registers)
    bytes_of_vector = depth * lanes if isinstance(depth, int) else 0
    if isinstance(columns, int):
        far = distance(rows, columns, depth, near_rows) if isinstance(depth, int) else NEAR
        vectors = best_vectors(rows, -(-columns // lanes), registers, bytes_of_vector, far)
    else:
        vectors = vectors_for(evenly(rows, MAX_ROWS)[0][1], registers)
    height = most_rows(vectors, registers, bytes_of_vector)
    return [(part, vectors) for part in row_parts(rows, height)]


def most_rows(vectors: int, registers: int, bytes_of_vector: int = 0) -> int:
    """How many rows of so many vectors fit: their sums, the vectors loaded, and an element."""
    fitting = max(1, (registers - vectors - 1) // vectors)
    return fitting if bytes_of_vector * vectors > FIRST_CACHE else min(MAX_ROWS, fitting)


def vectors_for(rows: int, registers: int) -> int:
    """How many vectors wide so many rows are where nothing is known of the columns."""
    if 2 * rows > MAX_ROWS:
        return USUAL_VECTORS
    return max(1, min(MANY_VECTORS, (registers - 1) // (rows + 1)))


def evenly(count: int, most: int) -> list[tuple[int, int]]:
    """How many parts of which size make up a count, none larger than some, all about equal."""
    parts = -(-count // most)
    size = -(-count // parts) if parts else 1
    smaller = parts * size - count
    return [(parts - smaller, size), (smaller, size - 1)] if smaller else [(parts, size)]


class Far(NamedTuple):
    """What an element of a row, and two vectors of columns, cost more than from a near cache."""

    element: float
    pair: float


NEAR = Far(0, 0)


def distance(rows: int, columns: int, depth: int, near_rows: bool) -> Far:
    """From how far so many rows and columns come whose sums are made of depth bytes of each."""
    if max(rows, columns) * depth <= SECOND_CACHE:
        return NEAR
    return Far(0 if near_rows else FAR_ELEMENT, FAR_PAIR)


def best_vectors(
    rows: int, columns: int, registers: int, bytes_of_vector: int = 0, far: Far = NEAR
) -> int:
    """How many vectors wide tiles are that take the least time; columns counts vectors.

    A tile reads bytes_of_vector for each of them. far tells what comes from beyond the second
    cache.
    """
    shapes: dict[int, tuple[int, float]] = {}
    for vectors in range(1, max(1, min(columns, registers // 2 - 1)) + 1):
        heights = evenly(rows, most_rows(vectors, registers, bytes_of_vector))
        cost = cost_of(heights, columns, vectors, bytes_of_vector, far)
        shapes[vectors] = (len(heights) * len(evenly(columns, vectors)), cost)
    least = min(cost for _, cost in shapes.values())
    most = least if far.pair else least * AS_GOOD
    good = {v: shape for v, shape in shapes.items() if shape[1] <= most}
    return min(good, key=lambda vectors: good[vectors])


def cost_of(
    heights: list[tuple[int, int]], columns: int, vectors: int, bytes_of_vector: int, far: Far
) -> float:
    """What a step of the reduction takes for all tiles, of up to so many vectors of columns."""
    read_again = sum(count for count, _ in heights) > 1
    near = read_again and bytes_of_vector * vectors > FIRST_CACHE
    widths = evenly(columns, vectors)
    return sum(n * m * step_cost(r, v, near, far) for n, r in heights for m, v in widths)


def other_shapes(
    rows: Size, columns: Size, lanes: int, registers: int, depth: Size, near_rows: bool = False
) -> list[Shape]:
    """Shapes that fit into the registers, those of the least predicted cost; for known sizes."""
    if not isinstance(rows, int) or not isinstance(columns, int) or not isinstance(depth, int):
        return []
    sizes = {
        (evenly(rows, height)[0][1], vectors)
        for vectors in range(1, min(-(-columns // lanes), registers // 2 - 1) + 1)
        for height in range(1, min(rows, (registers - vectors - 1) // vectors) + 1)
    }
    shapes = [[(part, v) for part in row_parts(rows, height)] for height, v in sorted(sizes)]
    shapes.sort(key=lambda shape: steps_of(shape, columns, lanes, depth, near_rows))
    return shapes[:MANY_SHAPES]


def steps_of(
    shape: Shape, columns: Size, lanes: int, depth: Size, near_rows: bool = False
) -> float:
    """What a step of the reduction takes for all tiles, in multiplications of vectors.

    depth is how many bytes each sum is made of.
    """
    heights = [(typical(part.tiles), part.width) for part, _ in shape]
    vectors = max(vectors for _, vectors in shape)
    width, read = typical(columns), typical(depth)
    far = distance(sum(n * rows for n, rows in heights), width, read, near_rows)
    return cost_of(heights, -(-width // lanes), vectors, read * lanes, far)


def step_cost(rows: int, vectors: int, near: bool, far: Far) -> float:
    """What a tile takes for a step of the reduction, in multiplications of vectors."""
    loads = vectors * NEAR_VECTOR if near else 0.0
    if far.pair:
        loads = rows * far.element + -(-vectors // 2) * far.pair
    return max(rows * vectors, rows + vectors, SUMS_ON_THEIR_WAY) + STEP_COST + loads


def row_parts(rows: int, most: int) -> list[Part]:
    """The rows in tiles of at most so many."""
    parts: list[Part] = []
    start = 0
    for tiles, height in evenly(rows, most):
        parts.append(Part(start, tiles, height))
        start += tiles * height
    return parts


def by_halves(rows: Size, columns: Size, lanes: int, registers: int) -> Shape:
    """A symbolic number of rows in full tiles, then in ever smaller ones."""
    vectors, wide = USUAL_VECTORS, MANY_VECTORS
    if isinstance(columns, int):
        vectors = best_vectors(MAX_ROWS, -(-columns // lanes), registers)
        strips = range(MANY_VECTORS, vectors, -1)
        fitting = [v for v in strips if v % vectors == 0 and columns % (v * lanes) == 0]
        wide = max(fitting, default=vectors)
    height = most_rows(vectors, registers)
    shape = [(Part(0, rows // height, height), vectors)]
    start, rest = rows - rows % height, rows % height
    height = 1 << ((height - 1).bit_length() - 1)
    while height:
        width = wide if most_rows(wide, registers) >= height else vectors
        shape.append((Part(start, rest // height, height), width))
        start, rest = start + rest // height * height, rest % height
        height //= 2
    return shape


def column_parts(columns: Size, vectors: int, lanes: int) -> list[Part]:
    """The columns in tiles of at most so many vectors; the last one may be partial."""
    width = vectors * lanes
    if not isinstance(columns, int):
        return [Part(0, (columns + width - 1) // width, width, columns)]
    parts: list[Part] = []
    start = 0
    for tiles, size in evenly(-(-columns // lanes), vectors):
        parts.append(Part(start, tiles, size * lanes))
        start += tiles * size * lanes
    if columns % lanes == 0:
        return parts
    last = parts.pop()
    full = [Part(last.start, last.tiles - 1, last.width)] if last.tiles != 1 else []
    return [*parts, *full, Part(start - last.width, 1, last.width, columns)]
