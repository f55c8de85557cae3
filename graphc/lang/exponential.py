"""Words for exponentials, logarithms and their kin; integers and bools become float64."""

from __future__ import annotations

import math

from graphc.ir.node import Node, apply, word
from graphc.lang.operands import ArrayLike, to_float, together_as_floats


@word
def exp(x: ArrayLike, /) -> Node:
    """e to the power of each element."""
    return apply("exp", to_float(x))


@word
def exp2(x: ArrayLike, /) -> Node:
    """2 to the power of each element; exact where that is an integer."""
    return apply("exp2", to_float(x))


@word
def expm1(x: ArrayLike, /) -> Node:
    """exp(x) - 1, precise near 0."""
    return apply("expm1", to_float(x))


@word
def log(x: ArrayLike, /) -> Node:
    """The natural logarithm; NaN below 0."""
    return apply("log", to_float(x))


@word
def log1p(x: ArrayLike, /) -> Node:
    """log(1 + x), precise near 0."""
    return apply("log1p", to_float(x))


@word
def log2(x: ArrayLike, /) -> Node:
    """The logarithm to base 2."""
    return log(x) / math.log(2)


@word
def log10(x: ArrayLike, /) -> Node:
    """The logarithm to base 10."""
    return log(x) / math.log(10)


@word
def logaddexp(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """log(exp(x1) + exp(x2)), without overflow; equal ones share the gradient, infinite too."""
    return apply("logaddexp", *together_as_floats(x1, x2))


@word
def logaddexp2(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """log2(2**x1 + 2**x2), without overflow; equal ones share the gradient, infinite too."""
    first, second = together_as_floats(x1, x2)
    return logaddexp(first * math.log(2), second * math.log(2)) / math.log(2)


@word
def sigmoid(x: ArrayLike, /) -> Node:
    """1 / (1 + exp(-x))."""
    return apply("sigmoid", to_float(x))


@word
def softplus(x: ArrayLike, /) -> Node:
    """log(1 + exp(x)), without overflow."""
    return apply("softplus", to_float(x))


@word
def erf(x: ArrayLike, /) -> Node:
    """The error function: 2 / sqrt(pi) times the integral of exp(-t*t) from 0 to x."""
    return apply("erf", to_float(x))
