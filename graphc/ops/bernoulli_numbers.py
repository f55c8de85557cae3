"""Bernoulli numbers, the coefficients of every asymptotic series of the gamma function's kin."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb


@cache
def bernoulli(n: int) -> Fraction:
    """B_n, by its recurrence: the sum of (n + 1 over k) B_k over k up to n is 0."""
    if n == 0:
        return Fraction(1)
    return -sum((comb(n + 1, k) * bernoulli(k) for k in range(n)), Fraction(0)) / (n + 1)
