"""A convolution of 3 by 3 taps, and its gradient by the kernel, as products of tiles.

The maps of `passes/cook_toom.py` take elements and taps to 36 points, where they are multiplied and
added up over channels: 36 products of matrices, tiles by channels times channels by kernels. What
is many, examples or kernels, is taken in blocks, so that tiles stay in cache between the maps and
the products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from graphc.ir.dim import Size, floor_divide
from graphc.ir.node import Node, apply, say
from graphc.lang.creation import zeros
from graphc.lang.loops import scan
from graphc.lang.movement import permute_dims, reshape
from graphc.ops.tile_formulas import transposed
from graphc.passes.cook_toom import fast_convolution
from graphc.passes.fold_constants import folded
from graphc.passes.machine import SECOND_CACHE
from graphc.passes.permutations import permuted

Pair: TypeAlias = tuple[int, ...]
"""A number for the height and one for the width, or for channels and kernels."""

TAPS, RESULTS = 3, 4
# With the points 0, 1, -1, 2 and -2 the error would be four times as large (docs/decisions.md).
MAPS = fast_convolution([Fraction(quarters, 4) for quarters in (0, 3, -3, 6, -6)], TAPS)
RESULTS_BACK, TAPS_BACK = transposed(MAPS.results), transposed(MAPS.taps)
POINTS = len(MAPS.elements) ** 2
# Taps are one tile for each pair of a channel and a kernel.
ONE_TILE = {"step": TAPS, "low": (0, 0), "counts": (1, 1)}
# Elements in tiles that stay in the second cache, or nearly so.
IN_CACHE = SECOND_CACHE // 4
# Kernels that fill the columns of a register tile.
FEW_KERNELS = 32
# What a symbolic number of examples or channels is taken to be.
TYPICAL_SIZE = 16


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


@dataclass(frozen=True, slots=True)
class Blocks:
    """How many examples, or how many kernels, to take at once."""

    examples: Size
    kernels: Size


def convolution(layer: Layer, blocks: Blocks) -> Node:
    """The results [N, K, *sizes]."""
    count, kernels = layer.x.shape[0], layer.w.shape[3]
    if blocks.kernels != kernels:
        tiles = elements(layer, layer.x)

        def by_kernels(w: Node) -> Node:
            return results(layer, tiles, taps_of(permuted(w, (1, 2, 3, 0))), count)

        parts = looped(by_kernels, in_blocks(permuted(layer.w, (3, 0, 1, 2)), blocks.kernels))
        return apply("stage", joined(parts))
    taps = taps_of(folded(layer.w))

    def by_examples(x: Node) -> Node:
        found = results(layer, elements(layer, x), taps, x.shape[0])
        return apply("stage", permute_dims(found, (0, 3, 1, 2)))

    if blocks.examples == count:
        return by_examples(layer.x)
    parts = looped(by_examples, in_blocks(layer.x, blocks.examples))
    return reshape(parts, (count, *parts.shape[2:]))


def gradient(layer: Layer, blocks: Blocks) -> Node:
    """The results [C, K, 3, 3]."""
    count, kernels = layer.x.shape[0], layer.w.shape[3]
    if blocks.kernels != kernels:
        tiles = elements(layer, layer.x)
        strips = in_blocks(permuted(layer.w, (3, 0, 1, 2)), blocks.kernels)

        def by_kernels(g: Node) -> Node:
            return gradient_of_taps(products(layer, tiles, g))

        return joined(looped(by_kernels, permute_dims(strips, (0, 2, 3, 4, 1))))

    def by_examples(x: Node, g: Node) -> Node:
        return products(layer, elements(layer, x), g)

    if blocks.examples == count:
        total = by_examples(layer.x, layer.w)
    else:
        none = zeros((POINTS, layer.x.shape[3], kernels), dtype=layer.x.dtype)
        parts = tuple(in_blocks(part, blocks.examples) for part in (layer.x, layer.w))
        total, _ = scan(lambda sum_, part: (sum_ + by_examples(*part), ()), none, parts)
    return permute_dims(gradient_of_taps(total), (0, 3, 1, 2))


# --- their parts ---------------------------------------------------------------------------------


def elements(layer: Layer, x: Node) -> Node:
    """The elements of some images that tiles of results see, at the points: [36, tiles, C]."""
    places = {**layer.places, "low": layer.low}
    return apply("transform_tiles", x, matrix=MAPS.elements, **places)


def taps_of(w: Node) -> Node:
    """The taps [C, 3, 3, K] at the points [36, C, K]; at once if they are constant."""
    return folded(apply("transform_tiles", w, matrix=MAPS.taps, **ONE_TILE))


def results(layer: Layer, tiles: Node, taps: Node, count: Size) -> Node:
    """The results [N, *sizes, K] of so many examples' tiles."""
    sums, sizes = say("matmul", tiles, taps), (count, *layer.sizes)
    return apply("add_tiles", sums, matrix=MAPS.results, sizes=sizes, **layer.places)


