"""Floats as bits: the two formats, their exponents, and powers of two built from integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc.ir import scalar
from graphc.ir.scalar import Number, Scalar
from graphc.ir.types import DType, float32, float64, int32, int64

SQRT_HALF = math.sqrt(0.5)


@dataclass(frozen=True, slots=True)
class Format:
    """A binary floating-point format, and the integers of the same width that hold its bits."""

    dtype: DType
    integer: DType
    fraction: int
    bias: int

    @property
    def epsilon(self) -> float:
        """The distance from one to the next larger number."""
        return 2.0**-self.fraction

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number of full precision."""
        return 2.0 ** (1 - self.bias)

    @property
    def magic(self) -> float:
        """1.5 * 2^fraction: a float that is added to this has its integer part in the low bits."""
        return 1.5 * 2.0**self.fraction

    @property
    def magic_bits(self) -> int:
        """The bits of `magic`."""
        return (self.bias + self.fraction << self.fraction) + (1 << self.fraction - 1)

    @property
    def one_bits(self) -> int:
        """The bits of one."""
        return self.bias << self.fraction


FORMATS = {
    float32: Format(float32, int32, fraction=23, bias=127),
    float64: Format(float64, int64, fraction=52, bias=1023),
}


def format_of(x: Scalar) -> Format:
    """The format of a value."""
    return FORMATS[x.dtype]


def bits(x: Scalar) -> Scalar:
    """The bits of a float as an integer."""
    return scalar.bitcast(x, format_of(x).integer)


def floating(x: Scalar) -> Scalar:
    """The float that has these bits."""
    return scalar.bitcast(x, float32 if x.dtype == int32 else float64)


def fma(x: Scalar, y: Scalar | Number, z: Scalar | Number) -> Scalar:
    """x * y + z, rounded once."""
    return scalar.call("fma", x, y, z)


def absolute(x: Scalar) -> Scalar:
    """The magnitude of a value."""
    return scalar.call("abs", x)


def copysign(magnitude: Scalar, sign: Scalar) -> Scalar:
    """The first value with the sign of the second."""
    return scalar.call("copysign", magnitude, sign)


def square_root(x: Scalar) -> Scalar:
    """The square root, correctly rounded."""
    return scalar.call("sqrt", x)


def equal(x: Scalar, y: Scalar | Number) -> Scalar:
    """Whether two values are equal."""
    return scalar.call("equal", x, y)


def at_most(x: Scalar, limit: float) -> Scalar:
    """The smaller of a value and a limit; a NaN stays."""
    return scalar.where(x > limit, limit, x)


def at_least(x: Scalar, limit: float) -> Scalar:
    """The larger of a value and a limit; a NaN stays."""
    return scalar.where(x < limit, limit, x)


def nearest_integer(x: Scalar, factor: float, offset: int) -> tuple[Scalar, Scalar]:
    """k = round(x * factor) as a float, and an integer whose low bits are those of k + offset.

    One fma adds a number so large that only integers are representable near it; the result's
    low bits are the integer. The high bits of that number are lost when the exponent's place
    is shifted to. Right for |k| + offset < 2^(fraction - 1).
    """
    magic = format_of(x).magic + offset
    shifted = fma(x, factor, magic)
    return shifted - magic, bits(shifted)


def split_exponent(x: Scalar) -> tuple[Scalar, Scalar]:
    """e and its bits in place of the exponent, where x = 2^e m, sqrt(1/2) <= m < sqrt(2).

    For a positive normal x; m has the bits of x less those returned.
    """
    form = format_of(x)
    # Subtracting the bits of sqrt(1/2) carries into the exponent exactly where m would be less.
    exponent = (bits(x) - sqrt_half_bits(form)) >> form.fraction
    return exponent, exponent << form.fraction


def split_finite(x: Scalar) -> tuple[Scalar, Scalar]:
    """m and e, both as floats, where x = 2^e m, sqrt(1/2) <= m < sqrt(2), for a positive x.

    A denormal x is made normal first.
    """
    form = format_of(x)
    tiny = x < form.smallest_normal
    normal = scalar.where(tiny, x * 2.0**form.fraction, x)
    exponent, step = split_exponent(normal)
    shift = scalar.where(tiny, scalar.const(x.dtype, form.fraction), 0.0)
    return floating(bits(normal) - step), small_integer(exponent, shift)


def sqrt_half_bits(form: Format) -> int:
    """The bits of sqrt(1/2)."""
    fraction = (2 * SQRT_HALF - 1) * 2.0**form.fraction
    return (form.bias - 1 << form.fraction) + round(fraction)


def small_integer(x: Scalar, offset: Scalar | Number = 0) -> Scalar:
    """A small integer less a float offset, as a float of the same width.

    Vector units without a conversion from 64-bit integers have no cheaper way than the bits
    of a large float.
    """
    form = FORMATS[float32 if x.dtype == int32 else float64]
    return floating(x + form.magic_bits) - (offset + form.magic)


def scale(x: Scalar, k: Scalar) -> Scalar:
    """x * 2^k for x near one and a whole number k, rounded once."""
    return scalar.call("ldexp", x, k)
