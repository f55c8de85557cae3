"""The logarithm of the gamma function's magnitude, and its derivative.

Large arguments have Stirling's series, others one polynomial on an interval as long as one, where
the recurrence Γ(x + 1) = x Γ(x) brings them. Below zero the reflection formula leads to 1 - x.
"""

from __future__ import annotations

import math

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math.floating import absolute, equal, fma
from graphc.passes.math.logarithm import log
from graphc.passes.math.polynomial import horner
from graphc.passes.math.trigonometric import sin, tan

# From here on gammaln and digamma take Stirling's series.
GAMMALN_LARGE = {float32: 3.25, float64: 6.25}
DIGAMMA_LARGE = {float32: 4.0, float64: 7.0}

# log Γ(2 + f) / f for f from -3/4 to 1/4: relative error 2^-25.1 and 2^-54.6.
LOG_GAMMA = {
    float32: (
        0.42278432846069336, 0.32246705889701843, -0.06735093146562576,
        0.020581534132361412, -0.007428974844515324, 0.002786623314023018,
        -0.0009269891888834536, 0.0018312875181436539, 0.0016130158910527825,
        0.0010306822368875146,
    ),
    float64: (
        0.42278433509846713, 0.3224670334241132, -0.06735230105319367,
        0.020580808427799194, -0.007385551029303186, 0.0028905103281608407,
        -0.001192753880917087, 0.000509669694989897, -0.0002231552751861253,
        9.945268379143502e-05, -4.49286727660316e-05, 2.0562127030795023e-05,
        -9.291336779746527e-06, 4.307340893354051e-06, -3.0144157848069323e-06,
        -9.528229813101203e-07, -1.8867477755077698e-06, 4.036358618392589e-07,
        8.968422105107945e-07, 5.544554096316689e-07,
    ),
}  # fmt: skip

# a (log Γ(a) - (a - 1/2) log a + a - log(2 pi) / 2) as a polynomial in 1 / a², from GAMMALN_LARGE
# on: relative error 2^-25.0 and 2^-54.0, of a part that is less than a hundredth of the result.
STIRLING = {
    float32: (
        0.0833333358168602, -0.002778147580102086, 0.0008002506801858544,
        -0.0005631481762975454,
    ),
    float64: (
        0.08333333333333333, -0.002777777777759039, 0.00079365078121726,
        -0.0005952349683200469, 0.0008413679664058307, -0.0018923507124458728,
        0.005500291939606036, -0.01195371029671771,
    ),
}  # fmt: skip

# Where digamma is zero, as the sum of the two, each a number of its format.
ROOT = {
    float32: (1.4616321325302124, 1.243815006546356e-08),
    float64: (1.4616321449683622, 9.549995429965697e-17),
}

# digamma(3/2 + f) / (3/2 + f - ROOT) on |f| <= 1/2: relative error 2^-26.4 and 2^-53.8.
DIGAMMA = {
    float32: (
        0.9510558843612671, -0.4236275255680084, 0.24054084718227386, -0.1483973264694214,
        0.0950390174984932, -0.06207868084311485, 0.04023874178528786,
        -0.025663314387202263, 0.019917495548725128, -0.0165974460542202,
        0.00641090190038085,
    ),
    float64: (
        0.9510558760318328, -0.42362742128146114, 0.24054248424082939,
        -0.14840492305372888, 0.0949887244460409, -0.06192213328872821,
        0.04076083437178173, -0.02697579613171272, 0.017907234429349224,
        -0.011908231673026763, 0.007927282641973208, -0.005279785065173671,
        0.003515054798984239, -0.0023467490425352414, 0.0015862835567509745,
        -0.001029934359238032, 0.000580468024967909, -0.0005067470012970693,
        0.0006544295587115567, -0.0001077179368085535, -0.00046197060420485485,
        -0.0002065572701604072, 0.0005262730074639675,
    ),
}  # fmt: skip

# a² (log a - 1 / (2a) - digamma(a)) as a polynomial in 1 / a², from DIGAMMA_LARGE on: relative
# error 2^-24.9 and 2^-54.0.
DIGAMMA_STIRLING = {
    float32: (
        0.0833333358168602, -0.008333745412528515, 0.0039700716733932495,
        -0.0037036535795778036,
    ),
    float64: (
        0.08333333333333333, -0.008333333333304157, 0.0039682539380530004,
        -0.004166654744811271, 0.007573441553254595, -0.02084743674658275,
        0.0688003870000693, 0.01625114033232125, -3.4990561473040422,
    ),
}  # fmt: skip


