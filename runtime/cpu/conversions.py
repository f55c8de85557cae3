"""Between types: `cast`, `bitcast`, and between registers and memory."""

from __future__ import annotations

from graphc.ir.types import DType, bfloat16, float16, float32, float64, int8, int32, int64, uint32
from graphc.runtime.cpu.block import MEMORY, REGISTERS, Block, literal, mangled, splat, vector
from graphc.runtime.cpu.instructions import Operation, apply

HALVES = (float16, bfloat16)


def number(dtype: DType, lanes: int, value: int | float) -> str:
    """A constant in every lane."""
    text = literal(dtype, float(value) if dtype.is_float else value)
    return splat(REGISTERS[dtype.name], text) if lanes else text


def convert(block: Block, opcode: str, value: str, source: str, target: str, lanes: int) -> str:
    """A conversion instruction between two LLVM element types."""
    return block.op("cast", f"{opcode} {vector(source, lanes)} {value} to {vector(target, lanes)}")


def cast(block: Block, value: str, source: DType, target: DType, lanes: int) -> str:
    """A value in another type, as NumPy's astype converts it."""
    if target.kind == "bool":
        return apply(block, "cast", "not_equal", source, lanes, [value, number(source, lanes, 0)])
    if target in HALVES:
        return round_to_half(block, to_float32(block, value, source, target, lanes), target, lanes)
    before, after = REGISTERS[source.name], REGISTERS[target.name]
    if source.is_float and target.is_integer:
        return saturate(block, value, before, target, lanes)
    opcode = opcode_of(source, target)
    return convert(block, opcode, value, before, after, lanes) if before != after else value


def opcode_of(source: DType, target: DType) -> str:
    """The conversion instruction between two registers that differ."""
    if target.is_float:
        if source.is_float:
            return "fptrunc" if target == float32 else "fpext"
        return "sitofp" if source.kind == "int" else "uitofp"
    if target.bits < source.bits:
        return "trunc"
    return "sext" if source.kind == "int" else "zext"


def saturate(block: Block, value: str, element: str, target: DType, lanes: int) -> str:
    """A float as an integer: truncated, the nearest limit where it does not fit, NaN as 0."""
    name = "fptosi.sat" if target.kind == "int" else "fptoui.sat"
    result = REGISTERS[target.name]
    suffix = f"{mangled(result, lanes)}.{mangled(element, lanes)}"
    call = f"call {vector(result, lanes)} @llvm.{name}.{suffix}"
    return block.op("cast", f"{call}({vector(element, lanes)} {value})")


def to_float32(block: Block, value: str, source: DType, target: DType, lanes: int) -> str:
    """A value in float32 such that rounding it further to 16 bits rounds only once."""
    if source == float64:
        return round_to_odd(block, value, lanes)
    return cast(block, value, source, float32, lanes)


def round_to_odd(block: Block, value: str, lanes: int) -> str:
    """A float64 as float32, the last bit set where it is inexact.

    Rounding that to 16 bits gives the correctly rounded result (Boldo and Melquiond, 2008).
    """
    o, bits = Operation(block, "odd", float64, lanes), Operation(block, "odd", int32, lanes)
    near = convert(block, "fptrunc", value, "double", "float", lanes)
    back = convert(block, "fpext", near, "float", "double", lanes)
    pattern = convert(block, "bitcast", near, "float", "i32", lanes)
    beyond = o.op("fcmp ogt", o.intrinsic("fabs", [back]), o.intrinsic("fabs", [value]))
    inward = bits.op("sub", pattern, convert(block, "zext", beyond, "i1", "i32", lanes))
    inexact = convert(block, "zext", o.op("fcmp one", back, value), "i1", "i32", lanes)
    return convert(block, "bitcast", bits.op("or", inward, inexact), "i32", "float", lanes)


def round_to_half(block: Block, value: str, target: DType, lanes: int) -> str:
    """A float32 rounded to what a float16 or bfloat16 can hold."""
    return from_bits(block, to_bits(block, value, target, lanes), target, lanes)


def to_bits(block: Block, value: str, dtype: DType, lanes: int) -> str:
    """The 16 bits of a float16 or bfloat16 nearest to a float32, ties to even."""
    if dtype == float16:
        half = convert(block, "fptrunc", value, "float", "half", lanes)
        return convert(block, "bitcast", half, "half", "i16", lanes)
    # By hand, since LLVM may call a routine for it that no library has.
    f, i = Operation(block, "bf16", float32, lanes), Operation(block, "bf16", uint32, lanes)
    bits = convert(block, "bitcast", value, "float", "i32", lanes)
    upper = i.op("lshr", bits, i.number(16))
    bias = i.op("add", i.op("and", upper, i.number(1)), i.number(0x7FFF))
    near = i.op("lshr", i.op("add", bits, bias), i.number(16))
    quiet = i.op("or", upper, i.number(0x40))
    kept = i.select(f.op("fcmp uno", value, value), quiet, near)
    return convert(block, "trunc", kept, "i32", "i16", lanes)


def from_bits(block: Block, bits: str, dtype: DType, lanes: int) -> str:
    """The float32 that 16 bits of a float16 or bfloat16 stand for."""
    if dtype == float16:
        half = convert(block, "bitcast", bits, "i16", "half", lanes)
        return convert(block, "fpext", half, "half", "float", lanes)
    wide = convert(block, "zext", bits, "i16", "i32", lanes)
    upper = Operation(block, "bf16", uint32, lanes)
    return convert(block, "bitcast", upper.op("shl", wide, upper.number(16)), "i32", "float", lanes)


def from_memory(block: Block, value: str, dtype: DType, lanes: int) -> str:
    """A loaded element as it is held in a register."""
    if dtype in HALVES:
        return from_bits(block, value, dtype, lanes)
    if dtype.kind == "bool":
        return apply(block, "bit", "not_equal", int8, lanes, [value, number(int8, lanes, 0)])
    return value


def to_memory(block: Block, value: str, dtype: DType, lanes: int) -> str:
    """A register's value as it is stored."""
    if dtype in HALVES:
        return to_bits(block, value, dtype, lanes)
    return convert(block, "zext", value, "i1", "i8", lanes) if dtype.kind == "bool" else value


def bitcast(block: Block, value: str, source: DType, target: DType, lanes: int) -> str:
    """The bits of a value as another type of the same width."""
    stored = to_memory(block, value, source, lanes)
    before, after = MEMORY[source.name], MEMORY[target.name]
    if before != after:
        stored = convert(block, "bitcast", stored, before, after, lanes)
    return from_memory(block, stored, target, lanes)


def to_index(block: Block, value: str, source: DType, lanes: int) -> str:
    """An integer as int64, to stand in an offset."""
    return cast(block, value, source, int64, lanes)
