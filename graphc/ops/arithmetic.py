"""Arithmetic of each element: add, subtract, multiply, divide and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import INEXACT, NUMBERS, DType
from graphc.lang.arithmetic import copysign, floor_divide, hypot, sign
from graphc.lang.comparison import equal, greater, less
from graphc.lang.complex_numbers import conj, real
from graphc.lang.selection import where
from graphc.ops import complex_formulas
from graphc.ops.complex_parts import PartByPart, parts
from graphc.ops.primitive import Flat, FloatPrimitive, Primitive

Array = np.ndarray[Any, Any]


@register
class Add(PartByPart, Primitive):
    """The sum of two elements."""

    name = "add"
    accepts = NUMBERS
    steep = False
    arity = 2
    reference = staticmethod(np.add)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient, to both."""
        return [gradient, gradient]


@register
class Subtract(PartByPart, Primitive):
    """The first element less the second."""

    name = "subtract"
    accepts = NUMBERS
    steep = False
    arity = 2
    reference = staticmethod(np.subtract)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient, and its negative."""
        return [gradient, -gradient]


@register
class Multiply(Primitive):
    """The product of two elements."""

    name = "multiply"
    accepts = NUMBERS
    arity = 2
    reference = staticmethod(np.multiply)
    complex_formula = staticmethod(complex_formulas.multiply)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To each the gradient times the other."""
        x, y = node.inputs
        return [gradient * y, gradient * x]


@register
class Divide(Primitive):
    """The first element divided by the second."""

    name = "divide"
    accepts = INEXACT
    arity = 2
    reference = staticmethod(np.divide)
    complex_formula = staticmethod(complex_formulas.divide)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / y, and -(g / y) * (x / y), which overflows later than g * x / (y * y)."""
        _, y = node.inputs
        return [gradient / y, -(gradient / y) * node]


@register
class FloorDivide(Flat, Primitive):
    """The quotient rounded down; an integer divided by 0 gives 0, as in NumPy."""

    name = "floor_divide"
    arity = 2
    reference = staticmethod(np.floor_divide)


@register
class Remainder(Primitive):
    """What floor division leaves, with the divisor's sign; 0 for an integer divided by 0."""

    name = "remainder"
    arity = 2
    reference = staticmethod(np.remainder)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """That of x - y * floor(x / y), where the floor is constant."""
        x, y = node.inputs
        return [gradient, -gradient * floor_divide(x, y)]


@register
class Negative(PartByPart, Primitive):
    """The element with its sign changed; unsigned integers wrap around."""

    name = "negative"
    accepts = NUMBERS
    steep = False
    reference = staticmethod(np.negative)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The negative of the gradient."""
        return [-gradient]


@register
class Abs(Primitive):
    """The element without its sign; of a complex one the distance from 0, which is real."""

    name = "abs"
    accepts = NUMBERS
    steep = False
    reference = staticmethod(np.abs)

    def formula(self, *values: Scalar) -> Scalar:
        """abs(x); an unsigned integer as it is."""
        (x,) = values
        return x if x.dtype.kind == "uint" else super().formula(x)

    def result(self, dtype: DType) -> DType:
        """The dtype itself, or that of the parts."""
        return dtype.part

    def split(self, node: Node) -> Node:
        """The hypotenuse of the parts, whose squares do not overflow."""
        return hypot(*parts(node.inputs[0]))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient times the sign, or its conjugate; at 0 the sub-gradient 0 is chosen."""
        return [gradient * conj(sign(node.inputs[0]))]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The tangent times the sign, or what of it points away from 0."""
        if tangents[0] is None:
            return None
        return real(tangents[0] * conj(sign(node.inputs[0])))


@register
class Sign(Flat, Primitive):
    """-1, 0 or 1 as the element is negative, zero or positive; NaN for NaN."""

    name = "sign"
    reference = staticmethod(np.sign)

    def formula(self, *values: Scalar) -> Scalar:
        """1 and -1 on the two sides; between them +0, whatever the zero's sign, or NaN."""
        (x,) = values
        middle = scalar.where(scalar.call("equal", x, 0), 0, x)
        below = middle if x.dtype.kind == "uint" else scalar.where(x < 0, -1, middle)
        return scalar.where(x > 0, 1, below)


@register
class CopySign(FloatPrimitive):
    """The magnitude of the first element with the sign of the second, that of a zero included."""

    name = "copysign"
    steep = False
    arity = 2
    reference = staticmethod(np.copysign)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """1 where the sign is kept and -1 where it turns (0 at 0); nothing to the sign's owner."""
        x, y = node.inputs
        return [gradient * sign(x) * copysign(1.0, y), None]


@register
class Maximum(Primitive):
    """The larger of two elements; NaN if either is."""

    name = "maximum"
    steep = False
    arity = 2
    reference = staticmethod(np.maximum)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To the larger one; where they tie, half to each."""
        x, y = node.inputs
        return [share(gradient, greater(x, y), equal(x, y)),
                share(gradient, less(x, y), equal(x, y))]  # fmt: skip


@register
class Minimum(Primitive):
    """The smaller of two elements; NaN if either is."""

    name = "minimum"
    steep = False
    arity = 2
    reference = staticmethod(np.minimum)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To the smaller one; where they tie, half to each."""
        x, y = node.inputs
        return [share(gradient, less(x, y), equal(x, y)),
                share(gradient, greater(x, y), equal(x, y))]  # fmt: skip


def share(gradient: Node, wins: Node, ties: Node) -> Node:
    """The gradient for an operand that wins, half of it where it ties, else 0."""
    return where(wins, gradient, where(ties, gradient * 0.5, 0))


@register
class Relu(Primitive):
    """The element where it is positive, else 0; NaN stays."""

    name = "relu"
    steep = False

    def formula(self, *values: Scalar) -> Scalar:
        """maximum(x, 0)."""
        return scalar.call("maximum", values[0], 0)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient where x > 0; at 0 the sub-gradient 0 is chosen."""
        return [where(greater(node, 0), gradient, 0)]

    def reference(self, *arrays: Array) -> Array:
        """maximum(x, 0)."""
        return np.asarray(np.maximum(arrays[0], np.zeros_like(arrays[0])))
