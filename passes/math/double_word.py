"""Double words: unevaluated sums of two floats, with about twice the precision of one."""

from __future__ import annotations

from typing import NamedTuple

from graphc.ir import scalar
from graphc.ir.scalar import Scalar
from graphc.passes.math.floating import fma


class DoubleWord(NamedTuple):
    """high + low, where low is at most a few rounding errors of high."""

    high: Scalar
    low: Scalar


def constant(like: Scalar, parts: tuple[float, float]) -> DoubleWord:
    """A double word of constants of a value's type."""
    high, low = parts
    return DoubleWord(scalar.const(like.dtype, high), scalar.const(like.dtype, low))


def fast_two_sum(x: Scalar, y: Scalar) -> DoubleWord:
    """x + y without error, for |x| >= |y| or x = 0 (Dekker)."""
    high = x + y
    return DoubleWord(high, y - (high - x))


def two_product(x: Scalar, y: Scalar) -> DoubleWord:
    """x * y without error, but for underflow."""
    high = x * y
    return DoubleWord(high, fma(x, y, -high))


def add(x: DoubleWord, y: DoubleWord) -> DoubleWord:
    """x + y, for |x| >= |y| or x = 0."""
    high, low = fast_two_sum(x.high, y.high)
    return DoubleWord(high, low + (x.low + y.low))


def multiply(x: DoubleWord, y: DoubleWord) -> DoubleWord:
    """x * y; the product of the low words is lost."""
    high, low = two_product(x.high, y.high)
    return DoubleWord(high, fma(x.high, y.low, fma(x.low, y.high, low)))


def divide(numerator: Scalar, denominator: DoubleWord) -> DoubleWord:
    """A float over a double word: a quotient, and the remainder's share with one division."""
    inverse = 1.0 / denominator.high
    high = numerator * inverse
    remainder = fma(-high, denominator.low, fma(-high, denominator.high, numerator))
    return DoubleWord(high, remainder * inverse)
