"""How far out a normal number lies that is exceeded, in magnitude, with a given probability."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.node import Node
from graphc.ir.types import float64
from graphc.lang.arithmetic import maximum, sqrt
from graphc.lang.exponential import log
from graphc.lang.selection import where

# z / (1 - tail) as a polynomial in w - 5/2 for w = -log(tail * (2 - tail)) up to 5, and beyond as
# sqrt(w) times one in 1/sqrt(w) - 0.277, down to the least positive float32: the form of Giles,
# Approximating the erfinv function (GPU Computing Gems, 2011), whose own table ends at 17. Fitted
# for the relative error, which is 4e-8 and 1e-7. Highest power first, here and below.
CENTRE = (
    -1.2432430196440691e-08, 3.285591887447481e-08, 6.592648560399539e-07,
    -4.8970041461871006e-06, -7.01923363521928e-06, 0.00030878567486070096,
    -0.0017716445727273822, -0.005907717160880566, 0.34880203008651733, 2.1233134269714355,
)  # fmt: skip
TAIL = (
    9391.3779296875, 1778.6763916015625, -1022.4784545898438, -238.62124633789062,
    29.49895668029785, 16.541826248168945, 0.9797260165214539, 0.7957797646522522,
    0.17716751992702484, -0.27241089940071106, 1.3500996828079224,
)  # fmt: skip

# Wichura: The percentage points of the normal distribution (Applied Statistics 37, 1988), AS 241,
# to 16 digits: a quotient of polynomials for |p - 1/2| <= 0.425, and two in r = sqrt(-log(tail)),
# up to 5 and beyond.
NEAR = (
    (
        2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
        4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
        1.3314166789178437745e2, 3.3871328727963666080,
    ),
    (
        5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
        2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
        4.2313330701600911252e1, 1.0,
    ),
)  # fmt: skip
MIDDLE = (
    (
        7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
        1.27045825245236838258, 3.64784832476320460504, 5.76949722146069140550,
        4.63033784615654529590, 1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
        1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940,
        2.05319162663775882187, 1.0,
    ),
)  # fmt: skip
FAR = (
    (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
        2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580,
        5.46378491116411436990, 6.65790464350110377720,
    ),
    (
        2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
        7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
        5.99832206555887937690e-1, 1.0,
    ),
)  # fmt: skip


def normal_quantile(tail: Node) -> Node:
    """The z with P(|normal| > z) = tail, for tails in (0, 1] of float32 or float64.

    It is sqrt(2) times the inverse of erfc: z is 0 for 1 and grows without bound towards 0. The
    relative error is below 4e-7 in float32 and 2e-15 in float64, for tails below 1/2; above it is
    that of 1 - tail.
    """
    return quantile_double(tail) if tail.dtype == float64 else quantile_single(tail)


def quantile_single(tail: Node) -> Node:
    """The quantile by two polynomials, where tail * (2 - tail) is 1 - erf(z / sqrt(2))**2."""
    w = -log(tail * (2 - tail))
    root = sqrt(maximum(w, 5.0))
    outer = root * horner(TAIL, 1 / root - 0.277)
    return (1 - tail) * where(w < 5, horner(CENTRE, w - 2.5), outer)


def quantile_double(tail: Node) -> Node:
    """The quantile by Wichura's three quotients."""
    centre = 0.5 * (1 - tail)
    r = sqrt(-log(0.5 * tail))
    near = centre * quotient(NEAR, 0.180625 - centre * centre)
    outer = where(r <= 5, quotient(MIDDLE, r - 1.6), quotient(FAR, r - 5))
    return where(centre <= 0.425, near, outer)


def quotient(tables: tuple[Sequence[float], Sequence[float]], x: Node) -> Node:
    """One polynomial divided by another."""
    return horner(tables[0], x) / horner(tables[1], x)


def horner(coefficients: Sequence[float], x: Node) -> Node:
    """A polynomial, highest power first."""
    total = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        total = (total + coefficient) * x
    return total + coefficients[-1]
