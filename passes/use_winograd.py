"""use_winograd: convolutions of 3 by 3 taps with fewer multiplications.

A tile of 4 by 4 results needs 36 multiplications for each channel instead of 144. This file says
which convolutions are done so, and `passes/winograd_layer.py` how.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.program import Decision
from graphc.ir.types import float32, float64
from graphc.ops.convolution import slide
from graphc.ops.windows import Sliding, number
from graphc.passes.decisions import lines, record
from graphc.passes.permutations import permuted
from graphc.passes.winograd_layer import (
    POINTS,
    TAPS,
    Blocks,
    Layer,
    blocks_of,
    convolution,
    gradient,
    typical,
)

# What it costs to store an element and load it again, in operations of a product of matrices.
MOVED = 26


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
    blocks = blocks_of(layer, 1 if has_taps else 4)
    if not pays(node, layer, blocks):
        return node
    return convolution(layer, blocks) if has_taps else gradient(layer, blocks)


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


def layer_of(node: Node, windows: Sequence[Sliding], has_taps: bool) -> Layer:
    """The layer of a convolution; in the gradient by the kernel examples stand second."""
    x, w = node.inputs
    sizes = tuple(number(v.count if has_taps else v.taps) for v in windows)
    images = permuted(x, (0, 2, 3, 1) if has_taps else (1, 2, 3, 0))
    return Layer(images, permuted(w, (1, 2, 3, 0)), sizes, tuple(number(v.low) for v in windows))


# --- whether it pays -----------------------------------------------------------------------------


def pays(node: Node, layer: Layer, blocks: Blocks) -> bool:
    """Whether tiles save more operations than it costs to store them and load them again."""
    count, pairs, lanes = typical(layer.x.shape[0]), math.prod(layer.channels), sum(layer.channels)
    points, tiles = count * math.prod(layer.sizes), count * math.prod(layer.counts)
    direct = 2 * TAPS**2 * points * pairs
    moved = POINTS * (tiles * lanes + pairs) + 2 * points * lanes
    costs = (direct, 2 * POINTS * tiles * pairs + MOVED * moved)
    names = ("direct", "in tiles", "examples at once", "kernels at once")
    values = (*costs, blocks.examples, blocks.kernels)
    numbers = tuple(zip(names, map(str, values), strict=True))
    if costs[1] < costs[0]:
        decide(node, "in tiles", "fewer operations, moves counted", numbers)
    else:
        reason = "moving the tiles costs more than multiplying less saves"
        decide(node, "direct", reason, numbers)
    return costs[1] < costs[0]


def decide(node: Node, choice: str, reason: str, numbers: tuple[tuple[str, str], ...] = ()) -> None:
    """Record how a convolution is done."""
    record(Decision("use_winograd", choice, repr(node), reason, numbers, lines([node])))
