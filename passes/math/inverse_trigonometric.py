"""asin, acos, atan and atan2: an odd polynomial near zero, and identities that lead there."""

from __future__ import annotations

from typing import NamedTuple

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math.floating import absolute, bits, copysign, equal, fma, square_root
from graphc.passes.math.polynomial import horner

# pi/2 = the sum of the two, each a number of its format.
HALF_PI = {
    float32: (1.5707963705062866, -4.371138828673793e-08),
    float64: (1.5707963267948966, 6.123233995736766e-17),
}

# (asin(x) / x - 1) / x² for x² on [0, 1/4]: relative error of asin 2^-27.5 and 2^-55.8.
ASIN = {
    float32: (
        0.16666753590106964, 0.07495246082544327, 0.045477256178855896, 0.024144168943166733,
        0.042227938771247864,
    ),
    float64: (
        0.16666666666665367, 0.07500000000347046, 0.04464285682003298, 0.030381959478698674,
        0.02237174987736773, 0.01735982760014661, 0.013884026669451599, 0.012177118550025541,
        0.0064939008994405484, 0.019621209113763378, -0.01636967397550637, 0.03201169396704635,
    ),
}  # fmt: skip

# (atan(x) / x - 1) / x² for x² on [0, 1]: relative error of atan 2^-25.8 and 2^-56.6.
ATAN = {
    float32: (
        -0.33333152532577515, 0.19993765652179718, -0.1421099156141281, 0.1066574826836586,
        -0.07551666349172592, 0.04320540279150009, -0.0163639597594738, 0.002919698366895318,
    ),
    float64: (
        -0.3333333333333307, 0.1999999999995175, -0.14285714282588138, 0.11111111007342103,
        -0.09090907007773051, 0.07692279888314167, -0.06666404416285217, 0.05880529755356369,
        -0.05253526507337564, 0.047223473256891864, -0.04219240635846402, 0.036643096255994656,
        -0.02990564109392373, 0.021986940775141028, -0.013902441801391883, 0.007197782842602075,
        -0.002885553063958893, 0.0008315383190127693, -0.00015220625535484016,
        1.3229484425787334e-05,
    ),
}  # fmt: skip


class HalfAngle(NamedTuple):
    """asin of |x| where that is at most 1/2, else half of acos(|x|)."""

    near_one: Scalar
    angle: Scalar


def half_angle(x: Scalar) -> HalfAngle:
    """asin(s) with s = |x|, or near one s = sqrt((1 - |x|) / 2); NaN beyond one."""
    a = absolute(x)
    near_one = a > 0.5
    square = scalar.where(near_one, fma(a, -0.5, 0.5), a * a)
    s = scalar.where(near_one, square_root(square), a)
    return HalfAngle(near_one, fma(s * square, horner(square, ASIN[x.dtype]), s))


def asin(x: Scalar) -> Scalar:
    """The angle in [-pi/2, pi/2]; NaN for |x| > 1."""
    near_one, angle = half_angle(x)
    high, low = HALF_PI[x.dtype]
    return copysign(scalar.where(near_one, fma(angle, -2.0, low) + high, angle), x)


def acos(x: Scalar) -> Scalar:
    """The angle in [0, pi]; NaN for |x| > 1."""
    near_one, angle = half_angle(x)
    high, low = HALF_PI[x.dtype]
    signed = copysign(angle, x)
    middle = high - (signed - low)
    # Near one the angle is 2 asin(s), near minus one pi - 2 asin(s).
    edge = scalar.where(x < 0.0, 2.0 * (high + (signed + low)), angle * 2.0)
    return scalar.where(near_one, edge, middle)


def atan_polynomial(t: Scalar) -> Scalar:
    """atan(t) for |t| <= 1."""
    square = t * t
    return fma(t * square, horner(square, ATAN[t.dtype]), t)


def atan(x: Scalar) -> Scalar:
    """The angle in [-pi/2, pi/2]; where |x| > 1 the polynomial is taken at 1 / |x|."""
    a = absolute(x)
    beyond = a > 1.0
    angle = atan_polynomial(scalar.where(beyond, -1.0 / a, a))
    return copysign(add_where(beyond, HALF_PI[x.dtype], angle), x)


def add_where(condition: Scalar, pair: tuple[float, float], angle: Scalar) -> Scalar:
    """An angle plus a constant in two parts where the condition holds."""
    high, low = pair
    return scalar.where(condition, (angle + low) + high, angle)


def atan2(y: Scalar, x: Scalar) -> Scalar:
    """The angle of the point (x, y) in [-pi, pi], with the sign of y.

    The angle is found in the first octant, where the smaller of |x| and |y| is divided by the
    larger, and unfolded: over the diagonal, then over the y-axis where x is negative or -0.
    """
    steep = absolute(y) > absolute(x)
    small = scalar.where(steep, absolute(x), absolute(y))
    large = scalar.where(steep, absolute(y), absolute(x))
    angle = atan_polynomial(quotient(small, large))
    left = bits(x) < 0
    high, low = HALF_PI[x.dtype]
    mirrored = scalar.where(left, -angle, angle)
    upright = add_where(left, (2.0 * high, 2.0 * low), mirrored)
    return copysign(scalar.where(steep, (low - mirrored) + high, upright), y)


def quotient(small: Scalar, large: Scalar) -> Scalar:
    """small / large with 0/0 = 0 and inf/inf = 1, the tangents of the angles that IEEE names."""
    same = scalar.where(equal(large, 0.0), large, 1.0)
    return scalar.where(equal(small, large), same, small / large)
