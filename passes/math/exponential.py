"""exp and the functions that are quotients and differences of it.

Each starts from x = k ln 2 + r with |r| <= ln(2)/2 and one polynomial for e^r.
"""

from __future__ import annotations

from typing import NamedTuple

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math.floating import (
    absolute,
    at_least,
    at_most,
    copysign,
    floating,
    fma,
    format_of,
    nearest_integer,
    scale,
)
from graphc.passes.math.polynomial import horner

# ln 2 = the sum of the two, each a number of its format.
LN2 = {
    float32: (0.6931471824645996, -1.904654299957768e-09),
    float64: (0.6931471805599453, 2.3190468138462996e-17),
}
LOG2_E = 1.4426950408889634

# Beyond these exp is 0 and infinity.
EXP_LIMITS = {float32: (-104.0, 89.0), float64: (-746.0, 710.0)}

# (e^r - 1 - r) / r² on |r| <= 0.502 ln 2: minimax for the relative error of e^r - 1,
# 2^-26.0 and 2^-60.8.
EXP = {
    float32: (
        0.4999999701976776, 0.16666537523269653, 0.041667744517326355, 0.008367372676730156,
        0.0013837465085089207,
    ),
    float64: (
        0.5, 0.1666666666666668, 0.04166666666666672, 0.008333333333318843, 0.0013888888888836796,
        0.00019841269893897942, 2.4801587452935074e-05, 2.755723580889172e-06,
        2.755713940228683e-07, 2.5112127789822378e-08, 2.096289820726955e-09,
    ),
}  # fmt: skip

# log(1 + t) / t on [0, 1]: relative error 2^-27.4 and 2^-57.0.
LOG1P_UNIT = {
    float32: (
        1.0, -0.4999993145465851, 0.33330464363098145, -0.24958018958568573, 0.19692100584506989,
        -0.153448686003685, 0.10661090910434723, -0.05745666101574898, 0.020085813477635384,
        -0.0032903417013585567,
    ),
    float64: (
        1.0, -0.49999999999999983, 0.3333333333332964, -0.24999999999712666, 0.19999999988560632,
        -0.16666666390978443, 0.14285709858449772, -0.12499949597971725, 0.11110686503709236,
        -0.0999726923399426, 0.09077184340963503, -0.08278441700881123, 0.07515069052658765,
        -0.0667523172759997, 0.05647486756615845, -0.04394686956291832, 0.030246464078840064,
        -0.017673202907270015, 0.008392528592686898, -0.003076218123205715,
        0.0008103273127880191, -0.00013579482541716843, 1.0834162949335027e-05,
    ),
}  # fmt: skip


class Reduced(NamedTuple):
    """x = k ln 2 + r with r = high + low, high exactly; exponent's low bits are k + an offset."""

    high: Scalar
    k: Scalar
    exponent: Scalar

    @property
    def low(self) -> Scalar:
        """What is left of k times the second part of ln 2, rounded."""
        return self.k * -LN2[self.k.dtype][1]

    @property
    def r(self) -> Scalar:
        """x - k ln 2, rounded."""
        return fma(self.k, -LN2[self.k.dtype][1], self.high)


def reduce(x: Scalar, offset: int = 0) -> Reduced:
    """Cody and Waite's reduction; k times the first part of ln 2 is taken off exactly."""
    k, exponent = nearest_integer(x, LOG2_E, offset)
    return Reduced(fma(k, -LN2[x.dtype][0], x), k, exponent)


def power_of_two(reduced: Reduced) -> Scalar:
    """2^k, where the offset of the reduction was the format's bias and the result is normal."""
    return floating(reduced.exponent << format_of(reduced.high).fraction)


def exp_polynomial(r: Scalar) -> Scalar:
    """e^r for |r| <= ln(2)/2."""
    return horner(r, (1.0, 1.0, *EXP[r.dtype]))


def expm1_polynomial(r: Scalar) -> Scalar:
    """e^r - 1 for |r| <= ln(2)/2."""
    return fma(r * r, horner(r, EXP[r.dtype]), r)


