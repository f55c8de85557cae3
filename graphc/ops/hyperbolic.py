"""Hyperbolic functions of each element, and their inverses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.lang.arithmetic import sqrt
from graphc.lang.trigonometric import cosh, sinh
from graphc.ops import complex_formulas
from graphc.ops.primitive import InexactPrimitive


@register
class Sinh(InexactPrimitive):
    """The hyperbolic sine of each element."""

    name = "sinh"
    reference = staticmethod(np.sinh)
    complex_formula = staticmethod(complex_formulas.hyperbolic_sine)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * cosh(x)."""
        return [gradient * cosh(node.inputs[0])]


@register
class Cosh(InexactPrimitive):
    """The hyperbolic cosine of each element."""

    name = "cosh"
    reference = staticmethod(np.cosh)
    complex_formula = staticmethod(complex_formulas.hyperbolic_cosine)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * sinh(x)."""
        return [gradient * sinh(node.inputs[0])]


@register
class Tanh(InexactPrimitive):
    """The hyperbolic tangent of each element."""

    name = "tanh"
    reference = staticmethod(np.tanh)
    complex_formula = staticmethod(complex_formulas.hyperbolic_tangent)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * (1 - tanh(x)**2)."""
        return [gradient * (1 - node * node)]


@register
class Asinh(InexactPrimitive):
    """The number whose hyperbolic sine each element is."""

    name = "asinh"
    reference = staticmethod(np.arcsinh)
    complex_formula = staticmethod(complex_formulas.arc_hyperbolic_sine)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / sqrt(x*x + 1)."""
        (x,) = node.inputs
        return [gradient / sqrt(x * x + 1)]


@register
class Acosh(InexactPrimitive):
    """The number of at least 0 whose hyperbolic cosine each element is; NaN below 1."""

    name = "acosh"
    reference = staticmethod(np.arccosh)
    complex_formula = staticmethod(complex_formulas.arc_hyperbolic_cosine)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / sqrt(x*x - 1), factored to stay precise near 1."""
        (x,) = node.inputs
        return [gradient / sqrt((x - 1) * (x + 1))]


@register
class Atanh(InexactPrimitive):
    """The number whose hyperbolic tangent each element is; NaN outside [-1, 1]."""

    name = "atanh"
    reference = staticmethod(np.arctanh)
    complex_formula = staticmethod(complex_formulas.arc_hyperbolic_tangent)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / (1 - x*x), factored to stay precise near the ends."""
        (x,) = node.inputs
        return [gradient / ((1 - x) * (1 + x))]
