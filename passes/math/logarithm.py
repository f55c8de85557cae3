"""log, log1p and the inverse hyperbolic functions.

x = 2^e (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), and log x = e ln 2 + log(1 + f).
"""

from __future__ import annotations

import math

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math.exponential import LN2
from graphc.passes.math.floating import (
    absolute,
    bits,
    copysign,
    equal,
    floating,
    fma,
    format_of,
    small_integer,
    split_exponent,
    split_finite,
    square_root,
)
from graphc.passes.math.polynomial import horner

# (log(1 + f) - f) / f² on sqrt(1/2) <= 1 + f <= sqrt(2): the first coefficient is exact, the
# others are minimax for the relative error of log(1 + f), 2^-27.3 and 2^-58.9.
LOG = {
    float32: (
        -0.5, 0.3333333134651184, -0.250008225440979, 0.20001259446144104, -0.16623306274414062,
        0.14200939238071442, -0.13159844279289246, 0.12767544388771057, -0.07643202692270279,
    ),
    float64: (
        -0.5, 0.33333333333333454, -0.24999999999998926, 0.1999999999994564, -0.16666666666912303,
        0.14285714293904336, -0.12499999982302105, 0.11111110512339784, -0.10000000364675465,
        0.09090933618626272, -0.08333346432092739, 0.07691712755606984, -0.07141986101924663,
        0.06675155980723775, -0.06269965471452922, 0.058179014003017865, -0.05325802302881486,
        0.054142436550315885, -0.06276789604665453, 0.05703322240115648, -0.02431986505209642,
    ),
}  # fmt: skip


def log1p_polynomial(f: Scalar) -> Scalar:
    """log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    return fma(f * f, horner(f, LOG[f.dtype]), f)


def add_exponent(logarithm: Scalar, exponent: Scalar) -> Scalar:
    """logarithm + exponent * ln 2."""
    high, low = LN2[logarithm.dtype]
    if logarithm.dtype == float64:  # in float32 ln 2 is right to 2^-28: the low part is lost
        logarithm = fma(exponent, low, logarithm)
    return fma(exponent, high, logarithm)


def log(x: Scalar) -> Scalar:
    """The natural logarithm; -inf at zero, NaN below."""
    m, exponent = split_finite(x)
    return at_domain_edges(x, add_exponent(log1p_polynomial(m - 1.0), exponent), lowest=0.0)


def at_domain_edges(x: Scalar, result: Scalar, lowest: float) -> Scalar:
    """The result of a logarithm with -inf at the lowest x, NaN below, and x at inf and NaN."""
    below = scalar.where(equal(x, lowest), scalar.const(x.dtype, -math.inf), math.nan)
    finite = scalar.where(x < math.inf, result, x)
    return scalar.where(x > lowest, finite, below)


def log1p(x: Scalar) -> Scalar:
    """log(1 + x), relatively accurate near zero."""
    return at_domain_edges(x, copysign(log1p_finite(x), x), lowest=-1.0)


def log1p_finite(x: Scalar) -> Scalar:
    """log(1 + x) for finite x > -1.

    With 1 + x = 2^e (1 + f), f = x 2^-e + (2^-e - 1) is one fma from x: what the sum 1 + x
    rounds away decides e alone. For huge x, whose 2^-e is denormal, f comes from the bits of x.
    """
    form = format_of(x)
    u = x + 1.0
    exponent, step = split_exponent(u)
    power = floating(form.one_bits - step)
    huge = x > 2.0 ** (2 * form.fraction)
    f = scalar.where(huge, floating(bits(u) - step) - 1.0, fma(x, power, power - 1.0))
    return add_exponent(log1p_polynomial(f), small_integer(exponent))


def asinh(x: Scalar) -> Scalar:
    """log(a + sqrt(a² + 1)) with the sign of x, a = |x|.

    As log1p(a + a² / (1 + sqrt(a² + 1))) nothing cancels; a² must not overflow, and where it
    could, the result is log(2a).
    """
    a = absolute(x)
    huge = a > 1 / format_of(x).epsilon
    b = scalar.where(huge, 0.0, a)
    square = b * b
    return copysign(log1p(a + square / (square_root(square + 1.0) + 1.0)) + log_2(huge, x), x)


def acosh(x: Scalar) -> Scalar:
    """log(x + sqrt(x² - 1)) = log1p(t + sqrt(t (t + 2))) with t = x - 1, for x >= 1."""
    huge = x > 1 / format_of(x).epsilon
    t = x - 1.0
    b = scalar.where(huge, 0.0, t)
    result = log1p(t + square_root(fma(b, b, b * 2.0))) + log_2(huge, x)
    return scalar.where(x < 1.0, math.nan, result)


def atanh(x: Scalar) -> Scalar:
    """log((1 + a) / (1 - a)) / 2 = log1p(2a / (1 - a)) / 2 with the sign of x, a = |x|."""
    a = absolute(x)
    return copysign(log1p(a * 2.0 / (1.0 - a)) * 0.5, x)


def log_2(condition: Scalar, x: Scalar) -> Scalar:
    """log 2 where the condition holds, else zero, as x's type."""
    return scalar.where(condition, scalar.const(x.dtype, LN2[x.dtype][0]), 0.0)
