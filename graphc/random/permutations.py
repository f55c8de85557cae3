"""Random orders, and random elements of an array."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError
from graphc.ir.dim import Dim, Size, product
from graphc.ir.node import Node, apply, describe
from graphc.ir.types import float64, int64, uint64
from graphc.lang.arithmetic import minimum
from graphc.lang.cumulative import cumulative_sum
from graphc.lang.exponential import log
from graphc.lang.indexing import take
from graphc.lang.operands import (
    ArrayLike,
    along_axis,
    as_node,
    broadcast_node,
    reshape_node,
    to_axis,
    to_float,
    to_node_dtype,
)
from graphc.lang.reduction import max
from graphc.lang.searching import searchsorted
from graphc.lang.sizes import ShapeLike, SizeLike, is_integer, size_value, to_shape, to_size
from graphc.lang.sorting import argsort
from graphc.random.bits import bits, fraction, inner_dtype
from graphc.random.continuous import gumbel
from graphc.random.discrete import randint


def permutation(key: ArrayLike, x: ArrayLike | SizeLike, axis: int = 0) -> Node:
    """The parts of an array along an axis in random order; for a size n, the integers below n.

    Every element gets 64 random bits, and those are sorted. Two that are equal keep their order,
    which happens with probability n**2 / 2**65 at most: 3e-8 for a million elements.
    """
    if is_size(x):
        return random_order(key, to_size(x, "permutation"))
    node = as_node(x)
    at = to_axis(axis, node.ndim, "permutation")
    order = random_order(key, node.shape[at])
    whole = broadcast_node(along_axis(order, at, node.ndim), node.shape)
    return apply("permute_along_axis", node, whole, axis=at)


def is_size(value: Any) -> bool:
    """Whether a value is a size rather than an array."""
    return is_integer(value) or isinstance(value, str | Dim)


def random_order(key: ArrayLike, count: Size) -> Node:
    """The integers below a size in random order, int64."""
    return argsort(bits(key, (count,), uint64))


def choice(
    key: ArrayLike,
    a: ArrayLike | SizeLike,
    shape: ShapeLike = (),
    replace: bool = True,
    p: ArrayLike | None = None,
    axis: int = 0,
) -> Node:
    """Random parts of an array along an axis, or for a size n random integers below n.

    p are weights of the parts, at least one above 0, which need not add up to 1; without them all
    are equally likely.
    Without `replace` no part is taken twice, and a weight is the chance to be taken next (Gumbel
    top-k: Vieira, 2014; equal to drawing one after another); parts of weight 0 come after all
    others. The shape takes the axis's place. GraphError where more is asked for than there is, or
    where the weights are not one for each part.
    """
    node = None if is_size(a) else as_node(a)
    at = 0 if node is None else to_axis(axis, node.ndim, "choice")
    count = to_size(a, "choice") if node is None else node.shape[at]
    sizes = to_shape(shape, "choice")
    weights = None if p is None else weights_of(p, count)
    total = product(sizes)
    if replace:
        places = independent_places(key, count, total, weights)
    else:
        places = distinct_places(key, count, total, weights)
    if node is None:
        return reshape_node(places, sizes)
    shape = (*node.shape[:at], *sizes, *node.shape[at + 1 :])
    return reshape_node(take(node, places, axis=at), shape)


def weights_of(p: ArrayLike, count: Size) -> Node:
    """The weights as floats; GraphError unless there is one for each part."""
    node = to_float(p)
    if node.shape != (count,):
        raise GraphError(f"choice: needs {count} weights{describe([node])}")
    return node


def independent_places(key: ArrayLike, count: Size, total: Size, weights: Node | None) -> Node:
    """Places that may occur again: where a random part of all weights falls."""
    if total == 0:
        return apply("iota", shape=(0,), axis=0, dtype=int64)
    if count == 0:
        raise GraphError(f"choice: there is nothing to take {total} parts of")
    if weights is None:
        high = count if isinstance(count, int) else size_value(count, int64)
        return randint(key, (total,), 0, high, int64)
    wide = to_node_dtype(weights, float64)
    sums = cumulative_sum(wide / max(wide))  # neither too large nor too small for a sum
    at = fraction(key, (total,), float64, "choice") * sums[-1]
    return minimum(searchsorted(sums, at, side="right"), sums.size - 1)


def distinct_places(key: ArrayLike, count: Size, total: Size, weights: Node | None) -> Node:
    """The first places of a random order."""
    if isinstance(count, int) and isinstance(total, int) and total > count:
        raise GraphError(
            f"choice: there are {count} parts to take, not {total}, without replacement"
        )
    if weights is None:
        return first_of(random_order(key, count), total)
    noise = gumbel(key, (count,), inner_dtype(weights.dtype))
    return first_of(argsort(log(weights) + noise, descending=True), total)


def first_of(order: Node, total: Size) -> Node:
    """So many of the first elements of a vector; where sizes are symbolic a call checks them."""
    return apply("slice", order, starts=(0,), sizes=(total,), steps=(1,))
