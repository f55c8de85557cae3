"""What masks select, as so many elements as `size` says: the rest is filled, what is left over cut.

A graph's shapes do not depend on values. So these words take the size of their result, as they do
in JAX.
"""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.index_layout import Layout
from graphc.ir.node import Node, apply, describe, say, word
from graphc.ir.types import int64
from graphc.lang.cumulative import cumulative_sum
from graphc.lang.index_arrays import unravel_index
from graphc.lang.indexing import take
from graphc.lang.movement import reshape, stack
from graphc.lang.operands import ArrayLike, along_axis, as_node, constant, to_axis, to_node_dtype
from graphc.lang.reduction import to_bool
from graphc.lang.scattering import scattered
from graphc.lang.sizes import SizeLike, size_value, to_size


@word
def flatnonzero(x: ArrayLike, /, *, size: SizeLike, fill_value: ArrayLike = 0) -> Node:
    """The places in row-major order of the first `size` elements that are true, or not 0; int64.

    Where there are fewer, the rest is fill_value.
    """
    found, there = places(as_node(x), to_size(size, "flatnonzero"))
    return say("where", there, found, to_node_dtype(as_node(fill_value), int64))


@word
def nonzero(x: ArrayLike, /, *, size: SizeLike, fill_value: ArrayLike = 0) -> tuple[Node, ...]:
    """The indices of the first `size` elements that are true, or not 0: a vector for each axis.

    They come in row-major order. Where there are fewer, the rest is fill_value. GraphError for an
    array without axes.
    """
    node = as_node(x)
    if not node.ndim:
        raise GraphError(f"nonzero: needs an array with axes{describe([node])}")
    found, there = places(node, to_size(size, "nonzero"))
    fill = to_node_dtype(as_node(fill_value), int64)
    return tuple(say("where", there, index, fill) for index in unravel_index(found, node.shape))


@word
def argwhere(x: ArrayLike, /, *, size: SizeLike, fill_value: ArrayLike = 0) -> Node:
    """The indices of `nonzero` as the rows of a matrix (size, axes)."""
    return stack(nonzero(x, size=size, fill_value=fill_value), axis=1)


@word
def compress(
    condition: ArrayLike,
    x: ArrayLike,
    /,
    axis: int | None = None,
    *,
    size: SizeLike,
    fill_value: ArrayLike = 0,
) -> Node:
    """The parts of x along an axis, or of x flattened, where a bool vector holds: `size` of them.

    Where there are fewer, the rest is fill_value; what the condition is too short for is left
    out. GraphError where the condition is no vector, or longer than the axis.
    """
    mask, node = to_bool(as_node(condition)), as_node(x)
    if axis is None:
        node, axis = reshape(node, -1), 0
    at = to_axis(axis, node.ndim, "compress")
    count, most = mask.size, node.shape[at]
    longer = isinstance(count, int) and isinstance(most, int) and count > most
    if mask.ndim != 1 or longer:
        raise GraphError(
            f"compress: the condition must be a vector no longer than axis {at} of x"
            f"{describe([mask, node])}"
        )
    found, there = places(mask, to_size(size, "compress"))
    chosen, kept = take(node, found, axis=at), along_axis(there, at, node.ndim)
    return say("where", kept, chosen, filler(fill_value, node))


@word
def extract(
    condition: ArrayLike, x: ArrayLike, /, *, size: SizeLike, fill_value: ArrayLike = 0
) -> Node:
    """The elements of x where a condition of its shape holds, in row-major order: `size` of them.

    Where there are fewer, the rest is fill_value.
    """
    mask, node = as_node(condition), as_node(x)
    if mask.shape != node.shape:
        raise GraphError(f"extract: condition and x must have one shape{describe([mask, node])}")
    return compress(reshape(mask, -1), node, size=size, fill_value=fill_value)


def filler(value: ArrayLike, node: Node) -> Node:
    """What stands for missing elements, in a node's dtype."""
    return to_node_dtype(as_node(value, node.dtype), node.dtype)


def places(node: Node, size: Size) -> tuple[Node, Node]:
    """Where the first true elements are in row-major order, and whether there are so many.

    Each true element's number among them is a running sum; its place is scattered there.
    """
    mask = to_bool(reshape(node, -1))
    ones = to_node_dtype(mask, int64)
    number = cumulative_sum(ones) - 1
    where_to = say("where", mask, number, size_value(size, int64))
    every = apply("iota", shape=mask.shape, axis=0, dtype=int64)
    layout = Layout((0,), (), ((0,),))
    found = scattered("set", constant(-1, int64), every, (where_to,), layout, (size,))
    return say("maximum", found, 0), found >= 0
