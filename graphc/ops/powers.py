"""Powers and roots of each element."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import NUMBERS
from graphc.lang.arithmetic import power
from graphc.lang.comparison import equal
from graphc.lang.exponential import log
from graphc.lang.selection import where
from graphc.ops import complex_formulas
from graphc.ops.primitive import FloatPrimitive, InexactPrimitive, Primitive
from graphc.ops.rules import widened

Array = np.ndarray[Any, Any]


@register
class Power(Primitive):
    """The first element to the power of the second.

    An integer to a negative power is its exact reciprocal rounded towards zero: 1 for 1, 1 or -1
    for -1, else 0, where NumPy refuses.
    """

    name = "power"
    accepts = NUMBERS
    arity = 2
    complex_formula = staticmethod(complex_formulas.power)

    def formula(self, *values: Scalar) -> Scalar:
        """The scalar function for floats; for integers, squarings as many as there are bits."""
        return super().formula(*values) if values[0].dtype.is_float else integer_power(*values)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """y * x**(y - 1), which is 0 where y is 0; and x**y * log(x), taken as 0 where x is 0."""
        x, y = node.inputs
        flat, zero = equal(y, 0), equal(x, 0)
        slope = y * power(x, where(flat, 1, y - 1))
        growth = where(zero, 0, node) * log(where(zero, 1, x))
        return [where(flat, 0, gradient * slope), gradient * growth]

    def reference(self, *arrays: Array) -> Array:
        """np.power, with the rule for negative powers of integers."""
        x, y = arrays
        if x.dtype.kind != "i":
            return np.asarray(np.power(x, y))
        whole = np.power(x, np.where(y < 0, y & 1, y))
        return np.where((y < 0) & (np.abs(x) != 1), np.zeros_like(x), whole)


def integer_power(x: Scalar, y: Scalar) -> Scalar:
    """x**y by repeated squaring; wraps around as multiplication does."""
    if x.dtype.kind == "uint":
        return repeated_squaring(x, y, x.dtype.bits)
    # 1 and -1 to a negative power are what they are to its lowest bit; all else rounds to 0.
    negative = y < 0
    whole = repeated_squaring(x, scalar.where(negative, y & 1, y), x.dtype.bits - 1)
    unit = scalar.call("equal", x, 1) | scalar.call("equal", x, -1)
    return scalar.where(negative & ~unit, 0, whole)


def repeated_squaring(x: Scalar, y: Scalar, bits: int) -> Scalar:
    """The product of x**(2**k) over the bits k that are set in y."""
    squares = [x]
    while len(squares) < bits:
        squares.append(squares[-1] * squares[-1])
    set_bits = [scalar.call("not_equal", y & (1 << k), 0) for k in range(bits)]
    factors = [scalar.where(b, s, 1) for b, s in zip(set_bits, squares, strict=True)]
    return reduce(lambda product, factor: product * factor, factors)


@register
class Sqrt(InexactPrimitive):
    """The square root of each element; NaN below 0."""

    name = "sqrt"
    reference = staticmethod(np.sqrt)
    complex_formula = staticmethod(complex_formulas.square_root)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / (2 sqrt(x)), infinite at 0."""
        return [gradient * 0.5 / node]


@register
class Rsqrt(FloatPrimitive):
    """1 / sqrt(x) for each element; infinity at 0."""

    name = "rsqrt"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """-g / (2 x sqrt(x))."""
        return [gradient * -0.5 * node / node.inputs[0]]

    def reference(self, *arrays: Array) -> Array:
        """1 / sqrt(x), rounded once for the short floats."""
        (x,) = arrays
        wide = x.astype(np.float32) if x.itemsize == 2 else x
        return np.asarray(1 / np.sqrt(wide)).astype(x.dtype)


@register
class Hypot(FloatPrimitive):
    """sqrt(x*x + y*y) without overflow of the squares; infinite if either is."""

    name = "hypot"
    arity = 2
    reference = staticmethod(np.hypot)

    def formula(self, *values: Scalar) -> Scalar:
        """The larger times sqrt(1 + ratio * ratio), where the ratio is at most 1; rounded once."""
        x, y = (scalar.call("abs", widened(value)) for value in values)
        large, small = scalar.call("maximum", x, y), scalar.call("minimum", x, y)
        ratio = small / scalar.where(scalar.call("equal", large, 0), 1, large)
        length = large * scalar.call("sqrt", ratio * ratio + 1)
        infinity = float("inf")
        infinite = scalar.call("equal", x, infinity) | scalar.call("equal", y, infinity)
        return scalar.cast(scalar.where(infinite, infinity, length), values[0].dtype)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * x / hypot and g * y / hypot; at the origin the sub-gradient 0 is chosen."""
        x, y = node.inputs
        length = where(equal(node, 0), 1, node)
        return [gradient * (x / length), gradient * (y / length)]


@register
class Cbrt(FloatPrimitive):
    """The cube root of each element, with its sign."""

    name = "cbrt"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g / (3 cbrt(x)**2), infinite at 0."""
        return [gradient / (3 * node * node)]

    def reference(self, *arrays: Array) -> Array:
        """np.cbrt, rounded once for the short floats."""
        (x,) = arrays
        wide = x.astype(np.float32) if x.itemsize == 2 else x
        return np.asarray(np.cbrt(wide)).astype(x.dtype)
