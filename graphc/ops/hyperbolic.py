"""Hyperbolic functions of each element, and their inverses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.lang.arithmetic import sqrt
from graphc.lang.trigonometric import cosh, sinh
from graphc.ops.primitive import FloatPrimitive


@register
class Sinh(FloatPrimitive):
    """The hyperbolic sine of each element."""

    name = "sinh"
    reference = staticmethod(np.sinh)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * cosh(x)."""
        return [gradient * cosh(node.inputs[0])]


@register
class Cosh(FloatPrimitive):
    """The hyperbolic cosine of each element."""

    name = "cosh"
    reference = staticmethod(np.cosh)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * sinh(x)."""
        return [gradient * sinh(node.inputs[0])]


@register
class Tanh(FloatPrimitive):
    """The hyperbolic tangent of each element."""

    name = "tanh"
    reference = staticmethod(np.tanh)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * (1 - tanh(x)**2)."""
        return [gradient * (1 - node * node)]


@register
class Asinh(FloatPrimitive):
    """The number whose hyperbolic sine each element is."""

    name = "asinh"
    reference = staticmethod(np.arcsinh)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / sqrt(x*x + 1)."""
        (x,) = node.inputs
        return [gradient / sqrt(x * x + 1)]


@register
class Acosh(FloatPrimitive):
    """The number of at least 0 whose hyperbolic cosine each element is; NaN below 1."""

    name = "acosh"
    reference = staticmethod(np.arccosh)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / sqrt(x*x - 1), factored to stay precise near 1."""
        (x,) = node.inputs
        return [gradient / sqrt((x - 1) * (x + 1))]


@register
class Atanh(FloatPrimitive):
    """The number whose hyperbolic tangent each element is; NaN outside [-1, 1]."""

    name = "atanh"
    reference = staticmethod(np.arctanh)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / (1 - x*x), factored to stay precise near the ends."""
        (x,) = node.inputs
        return [gradient / ((1 - x) * (1 + x))]
