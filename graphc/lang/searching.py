"""Words that look for elements: counting, membership, places in a sorted array."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Axes, Node, apply, describe, word
from graphc.ir.types import int64
from graphc.lang.indexing import take
from graphc.lang.movement import expand_dims
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    same_dtype,
    to_node_dtype,
)
from graphc.lang.reduction import any, sum, to_bool
from graphc.lang.sizes import size_value
from graphc.lang.sorting import sort

FEW = 32
"""So many comparisons side by side take less than a search."""


@word
def count_nonzero(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """How many elements are true, or not 0; int64."""
    return sum(to_node_dtype(to_bool(x), int64), axis, keepdims=keepdims)


@word
def isin(x: ArrayLike, values: ArrayLike, /) -> Node:
    """Whether each element is one of some values; NaN is none.

    Few values are compared one by one, many are sorted and searched.
    """
    node, wanted = same_dtype(x, values)
    flat = wanted.reshape((wanted.size,))
    if isinstance(wanted.size, int) and wanted.size <= FEW:
        return any(expand_dims(node, -1) == flat, axis=-1)
    ordered = sort(flat)
    places = searchsorted(ordered, node)
    return (places < size_value(wanted.size, int64)) & (take(ordered, places) == node)


@word
def searchsorted(
    x1: ArrayLike, x2: ArrayLike, /, side: str = "left", sorter: ArrayLike | None = None
) -> Node:
    """Where each element of x2 belongs in the sorted vector x1, int64: how many come before it.

    Of elements that equal it, none comes before on side "left" and all on "right"; NaN comes after
    every number. `sorter` are the positions that sort x1, where it is not. GraphError where x1 is
    not a vector.
    """
    given = as_node(x1)
    if given.ndim != 1:
        raise GraphError(f"searchsorted: x1 must be a vector{describe([given])}")
    if side not in ("left", "right"):
        raise GraphError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    ordered, node = same_dtype(given, x2)
    if sorter is not None:
        ordered = take(ordered, sorter)
    wanted = node.reshape((node.size,))
    return apply("searchsorted", ordered, wanted, side=side).reshape(node.shape)
