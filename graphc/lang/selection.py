"""Words for choice, for conversion, and for stopping gradients."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, describe, word
from graphc.ir.types import DTypeLike
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    constant,
    same_dtype,
    same_shape,
    to_dtype,
    to_node_dtype,
)


@word
def where(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """x1 where the bool condition holds, else x2; neither NaN nor gradient of the other passes."""
    return apply("where", *same_shape(as_node(condition), *same_dtype(x1, x2)))


@word
def select(
    condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0
) -> Node:
    """For each element the choice of the first condition that holds there, else the default.

    All broadcast, and choices have their promoted dtype. GraphError unless there is a choice for
    each condition, and at least one.
    """
    if not condlist or len(condlist) != len(choicelist):
        raise GraphError(
            f"select: needs a choice for each condition, not {len(choicelist)} for {len(condlist)}"
        )
    *choices, result = same_dtype(*choicelist, default)
    for condition, choice in reversed(list(zip(condlist, choices, strict=True))):
        result = where(condition, choice, result)
    return result


@word
def choose(a: ArrayLike, choices: Sequence[ArrayLike], /) -> Node:
    """For each element the one of the choice that an integer numbers; all broadcast.

    A number out of range, or negative, gives NaN, or 0 for integers. GraphError for numbers that
    are no integers.
    """
    given = list(choices)
    if not given:
        raise GraphError("choose: needs at least one choice")
    numbers, options = as_node(a), same_dtype(*given)
    if not numbers.dtype.is_integer:
        raise GraphError(f"choose: takes integers, not {numbers.dtype.name}{describe([numbers])}")
    absent = constant(nan if options[0].dtype.is_inexact else 0, options[0].dtype)
    return select([numbers == k for k in range(len(options))], options, absent)


@word
def cast(x: ArrayLike, dtype: DTypeLike, /) -> Node:
    """The array converted to a dtype; differentiable between floats."""
    return to_node_dtype(as_node(x), to_dtype(dtype))


@word
def astype(x: ArrayLike, dtype: DTypeLike, /) -> Node:
    """The Array API's name of `cast`."""
    return cast(x, dtype)


@word
def stop_gradient(x: ArrayLike, /) -> Node:
    """The array as it is, which differentiation takes for a constant."""
    return apply("stop_gradient", as_node(x))
