"""The complementary error function, and the normal distribution's, relatively accurate in the tail.

Both are e^-s times the scaled function erfcx, which is smooth on [0, inf). The square s is kept in
double words, since its absolute error is the relative error of the result.
"""

from __future__ import annotations

import math

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math.double_word import DoubleWord, two_product
from graphc.passes.math.exponential import EXP_LIMITS, exp_polynomial, reduce
from graphc.passes.math.floating import absolute, at_most, fma, scale
from graphc.passes.math.polynomial import horner

# From here on erfc is zero to rounding.
LIMIT = {float32: 10.1, float64: 27.3}

# (erfcx(x) (x + 1/2) - 1/2) / (t + 1) as a polynomial in t = (x - K) / (x + K) on [-1, 1], which is
# Shepherd and Laframboise's variable (Mathematics of Computation 36, 1981). The half taken off is
# most of every result: what the polynomial rounds counts little. Relative
# error of erfcx 2^-24.3 and 2^-54.7.
K = {float32: 3.0, float64: 4.0}
ERFCX = {
    float32: (
        0.12650403380393982, -0.19431455433368683, 0.17053307592868805,
        -0.10571126639842987, 0.04607837274670601, -0.011918770149350166,
        1.687801159278024e-05, 0.0012299277586862445, -0.0002539119450375438,
        -0.00010679526894818991, 2.660909012774937e-05, 1.120620800065808e-05,
    ),
    float64: (
        0.11649755931277625, -0.1863081177330575, 0.19399794378436908,
        -0.15994941665702425, 0.10942988363877536, -0.06256346613954207,
        0.02939828323560475, -0.010814525467872293, 0.002715658413478248,
        -0.0001996734150648062, -0.00017921305001608527, 7.958465083316455e-05,
        -4.274624498320392e-06, -7.924808171083192e-06, 2.3162543541244346e-06,
        5.382563689710303e-07, -3.9642806558816325e-07, -1.5887367519214792e-08,
        6.030242875963402e-08, -5.403828556104308e-09, -1.0113809722538788e-08,
        2.858227520226862e-09, 1.8415229345966473e-09, -9.841074902896948e-10,
        -2.2773784297104166e-10, 1.6530212402293462e-10,
    ),
}  # fmt: skip


def erfc(x: Scalar) -> Scalar:
    """1 - erf(x), without loss where it is small."""
    a = absolute(x)
    tail = exp_times(negative(square(at_most(a, LIMIT[x.dtype]))), scaled(a))
    return scalar.where(x < 0.0, 2.0 - tail, tail)


def erfcx(x: Scalar) -> Scalar:
    """e^(x²) erfc(x); below zero it is 2 e^(x²) less that of -x, and overflows soon."""
    a = absolute(x)
    small = scaled(a)
    # Where e^(x²) overflows for certain, its argument need not be right.
    grown = exp_times(square(at_most(a, LIMIT[x.dtype])), scalar.const(x.dtype, 2.0))
    return scalar.where(x < 0.0, grown - small, small)


def ndtr(x: Scalar) -> Scalar:
    """erfc(-x / sqrt(2)) / 2: rounding x / sqrt(2) changes erfcx little, and x² / 2 is exact."""
    a = absolute(x)
    high, low = square(at_most(a, LIMIT[x.dtype] * math.sqrt(2)))
    half = DoubleWord(high * -0.5, low * -0.5)
    tail = exp_times(half, scaled(a * math.sqrt(0.5)) * 0.5)
    return scalar.where(x < 0.0, tail, 1.0 - tail)


def scaled(a: Scalar) -> Scalar:
    """erfcx of a value that is not negative."""
    t = 1.0 - 2 * K[a.dtype] / (a + K[a.dtype])
    finite = at_most(a, 2.0**60)
    beyond = 2.0 * finite / (finite + K[a.dtype])
    return fma(beyond, horner(t, ERFCX[a.dtype]), 0.5) / (a + 0.5)


def square(a: Scalar) -> DoubleWord:
    """The square in double words."""
    return two_product(a, a)


def negative(x: DoubleWord) -> DoubleWord:
    """-x."""
    return DoubleWord(-x.high, -x.low)


def exp_times(x: DoubleWord, factor: Scalar) -> Scalar:
    """e^(high + low) times a factor, rounded once where the result is denormal."""
    reduced = reduce(at_most(x.high, EXP_LIMITS[factor.dtype][1]))
    return scale(exp_polynomial(reduced.r + x.low) * factor, reduced.k)
