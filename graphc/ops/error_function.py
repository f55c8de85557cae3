"""The error function of each element, its complement, and the normal distribution's functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.lang.exponential import exp
from graphc.lang.special import erfcx
from graphc.ops import error_function_reference as numpy
from graphc.ops.error_function_reference import widest
from graphc.ops.primitive import FloatPrimitive
from graphc.ops.rules import widened

Array = np.ndarray[Any, Any]


@register
class Erf(FloatPrimitive):
    """2 / sqrt(pi) times the integral of exp(-t*t) from 0 to each element."""

    name = "erf"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * 2 / sqrt(pi) * exp(-x*x)."""
        (x,) = node.inputs
        return [gradient * (2 / math.sqrt(math.pi)) * exp(-x * x)]

    def reference(self, *arrays: Array) -> Array:
        """Python's, element by element: NumPy has none."""
        (x,) = arrays
        return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x)).astype(x.dtype)


@register
class Erfc(FloatPrimitive):
    """1 - erf(x) of each element, without loss where it is small."""

    name = "erfc"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """-g * 2 / sqrt(pi) * exp(-x*x)."""
        (x,) = node.inputs
        return [gradient * (-2 / math.sqrt(math.pi)) * exp(-x * x)]

    def reference(self, *arrays: Array) -> Array:
        """exp(-x*x) erfcx(x)."""
        (x,) = arrays
        return numpy.erfc(widest(x)).astype(x.dtype)


@register
class Erfcx(FloatPrimitive):
    """exp(x*x) erfc(x) of each element: what is left of erfc once its decay is taken off."""

    name = "erfcx"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * (2 x erfcx(x) - 2 / sqrt(pi)), of which little is left where x is large."""
        return [gradient * (2 * node.inputs[0] * node - 2 / math.sqrt(math.pi))]

    def reference(self, *arrays: Array) -> Array:
        """An integral by the trapezoidal rule."""
        (x,) = arrays
        return numpy.erfcx(widest(x)).astype(x.dtype)


@register
class Ndtr(FloatPrimitive):
    """The probability that a normal number is below each element."""

    name = "ndtr"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g times the density: exp(-x*x / 2) / sqrt(2 pi)."""
        (x,) = node.inputs
        return [gradient * (1 / math.sqrt(2 * math.pi)) * exp(-0.5 * x * x)]

    def reference(self, *arrays: Array) -> Array:
        """erfc(-x / sqrt(2)) / 2."""
        (x,) = arrays
        return numpy.ndtr(widest(x)).astype(x.dtype)


@register
class LogNdtr(FloatPrimitive):
    """The logarithm of the probability that a normal number is below each element."""

    name = "log_ndtr"

    def formula(self, *values: Scalar) -> Scalar:
        """Below -1 the logarithm of the scaled tail less x*x / 2, else log1p(-P(X > x))."""
        x = widened(values[0])
        tail = scalar.call("erfcx", scalar.call("abs", x) * math.sqrt(0.5)) * 0.5
        low = scalar.call("log", tail) - x * x * 0.5
        high = scalar.call("log1p", -scalar.call("ndtr", -x))
        return scalar.cast(scalar.where(x < -1.0, low, high), values[0].dtype)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g times the density over the probability: sqrt(2 / pi) / erfcx(-x / sqrt(2))."""
        (x,) = node.inputs
        return [gradient * math.sqrt(2 / math.pi) / erfcx(x * -math.sqrt(0.5))]

    def reference(self, *arrays: Array) -> Array:
        """The same formula in NumPy."""
        (x,) = arrays
        return numpy.log_ndtr(widest(x)).astype(x.dtype)


@register
class Erfinv(FloatPrimitive):
    """The number whose erf each element is; NaN beyond -1 and 1."""

    name = "erfinv"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * sqrt(pi) / 2 * exp(y*y)."""
        return [gradient * (math.sqrt(math.pi) / 2) * exp(node * node)]

    def reference(self, *arrays: Array) -> Array:
        """By Newton's method."""
        (x,) = arrays
        return numpy.erfinv(widest(x)).astype(x.dtype)


@register
class Erfcinv(FloatPrimitive):
    """The number whose erfc each element is; NaN below 0 and above 2."""

    name = "erfcinv"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """-g * sqrt(pi) / 2 * exp(y*y)."""
        return [gradient * (-math.sqrt(math.pi) / 2) * exp(node * node)]

    def reference(self, *arrays: Array) -> Array:
        """By Newton's method."""
        (x,) = arrays
        return numpy.erfcinv(widest(x)).astype(x.dtype)