def products(layer: Layer, tiles: Node, g: Node) -> Node:
    """The gradient of taps at the points [36, C, K], from that of results [N, *sizes, K]."""
    spread = apply("transform_tiles", g, matrix=RESULTS_BACK, **layer.places)
    return say("matmul", permute_dims(tiles, (0, 2, 1)), spread)


def gradient_of_taps(sums: Node) -> Node:
    """The gradient of taps [C, 3, 3, K] from that at the points."""
    sizes = (sums.shape[1], TAPS, TAPS)
    return apply("add_tiles", sums, matrix=TAPS_BACK, sizes=sizes, **ONE_TILE)


# --- blocks --------------------------------------------------------------------------------------


def blocks_of(layer: Layer, uses: int) -> Blocks:
    """Blocks of what there is more of, so that tiles or taps stay in cache.

    For a block of examples the taps at the points, or their gradient, are loaded again, `uses`
    times: a block has at least as many elements in tiles. For a block of kernels the tiles are
    loaded again. Taps that are constant are not computed, and need no blocks.
    """
    count, kernels = layer.x.shape[0], layer.w.shape[3]
    each = POINTS * math.prod(layer.counts) * sum(layer.channels)
    taps = POINTS * math.prod(layer.channels)
    given = permuted(layer.w, (3, 0, 1, 2)).op.name == "constant"
    if taps > max(IN_CACHE, typical(count) * each) and not given:
        wide = [d for d in divisors(kernels) if d >= FEW_KERNELS]
        return Blocks(count, min(wide, default=kernels))
    enough = [d for d in divisors(count) if d * each >= uses * taps]
    fitting = [d for d in enough if d * each <= IN_CACHE]
    return Blocks(max(fitting, default=min(enough, default=count)), kernels)


def divisors(size: Size) -> list[int]:
    """The numbers that surely divide a size."""
    return [d for d in range(1, size + 1) if size % d == 0] if isinstance(size, int) else [1]


def in_blocks(x: Node, block: Size) -> Node:
    """The first axis in blocks, along a new axis in front."""
    count, *rest = x.shape
    return reshape(x, (floor_divide(count, block), block, *rest))


def looped(function: Callable[[Node], Node], blocks: Node) -> Node:
    """What a function makes of each block, along a new axis in front."""
    _, found = scan(lambda _, block: ((), function(block)), (), blocks)
    assert isinstance(found, Node)
    return found


def joined(parts: Node) -> Node:
    """Blocks of last channels [B, n, h, w, b] as [n, B * b, h, w]."""
    count, first, *sizes, width = parts.shape
    return reshape(permute_dims(parts, (1, 0, 4, 2, 3)), (first, count * width, *sizes))


def typical(size: Size) -> int:
    """A size, or what a symbolic one is taken to be."""
    return size if isinstance(size, int) else TYPICAL_SIZE
