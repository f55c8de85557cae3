"""ldexp: a float times a power of two; one instruction of AVX-512, elsewhere integer steps."""

from __future__ import annotations

from graphc.ir.types import DType, float32
from graphc.passes.math.floating import FORMATS
from graphc.runtime.cpu.block import REGISTERS, Block, vector
from graphc.runtime.cpu.conversions import bitcast, number
from graphc.runtime.cpu.instructions import apply
from graphc.runtime.cpu.target import Target

# The type of the whole instruction's mask, by its lanes; and its rounding mode: the current one.
MASKS = {16: "i16", 8: "i8", 4: "i8", 2: "i8"}
CURRENT_ROUNDING = 4


def ldexp(block: Block, dtype: DType, lanes: int, operands: list[str], target: Target) -> str:
    """x * 2^k for a whole number k of x's type, rounded once."""
    if target.scales and lanes * dtype.bits in (128, 256, 512):
        return scaled_at_once(block, dtype, lanes, operands)
    return scaled_by_halves(block, dtype, lanes, operands)


def scaled_at_once(block: Block, dtype: DType, lanes: int, operands: list[str]) -> str:
    """The product as vscalefps and vscalefpd give it."""
    kind, bits = vector(REGISTERS[dtype.name], lanes), lanes * dtype.bits
    name = f"llvm.x86.avx512.mask.scalef.{'ps' if dtype == float32 else 'pd'}.{bits}"
    x, k = operands
    mode = f", i32 {CURRENT_ROUNDING}" if bits == 512 else ""
    arguments = f"{kind} {x}, {kind} {k}, {kind} {x}, {MASKS[lanes]} -1{mode}"
    return block.op("ldexp", f"call {kind} @{name}({arguments})")


def scaled_by_halves(block: Block, dtype: DType, lanes: int, operands: list[str]) -> str:
    """The product with two factors, each half of the exponent.

    Neither overflows or is denormal while the result is, for x near one, and so only the last
    multiplication can round.
    """
    form = FORMATS[dtype]
    x, k = operands

    def integers(function: str, left: str, right: str) -> str:
        return apply(block, "ldexp", function, form.integer, lanes, [left, right])

    def times_power(value: str, exponent: str) -> str:
        places = number(form.integer, lanes, form.fraction)
        shifted = integers("bitwise_left_shift", exponent, places)
        power = bitcast(block, shifted, form.integer, dtype, lanes)
        return apply(block, "ldexp", "multiply", dtype, lanes, [value, power])

    magic = number(dtype, lanes, form.magic + 2 * form.bias)
    shifted = apply(block, "ldexp", "add", dtype, lanes, [k, magic])
    exponent = bitcast(block, shifted, dtype, form.integer, lanes)
    half = integers("bitwise_right_shift", exponent, number(form.integer, lanes, 1))
    other = integers("subtract", exponent, half)
    return times_power(times_power(x, half), other)
