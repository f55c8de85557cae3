"""The error function."""

from __future__ import annotations

from graphc.ir.scalar import Scalar
from graphc.ir.types import float32, float64
from graphc.passes.math.exponential import expm1_scaled
from graphc.passes.math.floating import absolute, at_most, copysign, fma
from graphc.passes.math.polynomial import horner

# From here on erf is one to rounding.
LIMIT = {float32: 3.93, float64: 5.93}

# 2 / sqrt(pi) = the sum of the two, each a number of its format.
SLOPE = {
    float32: (1.128379225730896, -5.8635382771399236e-08),
    float64: (1.1283791670955126, 1.533545961316588e-17),
}

# (u(x) / x - 2 / sqrt(pi)) / x on [0, LIMIT], u(x) = -log(1 - erf(x)): minimax for the relative
# error of erf, 2^-30.8 and 2^-57.5.
ERF = {
    float32: (
        0.6366198062896729, 0.10277161002159119, -0.019119270145893097, -0.00024929194478318095,
        0.001794314943253994, -0.0007367777870967984, 0.0001657427492318675,
        -2.0945188225596212e-05, 1.1538850230863318e-06,
    ),
    float64: (
        0.6366197723675826, 0.10277260330183963, -0.01912844700625322, -0.00020919467929994207,
        0.0016962062564431168, -0.0005901248208872966, 2.5875641159557784e-05,
        6.450074884267958e-05, -2.9744331819498655e-05, 3.4432067152577752e-06,
        2.7849536233378616e-06, -1.6856898299902068e-06, 2.8640667330576114e-07,
        1.7327905673090088e-07, -1.6289025894600902e-07, 7.575292771134165e-08,
        -2.4801920565976676e-08, 6.179428134596499e-09, -1.1975055811413784e-09,
        1.8029891915578984e-10, -2.0743558288453854e-11, 1.7640097171079735e-12,
        -1.0450604151484223e-13, 3.849595261636573e-15, -6.63439814239869e-17,
    ),
}  # fmt: skip


def erf(x: Scalar) -> Scalar:
    """The error function, as 1 - e^-u(|x|) with the sign of x.

    With u(x) = -log(1 - erf(x)) the quotient u(x) / x is smooth, so that one polynomial serves
    every x, and expm1 keeps the relative accuracy of small results.
    """
    a = at_most(absolute(x), LIMIT[x.dtype])
    high, low = SLOPE[x.dtype]
    u = fma(a, high, a * horner(a, (low, *ERF[x.dtype])))
    return copysign(expm1_scaled(-u, 0), x)