def exp(x: Scalar) -> Scalar:
    """e^x; denormal results are rounded once, as others are."""
    return exp_below(x, EXP_LIMITS[x.dtype][1])


def exp_below(x: Scalar, limit: float) -> Scalar:
    """e^x, or e^limit where x is larger."""
    bounded = at_most(at_least(x, EXP_LIMITS[x.dtype][0]), limit)
    reduced = reduce(bounded)
    return scale(exp_polynomial(reduced.r), reduced.k)


def expm1_scaled(x: Scalar, offset: int) -> Scalar:
    """(e^x - 1) * 2^offset for x <= 0, or larger while 2^(k + offset) does not overflow.

    2^k (e^r - 1 - high) + (2^k high + (2^k - 1)): where the second sum cancels it is exact, so
    the error is relative to the result.
    """
    reduced = reduce(x, format_of(x).bias + offset)
    power, r = power_of_two(reduced), reduced.high + reduced.low
    rest = fma(r * r, horner(r, EXP[r.dtype]), reduced.low)
    return fma(power, rest, fma(power, reduced.high, power - 2.0**offset))


def expm1(x: Scalar) -> Scalar:
    """e^x - 1; below -(fraction + 2) ln 2 it is -1."""
    low = -(format_of(x).fraction + 3) / LOG2_E
    bounded = at_most(at_least(x, low), EXP_LIMITS[x.dtype][1])
    # Half of the result in between, for 2^k is infinite where the result is not yet.
    return keep_small(x, 2.0 * expm1_scaled(bounded, -1))


def keep_small(x: Scalar, result: Scalar) -> Scalar:
    """x itself where it is so small that f(x) = x: zeros keep their sign, denormals their bits."""
    return scalar.where(absolute(x) < format_of(x).epsilon / 2, x, result)


def sinh(x: Scalar) -> Scalar:
    """(e^x - e^-x) / 2 = 2 (q + q / (4q + 1)) with q = (e^|x| - 1) / 4, finite where sinh is."""
    q = expm1_scaled(at_most(absolute(x), EXP_LIMITS[x.dtype][1] + 0.5), -2)
    return keep_small(x, copysign(2.0 * (q + q / fma(q, 4.0, 1.0)), x))


def cosh(x: Scalar) -> Scalar:
    """(e^x + e^-x) / 2 = h + 1 / (4h) with h = e^|x| / 2."""
    reduced = reduce(at_most(absolute(x), EXP_LIMITS[x.dtype][1] + 0.5), format_of(x).bias - 2)
    power = power_of_two(reduced)
    h = 2.0 * fma(power, expm1_polynomial(reduced.r), power)
    return h + 0.25 / h


def tanh(x: Scalar) -> Scalar:
    """(e^2x - 1) / (e^2x + 1) = q / (q + 1) with q = (e^2|x| - 1) / 2, one from some 9 or 19 on.

    Where q is small, q - q q / (q + 1) makes little of the errors of the quotient. Where k is not
    zero the quotient makes as little of an error of q as k times the second part of ln 2.
    """
    bounded = at_most(absolute(x), one_from(x) / 2) * 2.0
    reduced = reduce(bounded, format_of(x).bias - 1)
    power, r = power_of_two(reduced), reduced.high
    scaled = power * r
    q = fma(scaled, r * horner(r, EXP[r.dtype]), scaled + (power - 0.5))
    quotient = q / (q + 1.0)
    return copysign(scalar.where(q < 0.5, fma(-q, quotient, q), quotient), x)


def sigmoid(x: Scalar) -> Scalar:
    """e^x / (e^x + 1), one from some 18 or 38 on."""
    y = exp_below(x, one_from(x))
    return y / (y + 1.0)


def one_from(x: Scalar) -> float:
    """Where e^x and e^x + 1 begin to be the same number, to rounding: a quotient of both is one."""
    return (format_of(x).fraction + 4) / LOG2_E


def softplus(x: Scalar) -> Scalar:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    y = exp(-absolute(x))
    return fma(y, horner(y, LOG1P_UNIT[x.dtype]), at_least(x, 0.0))
