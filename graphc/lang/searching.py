"""Words that look for elements: counting, membership, places in a sorted array."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Axes, Node, describe, word
from graphc.ir.types import int64
from graphc.lang.movement import expand_dims
from graphc.lang.operands import (
    ArrayLike,
    same_dtype,
    to_node_dtype,
)
from graphc.lang.reduction import any, sum, to_bool


@word
def count_nonzero(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """How many elements are true, or not 0; int64."""
    return sum(to_node_dtype(to_bool(x), int64), axis, keepdims=keepdims)


@word
def isin(x: ArrayLike, values: ArrayLike, /) -> Node:
    """Whether each element is one of some values; compares all with all."""
    node, wanted = same_dtype(x, values)
    return any(expand_dims(node, -1) == wanted.reshape((wanted.size,)), axis=-1)


@word
def searchsorted(x1: ArrayLike, x2: ArrayLike, /, side: str = "left") -> Node:
    """Where each element of x2 belongs in the sorted vector x1, int64: how many come before it.

    Of elements that equal it, none comes before on side "left" and all on "right". It compares all
    with all: for long vectors that is more work than a search by halves, for short ones less.
    GraphError where x1 is not a vector.
    """
    ordered, node = same_dtype(x1, x2)
    if ordered.ndim != 1:
        raise GraphError(f"searchsorted: x1 must be a vector{describe([ordered])}")
    if side not in ("left", "right"):
        raise GraphError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    wanted = expand_dims(node, -1)
    before = ordered < wanted if side == "left" else ordered <= wanted
    return sum(to_node_dtype(before, int64), axis=-1)
