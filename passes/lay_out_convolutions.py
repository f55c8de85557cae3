"""lay_out_convolutions: put the operands of convolutions into memory as their loops read them.

What a convolution multiplies is read once for every tap, so that it pays to arrange it before:

- zeros between elements (of a transposed convolution, or a strided one's gradient) are not stored
  and multiplied: the results whose windows meet elements alike are a convolution of their own;
- padding is stored, so that no tap asks whether it looks at an element;
- where rows of results would not fill vectors, the kernel has its outputs last, in panels as wide
  as a tile, so that vectors can lie along the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.dim import Size, product
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply, say
from graphc.ir.program import Decision
from graphc.lang.movement import permute_dims, reshape
from graphc.ops.convolution import convolve, exchange, slide
from graphc.ops.windows import Sliding
from graphc.passes.decisions import lines, record
from graphc.passes.interchange_loops import LONG_SUM, SCATTER, SCATTER_OF_FEW, filled
from graphc.passes.panels import in_panels

# A kernel that is used at fewer places is not worth arranging.
FEW_PLACES = 32


def lay_out_convolutions(graph: Graph) -> Graph:
    """Rewrite each convolution into ones without gaps, over operands staged as they are read."""
    return graph.rewrite(lambda node: arranged(node) if node.op.name == "convolution" else node)


def arranged(node: Node) -> Node:
    """A convolution over operands that are arranged for it, if their sizes allow."""
    windows = slide(node.inputs[0].shape, node.inputs[1].shape, node.attrs)
    gap = next((axis for axis, window in enumerate(windows) if window.spacing > 1), None)
    if gap is not None:
        return without_gaps(node, windows, gap)
    return with_outputs_last(with_padding_stored(node, windows))


# --- zeros between elements -----------------------------------------------------------------------


def without_gaps(node: Node, windows: Sequence[Sliding], axis: int) -> Node:
    """The convolution as one for each distance of a window from the element before it.

    Window o looks at the elements with tap t where (o + t - low) is a multiple of the spacing, so
    that windows a spacing apart use the same taps, on neighbouring elements.
    """
    window = windows[axis]
    if not is_separable(window):
        return node
    spacing, count = window.spacing, window.count
    assert isinstance(count, int)
    rows = -(-count // spacing)
    parts = [phase(node, windows, axis, start, rows) for start in range(spacing)]
    decide(node, "one convolution for each phase", "zeros between elements are not multiplied")
    together = say("stack", parts, axis=axis + 3)
    shape = (*node.shape[: axis + 2], rows * spacing, *node.shape[axis + 3 :])
    whole = reshape(together, shape)
    return whole[(slice(None),) * (axis + 2) + (slice(0, count),)]


def is_separable(window: Sliding) -> bool:
    """Whether the taps that a window uses are known, and as many windows as are needed."""
    numbers = (window.count, window.taps, window.low, window.high, window.size)
    known = all(isinstance(number, int) for number in numbers)
    return known and window.stride == window.dilation == 1 and window.count != 0


def phase(node: Node, windows: Sequence[Sliding], axis: int, start: int, rows: int) -> Node:
    """The results of every spacing-th window from a start on, along an axis."""
    x, w = node.inputs
    window = windows[axis]
    assert isinstance(window.low, int)
    assert isinstance(window.size, int)
    assert isinstance(window.taps, int)
    first = (window.low - start) % window.spacing
    taps = len(range(first, window.taps, window.spacing))
    shape = (*node.shape[: axis + 2], rows, *node.shape[axis + 3 :])
    if not taps:
        return say("zeros", shape, dtype=node.dtype)
    chosen = w[(slice(None),) * (axis + 2) + (slice(first, None, window.spacing),)]
    low = (window.low - start - first) // window.spacing
    high = rows - 1 + taps - window.size - low
    dense = Sliding(window.size, taps, 1, low, high)
    sliding = [*windows[:axis], dense, *windows[axis + 1 :]]
    return arranged(convolve(x, chosen, sliding, node.attrs["groups"]))


# --- padding --------------------------------------------------------------------------------------


def with_padding_stored(node: Node, windows: Sequence[Sliding]) -> Node:
    """The convolution over its first operand with its padding."""
    x, w = node.inputs
    if all(window.low == window.high == 0 for window in windows) or not all(map(is_known, windows)):
        return node
    dense = [replace(v, size=reach(v), low=0, high=0) for v in windows]
    made = convolve(stored(x, windows), w, dense, node.attrs["groups"])
    if made.type != node.type:
        return node
    decide(node, "padding stored", "no tap asks whether it looks at an element")
    return made


def is_known(window: Sliding) -> bool:
    """Whether it is known how much padding the windows of an axis reach."""
    return isinstance(window.low, int) and isinstance(reach(window) - window.size, int)


def reach(window: Sliding) -> Size:
    """Over how many elements windows reach."""
    return (window.count - 1) * window.stride + window.span


def stored(x: Node, windows: Sequence[Sliding]) -> Node:
    """x as windows reach it, in memory; examples and channels change places only when it is read.

    So the gradient by the kernel, which exchanges them, finds what the convolution has stored.
    """
    if x.op.name == "permute_dims" and x.attrs["axes"] == exchange(x.ndim):
        return permute_dims(stored(x.inputs[0], windows), exchange(x.ndim))
    cut: list[slice] = [slice(None)] * 2
    low: list[Size] = [0, 0]
    high: list[Size] = [0, 0]
    for window in windows:
        before, after = window.low, reach(window) - window.low - window.size
        assert isinstance(before, int)
        assert isinstance(after, int)
        cut.append(slice(max(0, -before), window.size + min(0, after)))
        low.append(max(0, before))
        high.append(max(0, after))
    inside = x[tuple(cut)]
    margins = {"low": tuple(low), "high": tuple(high), "interior": (0,) * x.ndim}
    return apply("stage", apply("pad", inside, **margins))


# --- kernels --------------------------------------------------------------------------------------


def with_outputs_last(node: Node) -> Node:
    """The convolution with its kernel stored so that neighbours are outputs, if that is better."""
    x, w = node.inputs
    if node.attrs["groups"] != 1 or not prefers_outputs(node):
        return node
    outputs = w.shape[0]
    assert isinstance(outputs, int)
    turned = in_panels(permute_dims(w, (*range(1, w.ndim), 0)), outputs)
    view = permute_dims(turned, (w.ndim - 1, *range(w.ndim - 1)))
    decide(node, "outputs last", "vectors along the outputs are fuller than along rows of results")
    return apply("convolution", x, view, **node.attrs)


def prefers_outputs(node: Node) -> bool:
    """Whether vectors along the outputs do more for each result than vectors along its rows.

    Results are then stored one by one, which a long sum for each of them hides.
    """
    w, places = node.inputs[1], product((node.shape[0], *node.shape[2:]))
    outputs, steps = w.shape[0], product(w.shape[1:])
    if not isinstance(outputs, int) or outputs < 2 or is_fewer(places, FEW_PLACES):
        return False
    pointwise = all(taps == 1 for taps in w.shape[2:])
    row = product(node.shape[2:]) if pointwise else node.shape[-1]
    along_rows = filled(row) if node.attrs["strides"][-1] == 1 else 0
    return filled(outputs) * (SCATTER_OF_FEW if is_fewer(steps, LONG_SUM) else SCATTER) > along_rows


def is_fewer(size: Size, number: int) -> bool:
    """Whether a size is known to be below a number."""
    return isinstance(size, int) and size < number


def decide(node: Node, choice: str, reason: str) -> None:
    """Record what became of a convolution."""
    record(Decision("lay_out_convolutions", choice, repr(node), reason, where=lines([node])))
