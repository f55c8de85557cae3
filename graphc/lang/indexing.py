"""Elements of arrays: x[...], along an axis, by indices of each, and one-hot rows."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.index_layout import Layout
from graphc.ir.node import Node, apply, describe, word
from graphc.ir.types import DTypeLike, float64, int64
from graphc.lang.index_keys import select
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
from graphc.lang.scattering import gathered
from graphc.lang.sizes import SizeLike, to_size
from graphc.lang.windows import cut


@word
def getitem(x: ArrayLike, key: Any) -> Node:
    """x[key]: integers, slices, None, one Ellipsis and arrays of integers, as in NumPy.

    Bounds of slices are clamped, an integer must be in range: at once where the size is static,
    when sizes are known where it is symbolic. A symbolic bound counts from the start. Arrays may be
    nodes; an index in a node that is out of range gives NaN, or 0 for integers. A mask must be
    known: an array of NumPy or a list. GraphError for a mask that is a node.
    """
    node = as_node(x)
    selection = select(key, node)
    found = reshape_node(cut(node, selection.windows), selection.table)
    if selection.indices:
        found = gathered(found, selection.indices, selection.layout)
    return reshape_node(found, selection.shape)


@word
def take(x: ArrayLike, indices: ArrayLike, /, *, axis: int | None = None) -> Node:
    """The elements of x at some places along an axis, which may be left out for a vector.

    The axis gives way to those of the indices. Negative indices count from the end; one out of
    range gives NaN, or 0 for integers. GraphError where the indices are not integers.
    """
    node, places = as_node(x), as_node(indices)
    if axis is None and node.ndim != 1:
        raise GraphError(f"take: needs an axis where x has not exactly one{describe([node])}")
    at = to_axis(0 if axis is None else axis, node.ndim, "take")
    return gathered(node, (to_integers(places, "take"),), rows_layout(node.ndim, at, places.ndim))


def rows_layout(rank: int, axis: int, count: int) -> Layout:
    """The layout of indices with so many axes in place of one axis of a table."""
    along = (*range(axis), *range(axis + count, rank + count - 1))
    return Layout((axis,), along, (tuple(range(axis, axis + count)),))


def to_integers(indices: Node, what: str) -> Node:
    """Indices as they are; GraphError for those that are no integers."""
    if not indices.dtype.is_integer:
        raise GraphError(f"{what}: indices must be integers, these are {indices.dtype.name}")
    return indices


@word
def take_along_axis(x: ArrayLike, indices: ArrayLike, /, axis: int = -1) -> Node:
    """For each index the element of x along an axis: result[..., i] = x[..., indices[..., i]].

    The other axes broadcast. Negative indices count from the end; an index out of range gives
    NaN, or 0 for integers. GraphError unless x and the indices have equally many axes.
    """
    node, chosen = as_node(x), as_node(indices)
    at = to_axis(axis, node.ndim, "take_along_axis")
    shape = common_shape(node, chosen, at, "take_along_axis")
    layout, index = layout_along(shape, chosen, at)
    wide = broadcast_node(node, (*shape[:at], node.shape[at], *shape[at + 1 :]))
    return gathered(wide, (index,), layout)


def common_shape(node: Node, chosen: Node, axis: int, what: str) -> tuple[Size, ...]:
    """The shape of elements along an axis, where the other axes broadcast."""
    if chosen.ndim != node.ndim:
        raise GraphError(
            f"{what}: indices have {chosen.ndim} axes and x has {node.ndim}: "
            f"they must be equally many{describe([node, chosen])}"
        )
    to_integers(chosen, what)
    alone = [(*part.shape[:axis], 1, *part.shape[axis + 1 :]) for part in (node, chosen)]
    shape = broadcast_shapes(alone, [node, chosen])
    return (*shape[:axis], chosen.shape[axis], *shape[axis + 1 :])


def layout_along(shape: tuple[Size, ...], chosen: Node, axis: int) -> tuple[Layout, Node]:
    """The layout of indices along an axis, and those without the axes that would be stretched."""
    rank = len(shape)
    span = tuple(a for a in range(rank) if a == axis or chosen.shape[a] == shape[a])
    along = (*range(axis), *range(axis + 1, rank))
    index = reshape_node(chosen, tuple(chosen.shape[a] for a in span))
    return Layout((axis,), along, (span,)), index


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
