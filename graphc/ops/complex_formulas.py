"""Elementary functions of complex numbers, written over real and imaginary parts.

Each function takes and gives pairs of real nodes. They do not overflow where the result is far from
doing so, and have small errors beside the magnitude of the result. For infinities and NaN they
follow the formulas, and C99's Annex G only where a docstring says so. Branch cuts and the inverse
functions are those of W. Kahan, "Branch cuts for complex elementary functions" (1987).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TypeAlias

from graphc.ir.literal import Literal
from graphc.ir.node import Node
from graphc.lang.arithmetic import abs, copysign, hypot, maximum, minimum, sqrt
from graphc.lang.comparison import equal, isinf
from graphc.lang.exponential import exp, expm1, log, log1p
from graphc.lang.logic import logical_or
from graphc.lang.operands import constant
from graphc.lang.selection import where
from graphc.lang.trigonometric import asinh, atan2, cos, cosh, sin, sinh
from graphc.ops.complex_parts import Pair
from graphc.ops.movement import MOVEMENTS

Times: TypeAlias = Callable[[Node, Node], Node]
FAR = 20.0
"""Beyond this tanh is 1 to the precision of float64, and the square of sinh is finite."""


KEEP_ZEROS = (*MOVEMENTS, "pad")
"""Operators that make zeros of zeros."""


def is_zero(node: Node) -> bool:
    """Whether a node is surely +0 everywhere, as the imaginary part of a number that was real."""
    while node.op.name in KEEP_ZEROS:
        node = node.inputs[0]
    if node.op.name != "constant":
        return False
    value: Literal = node.attrs["value"]
    return not value.array.tobytes().strip(b"\0")


def multiply(left: Pair, right: Pair, times: Times = operator.mul) -> Pair:
    """(a + bi)(c + di); a factor that is surely real scales the parts, infinite ones too.

    `times` is what multiplies parts: elements, or matrices.
    """
    (a, b), (c, d) = left, right
    if is_zero(d):
        return times(a, c), times(b, c)
    if is_zero(b):
        return times(a, c), times(a, d)
    return times(a, c) - times(b, d), times(a, d) + times(b, c)


def divide(left: Pair, right: Pair) -> Pair:
    """(a + bi) / (c + di) by R. L. Smith's method (1962), which scales by the larger of c and d."""
    (a, b), (c, d) = left, right
    if is_zero(d):
        return a / c, b / c
    swap = abs(c) < abs(d)
    large, small = where(swap, d, c), where(swap, c, d)
    zero = equal(large, 0)
    ratio = small / where(zero, 1, large)
    below = where(zero, 0, large + small * ratio)
    x, y = where(swap, b, a), where(swap, a, b)
    turned = y - x * ratio
    return (x + y * ratio) / below, where(swap, -turned, turned) / below


def square_root(z: Pair) -> Pair:
    """The root with a real part of at least 0; infinite parts as in Annex G.

    The root of the mean of |a| and |z| is one part. It is taken of scaled numbers, so that
    neither the sum overflows nor a subnormal number loses bits.
    """
    a, b = z
    large = maximum(abs(a), abs(b)) >= 1
    scale, back = choice(large, 2.0**-3, 2.0**55, a), choice(large, 2.0, 2.0**-28, a)
    x, y = abs(a) * scale, b * scale
    root = sqrt(x + hypot(x, y)) * back
    other = b / where(equal(root, 0), 1, root + root)
    left = a < 0
    upright = isinf(b)
    real = where(left, abs(other), root)
    return where(upright, abs(b), real), where(upright, b, where(left, copysign(root, b), other))


def choice(condition: Node, yes: float, no: float, like: Node) -> Node:
    """One of two numbers for each element, in the dtype of a node."""
    return where(condition, constant(yes, like.dtype), no)


def exponential(z: Pair) -> Pair:
    """exp(a) times cos b and sin b; real where b is 0."""
    a, b = z
    size = exp(a)
    return size * cos(b), guarded(size * sin(b), b)


def guarded(product: Node, factor: Node) -> Node:
    """A product that is zero where a factor is, though the other may be infinite."""
    return where(equal(factor, 0), factor, product)


def exponential_less_one(z: Pair) -> Pair:
    """exp(z) - 1: expm1(a) cos b - 2 sin(b/2)**2 and exp(a) sin b."""
    a, b = z
    half = sin(b * 0.5)
    return expm1(a) * cos(b) - 2 * half * half, guarded(exp(a) * sin(b), b)


def logarithm(z: Pair) -> Pair:
    """The logarithm of |z| and the angle; infinite parts as in Annex G.

    log |z| is that of the larger part and log1p of the rest. Near 1 it is log1p(|z|**2 - 1) / 2.
    """
    a, b = z
    large, small = maximum(abs(a), abs(b)), minimum(abs(a), abs(b))
    near = (large > 0.5) & (large < 2)
    ratio = small / where(equal(large, 0), 1, large)
    rest = where(near, (large - 1) * (large + 1) + small * small, ratio * ratio)
    size = where(near, 0, log(where(near, 1, large))) + 0.5 * log1p(rest)
    return where(logical_or(isinf(a), isinf(b)), math.inf, size), atan2(b, a)


