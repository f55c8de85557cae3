"""use_winograd: convolutions of 3 by 3 taps with fewer multiplications.

A tile of 4 by 4 results comes from 6 by 6 elements. The maps of `passes/cook_toom.py` take elements
and taps to 36 points, where they are multiplied and added up over channels: 36 multiplications
instead of 144, as 36 products of matrices, tiles by channels times channels by kernels. The
gradient by the kernel is the transposed algorithm, and reads the same tiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from graphc.ir.dim import Size
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply, say
from graphc.ir.program import Decision
from graphc.ir.types import float32, float64
from graphc.lang.movement import permute_dims
from graphc.ops.convolution import slide
from graphc.ops.tile_formulas import transposed
from graphc.ops.windows import Sliding, number
from graphc.passes.cook_toom import fast_convolution
from graphc.passes.decisions import lines, record
from graphc.passes.fold_constants import folded

Pair: TypeAlias = tuple[int, ...]
"""A number for the height and one for the width."""

TAPS, RESULTS = 3, 4
# With the points 0, 1, -1, 2 and -2 the error would be four times as large (docs/decisions.md).
MAPS = fast_convolution([Fraction(quarters, 4) for quarters in (0, 3, -3, 6, -6)], TAPS)
POINTS = len(MAPS.elements) ** 2
# What it costs to store an element and load it again, in operations of a product of matrices.
MOVED = 20
# What a symbolic number of examples or channels is taken to be.
TYPICAL_SIZE = 16


def use_winograd(graph: Graph) -> Graph:
    """Rewrite convolutions that have 3 by 3 taps, or 3 by 3 results, where that pays."""
    return graph.rewrite(lambda node: in_tiles(node) if node.op.name == "convolution" else node)


def in_tiles(node: Node) -> Node:
    """A convolution in tiles if it can be and gains from it, else as it is."""
    windows = slide(node.inputs[0].shape, node.inputs[1].shape, node.attrs)
    has_taps = [window.taps for window in windows] == [TAPS, TAPS]
    if not has_taps and [window.count for window in windows] != [TAPS, TAPS]:
        return node
    reason = misfit(node, windows)
    if reason:
        decide(node, "direct", reason)
        return node
    layer = layer_of(node, windows, has_taps)
    if not pays(node, layer):
        return node
    return convolution(layer, node.inputs[1]) if has_taps else gradient(layer, node.inputs[1])


def misfit(node: Node, windows: Sequence[Sliding]) -> str:
    """Why a convolution cannot be done in tiles; empty if it can."""
    if node.dtype not in (float32, float64):
        return f"{node.dtype.name} has too few digits for the maps"
    if node.attrs["groups"] != 1:
        return "its channels are in groups"
    if any((window.stride, window.dilation, window.spacing) != (1, 1, 1) for window in windows):
        return "it has strides or dilation"
    sizes = [size for w in windows for size in (w.size, w.taps, w.low, w.count)]
    known = all(isinstance(size, int) for size in sizes)
    return "" if known else "the size of its images is symbolic"


@dataclass(frozen=True, slots=True)
class Layer:
    """What the algorithms know of a convolution.

    images are [N, H, W, C], and `low` counts the zeros in front of them. sizes are those that tiles
    of 4 by 4 cover: the results' or, for the gradient by the kernel, its operand's.
    """

    images: Node
    kernels: Size
    sizes: Pair
    low: Pair

    @property
    def tiles(self) -> Pair:
        """How many tiles there are, down and across."""
        return tuple(-(-size // RESULTS) for size in self.sizes)

    @property
    def places(self) -> dict[str, Any]:
        """Where the tiles lie over what they cover."""
        return {"step": RESULTS, "low": (0, 0), "counts": self.tiles}


def layer_of(node: Node, windows: Sequence[Sliding], has_taps: bool) -> Layer:
    """The layer of images [N, C, H, W] and taps, or of images [C, N, H, W] and a gradient."""
    x, w = node.inputs
    images = reordered(x, (0, 2, 3, 1) if has_taps else (1, 2, 3, 0))
    sizes = tuple(number(v.count if has_taps else v.taps) for v in windows)
    return Layer(images, w.shape[0], sizes, tuple(number(v.low) for v in windows))


def reordered(x: Node, axes: Sequence[int]) -> Node:
    """The axes in another order, by one movement: the same images are the same node."""
    if x.op.name == "permute_dims":
        return reordered(x.inputs[0], [x.attrs["axes"][axis] for axis in axes])
    return permute_dims(x, axes)


# --- the algorithms -------------------------------------------------------------------------------


def convolution(layer: Layer, w: Node) -> Node:
    """The results [N, K, *sizes] for taps [K, C, 3, 3]."""
    around = {"step": TAPS, "low": (0, 0), "counts": (1, 1)}
    turned = folded(reordered(w, (1, 2, 3, 0)))
    taps = folded(apply("transform_tiles", turned, matrix=MAPS.taps, **around))
    products = say("matmul", elements(layer), taps)
    sizes = (layer.images.shape[0], *layer.sizes)
    results = apply("add_tiles", products, matrix=MAPS.results, sizes=sizes, **layer.places)
    return apply("stage", permute_dims(results, (0, 3, 1, 2)))


def gradient(layer: Layer, g: Node) -> Node:
    """The results [C, K, 3, 3] for a gradient [K, N, *sizes] of what the taps gave."""
    images, places = reordered(g, (1, 2, 3, 0)), layer.places
    spread = apply("transform_tiles", images, matrix=transposed(MAPS.results), **places)
    products = say("matmul", permute_dims(elements(layer), (0, 2, 1)), spread)
    around = {"step": TAPS, "low": (0, 0), "counts": (1, 1)}
    sizes = (layer.images.shape[3], TAPS, TAPS)
    taps = apply("add_tiles", products, matrix=transposed(MAPS.taps), sizes=sizes, **around)
    return permute_dims(taps, (0, 3, 1, 2))


def elements(layer: Layer) -> Node:
    """The elements that tiles of results see, under their map: [36, tiles, C]."""
    seen = {**layer.places, "low": layer.low}
    return apply("transform_tiles", layer.images, matrix=MAPS.elements, **seen)


# --- whether it pays -----------------------------------------------------------------------------


def pays(node: Node, layer: Layer) -> bool:
    """Whether tiles save more operations than it costs to store them and load them again."""
    count, _, _, channels = layer.images.shape
    lanes = typical(channels) + typical(layer.kernels)
    pairs = typical(channels) * typical(layer.kernels)
    points = typical(count) * math.prod(layer.sizes)
    tiles = typical(count) * math.prod(layer.tiles)
    direct = 2 * TAPS**2 * points * pairs
    moved = POINTS * (tiles * lanes + pairs) + 2 * points * lanes
    costs = (direct, 2 * POINTS * tiles * pairs + MOVED * moved)
    numbers = tuple(zip(("direct", "in tiles"), map(str, costs), strict=True))
    if costs[1] < costs[0]:
        decide(node, "in tiles", "fewer operations, moves counted", numbers)
    else:
        reason = "moving the tiles costs more than multiplying less saves"
        decide(node, "direct", reason, numbers)
    return costs[1] < costs[0]


def typical(size: Size) -> int:
    """A size, or what a symbolic one is taken to be."""
    return size if isinstance(size, int) else TYPICAL_SIZE


def decide(node: Node, choice: str, reason: str, numbers: tuple[tuple[str, str], ...] = ()) -> None:
    """Record how a convolution is done."""
    record(Decision("use_winograd", choice, repr(node), reason, numbers, lines([node])))
