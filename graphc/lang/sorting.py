"""Words that sort: in order, the positions of that order, the first few of it."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, describe, word
from graphc.lang.movement import part_along
from graphc.lang.operands import ArrayLike, as_node, to_axis
from graphc.lang.sizes import SizeLike, to_size


@word
def sort(x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Node:
    """The elements along an axis from the smallest to the largest, or the other way round.

    NaN comes last in both directions; -0 and 0 are equal. Equal elements always keep their order,
    so that `stable` changes nothing. A gradient goes to where the element came from.
    """
    node = as_node(x)
    return apply("sort", node, axis=to_axis(axis, node.ndim, "sort"), descending=bool(descending))


@word
def argsort(
    x: ArrayLike, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Node:
    """The positions, int64, of the elements along an axis in the order that `sort` puts them in."""
    node = as_node(x)
    at = to_axis(axis, node.ndim, "argsort")
    return apply("argsort", node, axis=at, descending=bool(descending))


@word
def top_k(
    x: ArrayLike, k: SizeLike, /, *, axis: int = -1, largest: bool = True
) -> tuple[Node, Node]:
    """The k largest elements along an axis, the largest first, and their positions, int64.

    With `largest=False` the smallest, the smallest first. Of equal elements the first is taken
    first, and NaN only where numbers are too few. GraphError where k exceeds the size.
    """
    node, count = as_node(x), to_size(k, "top_k: k")
    at = to_axis(axis, node.ndim, "top_k")
    size = node.shape[at]
    if isinstance(count, int) and isinstance(size, int) and count > size:
        raise GraphError(f"top_k: there are {size} elements, not {count}{describe([node])}")
    order = apply("argsort", node, axis=at, descending=bool(largest))
    values = apply("permute_along_axis", node, order, axis=at)
    return part_along(values, at, 0, count), part_along(order, at, 0, count)
