"""Exponentials and logarithms of each element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.lang.comparison import equal, isinf
from graphc.lang.exponential import exp, sigmoid
from graphc.lang.logic import logical_and
from graphc.lang.selection import where
from graphc.ops import complex_formulas
from graphc.ops.primitive import FloatPrimitive, InexactPrimitive
from graphc.ops.rules import widened

Array = np.ndarray[Any, Any]


@register
class Exp(InexactPrimitive):
    """e to the power of each element."""

    name = "exp"
    reference = staticmethod(np.exp)
    complex_formula = staticmethod(complex_formulas.exponential)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """exp is its own derivative."""
        return [gradient * node]


@register
class Expm1(InexactPrimitive):
    """exp(x) - 1 of each element, precise near 0."""

    name = "expm1"
    reference = staticmethod(np.expm1)
    complex_formula = staticmethod(complex_formulas.exponential_less_one)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * exp(x)."""
        return [gradient * exp(node.inputs[0])]


@register
class Log(InexactPrimitive):
    """The natural logarithm of each element; NaN below 0."""

    name = "log"
    reference = staticmethod(np.log)
    complex_formula = staticmethod(complex_formulas.logarithm)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / x."""
        return [gradient / node.inputs[0]]


@register
class Log1p(InexactPrimitive):
    """log(1 + x) of each element, precise near 0."""

    name = "log1p"
    reference = staticmethod(np.log1p)
    complex_formula = staticmethod(complex_formulas.logarithm_of_one_more)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / (1 + x)."""
        return [gradient / (1 + node.inputs[0])]


@register
class Sigmoid(FloatPrimitive):
    """1 / (1 + exp(-x)) of each element."""

    name = "sigmoid"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * s * (1 - s), where 1 - s is written as sigmoid(-x) to stay precise."""
        return [gradient * node * sigmoid(-node.inputs[0])]

    def reference(self, *arrays: Array) -> Array:
        """With exponentials of negative numbers alone, which cannot overflow."""
        (x,) = arrays
        wide = x.astype(np.float32) if x.itemsize == 2 else x
        small = np.exp(-np.abs(wide))
        return np.asarray(np.where(wide >= 0, 1, small) / (1 + small)).astype(x.dtype)


@register
class Softplus(FloatPrimitive):
    """log(1 + exp(x)) of each element, without overflow."""

    name = "softplus"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * sigmoid(x)."""
        return [gradient * sigmoid(node.inputs[0])]

    def reference(self, *arrays: Array) -> Array:
        """log(exp(0) + exp(x))."""
        return np.asarray(np.logaddexp(np.zeros_like(arrays[0]), arrays[0]))


@register
class LogAddExp(FloatPrimitive):
    """log(exp(x) + exp(y)), without overflow."""

    name = "logaddexp"
    arity = 2
    reference = staticmethod(np.logaddexp)

    def formula(self, *values: Scalar) -> Scalar:
        """The larger plus softplus(-|x - y|), rounded once; equal infinities differ by 0."""
        x, y = map(widened, values)
        apart = scalar.where(scalar.call("equal", x, y), 0, scalar.call("abs", x - y))
        total = scalar.call("maximum", x, y) + scalar.call("softplus", -apart)
        return scalar.cast(total, values[0].dtype)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * sigmoid(x - y) and g * sigmoid(y - x): smooth also where x is y."""
        x, y = node.inputs
        # Only an infinite difference is replaced: a finite one must keep its own derivative.
        apart = where(logical_and(equal(x, y), isinf(x)), 0, x - y)
        return [gradient * sigmoid(apart), gradient * sigmoid(-apart)]


@register
class Exp2(FloatPrimitive):
    """2 to the power of each element."""

    name = "exp2"
    reference = staticmethod(np.exp2)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * 2**x * log(2)."""
        return [gradient * node * math.log(2)]
