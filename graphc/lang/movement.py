"""Shapes changed and arrays put together: the elements stay what they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from graphc.errors import GraphError, shown
from graphc.ir.dim import (
    Dim,
    Size,
    divide_terms,
    floor_divide,
    is_nonnegative,
    maximum,
    product,
    remainder,
)
from graphc.ir.node import Axes, Node, apply, describe, say, word
from graphc.ir.size_proof import advice, may_be_equal
from graphc.ir.types import show_shape
from graphc.lang.creation import ones_like
from graphc.lang.operands import (
    ArrayLike,
    agreeing,
    as_node,
    broadcast_node,
    broadcast_shapes,
    reshape_node,
    same_dtype,
    same_shape,
    to_axes,
    to_axis,
    to_node_dtype,
)
from graphc.lang.sizes import ShapeLike, SizeLike, as_tuple, is_integer, to_shape, to_size


@word
def reshape(x: ArrayLike, /, shape: ShapeLike) -> Node:
    """The elements in row-major order, in another shape of as many elements.

    One size may be -1: what the others leave. GraphError where the sizes don't fit. Where that
    depends on the values of symbols, as for `reshape(x, (-1, 4))` with a symbolic size, each call
    checks it.
    """
    node = as_node(x)
    sizes = as_tuple(shape)
    unknown = [axis for axis, size in enumerate(sizes) if is_integer(size) and size == -1]
    if len(unknown) > 1:
        raise GraphError(f"reshape: only one size can be -1, not {len(unknown)} of {sizes}")
    if unknown:
        (axis,) = unknown
        known = to_shape(sizes[:axis] + sizes[axis + 1 :], "reshape")
        sizes = (*known[:axis], missing_size(node, known), *known[axis:])
    return reshape_node(node, to_shape(sizes, "reshape"))


def missing_size(node: Node, known: tuple[Size, ...]) -> Size:
    """The size that -1 stands for beside known ones."""
    rest: Size = 1
    if (count := product(known)) != 0:
        size, rest = divide_terms(node.size, count)
    if rest != 0 and count != 0:
        size = floor_divide(node.size, maximum(count, 1))
    if count == 0 or not may_be_equal(size * count, node.size):
        raise GraphError(
            f"reshape: no size in place of -1 gives the {node.size} elements of shape "
            f"{show_shape(node.shape)}: the other sizes {show_shape(known)} hold {count}"
            f"{describe([node])}"
        )
    return size


@word
def ensure_shape(x: ArrayLike, /, shape: ShapeLike) -> Node:
    """x as it is, with the promise that this is its shape: each call checks it.

    Thus two symbolic sizes are said to be equal, or one is said to be a multiple: "4*k". GraphError
    where a size surely differs, or the number of axes does.
    """
    node, target = as_node(x), to_shape(shape, "ensure_shape")
    return node if node.shape == target else apply("ensure_shape", node, shape=target)


@word
def permute_dims(x: ArrayLike, /, axes: Sequence[int]) -> Node:
    """The axes in another order: axis i of the result is axis axes[i] of x."""
    node = as_node(x)
    order = tuple(to_axis(axis, node.ndim, "permute_dims") for axis in axes)
    return node if order == tuple(range(node.ndim)) else apply("permute_dims", node, axes=order)


@word
def matrix_transpose(x: ArrayLike) -> Node:
    """The last two axes exchanged; GraphError if there are fewer."""
    node = as_node(x)
    if node.ndim < 2:
        raise GraphError(f"matrix_transpose: needs at least two axes, this is {node.type}")
    return permute_dims(node, (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2))


@word
def moveaxis(
    x: ArrayLike, /, source: int | Sequence[int], destination: int | Sequence[int]
) -> Node:
    """Axes moved to other places, the rest in their order."""
    node = as_node(x)
    taken, places = (
        [
            to_axis(a, node.ndim, "moveaxis")
            for a in (axis if isinstance(axis, Sequence) else [axis])
        ]
        for axis in (source, destination)
    )
    if len(taken) != len(places) or len(set(taken)) < len(taken) or len(set(places)) < len(places):
        raise GraphError(f"moveaxis: {source} and {destination} must be as many distinct axes")
    order = [axis for axis in range(node.ndim) if axis not in taken]
    for place, axis in sorted(zip(places, taken, strict=True)):
        order.insert(place, axis)
    return permute_dims(node, order)


@word
def swapaxes(x: ArrayLike, axis1: int, axis2: int, /) -> Node:
    """Two axes in each other's place."""
    node = as_node(x)
    order = list(range(node.ndim))
    one, other = (to_axis(axis, node.ndim, "swapaxes") for axis in (axis1, axis2))
    order[one], order[other] = other, one
    return permute_dims(node, order)


