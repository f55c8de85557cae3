"""Words for trigonometric and hyperbolic functions; integers and bools become float64."""

from __future__ import annotations

from graphc.ir.node import Node, apply, word
from graphc.lang.arithmetic import together_as_floats
from graphc.lang.operands import ArrayLike, to_float


@word
def sin(x: ArrayLike, /) -> Node:
    """The sine of an angle in radians."""
    return apply("sin", to_float(x))


@word
def cos(x: ArrayLike, /) -> Node:
    """The cosine of an angle in radians."""
    return apply("cos", to_float(x))


@word
def tan(x: ArrayLike, /) -> Node:
    """The tangent of an angle in radians."""
    return apply("tan", to_float(x))


@word
def asin(x: ArrayLike, /) -> Node:
    """The angle in [-pi/2, pi/2] of a sine; NaN outside [-1, 1]."""
    return apply("asin", to_float(x))


@word
def acos(x: ArrayLike, /) -> Node:
    """The angle in [0, pi] of a cosine; NaN outside [-1, 1]."""
    return apply("acos", to_float(x))


@word
def atan(x: ArrayLike, /) -> Node:
    """The angle in [-pi/2, pi/2] of a tangent."""
    return apply("atan", to_float(x))


@word
def atan2(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The angle in [-pi, pi] of the point whose ordinate is x1 and abscissa x2."""
    return apply("atan2", *together_as_floats(x1, x2))


@word
def sinh(x: ArrayLike, /) -> Node:
    """The hyperbolic sine."""
    return apply("sinh", to_float(x))


@word
def cosh(x: ArrayLike, /) -> Node:
    """The hyperbolic cosine."""
    return apply("cosh", to_float(x))


@word
def tanh(x: ArrayLike, /) -> Node:
    """The hyperbolic tangent."""
    return apply("tanh", to_float(x))


@word
def asinh(x: ArrayLike, /) -> Node:
    """The inverse of sinh."""
    return apply("asinh", to_float(x))


@word
def acosh(x: ArrayLike, /) -> Node:
    """The inverse of cosh, at least 0; NaN below 1."""
    return apply("acosh", to_float(x))


@word
def atanh(x: ArrayLike, /) -> Node:
    """The inverse of tanh; NaN outside [-1, 1]."""
    return apply("atanh", to_float(x))
