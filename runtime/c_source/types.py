"""Types and literals of C: what holds a value in a register and in memory.

float16 and bfloat16 are computed in float32; in memory they are 16 bits, and bool is a byte.
"""

from __future__ import annotations

import math

import numpy as np

from graphc.ir.scalar import Number
from graphc.ir.types import BY_NAME, DType, bfloat16, float16, float32
from graphc.runtime.c_source.dialect import Dialect

HALVES = (float16, bfloat16)
REGISTERS = {name: f"{name}_t" for name, dtype in BY_NAME.items() if dtype.is_integer} | {
    "bool": "bool",
    "float16": "float",
    "bfloat16": "float",
    "float32": "float",
    "float64": "double",
}
MEMORY = REGISTERS | {"bool": "uint8_t", "float16": "uint16_t", "bfloat16": "uint16_t"}


def computed(dtype: DType) -> DType:
    """The dtype that values of a dtype are computed in."""
    return float32 if dtype in HALVES else dtype


def unsigned(bits: int) -> str:
    """The unsigned integer of so many bits."""
    return f"uint{bits}_t"


def literal(dialect: Dialect, dtype: DType, value: Number) -> str:
    """A constant of a dtype."""
    if dtype.kind == "bool":
        return "true" if value else "false"
    if dtype.is_float:
        return float_literal(dialect, computed(dtype), float(value))
    return integer_literal(dialect, dtype, int(value))


def integer_literal(dialect: Dialect, dtype: DType, value: int) -> str:
    """An integer; the least one of 64 bits has no literal of its own."""
    suffix = ("u" if dtype.kind == "uint" else "") + (
        dialect.long_suffix if dtype.bits == 64 else ""
    )
    if dtype.bits < 32:
        return f"({REGISTERS[dtype.name]}){value}" if value >= 0 else f"({value})"
    if value == dtype.limits[0] < 0:
        return f"(-{-(value + 1)}{suffix} - 1)"
    return f"{value}{suffix}" if value >= 0 else f"({value}{suffix})"


def nan_literal(dialect: Dialect, dtype: DType, value: float) -> str:
    """NaN; one with a sign by its bits, since what `-` makes of NaN is the compiler's affair."""
    if math.copysign(1.0, value) > 0:
        return dialect.nan[dtype.bits]
    bits = {32: 0xFFC00000, 64: 0xFFF8000000000000}[dtype.bits]
    return f"{dialect.float_of[dtype.bits]}({bits:#x})"


def float_literal(dialect: Dialect, dtype: DType, value: float) -> str:
    """The shortest decimal number that is read as the value."""
    if math.isnan(value):
        return nan_literal(dialect, dtype, value)
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    with np.errstate(over="ignore"):  # a number beyond the largest is infinite in the dtype
        narrowed = abs(dtype.numpy.type(value))
    if math.isinf(narrowed):
        text = dialect.infinity[dtype.bits]
    else:
        text = np.format_float_scientific(narrowed, trim="-", exp_digits=1)
        if 1e-4 <= narrowed < 1e7 or narrowed == 0:
            text = np.format_float_positional(narrowed, trim="0")
        text += "f" if dtype == float32 else ""
    return f"(-{text})" if sign else text
