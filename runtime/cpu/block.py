"""Block: lines of LLVM text in the making; and the types and constants that stand in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from graphc.ir.scalar import Number
from graphc.ir.types import BY_NAME, DType, bfloat16, float16, float32, float64

# float16 and bfloat16 are computed in float32; in memory they are 16 bits, and bool is a byte.
REGISTERS = {name: f"i{d.bits}" for name, d in BY_NAME.items()} | {
    "float16": "float",
    "bfloat16": "float",
    "float32": "float",
    "float64": "double",
}
MEMORY = REGISTERS | {"bool": "i8", "float16": "i16", "bfloat16": "i16"}
# What a condition is whose outcome is known.
TRUE, FALSE = "true", "false"
MANGLED = {"float": "f32", "double": "f64", "half": "f16"}


class Block:
    """Instructions in order; `label` is the basic block that the next one falls in."""

    __slots__ = ("label", "lines", "names")

    def __init__(self, label: str, names: Iterator[int]) -> None:
        self.label = label
        self.lines: list[str] = []
        self.names = names

    def op(self, hint: str, text: str) -> str:
        """Append an instruction with a result; returns the result's name."""
        name = f"%{hint}.{next(self.names)}"
        self.lines.append(f"  {name} = {text}")
        return name

    def add(self, text: str) -> None:
        """Append an instruction without a result."""
        self.lines.append("  " + text)

    def intrinsic(
        self, hint: str, name: str, element: str, lanes: int, operands: list[str], last: str = ""
    ) -> str:
        """Append a call of an intrinsic whose operands all have the type of its result."""
        kind = vector(element, lanes)
        listed = ", ".join([f"{kind} {operand}" for operand in operands])
        return self.op(hint, f"call {kind} @llvm.{name}.{mangled(element, lanes)}({listed}{last})")


@lru_cache(maxsize=1024)
def identifier(name: str) -> str:
    """A name with only such characters as LLVM takes without quotes."""
    if name.isascii() and name.replace("_", "").isalnum():
        return name
    return "".join(c if c.isascii() and (c.isalnum() or c in "_.$-") else "_" for c in name)


def symbol(name: str) -> str:
    """The name of a function, in quotes where it needs them."""
    return f"@{name}" if identifier(name) == name else f'@"{name}"'


@lru_cache(maxsize=1024)
def vector(element: str, lanes: int) -> str:
    """The type of that many elements side by side; lanes 0 is a single one."""
    return f"<{lanes} x {element}>" if lanes else element


@lru_cache(maxsize=1024)
def mangled(element: str, lanes: int) -> str:
    """A type as the name of an intrinsic spells it: v16f32."""
    return (f"v{lanes}" if lanes else "") + MANGLED.get(element, element)


def register_bits(dtype: DType) -> int:
    """Bits of a value in a register; a bool is a bit of a mask and counts as a byte."""
    return 32 if dtype in (float16, bfloat16) else max(dtype.bits, 8)


@lru_cache(maxsize=4096)
def constant(dtype: DType, bits: object, value: Number) -> str:
    """The text of a number; `bits` tells zeros of both signs apart in the cache."""
    if not dtype.is_float:
        return str(value).lower()
    return "0x" + struct.pack(">d", rounded(dtype, float(value))).hex().upper()


def literal(dtype: DType, value: Number) -> str:
    """The text of a number of a dtype, as it is held in a register."""
    bits = struct.pack("<d", value) if isinstance(value, float) else value
    return constant(dtype, (type(value), bits), value)


def rounded(dtype: DType, value: float) -> float:
    """The number of a floating-point type nearest to a value."""
    if dtype == float64:
        return value
    with np.errstate(over="ignore"):
        single = np.float32(value)
        if dtype == float16:
            return float(np.float16(value))
    if dtype == float32 or not np.isfinite(single):
        return float(single)
    whole = int(single.view(np.uint32))
    even = (whole + 0x7FFF + (whole >> 16 & 1)) & 0xFFFF0000
    return float(np.uint32(even).view(np.float32))


def splat(element: str, number: str) -> str:
    """A constant in every lane."""
    return f"splat ({element} {number})"


@lru_cache(maxsize=1024)
def ramp(lanes: int, element: str, step: int = 1, start: int = 0) -> str:
    """The constant vector start, start + step, ..."""
    numbers = [f"{element} {start + step * lane}" for lane in range(lanes)]
    return f"<{', '.join(numbers)}>"


def shuffle(block: Block, element: str, lanes: int, value: str, picked: tuple[int, ...]) -> str:
    """The lanes of a vector that are picked, in that order."""
    return interleave(block, element, lanes, (value, "poison"), picked)


def interleave(
    block: Block, element: str, lanes: int, values: tuple[str, str], picked: tuple[int, ...]
) -> str:
    """The lanes that are picked of two vectors, those of the second counted after the first's."""
    order = ", ".join([f"i32 {lane}" for lane in picked])
    kind = vector(element, lanes)
    indices = f"<{len(picked)} x i32> <{order}>"
    both = f"{kind} {values[0]}, {kind} {values[1]}"
    return block.op("shuffle", f"shufflevector {both}, {indices}")


def broadcast(block: Block, element: str, lanes: int, value: str) -> str:
    """A value in every lane of a vector."""
    kind = vector(element, lanes)
    first = block.op("first", f"insertelement {kind} poison, {element} {value}, i64 0")
    zero = f"<{lanes} x i32> zeroinitializer"
    return block.op("splat", f"shufflevector {kind} {first}, {kind} poison, {zero}")


def first_lanes(lanes: int, active: int) -> str:
    """The constant mask of the first lanes."""
    return "<" + ", ".join([f"i1 {int(at < active)}" for at in range(lanes)]) + ">"
