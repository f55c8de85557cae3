"""Parts of arrays: x[...], elements along an axis, one-hot rows."""

from __future__ import annotations

from types import EllipsisType
from typing import Any, TypeAlias

from graphc.errors import GraphError
from graphc.ir.dim import Dim, Size, floor_divide, maximum, minimum
from graphc.ir.node import Node, apply, describe, word
from graphc.ir.size_proof import simplify
from graphc.ir.types import DTypeLike, float64, int64
from graphc.lang.movement import expand_dims
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    broadcast_node,
    broadcast_shapes,
    reshape_node,
    to_axis,
    to_dtype,
    to_node_dtype,
)
from graphc.lang.sizes import SizeLike, is_integer, to_size

Item: TypeAlias = int | Dim | slice | EllipsisType | None
Window: TypeAlias = tuple[Size, Size, int]
"""Where the elements along an axis begin, how many they are, and the step between them."""


@word
def getitem(x: ArrayLike, key: Any) -> Node:
    """x[key]: integers, slices with steps, None for a new axis, and one Ellipsis, as in NumPy.

    Bounds of slices are clamped, an integer must be in range: at once where the size is static,
    when sizes are known where it is symbolic. A symbolic bound counts from the start. GraphError
    for arrays and masks.
    """
    node = as_node(x)
    windows: list[Window] = []
    shape: list[Size] = []
    for item in filled(key, node):
        if item is None:
            shape.append(1)
            continue
        axis = len(windows)
        if isinstance(item, slice):
            windows.append(window(item, node.shape[axis]))
            shape.append(windows[-1][1])
        else:
            windows.append((position(item, axis, node), 1, 1))
    return reshape_node(cut(node, windows), tuple(shape))


def filled(key: Any, node: Node) -> list[Any]:
    """The parts of a key, with slices of everything for the axes it leaves out."""
    items = list(key) if isinstance(key, tuple) else [key]
    for item in items:
        if not isinstance(item, slice | Dim | EllipsisType | None) and not is_integer(item):
            raise GraphError(
                f"an index is an integer, a slice, None or ..., not {type(item).__name__}: "
                "use take_along_axis for indices in an array and where for masks"
            )
    dots = [place for place, item in enumerate(items) if item is Ellipsis]
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > node.ndim:
        raise GraphError(f"{used} indices are too many for {node.ndim} axes{describe([node])}")
    if len(dots) > 1:
        raise GraphError("an index can have only one ...")
    at = dots[0] if dots else len(items)
    return items[:at] + [slice(None)] * (node.ndim - used) + items[at + 1 :]


def position(item: Any, axis: int, node: Node) -> Size:
    """The place that an integer index means, counted from the start of its axis."""
    size = node.shape[axis]
    if isinstance(item, Dim):
        return item
    place = int(item)
    if isinstance(size, int) and not -size <= place < size:
        raise GraphError(
            f"index {place} is out of range for axis {axis}, which has {size}{describe([node])}"
        )
    return place if place >= 0 else size + place


def window(part: slice, size: Size) -> Window:
    """The elements that a slice takes of an axis."""
    if not (part.step is None or is_integer(part.step)) or part.step == 0:
        raise GraphError(f"the step of a slice is an integer other than 0, not {part.step!r}")
    step = 1 if part.step is None else int(part.step)
    ends = slice(to_bound(part.start), to_bound(part.stop))
    first, stop = (forward if step > 0 else backward)(ends, size)
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


@word
def take_along_axis(x: ArrayLike, indices: ArrayLike, /, axis: int = -1) -> Node:
    """For each index the element of x along an axis: result[..., i] = x[..., indices[..., i]].

    The other axes broadcast. Negative indices count from the end; an index out of range gives
    NaN, or 0 for integers. GraphError unless x and the indices have equally many axes.
    """
    node, chosen = as_node(x), as_node(indices)
    at = to_axis(axis, node.ndim, "take_along_axis")
    if chosen.ndim != node.ndim:
        raise GraphError(
            f"take_along_axis: indices have {chosen.ndim} axes and x has {node.ndim}: "
            f"they must be equally many{describe([node, chosen])}"
        )
    alone = [(*part.shape[:at], 1, *part.shape[at + 1 :]) for part in (node, chosen)]
    shape = broadcast_shapes(alone, [node, chosen])
    wide = [
        broadcast_node(part, (*shape[:at], part.shape[at], *shape[at + 1 :]))
        for part in (node, chosen)
    ]
    return apply("take_along_axis", *wide, axis=at)


@word
def one_hot(indices: ArrayLike, n: SizeLike, /, dtype: DTypeLike = float64) -> Node:
    """A new last axis of size n that is 1 at each index and else 0 (all 0 out of range)."""
    node, size = as_node(indices), to_size(n, "one_hot")
    if not node.dtype.is_integer:
        raise GraphError(f"one_hot: indices must be integers, these are {node.dtype.name}")
    shape = (*node.shape, size)
    columns = apply("iota", shape=shape, axis=node.ndim, dtype=int64)
    places = broadcast_node(expand_dims(to_node_dtype(node, int64), node.ndim), shape)
    return to_node_dtype(places == columns, to_dtype(dtype))
