"""The logarithm of the gamma function of each element, and its derivatives of every order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType, float32
from graphc.lang.special import HIGHEST_ORDER, digamma, polygamma
from graphc.ops import gamma_reference as numpy
from graphc.ops.bernoulli_numbers import bernoulli
from graphc.ops.error_function_reference import widest
from graphc.ops.primitive import FloatPrimitive
from graphc.ops.rules import widened

Array = np.ndarray[Any, Any]


@register
class GammaLn(FloatPrimitive):
    """log |Γ(x)| of each element; infinite at 0 and the negative integers."""

    name = "gammaln"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * digamma(x)."""
        return [gradient * digamma(node.inputs[0])]

    def reference(self, *arrays: Array) -> Array:
        """By Stirling's series."""
        (x,) = arrays
        return numpy.gammaln(widest(x)).astype(x.dtype)


@register
class Digamma(FloatPrimitive):
    """Γ'(x) / Γ(x) of each element; -inf at 0, inf at -0, NaN at the negative integers."""

    name = "digamma"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * polygamma(1, x)."""
        return [gradient * polygamma(1, node.inputs[0])]

    def reference(self, *arrays: Array) -> Array:
        """By its asymptotic series."""
        (x,) = arrays
        return numpy.digamma(widest(x)).astype(x.dtype)


@register
class Polygamma(FloatPrimitive):
    """The derivative of digamma of an `order` from 1 on, of each element.

    At 0 and the negative integers it is infinite: positive for odd orders, negative for even ones.
    """

    name = "polygamma"

    def infer(self, *types: Any, **attrs: Any) -> TensorType:
        """The operand's type, for an order that is a positive integer."""
        order = attrs.pop("order", None)
        if type(order) is not int or not 1 <= order <= HIGHEST_ORDER:
            raise TypeRuleError(f"order must be an integer from 1 to {HIGHEST_ORDER}, not {order}")
        return super().infer(*types, **attrs)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The sum of the powers 1 / (x + k), or that of 1 - x reflected."""
        value = read(0, index)
        x, order = widened(value), node.attrs["order"]
        sign = 1 if order % 2 else -1
        negative, a = x < 0.0, scalar.call("abs", x)
        tail = sum_of_powers(scalar.where(negative, a + 1.0, a), order)
        result = scalar.where(negative, lifted(a, order) - tail, tail * float(sign))
        pole = scalar.call("equal", scalar.call("floor", x), x) & (x <= 0.0)
        return scalar.cast(scalar.where(pole, sign * math.inf, result), value.dtype)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * polygamma(order + 1, x)."""
        return [gradient * polygamma(node.attrs["order"] + 1, node.inputs[0])]

    def reference(self, *arrays: Array, order: int) -> Array:
        """The sum of powers and its asymptotic series."""
        (x,) = arrays
        return numpy.polygamma(order, widest(x)).astype(x.dtype)


def factorial_root(order: int) -> tuple[float, float]:
    """A c whose power order + 1 is about the factorial of the order, and the factor that is left.

    So the factorial over a power overflows only where the quotient does.
    """
    root = float(np.float32(math.exp(math.lgamma(order + 1) / (order + 1))))
    return root, float(Fraction(math.factorial(order)) / Fraction(root) ** (order + 1))


def sum_of_powers(a: Scalar, order: int) -> Scalar:
    """order! times the sum of 1 / (a + k)^(order + 1) over k >= 0, for a > 0.

    The first terms one by one, the others by Euler's and Maclaurin's formula.
    """
    raised, terms = (6, 4) if a.dtype == float32 else (10, 9)
    raised += order // 2
    root, factor = factorial_root(order)
    total = scalar.const(a.dtype, 0.0)
    for k in range(raised):
        total = total + power(root / (a + float(k)), order + 1)
    y = a + float(raised)
    inverse = 1.0 / y
    square = inverse * inverse
    series = scalar.const(a.dtype, 0.0)
    for j in reversed(range(1, terms)):
        series = (series + euler_maclaurin(order, j)) * square
    series = series + inverse * 0.5 + 1 / order
    return (total + power(root / y, order) * root * series) * factor


def euler_maclaurin(order: int, j: int) -> float:
    """The coefficient of y^-2j, for the power order + 1, where the integral has 1 / order."""
    rising = math.factorial(2 * j + order - 1)
    return float(bernoulli(2 * j) * rising / math.factorial(2 * j) / math.factorial(order))


def power(x: Scalar, exponent: int) -> Scalar:
    """A power by repeated squaring."""
    result: Scalar | None = None
    while exponent:
        if exponent & 1:
            result = x if result is None else result * x
        exponent >>= 1
        x = x * x if exponent else x
    assert result is not None
    return result


def lifted(a: Scalar, order: int) -> Scalar:
    """order! times the sum of 1 / (x + k)^(order + 1) over all integers k, at x = -a.

    It is a polynomial in the cotangent, written in multiples of it that keep coefficients small.
    """
    root, _ = factorial_root(order)
    beyond = a - scalar.call("round", a)
    scaled = -(math.pi * root) / scalar.call("tan", beyond * math.pi)
    found = numpy.cotangent_slopes(order)
    parts = [-c * math.pi ** (order + 1 - k) * root**-k for k, c in enumerate(found)]
    first = (order + 1) % 2
    square = scaled * scaled
    total = scalar.const(a.dtype, parts[-1])
    for coefficient in reversed(parts[first:-1:2]):
        total = total * square + coefficient
    return total * scaled if first else total
