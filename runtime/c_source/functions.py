"""The primitives of scalar formulas as expressions of C.

`apply` finds a function in one of three tables: an operator between operands, a function of
<math.h>, or a Python function here. What takes several statements is a helper function of C.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from graphc.ir.types import DType
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.sizes import bare
from graphc.runtime.c_source.types import HALVES, REGISTERS, computed, literal, unsigned

COMPARISONS = {
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
}
ARITHMETIC = {"add": "+", "subtract": "-", "multiply": "*"}
BITWISE = {"bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^"}
OF_BOOLS = BITWISE | {
    "add": "|", "subtract": "^", "multiply": "&", "minimum": "&", "maximum": "|",
}  # fmt: skip
MATH = {
    "fma": "fma", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "round": "rint", "copysign": "copysign", "abs": "fabs",
}  # fmt: skip
NUMBER = re.compile(r"[\d.]+(e[-+]\d+)?f?")
UNCHANGED = ("floor", "ceil", "trunc", "round")  # of integers
# Functions that are helpers for the kinds of dtype named.
HELPERS = {
    "floor_divide": ("float", "int", "uint"),
    "remainder": ("float", "int", "uint"),
    "bitwise_left_shift": ("int", "uint"),
    "bitwise_right_shift": ("int", "uint"),
    "minimum": ("float", "int", "uint"),
    "maximum": ("float", "int", "uint"),
    "ldexp": ("float",),
}


@dataclass(frozen=True, slots=True)
class Context:
    """The dialect, and what to ask for a helper function."""

    dialect: Dialect
    need: Callable[[str], str]


def apply(context: Context, function: str, dtype: DType, operands: list[str]) -> str:
    """A primitive of operands of a dtype (for `where`, of the two values)."""
    kind = dtype.kind
    if function in COMPARISONS:
        return f"({operands[0]} {COMPARISONS[function]} {operands[1]})"
    if function == "where":
        return f"({operands[0]} ? {operands[1]} : {operands[2]})"
    if kind == "bool":
        return of_bools(function, operands)
    if kind in HELPERS.get(function, ()):
        return helper(context, function, dtype, operands)
    return (of_floats if kind == "float" else of_integers)(context, function, dtype, operands)


def of_bools(function: str, operands: list[str]) -> str:
    """A function of conditions."""
    if function == "bitwise_invert":
        return f"!{operands[0]}"
    return f"({operands[0]} {OF_BOOLS[function]} {operands[1]})"


def of_floats(context: Context, function: str, dtype: DType, operands: list[str]) -> str:
    """A function of floats."""
    if function in ARITHMETIC or function == "divide":
        return f"({operands[0]} {ARITHMETIC.get(function, '/')} {operands[1]})"
    if function == "negative":
        return f"(-{operands[0]})"
    name = context.dialect.math(MATH[function], computed(dtype))
    return f"{name}({', '.join(map(bare, operands))})"


def of_integers(context: Context, function: str, dtype: DType, operands: list[str]) -> str:
    """A function of integers: they wrap around, which C grants to unsigned ones alone."""
    if function in UNCHANGED or (function == "abs" and dtype.kind == "uint"):
        return operands[0]
    if function in BITWISE:
        return narrowed(dtype, f"{operands[0]} {BITWISE[function]} {operands[1]}")
    if function == "bitwise_invert":
        return narrowed(dtype, f"~{operands[0]}")
    if function == "abs":
        negated = of_integers(context, "negative", dtype, operands)
        return f"({operands[0]} < 0 ? {negated} : {operands[0]})"
    if function == "negative":
        operands = [literal(context.dialect, dtype, 0), *operands]
    if function == "fma":
        product = of_integers(context, "multiply", dtype, operands[:2])
        return of_integers(context, "add", dtype, [product, operands[2]])
    sign = ARITHMETIC["subtract" if function == "negative" else function]
    return wrapping(dtype, operands[0], sign, operands[1])


def wrapping(dtype: DType, left: str, sign: str, right: str) -> str:
    """An operation of integers modulo 2 to the number of bits."""
    if dtype.kind == "uint" and dtype.bits >= 32:
        return f"({left} {sign} {right})"
    wide = unsigned(max(dtype.bits, 32))
    return f"({REGISTERS[dtype.name]})(({wide}){left} {sign} ({wide}){right})"


def narrowed(dtype: DType, text: str) -> str:
    """An expression of C's promoted type as the dtype that it is of."""
    return f"({text})" if dtype.bits >= 32 else f"({REGISTERS[dtype.name]})({text})"


def helper(context: Context, function: str, dtype: DType, operands: list[str]) -> str:
    """The call of a helper function; the extreme of a float and a constant begins with that."""
    if function in ("minimum", "maximum") and dtype.is_float:
        left, right = operands
        operands = [right, left] if is_number(context.dialect, right) else operands
    name = context.need(f"{function}_{computed(dtype).name}")
    return f"{name}({', '.join(map(bare, operands))})"


def is_number(dialect: Dialect, text: str) -> bool:
    """Whether the text of a float is a constant other than NaN."""
    text = bare(text).removeprefix("-")
    return text in dialect.infinity.values() or NUMBER.fullmatch(text) is not None


# --- between types -------------------------------------------------------------------------------


def cast(context: Context, value: str, source: DType, target: DType) -> str:
    """A value in another type, as NumPy's astype converts it."""
    if target.kind == "bool":
        zero = literal(context.dialect, source, 0)
        return value if source == target else f"({value} != {zero})"
    if target in HALVES:
        odd = source.name == "float64"  # rounding to odd first, so that 16 bits are rounded to once
        single = (
            f"{context.need('odd_float32')}({bare(value)})" if odd else to_single(value, source)
        )
        return f"{context.need(f'round_{target.name}')}({bare(single)})"
    before, after = REGISTERS[source.name], REGISTERS[target.name]
    if source.is_float and target.is_integer:
        return f"{context.need(f'{computed(source).name}_to_{target.name}')}({bare(value)})"
    return value if before == after else f"({after}){value}"


def to_single(value: str, source: DType) -> str:
    """A value other than a float64 in float32."""
    return value if REGISTERS[source.name] == "float" else f"(float){value}"


def from_memory(context: Context, value: str, dtype: DType) -> str:
    """A loaded element as it is held in a register."""
    if dtype in HALVES:
        return f"{context.need(f'value_of_{dtype.name}')}({bare(value)})"
    return f"({value} != 0)" if dtype.kind == "bool" else value


def to_memory(context: Context, value: str, dtype: DType) -> str:
    """A register's value as it is stored."""
    return f"{context.need(f'bits_of_{dtype.name}')}({bare(value)})" if dtype in HALVES else value


def bitcast(context: Context, value: str, source: DType, target: DType) -> str:
    """The bits of a value as another type of the same width."""
    bits = value
    if source.is_float:
        bits = to_memory(context, value, source)
        if source not in HALVES:
            bits = f"{context.dialect.bits[source.bits]}({bare(value)})"
    if target in HALVES or target.kind == "bool":
        return from_memory(context, f"({unsigned(target.bits)}){bits}" if target in HALVES
                           else bits, target)  # fmt: skip
    if target.is_float:
        return f"{context.dialect.float_of[target.bits]}({bare(bits)})"
    return f"({REGISTERS[target.name]}){bits}"
