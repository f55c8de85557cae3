"""The primitives of scalar formulas as LLVM instructions, on single values and on vectors.

`apply` finds a function in one of four tables: an opcode, a comparison, an intrinsic, or a Python
function here that writes several instructions. The column of a table is the kind of dtype.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from graphc.ir.types import DType
from graphc.runtime.cpu.block import REGISTERS, Block, literal, splat, vector


def row(
    float_: str = "", int_: str = "", uint: str | None = None, bool_: str = ""
) -> dict[str, str]:
    """What a function is called for each kind of dtype; uint defaults to int."""
    names = {"float": float_, "int": int_, "uint": int_ if uint is None else uint, "bool": bool_}
    return {kind: name for kind, name in names.items() if name}


OPCODES: dict[str, dict[str, str]] = {
    "add": row("fadd", "add", bool_="or"),
    "subtract": row("fsub", "sub", bool_="xor"),
    "multiply": row("fmul", "mul", bool_="and"),
    "divide": row("fdiv"),
    "bitwise_and": row("", "and", bool_="and"),
    "bitwise_or": row("", "or", bool_="or"),
    "bitwise_xor": row("", "xor", bool_="xor"),
    "minimum": row(bool_="and"),
    "maximum": row(bool_="or"),
}

# Ordered but for not_equal: a comparison with NaN is false, and NaN != NaN is true.
COMPARISONS: dict[str, dict[str, str]] = {
    "equal": row("fcmp oeq", "icmp eq", bool_="icmp eq"),
    "not_equal": row("fcmp une", "icmp ne", bool_="icmp ne"),
    "less": row("fcmp olt", "icmp slt", "icmp ult", "icmp ult"),
    "less_equal": row("fcmp ole", "icmp sle", "icmp ule", "icmp ule"),
    "greater": row("fcmp ogt", "icmp sgt", "icmp ugt", "icmp ugt"),
    "greater_equal": row("fcmp oge", "icmp sge", "icmp uge", "icmp uge"),
}

INTRINSICS: dict[str, dict[str, str]] = {
    "fma": row("fma"),
    "sqrt": row("sqrt"),
    "floor": row("floor"),
    "ceil": row("ceil"),
    "trunc": row("trunc"),
    "round": row("roundeven"),
    "copysign": row("copysign"),
    "abs": row("fabs"),
    "minimum": row("", "smin", "umin"),
    "maximum": row("", "smax", "umax"),
}


class Operation:
    """Where and on what a function of FUNCTIONS writes its instructions."""

    __slots__ = ("block", "dtype", "hint", "lanes", "type")

    def __init__(self, block: Block, hint: str, dtype: DType, lanes: int) -> None:
        self.block = block
        self.hint = hint
        self.dtype = dtype
        self.lanes = lanes
        self.type = vector(REGISTERS[dtype.name], lanes)

    def op(self, opcode: str, left: str, right: str) -> str:
        """An instruction on two values of the type."""
        return self.block.op(self.hint, f"{opcode} {self.type} {left}, {right}")

    def select(self, condition: str, yes: str, no: str) -> str:
        """Lane by lane, yes where the condition holds, else no."""
        mask = vector("i1", self.lanes)
        kind = self.type
        return self.block.op(self.hint, f"select {mask} {condition}, {kind} {yes}, {kind} {no}")

    def mask(self, opcode: str, left: str, right: str) -> str:
        """An instruction on two conditions."""
        return self.block.op(self.hint, f"{opcode} {vector('i1', self.lanes)} {left}, {right}")

    def intrinsic(self, name: str, operands: list[str], last: str = "") -> str:
        """A call of an intrinsic."""
        element = REGISTERS[self.dtype.name]
        return self.block.intrinsic(self.hint, name, element, self.lanes, operands, last)

    def number(self, value: int | float) -> str:
        """A constant of the type."""
        text = literal(self.dtype, float(value) if self.dtype.is_float else value)
        return splat(REGISTERS[self.dtype.name], text) if self.lanes else text


def apply(
    block: Block, hint: str, function: str, dtype: DType, lanes: int, operands: list[str]
) -> str:
    """Write a primitive; dtype is that of its operands (for `where`, of the two values)."""
    kind = dtype.kind
    opcode = OPCODES.get(function, {}).get(kind)
    if opcode is None:
        opcode = COMPARISONS.get(function, {}).get(kind)
    if opcode is not None:
        left, right = operands
        return block.op(hint, f"{opcode} {vector(REGISTERS[dtype.name], lanes)} {left}, {right}")
    operation = Operation(block, hint, dtype, lanes)
    name = INTRINSICS.get(function, {}).get(kind)
    if name is not None:
        return operation.intrinsic(name, operands)
    return FUNCTIONS[function](operation, operands)


def where(o: Operation, operands: list[str]) -> str:
    """Choose between two values."""
    return o.select(operands[0], operands[1], operands[2])


def negative(o: Operation, operands: list[str]) -> str:
    """Change the sign; integers wrap."""
    if o.dtype.is_float:
        return o.block.op(o.hint, f"fneg {o.type} {operands[0]}")
    return o.op("sub", o.number(0), operands[0])


def absolute(o: Operation, operands: list[str]) -> str:
    """Drop the sign of an integer; the least one wraps to itself."""
    return o.intrinsic("abs", operands, ", i1 false") if o.dtype.kind == "int" else operands[0]


def invert(o: Operation, operands: list[str]) -> str:
    """Invert every bit."""
    ones = "true" if o.dtype.kind == "bool" else "-1"
    element = REGISTERS[o.dtype.name]
    return o.op("xor", operands[0], splat(element, ones) if o.lanes else ones)


def integer_fma(o: Operation, operands: list[str]) -> str:
    """Multiply and add integers."""
    return o.op("add", o.op("mul", operands[0], operands[1]), operands[2])


def same(o: Operation, operands: list[str]) -> str:
    """Return an integer as it is: rounding leaves it alone."""
    return operands[0]


def extreme(o: Operation, operands: list[str], predicate: str) -> str:
    """Choose the extreme of two floats, or a NaN among them.

    The processor's own minimum gives the right operand where either is NaN. That is right if the
    left one is known to be a number; else it takes two instructions more.
    """
    left, right = operands
    if is_number(right):
        left, right = right, left
    best = o.select(o.op(f"fcmp {predicate}", left, right), left, right)
    return best if is_number(left) else o.select(o.op("fcmp uno", left, left), left, best)


def is_number(operand: str) -> bool:
    """Whether the text of a float is a constant other than NaN."""
    if operand.startswith("%"):
        return False
    bits = operand.removesuffix(")").rpartition("0x")[2]
    return not math.isnan(struct.unpack(">d", bytes.fromhex(bits))[0])


def minimum(o: Operation, operands: list[str]) -> str:
    """Choose the smaller of two floats."""
    return extreme(o, operands, "olt")


def maximum(o: Operation, operands: list[str]) -> str:
    """Choose the larger of two floats."""
    return extreme(o, operands, "ogt")


def left_shift(o: Operation, operands: list[str]) -> str:
    """Shift left; by the width or more (or by a negative number) gives 0."""
    value, by = operands
    inside = o.op("icmp ult", by, o.number(o.dtype.bits))
    return o.select(inside, o.op("shl", value, by), o.number(0))


def right_shift(o: Operation, operands: list[str]) -> str:
    """Shift right; by the width or more leaves only the sign."""
    value, by = operands
    if o.dtype.kind == "int":
        most = o.intrinsic("umin", [by, o.number(o.dtype.bits - 1)])
        return o.op("ashr", value, most)
    inside = o.op("icmp ult", by, o.number(o.dtype.bits))
    return o.select(inside, o.op("lshr", value, by), o.number(0))


def floor_divide(o: Operation, operands: list[str]) -> str:
    """Divide and round down; an integer divided by zero is 0, as in NumPy."""
    if o.dtype.is_float:
        return float_divmod(o, operands)[0]
    left, right = operands
    zero, safe = safe_divisor(o, right)
    if o.dtype.kind == "uint":
        return o.select(zero, o.number(0), o.op("udiv", left, safe))
    quotient = o.op("sdiv", left, safe)
    # -1 was replaced too: the least integer divided by it would trap, and negation wraps.
    minus_one = o.op("icmp eq", right, o.number(-1))
    quotient = o.select(minus_one, o.op("sub", o.number(0), left), quotient)
    rest = o.op("sub", left, o.op("mul", quotient, right))
    lower = o.op("sub", quotient, o.number(1))
    rounded = o.select(signs_differ(o, rest, right), lower, quotient)
    return o.select(zero, o.number(0), rounded)


def remainder(o: Operation, operands: list[str]) -> str:
    """What floor_divide leaves, with the sign of the divisor."""
    if o.dtype.is_float:
        return float_divmod(o, operands)[1]
    left, right = operands
    zero, safe = safe_divisor(o, right)
    if o.dtype.kind == "uint":
        return o.select(zero, o.number(0), o.op("urem", left, safe))
    rest = o.op("srem", left, safe)
    moved = o.op("add", rest, right)
    rounded = o.select(signs_differ(o, rest, right), moved, rest)
    return o.select(zero, o.number(0), rounded)


def safe_divisor(o: Operation, divisor: str) -> tuple[str, str]:
    """Whether a divisor is zero; and 1 in place of those that would trap (0 and -1)."""
    zero = o.op("icmp eq", divisor, o.number(0))
    unsafe = zero
    if o.dtype.kind == "int":
        unsafe = o.mask("or", zero, o.op("icmp eq", divisor, o.number(-1)))
    return zero, o.select(unsafe, o.number(1), divisor)


def signs_differ(o: Operation, rest: str, divisor: str) -> str:
    """Whether a remainder is not zero and has not the sign of the divisor."""
    differ = o.op("icmp slt", o.op("xor", rest, divisor), o.number(0))
    return o.mask("and", differ, o.op("icmp ne", rest, o.number(0)))


def float_divmod(o: Operation, operands: list[str]) -> tuple[str, str]:
    """The quotient rounded down and its remainder, by the steps of NumPy's npy_divmod."""
    left, right = operands
    zero = o.number(0)
    rest = o.op("frem", left, right)
    exact = o.op("fcmp oeq", rest, zero)
    below = o.op("fcmp olt", rest, zero)
    differ = o.mask("xor", below, o.op("fcmp olt", right, zero))
    moved = o.select(differ, o.op("fadd", rest, right), rest)
    modulus = o.select(exact, o.intrinsic("copysign", [zero, right]), moved)
    plain = o.op("fdiv", left, right)
    quotient = o.op("fdiv", o.op("fsub", left, rest), right)
    lowered = o.op("fsub", quotient, o.number(1))
    quotient = o.select(o.mask("and", differ, o.op("fcmp une", rest, zero)), lowered, quotient)
    # The quotient is a whole number but for rounding: take the nearest, keep the sign of zero.
    whole = o.intrinsic("roundeven", [quotient])
    signed = o.select(o.op("fcmp oeq", whole, zero), o.intrinsic("copysign", [zero, plain]), whole)
    by_zero = o.op("fcmp oeq", right, zero)
    return o.select(by_zero, plain, signed), o.select(by_zero, rest, modulus)


FUNCTIONS: dict[str, Callable[[Operation, list[str]], str]] = {
    "where": where,
    "negative": negative,
    "abs": absolute,
    "bitwise_invert": invert,
    "fma": integer_fma,
    "floor": same,
    "ceil": same,
    "trunc": same,
    "round": same,
    "minimum": minimum,
    "maximum": maximum,
    "bitwise_left_shift": left_shift,
    "bitwise_right_shift": right_shift,
    "floor_divide": floor_divide,
    "remainder": remainder,
}
