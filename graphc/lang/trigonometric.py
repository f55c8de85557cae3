"""Words for trigonometric and hyperbolic functions; integers and bools become float64."""

from __future__ import annotations

import math

from graphc.ir.node import Node, apply, word
from graphc.lang.arithmetic import abs, copysign
from graphc.lang.comparison import greater, less
from graphc.lang.complex_numbers import real
from graphc.lang.operands import ArrayLike, to_float, together_as_floats
from graphc.lang.rounding import round
from graphc.lang.selection import where


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


@word
def sinc(x: ArrayLike, /) -> Node:
    """sin(pi x) / (pi x), and 1 at 0, where all its derivatives are right too."""
    node = to_float(x)
    near = less(abs(node), 0.25)
    small = where(near, node, 0)
    return where(near, sinc_series(small), sine_of_half_turns(node) / (math.pi * node))


def sinc_series(x: Node) -> Node:
    """sin(pi x) / (pi x) by its series, for |x| up to 1/4, with terms enough for derivatives."""
    square = (math.pi * x) * (math.pi * x)
    total = square * (1 / math.factorial(25))
    for n in range(11, 0, -1):
        total = (total + (-1) ** n / math.factorial(2 * n + 1)) * square
    return total + 1


def sine_of_half_turns(x: Node) -> Node:
    """sin(pi x), from what x is beyond a whole turn: as precise for large x, and 0 at integers."""
    beyond = x - 2 * round(real(x) * 0.5)
    if x.dtype.is_complex:
        return sin(math.pi * beyond)
    folded = where(greater(abs(beyond), 0.5), copysign(1.0, beyond) - beyond, beyond)
    return sin(math.pi * folded)


@word
def deg2rad(x: ArrayLike, /) -> Node:
    """Degrees as radians."""
    return to_float(x) * (math.pi / 180)


@word
def rad2deg(x: ArrayLike, /) -> Node:
    """Radians as degrees."""
    return to_float(x) * (180 / math.pi)