def gammaln(x: Scalar) -> Scalar:
    """log |Γ(x)|; infinite at zero and the negative integers."""
    a = absolute(x)
    negative = x < 0.0
    result = positive_gammaln(scalar.where(negative, a + 1.0, a))
    height = absolute(sin(beyond_integer(a) * math.pi)) * (1 / math.pi)
    return at_poles(x, scalar.where(negative, -log(height) - result, result), math.inf)


def beyond_integer(a: Scalar) -> Scalar:
    """What is left of a number less the nearest integer, without error."""
    return a - scalar.call("round", a)


def at_poles(x: Scalar, result: Scalar, value: float) -> Scalar:
    """A value for zero and the negative integers, minus infinity among them."""
    whole = equal(scalar.call("floor", x), x)
    return scalar.where(whole & (x <= 0.0), value, result)


def positive_gammaln(a: Scalar) -> Scalar:
    """log Γ(a) for a >= 0.

    With a = n + f, -3/4 <= f <= 1/4, it is log Γ(2 + f) plus the logarithm of
    (2 + f) ... (n - 1 + f), or less that of a for n = 1, of a (a + 1) for n = 0.
    The interval is chosen for n = 1, where the two cancel most.
    """
    limit = GAMMALN_LARGE[a.dtype]
    n = scalar.call("round", a + 0.25)
    f = a - n
    product = scalar.where(n > 2.0, f + 2.0, 1.0)
    for k in range(3, int(limit)):
        product = product * scalar.where(n > float(k), f + float(k), 1.0)
    divisor = scalar.where(n < 1.0, a * (a + 1.0), a)
    inverted = n < 2.0
    large = a >= limit
    logarithm = log(scalar.where(large, a, scalar.where(inverted, divisor, product)))
    near = fma(f, horner(f, LOG_GAMMA[a.dtype]), scalar.where(inverted, -logarithm, logarithm))
    inverse = 1.0 / a
    rest = fma(inverse, horner(inverse * inverse, STIRLING[a.dtype]), LOG_SQRT_TAU - 0.5)
    return scalar.where(large, fma(a - 0.5, logarithm - 1.0, rest), near)


LOG_SQRT_TAU = 0.5 * math.log(2 * math.pi)


def digamma(x: Scalar) -> Scalar:
    """Γ'(x) / Γ(x); -inf at 0, inf at -0, NaN at the negative integers.

    Below 1 it is that of 1 + |x|, less 1/x or, where x < 0, plus pi / tan(pi |x|).
    """
    a = absolute(x)
    raised = positive_digamma(scalar.where(x < 1.0, a + 1.0, x))
    beyond = beyond_integer(a)
    slope = scalar.where(equal(beyond, 0.0), math.nan, math.pi / tan(beyond * math.pi))
    lifted = raised + scalar.where(x < 0.0, slope, -1.0 / x)
    return scalar.where(x < 1.0, lifted, raised)


def positive_digamma(a: Scalar) -> Scalar:
    """digamma(a) for a >= 1.

    With a = n + e, 0 <= e < 1, it is digamma(1 + e) + 1 / (1 + e) + ... + 1 / (n - 1 + e), where
    the fractions are added up over one denominator.
    """
    limit = DIGAMMA_LARGE[a.dtype]
    n = scalar.call("floor", a)
    e = a - n
    numerator, denominator = (scalar.const(a.dtype, value) for value in (0.0, 1.0))
    for k in range(1, int(limit) - 1):
        more = n > float(k)
        factor = e + float(k)
        numerator = scalar.where(more, fma(numerator, factor, denominator), numerator)
        denominator = scalar.where(more, denominator * factor, denominator)
    high, low = ROOT[a.dtype]
    apart = (e - (high - 1.0)) - low
    near = fma(apart, horner(e - 0.5, DIGAMMA[a.dtype]), numerator / denominator)
    inverse = 1.0 / a
    square = inverse * inverse
    rest = fma(inverse, 0.5, square * horner(square, DIGAMMA_STIRLING[a.dtype]))
    return scalar.where(a >= limit, log(a) - rest, near)
