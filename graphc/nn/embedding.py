"""Rows of a table, chosen by integers."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node, describe
from graphc.ir.types import int64
from graphc.lang.indexing import take
from graphc.lang.movement import expand_dims
from graphc.lang.operands import ArrayLike, as_node, to_node_dtype
from graphc.lang.selection import stop_gradient, where


def embedding(ids: ArrayLike, table: ArrayLike, padding_idx: int | None = None) -> Node:
    """The row of the table for each id: ids of any shape, table (rows, width), result (..., width).

    The row padding_idx receives no gradient. An id out of range gives NaN. What is read is what is
    asked for, and the gradient by the table adds a row for each id to zeros.
    GraphError for ids that are no integers and a table that has not two axes.
    """
    chosen, rows = as_node(ids), as_node(table)
    if not chosen.dtype.is_integer:
        raise GraphError(f"embedding: ids must be integers, these are {chosen.dtype.name}")
    if rows.ndim != 2:
        raise GraphError(f"embedding: the table must have two axes{describe([rows])}")
    taken = take(rows, chosen, axis=0)
    if padding_idx is None:
        return taken
    padding = expand_dims(to_node_dtype(chosen, int64) == padding_row(padding_idx, rows), -1)
    return where(padding, stop_gradient(taken), taken)


def padding_row(index: int, table: Node) -> int:
    """The row that a padding index means, counted from the end where it is negative."""
    count = table.shape[0]
    if isinstance(count, int) and -count <= index < count:
        return index % count
    if isinstance(count, int) or index < 0:
        raise GraphError(f"embedding: padding_idx {index} is out of range{describe([table])}")
    return index
