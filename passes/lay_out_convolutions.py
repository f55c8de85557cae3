"""lay_out_convolutions: put the operands of convolutions into memory as their loops read them.

What a convolution multiplies is read once for every tap, so that it pays to arrange it before:

- where rows of results would not fill vectors, the kernel has its outputs last, in panels as wide
  as a tile, so that vectors can lie along the outputs; tiles then leave out taps on padding;
- elsewhere padding is stored, so that no tap asks whether it looks at an element; but not where
  each channel is by itself and the processor loads by masks: a copy takes as long as a few taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.dim import Size, product
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.ir.program import Decision
from graphc.lang.movement import permute_dims
from graphc.ops.convolution import convolve, slide
from graphc.ops.windows import Sliding, number
from graphc.passes.decisions import lines, record
from graphc.passes.interchange_loops import filled
from graphc.passes.machine import SECOND_CACHE
from graphc.passes.narrow_sums import MAX_APART
from graphc.passes.panels import PANEL, in_panels, panel_of
from graphc.passes.permutations import beneath, moved, permuted, unpermuted

# A kernel that is used at fewer places is not worth arranging.
FEW_PLACES = 32


def lay_out_convolutions(graph: Graph, masks: bool = True) -> Graph:
    """Rewrite each convolution to read operands staged as its loops want them.

    masks tells whether the processor loads some lanes of a vector as fast as all of them.
    """

    def change(node: Node) -> Node:
        return arranged(node, masks) if node.op.name == "convolution" else node

    return graph.rewrite(change)


def arranged(node: Node, masks: bool) -> Node:
    """A convolution over operands that are arranged for it, if their sizes allow."""
    windows = slide(node.inputs[0].shape, node.inputs[1].shape, node.attrs)
    if any(window.spacing > 1 for window in windows):
        return node
    if sums_by_channels(node):
        return with_padding_stored(node, windows, True)
    outputs_last = prefers_outputs(node) or lies_by_channels(node)
    apart = masks and is_depthwise(node)
    if lies_by_channels(node) or (outputs_last and (apart or leaves_out(node, windows))):
        return with_outputs_last(node)
    padded = node if apart else with_padding_stored(node, windows, outputs_last)
    if outputs_last:
        return with_outputs_last(padded)
    return apply("convolution", *map(with_rows, padded.inputs), **padded.attrs)


# --- padding --------------------------------------------------------------------------------------


def with_padding_stored(node: Node, windows: Sequence[Sliding], any_order: bool) -> Node:
    """The convolution over its first operand with its padding."""
    x, w = node.inputs
    if all(window.low == window.high == 0 for window in windows) or not all(map(is_known, windows)):
        return node
    dense = [replace(v, size=reach(v), low=0, high=0) for v in windows]
    if sums_by_channels(node):
        source, places, moves = beneath(x, range(2, x.ndim))
        elements = moved(laid(source, places, windows), moves)
    else:
        elements = stored(x, windows, any_order)
    made = convolve(elements, w, dense, node.attrs["groups"])
    if made.type != node.type:
        return node
    decide(node, "padding stored", "no tap asks whether it looks at an element")
    return made


def leaves_out(node: Node, windows: Sequence[Sliding]) -> bool:
    """Whether tiles leave out taps that see padding, with vectors along outputs at known places."""
    places = (size for v in windows for size in (v.low, v.count, v.size))
    known = node.attrs["groups"] == 1 and all(isinstance(size, int) for size in places)
    if not known or any(max(margins_of(v)) > MAX_APART * v.dilation for v in windows):
        return False
    if reaches_beyond(windows):
        decide(node, "padding left out", "tiles know which taps look beyond the border")
    return True


def is_known(window: Sliding) -> bool:
    """Whether it is known how much padding the windows of an axis reach."""
    return isinstance(window.low, int) and isinstance(reach(window) - window.size, int)


def reach(window: Sliding) -> Size:
    """Over how many elements windows reach."""
    return (window.count - 1) * window.stride + window.span


def stored(x: Node, windows: Sequence[Sliding], any_order: bool) -> Node:
    """x as windows reach it, in memory; axes change places only when it is read.

    So the gradient by the kernel, which exchanges two of them, finds what the convolution has
    stored. Unless any order will do, the last axis is the last one in memory.
    """
    padded = reaches_beyond(windows)
    source, axes = unpermuted(x if padded or any_order else with_rows(x))
    if not any_order and axes[-1] != x.ndim - 1:
        source, axes = x, tuple(range(x.ndim))
    return permute_dims(laid(source, axes[2:], windows), axes)


def reaches_beyond(windows: Sequence[Sliding]) -> bool:
    """Whether windows reach beyond the elements."""
    return any(low > 0 or high > 0 for low, high in map(margins_of, windows))


def laid(source: Node, places: Sequence[int], windows: Sequence[Sliding]) -> Node:
    """A value as windows reach it along some of its axes: cut, and with zeros around in memory."""
    cut: list[slice] = [slice(None)] * source.ndim
    low: list[Size] = [0] * source.ndim
    high: list[Size] = [0] * source.ndim
    for axis, window in zip(places, windows, strict=True):
        before, after = margins_of(window)
        cut[axis] = slice(max(0, -before), window.size + min(0, after))
        low[axis] = max(0, before)
        high[axis] = max(0, after)
    inside = source[tuple(cut)]
    if not reaches_beyond(windows):
        return inside
    margins = {"low": tuple(low), "high": tuple(high), "interior": (0,) * source.ndim}
    return apply("stage", apply("pad", inside, **margins))


def margins_of(window: Sliding) -> tuple[int, int]:
    """How far windows reach before and behind the elements; less than 0 where they stop short."""
    return number(window.low), number(reach(window) - window.low - window.size)


def with_rows(operand: Node) -> Node:
    """An operand whose last axis is the last one in memory, as vectors along rows read it."""
    _, axes = unpermuted(operand)
    return operand if axes[-1] == operand.ndim - 1 else apply("stage", operand)


# --- kernels --------------------------------------------------------------------------------------


def with_outputs_last(node: Node) -> Node:
    """The convolution with its kernel stored so that neighbours are outputs.

    Its other axes follow one another as those of the operand that slides below it.
    """
    x, w = node.inputs
    _, order = unpermuted(x)
    axes = (*sorted(range(1, w.ndim), key=lambda axis: (is_longest(w, axis), order[axis])), 0)
    decide(node, "outputs last", "vectors along the outputs are fuller than along rows of results")
    lying = permuted(w, axes)
    outputs = w.shape[0]
    assert isinstance(outputs, int)
    panel = PANEL if is_streamed(w) and outputs % PANEL == 0 else panel_of(outputs, PANEL)
    panel = panel if node.attrs["groups"] == 1 else outputs
    if lying.op.name == "permute_dims" or panel < outputs:
        lying = in_panels(lying, outputs, panel)
    back = [axes.index(axis) for axis in range(w.ndim)]
    return apply("convolution", x, permuted(lying, back), **node.attrs)


def is_longest(w: Node, axis: int) -> bool:
    """Whether an axis is that of channels, of which a kernel has more than taps in a row."""
    channels = w.shape[1]
    known = axis == 1 and isinstance(channels, int)
    return known and all(is_fewer(taps, number(channels)) for taps in w.shape[2:])


def is_streamed(w: Node) -> bool:
    """Whether a kernel is too large for the second cache: each panel comes from further away."""
    return not is_fewer(w.size * w.dtype.bytes, SECOND_CACHE)


def prefers_outputs(node: Node) -> bool:
    """Whether vectors along the outputs are as full as vectors along its rows."""
    w, places = node.inputs[1], product((node.shape[0], *node.shape[2:]))
    outputs = w.shape[0]
    if node.attrs["groups"] != 1 or not isinstance(outputs, int) or outputs < 2:
        return False
    pointwise = all(taps == 1 for taps in w.shape[2:])
    row = product(node.shape[2:]) if pointwise else node.shape[-1]
    along_rows = filled(row) if node.attrs["strides"][-1] == 1 else 0
    pays = not is_fewer(places, FEW_PLACES) or has_outputs_last(w)
    return pays and filled(outputs) >= along_rows


def has_outputs_last(w: Node) -> bool:
    """Whether neighbours in a kernel are outputs as it lies, so that nothing has to be arranged."""
    _, order = unpermuted(w)
    return order[0] == w.ndim - 1


def is_depthwise(node: Node) -> bool:
    """Whether each channel is by itself, with one kernel."""
    w = node.inputs[1]
    return bool(w.shape[1] == 1 and node.attrs["groups"] == w.shape[0] != 1)


def lies_by_channels(node: Node) -> bool:
    """Whether channels are by themselves and stand last in memory, so that vectors take them."""
    _, order = unpermuted(node.inputs[0])
    return is_depthwise(node) and isinstance(node.shape[1], int) and order[1] == node.ndim - 1


def sums_by_channels(node: Node) -> bool:
    """Whether a depthwise kernel's gradient has channels last in memory, so that vectors take them.

    It has more taps than places, and one channel of the operand for each example.
    """
    x, w = node.inputs
    taps, places = taps_and_places(node)
    few = isinstance(places, int) and not (isinstance(taps, int) and taps <= places)
    if not few or node.attrs["groups"] != w.shape[0] or w.shape[0] == 1:
        return False
    source, spatial = beneath(x, range(2, x.ndim))[:2]
    _, order = unpermuted(w)
    last = source.ndim - 1
    return order[0] == w.ndim - 1 and last not in spatial and source.shape[-1] == w.shape[0]


def taps_and_places(node: Node) -> tuple[Size, Size]:
    """How many taps a convolution has, and how many windows in an example."""
    return product(node.inputs[1].shape[2:]), product(node.shape[2:])


def is_fewer(size: Size, number: int) -> bool:
    """Whether a size is known to be below a number."""
    return isinstance(size, int) and size < number


def decide(node: Node, choice: str, reason: str) -> None:
    """Record what became of a convolution."""
    record(Decision("lay_out_convolutions", choice, repr(node), reason, where=lines([node])))
