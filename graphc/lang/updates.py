"""Arrays that differ at some places: x.at[key].set(values) and its kin, windows, diagonals."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply, describe, say, word
from graphc.ir.types import DType, show_shape
from graphc.lang.creation import ones_like, positions
from graphc.lang.index_keys import select
from graphc.lang.indexing import common_shape, layout_along, to_integers
from graphc.lang.operands import (
    ArrayLike,
    Scalars,
    along_axis,
    as_node,
    broadcast_node,
    broadcast_shapes,
    reshape_node,
    to_axis,
    to_node_dtype,
    weak_dtype,
)
from graphc.lang.scattering import combined, scattered
from graphc.lang.sizes import ShapeLike, to_shape
from graphc.lang.windows import cut

RANKS = {"bool": 0, "uint": 1, "int": 1, "float": 2, "complex": 3}
"""Kinds of dtypes: one of a rank holds those of lower ranks, and of its own."""


@word
def updated(x: ArrayLike, key: Any, values: ArrayLike, kind: str) -> Node:
    """x with values combined into x[key]; what `x.at[key]` asks for.

    values broadcast to x[key]. Where an array of indices meets a place again, "set" keeps the
    last, the others combine all in order; an index out of range is dropped.
    """
    node = as_node(x)
    selection = select(key, node)
    new = fitted(values, node, selection.shape, f"at[...].{kind}")
    part = cut(node, selection.windows)
    if selection.indices:
        table = reshape_node(part, selection.table)
        updates = reshape_node(new, selection.elements)
        found = scattered(kind, table, updates, selection.indices, selection.layout)
        changed = reshape_node(found, part.shape)
    else:
        changed = combined(kind, part, reshape_node(new, part.shape))
    if part is node:
        return changed
    inside, there = (spread_out(part, value) for value in (ones_like(part, "bool"), changed))
    return say("where", inside, there, node)


def spread_out(part: Node, value: Node) -> Node:
    """A value for a slice where the slice's elements came from, among zeros."""
    (placed,) = part.op.vjp(part, value)
    assert placed is not None
    return placed


def fitted(values: ArrayLike, node: Node, shape: tuple[Size, ...], what: str) -> Node:
    """Values in a node's dtype, broadcast to a shape; GraphError where that would lose them."""
    new = weakly(values, node.dtype)
    if not holds(node.dtype, new.dtype):
        raise GraphError(
            f"{what}: values of {new.dtype.name} do not fit into {node.dtype.name}: "
            f"convert them with astype{describe([node, new])}"
        )
    if new.ndim > len(shape) or broadcast_shapes([new.shape, shape], [node, new]) != shape:
        raise GraphError(
            f"{what}: values of shape {show_shape(new.shape)} do not broadcast to "
            f"{show_shape(shape)}{describe([node, new])}"
        )
    return broadcast_node(to_node_dtype(new, node.dtype), shape)


def weakly(value: ArrayLike, dtype: DType) -> Node:
    """A value as a node; a Python number takes a dtype where that can hold its kind."""
    return as_node(value, weak_dtype(value, dtype) if isinstance(value, Scalars) else None)


def holds(dtype: DType, other: DType) -> builtins.bool:
    """Whether a dtype is of no lower kind than another."""
    return RANKS[dtype.kind] >= RANKS[other.kind]


@word
def put_along_axis(x: ArrayLike, indices: ArrayLike, values: ArrayLike, /, axis: int = -1) -> Node:
    """x with a value at each index along an axis: result[..., indices[..., i]] = values[..., i].

    Indices and values broadcast as in `take_along_axis`; the last value of a place stays, and one
    out of range is dropped. The result is new, x stays as it is.
    """
    node, chosen = as_node(x), as_node(indices)
    at = to_axis(axis, node.ndim, "put_along_axis")
    shape = common_shape(node, chosen, at, "put_along_axis")
    if (*shape[:at], node.shape[at], *shape[at + 1 :]) != node.shape:
        raise GraphError(
            f"put_along_axis: indices of shape {show_shape(chosen.shape)} do not broadcast to "
            f"{show_shape(node.shape)} off axis {at}{describe([node, chosen])}"
        )
    layout, index = layout_along(shape, chosen, at)
    new = fitted(values, node, shape, "put_along_axis")
    return scattered("set", node, new, (index,), layout)


# --- windows -------------------------------------------------------------------------------------


@word
def dynamic_slice(x: ArrayLike, starts: Sequence[ArrayLike], sizes: ShapeLike, /) -> Node:
    """The elements in a window that begins at the starts, integers of the program's.

    A negative start counts from the end. What lies beyond the array is NaN, or 0 for integers:
    the window is not moved. GraphError unless there is a start and a size for each axis.
    """
    node, window = as_node(x), to_shape(sizes, "dynamic_slice")
    return apply(
        "dynamic_slice", node, *to_starts(starts, "dynamic_slice"), sizes=window, absent="nan"
    )


@word
def dynamic_update_slice(x: ArrayLike, update: ArrayLike, starts: Sequence[ArrayLike], /) -> Node:
    """x with an array in a window that begins at the starts; what reaches beyond x is dropped.

    A negative start counts from the end. GraphError where the update has another rank than x.
    """
    node = as_node(x)
    new = as_node(update, node.dtype)
    kept = fitted(new, node, new.shape, "dynamic_update_slice")
    return apply("dynamic_update_slice", node, kept, *to_starts(starts, "dynamic_update_slice"))


def to_starts(starts: Sequence[ArrayLike], what: str) -> list[Node]:
    """Starts as nodes without axes."""
    return [to_integers(as_node(start), what) for start in starts]


# --- diagonals -----------------------------------------------------------------------------------


@word
def fill_diagonal(x: ArrayLike, value: ArrayLike, /) -> Node:
    """x with a value, or a vector of them, on its main diagonal; the result is new.

    GraphError for fewer than two axes, and for more where they differ in size.
    """
    node = as_node(x)
    if node.ndim < 2 or (node.ndim > 2 and len(set(node.shape)) > 1):
        raise GraphError(
            f"fill_diagonal: takes a matrix, or more axes of one size{describe([node])}"
        )
    row, *others = positions(node.shape)
    on = row == others[0]
    for other in others[1:]:
        on = say("logical_and", on, row == other)
    new = weakly(value, node.dtype)
    if new.ndim == 1:
        (rows,) = positions(node.shape[:1])
        new = along_axis(say("take", new, rows), 0, node.ndim)
    return say("where", on, fitted(new, node, node.shape, "fill_diagonal"), node)
