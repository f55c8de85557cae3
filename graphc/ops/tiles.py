"""Square tiles of images under a linear map of both axes: what fast convolutions are made of.

Channels come last, so that vectors lie along them and every access is of neighbours. The two
operators are transposes of each other, and so are their derivatives. They take no float16 and no
bfloat16: the maps of fast convolutions lose more digits than those have to spare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Dim, Size, product
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.node import Node, apply
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import DType, TensorType, float32, float64, int64, show_shape
from graphc.lang.movement import moveaxis, reshape
from graphc.ops.procedure import Procedure
from graphc.ops.slicing import conjunction, within
from graphc.ops.tile_formulas import Matrix, transposed, two_sided

Pair: TypeAlias = tuple[int, ...]
"""A number for the rows of an image and one for the columns."""

VECTOR_BITS = 512
"""Channels side by side fill one of the widest vectors, so that a tile of them is in registers."""


class Tiles(Procedure):
    """An operator over tiles; it is linear in its only operand."""

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The operator itself, applied to the tangent."""
        return None if tangents[0] is None else apply(self.name, tangents[0], **node.attrs)


@register
class TransformTiles(Tiles):
    """The square tiles d of images [N, H, W, C] as T d T^T: [a * a, N * rows * columns, C].

    T is the `matrix`, a by b, and `counts` are the rows and columns of tiles. A tile is b by b
    elements of a channel. The first begins `low` before the image, others `step` after the one
    before them; what lies around the image is zero. The first axis of the result says which
    element of a transformed tile, the second which tile, both in row-major order.
    """

    name = "transform_tiles"

    def infer(
        self, x: TensorType, *, matrix: Matrix, step: int, low: Pair, counts: Pair
    ) -> TensorType:
        """[a * a, N * rows * columns, C]."""
        check(x.dtype, matrix, step, low, counts)
        if x.rank != 4:
            raise TypeRuleError(f"takes images [N, H, W, C], not {x}")
        return TensorType(x.dtype, (len(matrix) ** 2, x.shape[0] * product(counts), x.shape[3]))

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Each tile by itself."""
        (x,), (result,), matrix = kernel.operands, kernel.results, node.attrs["matrix"]
        rows, columns = node.attrs["counts"]
        with kernel.nest("parallel", (x.shape[0], rows, columns)) as (n, i, j):
            down, along = places_of(node, (i, j), len(matrix[0]))
            with along_channels(kernel, node) as c:
                tile = [[element(x, (n, y, z, c)) for z in along] for y in down]
                for place, value in enumerate(two_sided(kernel, matrix, tile)):
                    result[place, (n * rows + i) * columns + j, c] = value

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient's tiles under the transposed map, added up where they were taken."""
        sizes = node.inputs[0].shape[:3]
        return [apply("add_tiles", gradient, sizes=sizes, **turned(node))]

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The images of all in one row."""
        (x,), (elements, tiles, channels) = operands, node.shape
        size, count, *rest = x.shape
        result = apply(self.name, reshape(x, (size * count, *rest)), **node.attrs)
        return moveaxis(reshape(result, (elements, size, tiles, channels)), 1, 0)

    def reference(self, x: Any, *, matrix: Matrix, step: int, low: Pair, counts: Pair) -> Any:
        """All tiles side by side, then the map along each of their axes."""
        side = len(matrix[0])
        tiles = np.zeros((side, side, x.shape[0], *counts, x.shape[3]), x.dtype)
        for at, tile, image in aligned(side, step, low, counts, x.shape):
            tiles[at][tile] = x[image]
        found = mapped(matrix, tiles)
        return found.reshape(len(matrix) ** 2, x.shape[0] * product(counts), x.shape[3])


@register
class AddTiles(Tiles):
    """Images [N, H, W, C] from tiles d, each added as T d T^T: the transpose of `transform_tiles`.

    T is the `matrix`, b by a, and `sizes` are N, H and W. The operand [a * a, N * rows * columns,
    C] and the places of tiles are those that `transform_tiles` with T^T has. What lies around the
    image is left out, and where there is no tile, there are zeros.
    """

    name = "add_tiles"

    def infer(
        self,
        x: TensorType,
        *,
        matrix: Matrix,
        step: int,
        low: Pair,
        counts: Pair,
        sizes: tuple[Size, ...],
    ) -> TensorType:
        """[N, H, W, C]; there must be as many tiles as the images have."""
        check(x.dtype, matrix, step, low, counts)
        if len(sizes) != 3:
            raise TypeRuleError(f"needs the number, height and width of images, not {sizes}")
        wanted = (len(matrix[0]) ** 2, sizes[0] * product(counts))
        if x.rank != 3 or x.shape[:2] != wanted:
            raise TypeRuleError(f"takes tiles {show_shape(wanted)} of channels, not {x}")
        return TensorType(x.dtype, (*sizes, x.shape[2]))

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Each tile by itself where none overlap, else those of an image in their order."""
        (x,), (result,), matrix = kernel.operands, kernel.results, node.attrs["matrix"]
        (rows, columns), side, given = node.attrs["counts"], len(matrix), range(len(matrix[0]))
        overlap = node.attrs["step"] < side
        if overlap or not is_covered(node):
            clear(node, kernel)
        kinds = "serial" if overlap else "parallel"
        with (
            kernel.loop("parallel", node.shape[0]) as n,
            kernel.nest(kinds, (rows, columns)) as (i, j),
        ):
            down, along = places_of(node, (i, j), side)
            _, *sizes, _ = result.shape
            times = [counted(kernel, *pair) for pair in zip((down, along), sizes, strict=True)]
            with along_channels(kernel, node) as c:
                tile = (n * rows + i) * columns + j
                tiles = [[x[len(given) * u + v, tile, c] for v in given] for u in given]
                values = two_sided(kernel, matrix, tiles)
                for (y, z), value in zip(np.ndindex(side, side), values, strict=True):
                    index = (n, down[y], along[z], c)
                    with once_or_never(kernel, times[0][y] * times[1][z]):
                        result[index] = result[index] + value if overlap else value

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient's tiles under the transposed map."""
        return [apply("transform_tiles", gradient, **turned(node))]

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The images of all in one row."""
        (x,), (count, *rest) = operands, node.shape
        size, elements, tiles, channels = x.shape
        row = reshape(moveaxis(x, 0, 1), (elements, size * tiles, channels))
        sizes = (size * count, *node.attrs["sizes"][1:])
        result = apply(self.name, row, **{**node.attrs, "sizes": sizes})
        return reshape(result, (size, count, *rest))

    def reference(
        self, x: Any, *, matrix: Matrix, step: int, low: Pair, counts: Pair, sizes: Pair
    ) -> Any:
        """The map along both axes of all tiles, then each of their elements added in its place."""
        given, shape = len(matrix[0]), (*sizes, x.shape[2])
        found = mapped(matrix, x.reshape(given, given, sizes[0], *counts, x.shape[2]))
        result = np.zeros(shape, x.dtype)
        for at, tile, image in aligned(len(matrix), step, low, counts, shape):
            result[image] += found[at][tile]
        return result


def check(dtype: DType, matrix: Matrix, step: int, low: Pair, counts: Pair) -> None:
    """TypeRuleError unless the dtype is one that operators over tiles take, and their numbers."""
    if dtype not in (float32, float64):
        raise TypeRuleError(f"takes float32 or float64, not {dtype.name}")
    if not matrix or not matrix[0] or {len(row) for row in matrix} != {len(matrix[0])}:
        raise TypeRuleError(f"the matrix must have rows of equal length, not {matrix}")
    if step < 1 or len(low) != 2 or len(counts) != 2 or min(counts) < 0:
        raise TypeRuleError(f"tiles cannot be {counts} with steps of {step} from {low}")


def turned(node: Node) -> dict[str, Any]:
    """The attributes of the transposed operator, without `sizes`."""
    kept = {name: node.attrs[name] for name in ("step", "low", "counts")}
    return {"matrix": transposed(node.attrs["matrix"]), **kept}


# --- loops ---------------------------------------------------------------------------------------


@contextmanager
def along_channels(kernel: KernelWriter, node: Node) -> Iterator[Dim]:
    """A loop over the channels in vectors."""
    with kernel.loop("vector", node.shape[-1], VECTOR_BITS // node.dtype.bits) as c:
        yield c


def places_of(node: Node, tile: Sequence[Size], side: int) -> list[list[Size]]:
    """The rows of an image that a tile lies over, and the columns."""
    step, low = node.attrs["step"], node.attrs["low"]
    pairs = zip(tile, low, strict=True)
    return [[at * step - margin + k for k in range(side)] for at, margin in pairs]


def element(images: Array, index: tuple[Size, ...]) -> Scalar:
    """An element of an image, zero around it."""
    _, *sizes, _ = images.shape
    pairs = zip(index[1:3], sizes, strict=True)
    guard = conjunction([unsure for place, size in pairs for unsure in within(place, size)])
    return images[index] if guard is None else images.where(guard, index)


def counted(kernel: KernelWriter, places: Sequence[Size], size: Size) -> list[Size]:
    """For each place along an axis 1 if it lies in the image, else 0."""
    guards = [conjunction(list(within(place, size))) for place in places]
    return [1 if g is None else kernel.bind(scalar.cast(g, int64)) for g in guards]


@contextmanager
def once_or_never(kernel: KernelWriter, times: Size) -> Iterator[None]:
    """A loop of one iteration or of none; nothing around what surely runs."""
    with nullcontext() if times == 1 else kernel.loop("serial", times):
        yield


def is_covered(node: Node) -> bool:
    """Whether tiles side by side cover all of the image."""
    step, low, counts = (node.attrs[name] for name in ("step", "low", "counts"))
    ends = [count * step - margin for count, margin in zip(counts, low, strict=True)]
    sizes = zip(low, ends, node.shape[1:3], strict=True)
    return step == len(node.attrs["matrix"]) and all(
        first >= 0 and isinstance(size, int) and size <= end for first, end, size in sizes
    )


def clear(node: Node, kernel: KernelWriter) -> None:
    """Zeros in all of the result."""
    flat = kernel.results[0].reshape(node.size)
    with kernel.loop("parallel", node.size) as place:
        flat[place] = scalar.const(node.dtype, 0)


# --- with NumPy ----------------------------------------------------------------------------------


def mapped(matrix: Matrix, tiles: Any) -> Any:
    """T d T^T of tiles [a, a, ...]; what a factor of zero meets does not count, even infinity."""
    for axis in (0, 1):
        values = np.moveaxis(tiles, axis, 0)
        rows = [
            sum((tiles.dtype.type(f) * v for f, v in zip(row, values, strict=True) if f), start=0)
            + np.zeros_like(values[0])
            for row in matrix
        ]
        tiles = np.moveaxis(np.stack(rows), 0, axis)
    return tiles


def aligned(
    side: int, step: int, low: Pair, counts: Pair, shape: Sequence[int]
) -> Iterator[tuple[tuple[int, int], Any, Any]]:
    """For each element of a tile: which tiles have it inside the image, and where it is there."""
    images = np.arange(shape[0])
    for at in np.ndindex(side, side):
        tiles, places = [images], [images]
        for k, margin, count, size in zip(at, low, counts, shape[1:3], strict=True):
            place = np.arange(count) * step - margin + k
            (inner,) = np.nonzero((place >= 0) & (place < size))
            tiles.append(inner)
            places.append(place[inner])
        yield at, np.ix_(*tiles), np.ix_(*places)
