"""Words for comparison; the result is bool, and operands broadcast and promote as in arithmetic."""

from __future__ import annotations

from graphc.ir.node import Node, apply, word
from graphc.lang.operands import ArrayLike, to_float, together


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
