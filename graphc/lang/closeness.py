"""Words that compare whole arrays, or up to an error."""

from __future__ import annotations

from graphc.ir.node import Node, word
from graphc.lang.arithmetic import abs
from graphc.lang.comparison import isfinite, isnan
from graphc.lang.operands import ArrayLike, constant, same_dtype, to_float, together
from graphc.lang.reduction import all


@word
def isclose(
    x1: ArrayLike,
    x2: ArrayLike,
    /,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Node:
    """Whether elements differ by at most atol + rtol * |x2|; infinities must be equal.

    NaN is close to nothing, or with `equal_nan` to NaN.
    """
    left, right = together(*map(to_float, same_dtype(x1, x2)))
    near = (abs(left - right) <= atol + rtol * abs(right)) & isfinite(right)
    close = near | (left == right)
    return close | (isnan(left) & isnan(right)) if equal_nan else close


@word
def allclose(
    x1: ArrayLike,
    x2: ArrayLike,
    /,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Node:
    """Whether all elements are close; see `isclose`."""
    return all(isclose(x1, x2, rtol, atol, equal_nan))


@word
def array_equal(x1: ArrayLike, x2: ArrayLike, /, equal_nan: bool = False) -> Node:
    """Whether two arrays have one shape and equal elements; false where the shapes differ."""
    left, right = same_dtype(x1, x2)
    if left.shape != right.shape:
        return constant(False)
    same = left == right
    return all(same | (isnan(left) & isnan(right)) if equal_nan else same)