@word
def expand_dims(x: ArrayLike, /, axis: int | Sequence[int] = 0) -> Node:
    """New axes of size 1 at the given places of the result."""
    node = as_node(x)
    rank = node.ndim + (len(axis) if isinstance(axis, Sequence) else 1)
    new, rest = to_axes(axis, rank, "expand_dims"), iter(node.shape)
    return reshape_node(node, tuple(1 if a in new else next(rest) for a in range(rank)))


@word
def squeeze(x: ArrayLike, /, axis: Axes = None) -> Node:
    """Axes of size 1 left out: the given ones, or all; GraphError where a given one is larger."""
    node = as_node(x)
    ones = tuple(a for a, size in enumerate(node.shape) if size == 1)
    axes = ones if axis is None else to_axes(axis, node.ndim, "squeeze")
    for a in axes:
        if a not in ones:
            raise GraphError(f"squeeze: axis {a} of {node.type} has size {node.shape[a]}, not 1")
    return reshape_node(node, tuple(size for a, size in enumerate(node.shape) if a not in axes))


@word
def broadcast_to(x: ArrayLike, /, shape: ShapeLike) -> Node:
    """x repeated along new axes and axes of size 1; GraphError where its shape does not fit."""
    node, target = as_node(x), to_shape(shape, "broadcast_to")
    if node.ndim > len(target) or broadcast_shapes([node.shape, target], [node]) != target:
        raise GraphError(
            f"broadcast_to: shape {show_shape(node.shape)} does not broadcast to "
            f"{show_shape(target)}{describe([node])}"
        )
    return broadcast_node(node, target)


@word
def broadcast_arrays(*arrays: ArrayLike) -> list[Node]:
    """Each array broadcast to the shape they have in common."""
    return list(same_shape(*map(as_node, arrays)))


@word
def flip(x: ArrayLike, /, axis: Axes = None) -> Node:
    """The elements in reverse order along some axes, or along all."""
    node = as_node(x)
    axes = to_axes(axis, node.ndim, "flip")
    return apply("flip", node, axes=axes) if axes else node


@word
def roll(x: ArrayLike, /, shift: Size, axis: int | None = None) -> Node:
    """The elements moved on by `shift`, an integer or a size, along an axis, the last to the front.

    Without an axis they move in row-major order. GraphError for any other shift.
    """
    node = as_node(x)
    if not isinstance(shift, Dim) and not is_integer(shift):
        raise GraphError(f"roll: shift must be an integer or a size, not {shown(shift)}")
    if axis is None:
        return reshape(roll(reshape(node, -1), shift, 0), node.shape)
    at = to_axis(axis, node.ndim, "roll")
    size = node.shape[at]
    cut = remainder(size - shift, maximum(size, 1))  # an empty axis has no remainder
    return concat([part_along(node, at, cut, size - cut), part_along(node, at, 0, cut)], at)


def part_along(node: Node, axis: int, start: Size, count: Size) -> Node:
    """So many elements along an axis, from a start on."""
    starts = tuple(start if a == axis else 0 for a in range(node.ndim))
    sizes = (*node.shape[:axis], count, *node.shape[axis + 1 :])
    return apply("slice", node, starts=starts, sizes=sizes, steps=(1,) * node.ndim)


