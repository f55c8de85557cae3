"""log |Γ| and its derivatives in plain NumPy, as precise as its widest dtype is.

Clear rather than fast: what operators give as their references, and tests compare devices with.
Large arguments have the asymptotic series with Bernoulli numbers; smaller ones are raised first.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np

from graphc.ops.bernoulli_numbers import bernoulli

Array = np.ndarray[Any, Any]

RAISED = 24
"""How far small arguments are raised."""
TERMS = range(1, 12)
"""Of asymptotic series."""
EULER = "0.577215664901532860606512090082402431"
ROOT = (1.4616321449683622, 9.549995429965697725e-17)
"""Of digamma, as the sum of two numbers."""


def number(like: Array, value: Fraction) -> Any:
    """An exact number rounded to an array's dtype."""
    kind = like.dtype.type
    return kind(value.numerator) / kind(value.denominator)


def pi_of(x: Array) -> Any:
    """pi in an array's dtype."""
    return 4 * np.arctan(x.dtype.type(1))


def is_pole(x: Array) -> Array:
    """Whether a value is 0 or a negative integer, minus infinity among them."""
    return np.asarray((x <= 0) & (np.floor(x) == x))


def gammaln(x: Array) -> Array:
    """log |Γ(x)|, infinite at the poles."""
    a = np.abs(x)
    height = np.abs(np.sin(pi_of(x) * (a - np.rint(a)))) / pi_of(x)
    reflected = -np.log(height) - positive_gammaln(1 + a)
    return np.where(is_pole(x), np.inf, np.where(x < 0, reflected, positive_gammaln(a)))


def positive_gammaln(a: Array) -> Array:
    """log Γ(a) for a >= 0: below 5/2 from the series at 2, beyond it from Stirling's."""
    f = np.where(a < 0.5, a, np.where(a < 1.5, a - 1, a - 2))
    f = np.clip(f, -0.5, 0.5)
    down = np.where(a < 1.5, np.log1p(f), 0) + np.where(a < 0.5, np.log(np.minimum(a, 1)), 0)
    return np.where(a < 2.5, gammaln_at_two(f) - down, stirling(a))


def stirling(a: Array) -> Array:
    """log Γ(a) of the argument raised, less the logarithm of the factors between."""
    product = a.dtype.type(1)
    for k in range(RAISED):
        product = product * np.where(a < RAISED, a + k, 1)
    y = np.where(a < RAISED, a + RAISED, a)
    series = [bernoulli(2 * j) / (2 * j * (2 * j - 1)) for j in TERMS]
    rest = descending(series, y) / y
    return np.asarray(
        (y - 0.5) * (np.log(y) - 1) + (np.log(2 * pi_of(y)) - 1) / 2 + rest - np.log(product)
    )


def gammaln_at_two(f: Array) -> Array:
    """log Γ(2 + f) = (1 - γ) f + the sum of (-f)^k (ζ(k) - 1) / k over k > 1, for |f| <= 1/2."""
    total = (1 - f.dtype.type(EULER)) * f
    for k in range(2, 40):
        total = total + (-f) ** k * zeta(k, np.asarray(f.dtype.type(2))) / k
    return np.asarray(total)


def zeta(s: int, x: Array) -> Array:
    """Hurwitz's: the sum of (x + k)^-s over k >= 0, for x > 0 and s > 1, by Euler and Maclaurin."""
    total = sum((x + k) ** -s for k in range(RAISED + s))
    y = x + RAISED + s
    series = [
        bernoulli(2 * j) * factorial(s + 2 * j - 2) / (factorial(s - 1) * factorial(2 * j))
        for j in TERMS
    ]
    rest = y.dtype.type(1) / (s - 1) + 1 / y / 2 + descending(series, y) / y / y
    return np.asarray(total + y ** (1 - s) * rest)


def digamma(x: Array) -> Array:
    """Γ'(x) / Γ(x); NaN at the negative integers."""
    a = np.abs(x)
    beyond = a - np.rint(a)
    slope = np.where(beyond == 0, np.nan, pi_of(x) / np.tan(pi_of(x) * beyond))
    raised = positive_digamma(1 + a)
    positive = np.where(a < 1, raised - 1 / x, positive_digamma(np.maximum(a, 1)))
    return np.where(x < 0, raised + slope, positive)


def positive_digamma(a: Array) -> Array:
    """digamma(a) for a >= 1.

    Below 2 it is the difference to the zero, so that it is right near that: 1 / x0 - 1 / a and so
    on, and the difference of the asymptotic series.
    """
    high, low = (a.dtype.type(part) for part in ROOT)
    apart = np.clip(a, 1, 2) - high - low
    start, end = high + np.zeros_like(a), np.clip(a, 1, 2)
    near = np.log1p(apart / (start + RAISED)) + digamma_rest(end + RAISED)
    near = near - digamma_rest(start + RAISED)
    sums = np.zeros_like(a)
    for k in range(RAISED):
        near = near + apart / ((k + start) * (k + end))
        sums = sums + np.where(a < RAISED, 1 / (a + k), 0)
    y = np.where(a < RAISED, a + RAISED, a)
    return np.where(a < 2, near, np.log(y) + digamma_rest(y) - sums)


def digamma_rest(y: Array) -> Array:
    """digamma(y) - log(y) by its asymptotic series."""
    return -1 / (2 * y) - descending([bernoulli(2 * j) / (2 * j) for j in TERMS], y) / y / y


def descending(coefficients: list[Fraction], y: Array) -> Array:
    """c0 + c1 / y² + c2 / y⁴ + ..."""
    square, total = 1 / y / y, np.zeros_like(y)
    for coefficient in reversed(coefficients):
        total = total * square + number(y, coefficient)
    return total


def polygamma(order: int, x: Array) -> Array:
    """The derivative of digamma of an order from 1 on; an infinity at the poles."""
    sign, a = (-1) ** (order + 1), np.abs(x)
    scale = x.dtype.type(factorial(order))
    positive = sign * scale * zeta(order + 1, np.where(a == 0, 1, a))
    cotangent = 1 / np.tan(pi_of(x) * (a - np.rint(a)))
    lifted = polynomial(cotangent_slopes(order), -cotangent) * -(pi_of(x) ** (order + 1))
    reflected = lifted - scale * zeta(order + 1, 1 + a)
    return np.asarray(np.where(is_pole(x), sign * np.inf, np.where(x < 0, reflected, positive)))


def polynomial(coefficients: list[int], x: Array) -> Array:
    """c0 + c1 x + c2 x² + ..."""
    total = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + x.dtype.type(coefficient)
    return total


def cotangent_slopes(order: int) -> list[int]:
    """The coefficients of cot's derivative of an order as a polynomial in cot.

    Each is -(1 + c²) times the derivative by c of the one before.
    """
    found = [0, 1]
    for _ in range(order):
        slopes = [-k * coefficient for k, coefficient in enumerate(found)][1:]
        found = [a + b for a, b in zip([*slopes, 0, 0], [0, 0, *slopes], strict=True)]
    return found
