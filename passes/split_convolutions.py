"""split_convolutions: make convolutions without gaps of one whose elements stand apart.

Between the elements of a transposed convolution, or of a strided one's gradient, are zeros. Results
whose windows meet elements alike are a convolution of their own, so that no zero is multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.graph import Graph
from graphc.ir.node import Node, say
from graphc.ir.program import Decision
from graphc.lang.movement import reshape
from graphc.ops.convolution import convolve, slide
from graphc.ops.windows import Sliding
from graphc.passes.decisions import lines, record


def split_convolutions(graph: Graph) -> Graph:
    """Rewrite each convolution over elements that stand apart into one for each phase."""
    return graph.rewrite(lambda node: separated(node) if node.op.name == "convolution" else node)


def separated(node: Node) -> Node:
    """A convolution without gaps along the first axis that has them, and then along the others."""
    windows = slide(node.inputs[0].shape, node.inputs[1].shape, node.attrs)
    gap = next((axis for axis, window in enumerate(windows) if window.spacing > 1), None)
    return node if gap is None else without_gaps(node, windows, gap)


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
    record(Decision("split_convolutions", "one convolution for each phase", repr(node),
                    "zeros between elements are not multiplied", where=lines([node])))  # fmt: skip
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
    return separated(convolve(x, chosen, sliding, node.attrs["groups"]))