@word
def concat(arrays: Sequence[ArrayLike], /, axis: int | None = 0) -> Node:
    """Arrays one after another along an axis, in their promoted dtype; None flattens them first.

    GraphError unless they agree in every other axis.
    """
    if not arrays:
        raise GraphError("concat: needs at least one array")
    nodes = same_dtype(*map(as_node, arrays))
    if axis is None:
        return concat([reshape(node, -1) for node in nodes], 0)
    at = to_axis(axis, nodes[0].ndim, "concat")
    parts = [beside(node, nodes[0], at) for node in nodes]
    return parts[0] if len(parts) == 1 else apply("concat", *parts, axis=at)


def beside(node: Node, first: Node, axis: int) -> Node:
    """A part of a concat whose other sizes are written as in the first part, if they are equal."""
    own = node.shape[axis : axis + 1]
    return agreeing(node, (*first.shape[:axis], *own, *first.shape[axis + 1 :]))


@word
def stack(arrays: Sequence[ArrayLike], /, axis: int = 0) -> Node:
    """Arrays of one shape along a new axis, in their promoted dtype."""
    if not arrays:
        raise GraphError("stack: needs at least one array")
    first, *others = [as_node(array) for array in arrays]
    nodes = [first, *(agreeing(part, first.shape) for part in others)]
    shapes = {node.shape for node in nodes}
    if len(shapes) > 1:
        listed = " and ".join(sorted(map(show_shape, shapes)))
        pairs = [pair for part in nodes for pair in zip(part.shape, first.shape, strict=False)]
        hint = next((advice(*pair) for pair in pairs if pair[0] != pair[1]), "")
        raise GraphError(f"stack: shapes must be equal, not {listed}{hint}{describe(nodes)}")
    at = to_axis(axis, nodes[0].ndim + 1, "stack")
    return concat([expand_dims(node, at) for node in nodes], at)


@word
def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Node, ...]:
    """The parts along an axis, which they do not have; GraphError where its size is symbolic."""
    node = as_node(x)
    at = to_axis(axis, node.ndim, "unstack")
    count = node.shape[at]
    if not isinstance(count, int):
        raise GraphError(f"unstack: axis {at} of {node.type} has a symbolic size")
    before = (slice(None),) * at
    return tuple(node[(*before, place)] for place in range(count))


@word
def split(
    x: ArrayLike, indices_or_sections: SizeLike | Sequence[SizeLike], /, axis: int = 0
) -> list[Node]:
    """Parts along an axis: so many of equal size, or those between given places.

    GraphError where the axis is known not to have equal parts, or places fall or lie outside.
    """
    node = as_node(x)
    at = to_axis(axis, node.ndim, "split")
    size, given = node.shape[at], indices_or_sections
    if isinstance(given, Sequence) and not isinstance(given, str):
        ends: list[Size] = [0, *(to_size(place, "split") for place in given), size]
    else:
        count = to_size(given, "split")
        if not isinstance(count, int) or count < 1 or remainder(size, count) != 0:
            raise GraphError(
                f"split: axis {at} of {node.type} does not have {count} equal parts"
                f"{describe([node])}"
            )
        ends = [floor_divide(size, count) * k for k in range(count + 1)]
    pairs = list(pairwise(ends))
    for start, stop in pairs:
        if not is_nonnegative(stop - start):
            raise GraphError(
                f"split: places must rise from 0 to {size}, {start} comes before {stop}"
                f"{describe([node])}"
            )
    return [part_along(node, at, start, stop - start) for start, stop in pairs]


