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

from graphc.ir.dim import Size, floor_divide
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply, say
from graphc.ir.program import Decision
from graphc.ir.types import float32, float64
from graphc.lang.creation import zeros
from graphc.lang.loops import scan
from graphc.lang.movement import permute_dims, reshape
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
RESULTS_BACK, TAPS_BACK = transposed(MAPS.results), transposed(MAPS.taps)
POINTS = len(MAPS.elements) ** 2
# Taps are one tile for each pair of a channel and a kernel.
ONE_TILE = {"step": TAPS, "low": (0, 0), "counts": (1, 1)}
# Elements in tiles that stay in the second cache, or nearly so.
IN_CACHE = 1 << 18
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
    block = block_of(layer, 1 if has_taps else 4)
    if not pays(node, layer, block):
        return node
    return convolution(layer, block) if has_taps else gradient(layer, block)


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
    """What the algorithms know of a convolution, channels last.

    x are images [N, H, W, C], and `low` counts the zeros in front of them; w are the taps [C, 3, 3,
    K] or, for the gradient by the kernel, a gradient [N, *sizes, K]. sizes are what tiles of 4 by 4
    cover: those of the results or of the gradient.
    """

    x: Node
    w: Node
    sizes: Pair
    low: Pair

    @property
    def counts(self) -> Pair:
        """How many tiles an image has, down and across."""
        return tuple(-(-size // RESULTS) for size in self.sizes)

    @property
    def channels(self) -> Pair:
        """C and K, or what they are taken to be."""
        return typical(self.x.shape[3]), typical(self.w.shape[3])

    @property
    def places(self) -> dict[str, Any]:
        """Where tiles lie over what they cover."""
        return {"step": RESULTS, "low": (0, 0), "counts": self.counts}


def layer_of(node: Node, windows: Sequence[Sliding], has_taps: bool) -> Layer:
    """The layer of a convolution; in the gradient by the kernel examples stand second."""
    x, w = node.inputs
    sizes = tuple(number(v.count if has_taps else v.taps) for v in windows)
    images = reordered(x, (0, 2, 3, 1) if has_taps else (1, 2, 3, 0))
    return Layer(images, reordered(w, (1, 2, 3, 0)), sizes, tuple(number(v.low) for v in windows))


def reordered(x: Node, axes: Sequence[int]) -> Node:
    """The axes in another order, by one movement: the same images are the same node."""
    if x.op.name == "permute_dims":
        return reordered(x.inputs[0], [x.attrs["axes"][axis] for axis in axes])
    return permute_dims(x, axes)


# --- the algorithms -------------------------------------------------------------------------------


def convolution(layer: Layer, block: Size) -> Node:
    """The results [N, K, *sizes], of a block of examples after another."""
    taps = folded(apply("transform_tiles", folded(layer.w), matrix=MAPS.taps, **ONE_TILE))

    def results(x: Node) -> Node:
        products = say("matmul", elements(layer, x), taps)
        sizes = (x.shape[0], *layer.sizes)
        found = apply("add_tiles", products, matrix=MAPS.results, sizes=sizes, **layer.places)
        return apply("stage", permute_dims(found, (0, 3, 1, 2)))

    count = layer.x.shape[0]
    if block == count:
        return results(layer.x)
    _, found = scan(lambda _, x: ((), results(x)), (), in_blocks(layer.x, block))
    return reshape(found, (count, *found.shape[2:]))


def gradient(layer: Layer, block: Size) -> Node:
    """The results [C, K, 3, 3], added up from a block of examples after another."""

    def products(x: Node, g: Node) -> Node:
        spread = apply("transform_tiles", g, matrix=RESULTS_BACK, **layer.places)
        return say("matmul", permute_dims(elements(layer, x), (0, 2, 1)), spread)

    if block == layer.x.shape[0]:
        total = products(layer.x, layer.w)
    else:
        none = zeros((POINTS, layer.x.shape[3], layer.w.shape[3]), dtype=layer.x.dtype)
        parts = (in_blocks(layer.x, block), in_blocks(layer.w, block))
        total, _ = scan(lambda sum_, part: (sum_ + products(*part), ()), none, parts)
    sizes = (layer.x.shape[3], TAPS, TAPS)
    taps = apply("add_tiles", total, matrix=TAPS_BACK, sizes=sizes, **ONE_TILE)
    return permute_dims(taps, (0, 3, 1, 2))


def elements(layer: Layer, x: Node) -> Node:
    """The elements that tiles of results see in some images, under their map: [36, tiles, C]."""
    places = {**layer.places, "low": layer.low}
    return apply("transform_tiles", x, matrix=MAPS.elements, **places)


# --- blocks --------------------------------------------------------------------------------------


def block_of(layer: Layer, uses: int) -> Size:
    """How many examples to take at once, so that their tiles stay in cache.

    For each block the taps are loaded again, or their gradient, `uses` times as often: a block has
    at least as many elements in tiles.
    """
    count, channels, kernels = layer.x.shape[0], *layer.channels
    each = POINTS * math.prod(layer.counts) * (channels + kernels)
    least = POINTS * channels * kernels * uses
    divisors = [d for d in range(1, count + 1) if count % d == 0] if isinstance(count, int) else [1]
    enough = [d for d in divisors if d * each >= least]
    fitting = [d for d in enough if d * each <= IN_CACHE]
    return max(fitting, default=min(enough, default=count))


def in_blocks(x: Node, block: Size) -> Node:
    """Examples in blocks, along a new axis in front."""
    count, *rest = x.shape
    return reshape(x, (floor_divide(count, block), block, *rest))


# --- whether it pays -----------------------------------------------------------------------------


def pays(node: Node, layer: Layer, block: Size) -> bool:
    """Whether tiles save more operations than it costs to store them and load them again."""
    count, pairs, lanes = typical(layer.x.shape[0]), math.prod(layer.channels), sum(layer.channels)
    points, tiles = count * math.prod(layer.sizes), count * math.prod(layer.counts)
    direct = 2 * TAPS**2 * points * pairs
    moved = POINTS * (tiles * lanes + pairs) + 2 * points * lanes
    costs = (direct, 2 * POINTS * tiles * pairs + MOVED * moved)
    names = ("direct", "in tiles", "examples at once")
    numbers = tuple(zip(names, map(str, (*costs, block)), strict=True))
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
