"""Words for comparison; the result is bool, and operands broadcast and promote as in arithmetic."""

from __future__ import annotations

import builtins
import math

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, describe, say, word
from graphc.ir.types import show_shape
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    constant,
    same_dtype,
    to_float,
    together,
    together_as_floats,
)


@word
def equal(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether elements are equal."""
    return apply("equal", *together(x1, x2))


@word
def not_equal(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether elements differ; NaN differs from everything."""
    return apply("not_equal", *together(x1, x2))


@word
def less(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether the first is below the second."""
    return apply("less", *together(x1, x2))


@word
def less_equal(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether the first is at most the second."""
    return apply("less_equal", *together(x1, x2))


@word
def greater(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether the first is above the second."""
    return apply("greater", *together(x1, x2))


@word
def greater_equal(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether the first is at least the second."""
    return apply("greater_equal", *together(x1, x2))


@word
def isnan(x: ArrayLike, /) -> Node:
    """Whether each element is NaN."""
    return apply("isnan", to_float(x))


@word
def isinf(x: ArrayLike, /) -> Node:
    """Whether each element is infinite."""
    return apply("isinf", to_float(x))


@word
def isfinite(x: ArrayLike, /) -> Node:
    """Whether each element is neither infinite nor NaN."""
    return apply("isfinite", to_float(x))


@word
def isposinf(x: ArrayLike, /) -> Node:
    """Whether each element is plus infinity."""
    return equal(to_float(x), math.inf)


@word
def isneginf(x: ArrayLike, /) -> Node:
    """Whether each element is minus infinity."""
    return equal(to_float(x), -math.inf)


@word
def isclose(
    a: ArrayLike,
    b: ArrayLike,
    /,
    rtol: ArrayLike = 1e-5,
    atol: ArrayLike = 1e-8,
    equal_nan: bool = False,
) -> Node:
    """Whether |a - b| <= atol + rtol * |b|, or both are the same infinity.

    With `equal_nan` NaN is close to NaN. Integers are compared as float64.
    """
    first, second = together_as_floats(a, b)
    size = say("abs", second)
    near = less_equal(say("abs", first - second), atol + rtol * size)
    close = say("logical_or", say("logical_and", near, isfinite(second)), equal(first, second))
    if not equal_nan:
        return close
    return say("logical_or", close, say("logical_and", isnan(first), isnan(second)))


@word
def allclose(
    a: ArrayLike,
    b: ArrayLike,
    /,
    rtol: ArrayLike = 1e-5,
    atol: ArrayLike = 1e-8,
    equal_nan: bool = False,
) -> Node:
    """Whether all elements are close, as `isclose` says; one bool."""
    return say("all", isclose(a, b, rtol, atol, equal_nan))


@word
def array_equal(a1: ArrayLike, a2: ArrayLike, /, equal_nan: bool = False) -> Node:
    """Whether two arrays have the same shape and elements; one bool.

    With `equal_nan` NaN equals NaN. GraphError where a symbolic size leaves the shapes undecided.
    """
    first, second = same_dtype(a1, a2)
    if first.shape != second.shape:
        decided = first.ndim != second.ndim or builtins.any(
            isinstance(m, int) and isinstance(n, int) and m != n
            for m, n in zip(first.shape, second.shape, strict=True)
        )
        if not decided:
            raise GraphError(
                f"array_equal: whether shapes {show_shape(first.shape)} and "
                f"{show_shape(second.shape)} are the same is decided by each call"
                f"{describe([as_node(a1), as_node(a2)])}"
            )
        return constant(False)
    same = equal(first, second)
    if equal_nan and first.dtype.is_inexact:
        same = say("logical_or", same, say("logical_and", isnan(first), isnan(second)))
    return say("all", same)