@word
def meshgrid(*arrays: ArrayLike, indexing: str = "xy") -> list[Node]:
    """Each vector spread over the grid of all of them; with "xy" the first two axes change places.

    GraphError where one is not a vector, or for another indexing.
    """
    nodes = [as_node(array) for array in arrays]
    if indexing not in ("xy", "ij") or any(node.ndim != 1 for node in nodes):
        raise GraphError(f"meshgrid: takes vectors and indexing 'xy' or 'ij'{describe(nodes)}")
    order = list(range(len(nodes)))
    if indexing == "xy":
        order[:2] = reversed(order[:2])
    shape = [nodes[k].shape[0] for k in order]
    columns = [[node.shape[0] if k == place else 1 for k in order]
               for place, node in enumerate(nodes)]  # fmt: skip
    pairs = zip(nodes, columns, strict=True)
    return [broadcast_to(reshape(node, column), shape) for node, column in pairs]


@word
def diff(x: ArrayLike, /, *, axis: int = -1, n: int = 1) -> Node:
    """Each element along an axis less the one before it, n times over; one shorter each time."""
    node = as_node(x)
    at = to_axis(axis, node.ndim, "diff")
    if not is_integer(n) or n < 0:
        raise GraphError(f"diff: n is an integer >= 0, not {n!r}")
    before = (slice(None),) * at
    for _ in range(n):
        node = node[(*before, slice(1, None))] - node[(*before, slice(None, -1))]
    return node


@word
def pad(x: ArrayLike, /, widths: Any, value: ArrayLike = 0) -> Node:
    """x with `value` around it, in x's dtype.

    widths is one number for all, (before, after) for all axes, or such a pair for each axis.
    """
    node = as_node(x)
    low, high = zip(*pairs_of(widths, node.ndim), strict=True) if node.ndim else ((), ())
    margins = {"low": low, "high": high, "interior": (0,) * node.ndim}
    if not any(low + high):
        return node
    padded = apply("pad", node, **margins)
    if isinstance(value, int | float) and value == 0:
        return padded
    inside = apply("pad", ones_like(node, "bool"), **margins)
    return say("where", inside, padded, to_node_dtype(as_node(value, node.dtype), node.dtype))


def pairs_of(widths: Any, rank: int) -> list[tuple[int, int]]:
    """(before, after) for each axis from what `pad` takes."""
    given = [widths, widths] if is_integer(widths) else list(widths)
    pairs = [given] * rank if all(map(is_integer, given)) else given
    for pair in pairs:
        if is_integer(pair) or len(pair) != 2 or not all(is_integer(w) and w >= 0 for w in pair):
            raise GraphError(f"pad: widths are pairs of integers >= 0, not {pair!r}")
    if len(pairs) != rank:
        raise GraphError(f"pad: needs a pair of widths for each of {rank} axes, not {len(pairs)}")
    return [(int(before), int(after)) for before, after in pairs]


@word
def repeat(x: ArrayLike, /, repeats: SizeLike, axis: int | None = None) -> Node:
    """Each element `repeats` times, which may be symbolic, along an axis, or when flattened."""
    node = as_node(x) if axis is not None else reshape(x, -1)
    at = to_axis(0 if axis is None else axis, node.ndim, "repeat")
    shape, count = node.shape, to_size(repeats, "repeat")
    wide = broadcast_to(expand_dims(node, at + 1), (*shape[: at + 1], count, *shape[at + 1 :]))
    return reshape(wide, (*shape[:at], shape[at] * count, *shape[at + 1 :]))


@word
def tile(x: ArrayLike, /, repetitions: ShapeLike) -> Node:
    """The whole array repeated along each axis; missing axes and counts are 1, in front."""
    node = as_node(x)
    counts = to_shape(repetitions, "tile")
    rank = max(node.ndim, len(counts))
    counts = (1,) * (rank - len(counts)) + counts
    node = reshape(node, (1,) * (rank - node.ndim) + node.shape)
    pairs = list(zip(counts, node.shape, strict=True))
    apart = reshape(node, [size for pair in pairs for size in (1, pair[1])])
    wide = broadcast_to(apart, [size for pair in pairs for size in pair])
    return reshape(wide, tuple(count * size for count, size in pairs))
