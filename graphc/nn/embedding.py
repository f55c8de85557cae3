"""Rows of a table, chosen by integers."""

from __future__ import annotations

from graphc.errors import GraphError, shown
from graphc.ir.node import Node, describe
from graphc.ir.types import int64
from graphc.lang.indexing import take
from graphc.lang.movement import expand_dims
from graphc.lang.operands import ArrayLike, as_node, to_node_dtype
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import is_integer, size_value


def embedding(ids: ArrayLike, table: ArrayLike, padding_idx: int | None = None) -> Node:
    """The row of the table for each id: ids of any shape, table (rows, width), result (..., width).

    Negative ids and padding_idx count from the end. The row padding_idx receives no gradient. An id
    out of range gives NaN. What is read is what is asked for, and the gradient by the table adds a
    row for each id to zeros.
    GraphError for ids that are no integers, a table that has not two axes, and a padding_idx that
    is no row of it.
    """
    chosen, rows = as_node(ids), as_node(table)
    if not chosen.dtype.is_integer:
        raise GraphError(f"embedding: ids must be integers, these are {chosen.dtype.name}")
    if rows.ndim != 2:
        raise GraphError(f"embedding: the table must have two axes{describe([rows])}")
    taken = take(rows, chosen, axis=0)
    if padding_idx is None:
        return taken
    padding = from_the_start(chosen, rows) == padding_row(padding_idx, rows)
    return where(expand_dims(padding, -1), stop_gradient(taken), taken)


def from_the_start(ids: Node, table: Node) -> Node:
    """The ids in int64, those that count from the end of the table counted from its start."""
    places = to_node_dtype(ids, int64)
    if ids.dtype.kind == "uint":
        return places
    return where(places < 0, places + size_value(table.shape[0], int64), places)


def padding_row(index: int, table: Node) -> int:
    """The row that a padding index means, counted from the end where it is negative."""
    if not is_integer(index):
        raise GraphError(f"embedding: padding_idx must be an integer or None, not {shown(index)}")
    count = table.shape[0]
    if isinstance(count, int) and -count <= index < count:
        return index % count
    if isinstance(count, int) or index < 0:
        raise GraphError(f"embedding: padding_idx {index} is out of range{describe([table])}")
    return index
