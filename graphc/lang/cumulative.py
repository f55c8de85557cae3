"""Running results along an axis.

axis is an integer; it may be left out where there is only one. With include_initial the result
begins with that of no elements, and is one longer.
"""

from __future__ import annotations

import math

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, describe, say, word
from graphc.ir.types import DTypeLike
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    to_axis,
    to_dtype,
    to_float,
    together_as_floats,
)
from graphc.lang.reduction import to_total


@word
def cumulative_sum(
    x: ArrayLike,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Node:
    """The sums of the elements up to each one; the dtype is as for `sum`.

    float16 and bfloat16 are added up in float32.
    """
    return along("cumulative_sum", to_total(as_node(x), dtype), axis, 0, include_initial)


@word
def cumulative_prod(
    x: ArrayLike,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Node:
    """The products of the elements up to each one; the dtype is as for `sum`.

    Its gradient divides by nothing, and is right where elements are 0.
    """
    return along("cumulative_prod", to_total(as_node(x), dtype), axis, 1, include_initial)


@word
def cumulative_max(x: ArrayLike, /, *, axis: int | None = None) -> Node:
    """The largest element up to each one; NaN from the first NaN on.

    Among elements that tie, the gradient goes to the latest.
    """
    return along("cumulative_max", as_node(x), axis)


@word
def cumulative_min(x: ArrayLike, /, *, axis: int | None = None) -> Node:
    """The smallest element up to each one; NaN from the first NaN on.

    Among elements that tie, the gradient goes to the latest.
    """
    return along("cumulative_min", as_node(x), axis)


@word
def cumulative_logsumexp(
    x: ArrayLike,
    /,
    *,
    axis: int | None = None,
    dtype: DTypeLike | None = None,
    include_initial: bool = False,
) -> Node:
    """log(cumulative_sum(exp(x))) without overflow; integers give float64."""
    node = to_float(x) if dtype is None else say("astype", as_node(x), to_dtype(dtype))
    return along("cumulative_logsumexp", node, axis, -math.inf, include_initial)


@word
def linear_recurrence(
    factor: ArrayLike, term: ArrayLike, /, *, axis: int | None = None, reverse: bool = False
) -> Node:
    """y[k] = factor[k] * y[k - 1] + term[k] along an axis, where y before the first element is 0.

    Operands are promoted and broadcast; integers give float64. factor[0] has no effect. With
    `reverse` it runs from the last element to the first, and y[k] follows from y[k + 1].
    Its derivatives are linear recurrences too.
    """
    factors, terms = together_as_floats(factor, term)
    at = only_axis("linear_recurrence", factors, axis)
    return apply("linear_recurrence", factors, terms, axis=at, reverse=reverse)


def along(
    name: str, node: Node, axis: int | None, initial: float = 0, include_initial: bool = False
) -> Node:
    """The operator of that name along the axis that the user means."""
    at = only_axis(name, node, axis)
    result = apply(name, node, axis=at, reverse=False)
    if not include_initial:
        return result
    sizes = tuple(1 if k == at else size for k, size in enumerate(node.shape))
    return say("concat", [say("full", sizes, initial, dtype=node.dtype), result], axis=at)


def only_axis(name: str, node: Node, axis: int | None) -> int:
    """The axis, counted from 0; without one, the only one there is."""
    if axis is None and node.ndim != 1:
        raise GraphError(
            f"{name}: which of {node.ndim} axes? axis may be left out where there is one"
            f"{describe([node])}"
        )
    return to_axis(0 if axis is None else axis, node.ndim, name)
