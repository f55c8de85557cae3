"""x to the power of y: 2^(y log2 x), with the logarithm in double words.

The product y log2 x is as large as 150 or 1075, and its absolute error is the relative error of
the result: the logarithm needs 10 or 12 bits more than a float has.
"""

from __future__ import annotations

import math

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math import double_word
from graphc.passes.math.double_word import DoubleWord, fast_two_sum, two_product
from graphc.passes.math.exponential import exp
from graphc.passes.math.floating import (
    absolute,
    at_least,
    at_most,
    copysign,
    equal,
    format_of,
    nearest_integer,
    scale,
    split_finite,
)
from graphc.passes.math.logarithm import log
from graphc.passes.math.polynomial import horner

# Each is the sum of the two, numbers of its format.
THIRD = {
    float32: (0.3333333432674408, -9.934107758624577e-09),
    float64: (0.3333333333333333, 1.850371707708594e-17),
}
TWO_OVER_LN2 = {
    float32: (2.885390043258667, 3.851926067000022e-08),
    float64: (2.8853900817779268, 4.0710547481862066e-17),
}

# ((atanh(s) / s - 1) / z - 1/3) / z with z = s², for |s| <= tanh(ln(2)/4): minimax for the
# relative error of atanh, 2^-36.7 and 2^-74.4.
ATANH = {
    float32: (0.20000076293945312, 0.14273545145988464, 0.11709801107645035),
    float64: (
        0.2, 0.14285714285713444, 0.11111111111358139, 0.09090909053039051, 0.0769231108932258,
        0.06666480178337254, 0.05888625657352798, 0.05139637183388524, 0.060132231911707676,
    ),
}  # fmt: skip

# (2^r - 1) / r for |r| <= 0.502: minimax for the relative error of 2^r, 2^-26.2 and 2^-57.0.
EXP2 = {
    float32: (
        0.6931471824645996, 0.24022594094276428, 0.055503662675619125, 0.009625384584069252,
        0.0013388019287958741, 0.00013367542123887688,
    ),
    float64: (
        0.6931471805599453, 0.24022650695910175, 0.055504108664824574, 0.009618129107576031,
        0.00133335581455733, 0.0001540353048002609, 1.5252734723874987e-05,
        1.3215423983679046e-06, 1.0177666450454239e-07, 7.075686692891277e-09,
        4.516977120237976e-10,
    ),
}  # fmt: skip

# 2^x is zero and infinity beyond these.
EXP2_LIMITS = {float32: (-152.0, 129.0), float64: (-1077.0, 1025.0)}


def power(x: Scalar, y: Scalar) -> Scalar:
    """x^y with the special values of IEEE 754's pow."""
    magnitude = exp2_words(product(y, log2(absolute(x))))
    return or_certain(x, y, with_sign(x, y, at_extremes(x, y, magnitude)))


def log2(a: Scalar) -> DoubleWord:
    """The binary logarithm of a positive finite number, to about 2^-34 and 2^-65 of itself.

    a = 2^k m, and log2 m = 2/ln(2) atanh(s) with s = (m - 1) / (m + 1).
    """
    m, k = split_finite(a)
    denominator = m + 1.0
    s = double_word.divide(m - 1.0, DoubleWord(denominator, m - (denominator - 1.0)))
    logarithm = double_word.multiply(atanh(s), double_word.constant(a, TWO_OVER_LN2[a.dtype]))
    high, low = fast_two_sum(k, logarithm.high)
    return fast_two_sum(high, low + logarithm.low)


def atanh(s: DoubleWord) -> DoubleWord:
    """The series s + s z (1/3 + z (1/5 + ...)), z = s²; from 1/5 on it is in single words."""
    z = double_word.multiply(s, s)
    rest = z.high * horner(z.high, ATANH[z.high.dtype])
    third = double_word.constant(rest, THIRD[rest.dtype])
    high, low = fast_two_sum(third.high, rest)
    cubic = double_word.multiply(z, DoubleWord(high, low + third.low))
    return double_word.add(s, double_word.multiply(s, cubic))


def product(y: Scalar, logarithm: DoubleWord) -> DoubleWord:
    """y times a logarithm; a y so large that the product is beyond every exponent is cut."""
    form = format_of(y)
    limit = 2.0 ** (form.fraction + form.dtype.bits // 4 + 4)
    bounded = at_most(at_least(y, -limit), limit)
    high, low = two_product(bounded, logarithm.high)
    return DoubleWord(high, low + bounded * logarithm.low)


def exp2(x: Scalar) -> Scalar:
    """2^x; exact where x is an integer."""
    return exp2_words(DoubleWord(x, scalar.const(x.dtype, 0.0)))


def exp2_words(x: DoubleWord) -> Scalar:
    """2^(high + low), rounded once where the result is denormal."""
    lowest, highest = EXP2_LIMITS[x.high.dtype]
    high = at_most(at_least(x.high, lowest), highest)
    low = scalar.where(equal(high, x.high), x.low, 0.0)
    k, _ = nearest_integer(high, 1.0, 0)
    r = (high - k) + low
    return scale(horner(r, (1.0, *EXP2[r.dtype])), k)


def cbrt(x: Scalar) -> Scalar:
    """The cube root: e^(log|x| / 3), and one step of Newton's, which squares the error."""
    a = absolute(x)
    root = exp(log(a) * (1 / 3))
    better = root - (root - a / (root * root)) * (1 / 3)
    finite = (a > 0.0) & (a < math.inf)
    return copysign(scalar.where(finite, better, a), x)


def at_extremes(x: Scalar, y: Scalar, magnitude: Scalar) -> Scalar:
    """|x|^y at x = 0 and infinity, elsewhere the magnitude given."""
    a = absolute(x)
    inverted = y < 0.0
    zero, infinity = (scalar.const(x.dtype, value) for value in (0.0, math.inf))
    at_infinity = scalar.where(inverted, zero, infinity)
    at_zero = scalar.where(inverted, infinity, zero)
    finite = scalar.where(equal(a, math.inf), at_infinity, magnitude)
    return scalar.where(equal(a, 0.0), at_zero, finite)


def with_sign(x: Scalar, y: Scalar, magnitude: Scalar) -> Scalar:
    """|x|^y with the sign of x where y is odd; NaN for finite x < 0 unless y is an integer."""
    whole = where_whole(y * 0.5, magnitude, copysign(magnitude, x))
    negative = scalar.where(x > -math.inf, math.nan, magnitude)
    broken = scalar.where(x < 0.0, negative, magnitude)
    return where_whole(y, whole, broken)


def where_whole(y: Scalar, yes: Scalar, no: Scalar) -> Scalar:
    """The first where y is an integer, as all large floats and infinity are."""
    return scalar.where(equal(scalar.call("floor", y), y), yes, no)


def or_certain(x: Scalar, y: Scalar, result: Scalar) -> Scalar:
    """NaN where either argument is, but one for x = 1 and for y = 0 whatever the other is."""
    known = scalar.where(equal(y, y), scalar.where(equal(x, x), result, x), y)
    return scalar.where(equal(x, 1.0), 1.0, scalar.where(equal(y, 0.0), 1.0, known))
