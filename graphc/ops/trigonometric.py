"""Trigonometric functions of each element, and their inverses, in radians."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.lang.arithmetic import sqrt
from graphc.lang.trigonometric import cos, sin
from graphc.ops import complex_formulas
from graphc.ops.primitive import FloatPrimitive, InexactPrimitive


@register
class Sin(InexactPrimitive):
    """The sine of each element."""

    name = "sin"
    reference = staticmethod(np.sin)
    complex_formula = staticmethod(complex_formulas.sine)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * cos(x)."""
        return [gradient * cos(node.inputs[0])]


@register
class Cos(InexactPrimitive):
    """The cosine of each element."""

    name = "cos"
    reference = staticmethod(np.cos)
    complex_formula = staticmethod(complex_formulas.cosine)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """-g * sin(x)."""
        return [-gradient * sin(node.inputs[0])]


@register
class Tan(InexactPrimitive):
    """The tangent of each element."""

    name = "tan"
    reference = staticmethod(np.tan)
    complex_formula = staticmethod(complex_formulas.tangent)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * (1 + tan(x)**2)."""
        return [gradient * (1 + node * node)]


@register
class Asin(InexactPrimitive):
    """The angle in [-pi/2, pi/2] whose sine each element is; NaN outside [-1, 1]."""

    name = "asin"
    reference = staticmethod(np.arcsin)
    complex_formula = staticmethod(complex_formulas.arc_sine)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / sqrt(1 - x*x), factored to stay precise near the ends."""
        (x,) = node.inputs
        return [gradient / sqrt((1 - x) * (1 + x))]


@register
class Acos(InexactPrimitive):
    """The angle in [0, pi] whose cosine each element is; NaN outside [-1, 1]."""

    name = "acos"
    reference = staticmethod(np.arccos)
    complex_formula = staticmethod(complex_formulas.arc_cosine)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """-g / sqrt(1 - x*x), factored to stay precise near the ends."""
        (x,) = node.inputs
        return [-gradient / sqrt((1 - x) * (1 + x))]


@register
class Atan(InexactPrimitive):
    """The angle in [-pi/2, pi/2] whose tangent each element is."""

    name = "atan"
    reference = staticmethod(np.arctan)
    complex_formula = staticmethod(complex_formulas.arc_tangent)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / (1 + x*x)."""
        (x,) = node.inputs
        return [gradient / (1 + x * x)]


@register
class Atan2(FloatPrimitive):
    """The angle in [-pi, pi] of the point (x, y), y the first operand; signed zeros tell sides."""

    name = "atan2"
    arity = 2
    reference = staticmethod(np.arctan2)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * x / (x*x + y*y) and -g * y / (x*x + y*y); NaN at the origin."""
        y, x = node.inputs
        scaled = gradient / (x * x + y * y)
        return [scaled * x, -scaled * y]
