"""split_convolutions: make convolutions without gaps of one whose elements stand apart.

Between the elements of a transposed convolution, or of a strided one's gradient, are zeros. Results
whose windows meet elements alike are a convolution of their own, so that no zero is multiplied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply, say
from graphc.ir.program import Decision
from graphc.lang.movement import reshape
from graphc.ops.convolution import convolve, slide
from graphc.ops.windows import Sliding, number
from graphc.passes.decisions import lines, record


def split_convolutions(graph: Graph) -> Graph:
    """Rewrite each convolution over elements that stand apart into one for each phase."""
    return graph.rewrite(lambda node: separated(node) if node.op.name == "convolution" else node)


def separated(node: Node) -> Node:
    """A convolution without gaps along the first axis that has them, and then along the others."""
    windows = slide(node.inputs[0].shape, node.inputs[1].shape, node.attrs)
    gaps = [axis for axis, window in enumerate(windows) if has_phases(window)]
    if not gaps:
        return node
    wide = [with_margins(window) if has_phases(window) else window for window in windows]
    return without_gaps(padded(node, windows, wide), wide, gaps[0])


# --- padding that all phases share ----------------------------------------------------------------


def with_margins(window: Sliding) -> Sliding:
    """The window over as many elements more on both sides as any phase reaches beyond them."""
    dense = [dense_window(window, start) for start in range(window.spacing)]
    low, high = (max(0, *(numbers(d)[side] for d in dense)) for side in (0, 1))
    before, after = low * window.spacing, high * window.spacing
    less = replace(window, low=window.low - before, high=window.high - after)
    return replace(less, size=window.size + low + high)


def numbers(window: Sliding) -> tuple[int, int]:
    """The padding of a window on both sides, which is known."""
    return number(window.low), number(window.high)


def padded(node: Node, windows: Sequence[Sliding], wide: Sequence[Sliding]) -> Node:
    """The convolution over its operand with zeros around it, in memory for all phases to read."""
    x, w = node.inputs
    pairs = [margins_between(*pair) for pair in zip(windows, wide, strict=True)]
    if not any(low or high for low, high in pairs):
        return node
    low, high = zip((0, 0), (0, 0), *pairs, strict=True)
    margins = {"low": low, "high": high, "interior": (0,) * x.ndim}
    return convolve(apply("stage", apply("pad", x, **margins)), w, wide, node.attrs["groups"])


def margins_between(window: Sliding, wide: Sliding) -> tuple[int, int]:
    """How many elements a window has more than another before and behind."""
    if wide is window:
        return 0, 0
    (low, high), (less, lesser) = numbers(window), numbers(wide)
    return (low - less) // window.spacing, (high - lesser) // window.spacing


# --- phases ---------------------------------------------------------------------------------------


def without_gaps(node: Node, windows: Sequence[Sliding], axis: int) -> Node:
    """The convolution as one for each distance of a window from the element before it.

    Window o looks at the elements with tap t where (o + t - low) is a multiple of the spacing, so
    that windows a spacing apart use the same taps, on neighbouring elements.
    """
    window = windows[axis]
    spacing, count = window.spacing, number(window.count)
    rows = -(-count // spacing)
    parts = [phase(node, windows, axis, start, rows) for start in range(spacing)]
    record(Decision("split_convolutions", "one convolution for each phase", repr(node),
                    "zeros between elements are not multiplied", where=lines([node])))  # fmt: skip
    together = say("stack", parts, axis=axis + 3)
    shape = (*node.shape[: axis + 2], rows * spacing, *node.shape[axis + 3 :])
    whole = reshape(together, shape)
    return whole[(slice(None),) * (axis + 2) + (slice(0, count),)]


def has_phases(window: Sliding) -> bool:
    """Whether elements stand apart, and it is known which taps a window uses, and of how many."""
    sizes = (window.count, window.taps, window.low, window.high, window.size)
    known = all(isinstance(size, int) for size in sizes)
    apart = window.spacing > 1 and window.stride == window.dilation == 1
    return known and apart and window.count != 0


def phase(node: Node, windows: Sequence[Sliding], axis: int, start: int, rows: int) -> Node:
    """The results of every spacing-th window from a start on, along an axis."""
    x, w = node.inputs
    window = windows[axis]
    dense = dense_window(window, start)
    shape = (*node.shape[: axis + 2], rows, *node.shape[axis + 3 :])
    if not dense.taps:
        return say("zeros", shape, dtype=node.dtype)
    first = first_tap(window, start)
    chosen = w[(slice(None),) * (axis + 2) + (slice(first, None, window.spacing),)]
    sliding = [*windows[:axis], dense, *windows[axis + 1 :]]
    return separated(convolve(x, chosen, sliding, node.attrs["groups"]))


def first_tap(window: Sliding, start: int) -> int:
    """The first tap with which the windows from a start on look at elements."""
    return (number(window.low) - start) % window.spacing


def dense_window(window: Sliding, start: int) -> Sliding:
    """Every spacing-th window from a start on, over the elements side by side."""
    first, size = first_tap(window, start), number(window.size)
    taps = len(range(first, number(window.taps), window.spacing))
    low = (number(window.low) - start - first) // window.spacing
    rows = -(-number(window.count) // window.spacing)
    return Sliding(size, taps, 1, low, rows - 1 + taps - size - low)