def logarithm_of_one_more(z: Pair) -> Pair:
    """log(1 + z); where z is small, log1p(|1 + z|**2 - 1) / 2 and the angle."""
    a, b = z
    near = maximum(abs(a), abs(b)) < 0.5
    size, angle = logarithm((1 + a, b))
    x, y = where(near, a, 0), where(near, b, 0)
    return where(near, 0.5 * log1p(x * (2 + x) + y * y), size), angle


def power(base: Pair, exponent: Pair) -> Pair:
    """exp(w log z); 1 where w is 0, and 0 where z is 0 and the real part of w is above 0."""
    (a, b), (c, d) = base, exponent
    zero = equal(a, 0) & equal(b, 0)
    size, angle = logarithm((where(zero, 1, a), b))
    real, imaginary = exponential(multiply((size, angle), exponent))
    flat = equal(c, 0) & equal(d, 0)
    gone = choice(c > 0, 0, math.nan, a)
    return (
        where(flat, 1, where(zero, gone, real)),
        where(flat, 0, where(zero, gone, imaginary)),
    )


# --- circular and hyperbolic functions ------------------------------------------------------------


def hyperbolic_sine(z: Pair) -> Pair:
    """sinh a cos b and cosh a sin b."""
    a, b = z
    return sinh(a) * cos(b), guarded(cosh(a) * sin(b), b)


def hyperbolic_cosine(z: Pair) -> Pair:
    """cosh a cos b and sinh a sin b."""
    a, b = z
    return cosh(a) * cos(b), guarded(sinh(a) * sin(b), b)


def hyperbolic_tangent(z: Pair) -> Pair:
    """sinh a cosh a and sin b cos b, over sinh(a)**2 + cos(b)**2; its limit where a is large."""
    a, b = z
    far = abs(a) > FAR
    near = where(far, 0, a)
    s, c = sinh(near), cos(b)
    below = s * s + c * c
    turn = sin(b) * c
    real = where(far, copysign(1, a), s * cosh(near) / below)
    return real, where(far, 4 * turn * exp(-2 * abs(a)), turn / below)


def turned(z: Pair) -> Pair:
    """i times the conjugate: sin, tan and asin of it are those of sinh, tanh and asinh, turned."""
    a, b = z
    return b, a


def sine(z: Pair) -> Pair:
    """sin a cosh b and cos a sinh b."""
    return turned(hyperbolic_sine(turned(z)))


def cosine(z: Pair) -> Pair:
    """cos a cosh b and -sin a sinh b."""
    a, b = z
    return hyperbolic_cosine((-b, a))


def tangent(z: Pair) -> Pair:
    """tan z = -i tanh(iz)."""
    return turned(hyperbolic_tangent(turned(z)))


def roots_beside(z: Pair) -> tuple[Pair, Pair]:
    """The roots of 1 - z and of 1 + z."""
    a, b = z
    return square_root((1 - a, -b)), square_root((1 + a, b))


def arc_sine(z: Pair) -> Pair:
    """Kahan's: atan2(a, Re(p q)) and asinh(Im(conj(p) q)) of the roots p of 1 - z, q of 1 + z."""
    (p, q), (r, s) = roots_beside(z)
    return atan2(z[0], p * r - q * s), asinh(p * s - q * r)


def arc_cosine(z: Pair) -> Pair:
    """Kahan's: 2 atan2(Re p, Re q) and asinh(Im(conj(q) p)) of the roots p of 1 - z, q of 1 + z."""
    (p, q), (r, s) = roots_beside(z)
    return 2 * atan2(p, r), asinh(r * q - s * p)


def arc_hyperbolic_sine(z: Pair) -> Pair:
    """asinh z = i asin(-iz)."""
    return turned(arc_sine(turned(z)))


def arc_hyperbolic_cosine(z: Pair) -> Pair:
    """Kahan's: asinh(Re(conj(p) q)) and 2 atan2(Im p, Re q) of the roots p of z - 1, q of z + 1."""
    a, b = z
    (p, q), (r, s) = square_root((a - 1, b)), square_root((a + 1, b))
    return asinh(p * r + q * s), 2 * atan2(q, r)


def arc_hyperbolic_tangent(z: Pair) -> Pair:
    """log1p(4a / ((1 - a)**2 + b**2)) / 4 and atan2(2b, (1 - a)(1 + a) - b**2) / 2.

    The first is odd in a, and taken of |a|, where the logarithm does not cancel.
    """
    a, b = z
    x = abs(a)
    real = 0.25 * log1p(4 * x / ((1 - x) * (1 - x) + b * b))
    return copysign(real, a), 0.5 * atan2(b, 0.5 * ((1 - a) * (1 + a) - b * b))


def arc_tangent(z: Pair) -> Pair:
    """atan z = -i atanh(iz)."""
    return turned(arc_hyperbolic_tangent(turned(z)))
