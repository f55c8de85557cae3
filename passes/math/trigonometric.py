"""sin, cos and tan: x = n pi/2 + r with |r| <= pi/4, then a polynomial chosen by n mod 4."""

from __future__ import annotations

import math
from typing import NamedTuple

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math.floating import (
    absolute,
    bits,
    equal,
    floating,
    fma,
    nearest_integer,
)
from graphc.passes.math.polynomial import horner

TWO_OVER_PI = 0.6366197723675814

# pi/2 = the sum of the three, each rounded down to a number of its format: as all are positive,
# n = 0 leaves x = -0 as it is.
HALF_PI = {
    float32: (1.570796251296997, 7.549789415861596e-08, 5.390302529957765e-15),
    float64: (1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32),
}

# From these on the result is NaN: neighbouring floats are so far apart, and n is so large, that
# the reduction would need pi to hundreds of bits.
LIMIT = {float32: 2.0**22, float64: 2.0**50}

# (sin(r) / r - 1) / r² and (cos(r) - 1 + r²/2) / r⁴ for r² on [0, 0.81]: relative error of sin
# 2^-26.5 and 2^-60.4, of cos 2^-30.8 and 2^-66.3. That is wider than (pi/4)², for with huge
# arguments n is not always the nearest integer.
SIN = {
    float32: (-0.1666664034128189, 0.008331351913511753, -0.00019417188013903797),
    float64: (
        -0.16666666666666666, 0.008333333333333094, -0.00019841269841060005,
        2.7557319137956555e-06, -2.5052089795210486e-08, 1.6056884454956174e-10,
        -7.521494685269587e-13,
    ),
}  # fmt: skip
COS = {
    float32: (0.04166661947965622, -0.0013886187225580215, 2.431890789011959e-05),
    float64: (
        0.041666666666666664, -0.001388888888888849, 2.480158730132654e-05,
        -2.7557319138060955e-07, 2.08767414005481e-09, -1.1469183345214535e-11,
        4.699838403965705e-14,
    ),
}  # fmt: skip


class Reduced(NamedTuple):
    """sin(r), cos(r), and an integer whose two low bits are those of n."""

    sine: Scalar
    cosine: Scalar
    quadrant: Scalar


def reduce(x: Scalar) -> Reduced:
    """Cody and Waite's reduction by pi/2 in three parts; the first product is exact in the fma."""
    n, quadrant = nearest_integer(x, TWO_OVER_PI, 0)
    r = x
    for part in HALF_PI[x.dtype]:
        r = fma(n, -part, r)
    square = r * r
    # As an fma the product is +0, not -0, for r = -0, and then sin(-0) = -0.
    sine = fma(r, fma(square, horner(square, SIN[x.dtype]), 0.0), r)
    return Reduced(sine, horner(square, (1.0, -0.5, *COS[x.dtype])), quadrant)


def sin(x: Scalar) -> Scalar:
    """The sine; NaN beyond LIMIT."""
    return of_quadrant(x, 0)


def cos(x: Scalar) -> Scalar:
    """The cosine; NaN beyond LIMIT."""
    return of_quadrant(x, 1)


def of_quadrant(x: Scalar, turns: int) -> Scalar:
    """sin(x + turns pi/2): the quadrant's low bit chooses sine or cosine, the next the sign."""
    reduced = reduce(x)
    quadrant = reduced.quadrant + turns if turns else reduced.quadrant
    value = scalar.where(equal(quadrant & 1, 0), reduced.sine, reduced.cosine)
    sign = (quadrant & 2) << x.dtype.bits - 2
    return within_limit(x, floating(bits(value) ^ sign))


def tan(x: Scalar) -> Scalar:
    """sin(x) / cos(x), in odd quadrants -cos(r) / sin(r); NaN beyond LIMIT."""
    sine, cosine, quadrant = reduce(x)
    even = equal(quadrant & 1, 0)
    numerator = scalar.where(even, sine, -cosine)
    return within_limit(x, numerator / scalar.where(even, cosine, sine))


def within_limit(x: Scalar, result: Scalar) -> Scalar:
    """The result where the reduction is accurate, else NaN."""
    return scalar.where(absolute(x) < LIMIT[x.dtype], result, math.nan)
