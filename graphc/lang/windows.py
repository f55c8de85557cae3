"""Windows: the elements along an axis that a slice takes, with symbolic sizes and bounds."""

from __future__ import annotations

from typing import Any, TypeAlias

from graphc.errors import GraphError
from graphc.ir.dim import Dim, Size, floor_divide, maximum, minimum
from graphc.ir.node import Node, apply
from graphc.ir.size_proof import simplify
from graphc.lang.sizes import is_integer

Window: TypeAlias = tuple[Size, Size, int]
"""Where the elements along an axis begin, how many they are, and the step between them."""


def window(part: slice, size: Size) -> Window:
    """The elements that a slice takes of an axis."""
    if not (part.step is None or is_integer(part.step)) or part.step == 0:
        raise GraphError(f"the step of a slice is an integer other than 0, not {part.step!r}")
    step = 1 if part.step is None else int(part.step)
    ends = slice(to_bound(part.start), to_bound(part.stop))
    first, stop = (forward if step > 0 else backward)(ends, size)
    if part.start is None and part.stop is None and abs(step) == 1:
        return simplify(first), size, step  # of a size that could be negative too, as it is
    span, stride = (stop - first, step) if step > 0 else (first - stop, -step)
    count = positive(floor_divide(span + stride - 1, stride))
    return simplify(first), simplify(count), step


def to_bound(value: Any) -> Size | None:
    """A bound of a slice as it is, a NumPy integer as Python's; GraphError for anything else."""
    if value is None or isinstance(value, Dim):
        return value
    if not is_integer(value):
        raise GraphError(f"a bound of a slice is an integer, a size or None, not {value!r}")
    return int(value)


def forward(part: slice, size: Size) -> tuple[Size, Size]:
    """The first index and the one to stop before.

    Neither needs clamping where the slice is empty, since then no element is read; so `x[1:]` and
    `x[:-1]` have one size, and not two that are merely equal.
    """
    start, stop = part.start, part.stop
    first: Size = 0 if start is None else start
    if isinstance(first, Dim) or first < 0:
        first = positive(first if isinstance(first, Dim) else size + first)
    if stop is None:
        return first, size
    if isinstance(stop, Dim) or stop >= 0:
        return first, minimum(positive(stop), size)
    return first, size + stop


def backward(part: slice, size: Size) -> tuple[Size, Size]:
    """The first index and the one to stop at, for a negative step."""
    start, stop = part.start, part.stop
    first: Size = size - 1
    last: Size = -1
    if isinstance(start, Dim) or (start is not None and start >= 0):
        first = minimum(positive(start) + 1, size) - 1
    elif start is not None:
        first = size + start
    if isinstance(stop, Dim) or (stop is not None and stop >= 0):
        last = positive(stop)
    elif stop is not None:
        last = positive(size + stop + 1) - 1
    return first, last


def positive(size: Size) -> Size:
    """A size, or 0 where it would be negative."""
    return maximum(size, 0)


def cut(node: Node, windows: list[Window]) -> Node:
    """The elements in a window of each axis."""
    if all(taken == (0, size, 1) for taken, size in zip(windows, node.shape, strict=True)):
        return node
    starts, sizes, steps = zip(*windows, strict=True)
    return apply("slice", node, starts=starts, sizes=sizes, steps=steps)
