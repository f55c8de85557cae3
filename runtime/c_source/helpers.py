"""Functions of C that kernels call: what one expression cannot say.

The name of a function says what it does and for which dtype, as in `floor_divide_int32`; `Helpers`
writes those that are asked for, each once, behind those that it calls itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from graphc.ir import scalar
from graphc.ir.scalar import TRANSCENDENTAL, Ref
from graphc.ir.types import BY_NAME, DType
from graphc.passes import math
from graphc.passes.math.floating import FORMATS
from graphc.runtime.c_source import half_floats
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.functions import Context
from graphc.runtime.c_source.types import REGISTERS, float_literal, integer_literal, unsigned

Formula = Callable[[Context, scalar.Scalar], list[str]]
"""Writes a formula as statements that end in a return."""

PARAMETERS = ("x", "y")
NAME = re.compile(r"(?P<function>.+)_(?P<dtype>u?int\d+|b?float\d+)")
WIDE = re.compile(r"wide(?P<count>\d+)_(?P<dtype>.+)")
CONVERSION = re.compile(r"(?P<source>float\d+)_to_(?P<target>u?int\d+)")


class Helpers:
    """The helper functions of one source text."""

    def __init__(self, dialect: Dialect, formula: Formula) -> None:
        self.context = Context(dialect, self.need)
        self.formula = formula
        self.written: dict[str, str] = {}

    def need(self, name: str) -> str:
        """The name of a function, or of a type, that is written from now on."""
        if name not in self.written:
            text = self.text(name)
            self.written[name] = text.replace("FUNCTION ", f"{self.context.dialect.function} ")
        return name

    def text(self, name: str) -> str:
        """The text of a function, or of a type."""
        dialect = self.context.dialect
        if match := WIDE.fullmatch(name):
            return together(dialect, BY_NAME[match["dtype"]], int(match["count"]))
        if name in dialect.functions:
            return dialect.functions[name]
        if match := CONVERSION.fullmatch(name):
            return saturating(dialect, BY_NAME[match["source"]], BY_NAME[match["target"]])
        if name in half_floats.TEXTS:
            text = half_floats.TEXTS[name](dialect)
            for other in half_floats.TEXTS:
                if other != name and f"{other}(" in text:
                    self.need(other)
            return text
        match = NAME.fullmatch(name)
        assert match is not None, f"there is no helper function {name}"
        function, dtype = match["function"], BY_NAME[match["dtype"]]
        if function in TRANSCENDENTAL:
            return self.elementary(name, function, dtype)
        return WRITERS[function, dtype.kind](dialect, dtype)

    def elementary(self, name: str, function: str, dtype: DType) -> str:
        """An elementary function by its formula."""
        count = 2 if function in ("power", "atan2") else 1
        value = math.expand(function, tuple(Ref(dtype, p) for p in PARAMETERS[:count]))
        word = REGISTERS[dtype.name]
        parameters = ", ".join(f"{word} {p}" for p in PARAMETERS[:count])
        lines = self.formula(self.context, value)
        return "\n".join([f"FUNCTION {word} {name}({parameters}) {{", *lines, "}"])


def together(dialect: Dialect, dtype: DType, count: int) -> str:
    """Elements side by side: one by one, and as the words that accesses read or write."""
    size = count * dtype.bytes
    most = max(size_of for size_of in dialect.words if size % size_of == 0)
    parts = f"{dialect.words[most]} all[{size // most}]; {REGISTERS[dtype.name]} at[{count}];"
    return f"typedef union {{ {parts} }} wide{count}_{dtype.name};"


def function(dtype: DType, name: str, parameters: str, body: str) -> str:
    """A function of one or two values of a dtype; TYPE and UNSIGNED stand for it in the body."""
    word = REGISTERS[dtype.name]
    listed = ", ".join(f"{word} {p}" for p in parameters.split())
    lines = body.strip("\n").replace("UNSIGNED", unsigned(dtype.bits)).replace("TYPE", word)
    return f"FUNCTION {word} {name}_{dtype.name}({listed}) {{\n{lines}\n}}"


def saturating(dialect: Dialect, source: DType, target: DType) -> str:
    """A float as an integer: truncated, the nearest limit where it does not fit, NaN as 0."""
    least, most = (int(limit) for limit in target.limits)
    low = float_literal(dialect, source, float(least))
    beyond = float_literal(dialect, source, float(most + 1))
    before, after = REGISTERS[source.name], REGISTERS[target.name]
    limits = [integer_literal(dialect, target, limit) for limit in (least, most)]
    return f"""FUNCTION {after} {source.name}_to_{target.name}({before} x) {{
  if (x != x) return 0;
  if (x <= {low}) return {limits[0]};
  if (x >= {beyond}) return {limits[1]};
  return ({after})x;
}}"""


def integer_floor_divide(dialect: Dialect, dtype: DType) -> str:
    """Rounded down; 0 where the divisor is 0; the least integer divided by -1 wraps."""
    if dtype.kind == "uint":
        return function(dtype, "floor_divide", "x y", "  return y == 0 ? 0 : x / y;")
    return function(dtype, "floor_divide", "x y", """
  if (y == 0) return 0;
  if (y == -1) return (TYPE)(0u - (UNSIGNED)x);
  const TYPE quotient = x / y, rest = x % y;
  return rest != 0 && (rest ^ y) < 0 ? quotient - 1 : quotient;""")  # fmt: skip


def integer_remainder(dialect: Dialect, dtype: DType) -> str:
    """What floor_divide leaves, with the sign of the divisor."""
    if dtype.kind == "uint":
        return function(dtype, "remainder", "x y", "  return y == 0 ? 0 : x % y;")
    return function(dtype, "remainder", "x y", """
  if (y == 0 || y == -1) return 0;
  const TYPE rest = x % y;
  return rest != 0 && (rest ^ y) < 0 ? rest + y : rest;""")  # fmt: skip


def left_shift(dialect: Dialect, dtype: DType) -> str:
    """By the width or more (or by a negative number) gives 0."""
    wide = unsigned(max(dtype.bits, 32))
    return function(dtype, "bitwise_left_shift", "x y",
                    f"  return (UNSIGNED)y < {dtype.bits} ? (TYPE)(({wide})x << y) : 0;",
    )  # fmt: skip


def right_shift(dialect: Dialect, dtype: DType) -> str:
    """By the width or more leaves only the sign."""
    beyond = "0" if dtype.kind == "uint" else f"x >> {dtype.bits - 1}"
    return function(dtype, "bitwise_right_shift", "x y",
                    f"  return (UNSIGNED)y < {dtype.bits} ? x >> y : {beyond};")  # fmt: skip


def integer_minimum(dialect: Dialect, dtype: DType) -> str:
    """The smaller of two integers."""
    return function(dtype, "minimum", "x y", "  return x < y ? x : y;")


def integer_maximum(dialect: Dialect, dtype: DType) -> str:
    """The larger of two integers."""
    return function(dtype, "maximum", "x y", "  return x > y ? x : y;")


def float_minimum(dialect: Dialect, dtype: DType) -> str:
    """The smaller of two floats, or a NaN among them."""
    return function(dtype, "minimum", "x y", "  return x != x ? x : (x < y ? x : y);")


def float_maximum(dialect: Dialect, dtype: DType) -> str:
    """The larger of two floats, or a NaN among them."""
    return function(dtype, "maximum", "x y", "  return x != x ? x : (x > y ? x : y);")


def float_floor_divide(dialect: Dialect, dtype: DType) -> str:
    """The quotient rounded down, by the steps of NumPy's npy_divmod."""
    copysign, floor = dialect.math("copysign", dtype), dialect.math("rint", dtype)
    return function(dtype, "floor_divide", "x y", f"""
  const TYPE plain = x / y;
  if (y == 0) return plain;
  const TYPE rest = {dialect.math("fmod", dtype)}(x, y);
  const bool differ = (rest < 0) != (y < 0);
  const TYPE quotient = (x - rest) / y;
  const TYPE whole = {floor}(differ && rest != 0 ? quotient - 1 : quotient);
  return whole == 0 ? {copysign}((TYPE)0, plain) : whole;""")  # fmt: skip


def float_remainder(dialect: Dialect, dtype: DType) -> str:
    """What floor_divide leaves, with the sign of the divisor."""
    return function(dtype, "remainder", "x y", f"""
  const TYPE rest = {dialect.math("fmod", dtype)}(x, y);
  if (y == 0) return rest;
  if (rest == 0) return {dialect.math("copysign", dtype)}((TYPE)0, y);
  return (rest < 0) != (y < 0) ? rest + y : rest;""")  # fmt: skip


def ldexp(dialect: Dialect, dtype: DType) -> str:
    """The product of x with 2^y by two factors, each half of the exponent.

    Neither overflows or is denormal while the result is, for x near one, and so only the last
    multiplication can round.
    """
    form, width = FORMATS[dtype], dtype.bits
    magic = float_literal(dialect, dtype, form.magic + 2 * form.bias)
    bits, float_of = dialect.bits[width], dialect.float_of[width]
    signed = REGISTERS[form.integer.name]
    return function(dtype, "ldexp", "x y", f"""
  const {signed} exponent = ({signed}){bits}(y + {magic});
  const {signed} one = exponent >> 1, other = exponent - one;
  const TYPE scaled = x * {float_of}((UNSIGNED)one << {form.fraction});
  return scaled * {float_of}((UNSIGNED)other << {form.fraction});""")  # fmt: skip


WRITERS: dict[tuple[str, str], Callable[[Dialect, DType], str]] = {
    ("floor_divide", "int"): integer_floor_divide,
    ("floor_divide", "uint"): integer_floor_divide,
    ("floor_divide", "float"): float_floor_divide,
    ("remainder", "int"): integer_remainder,
    ("remainder", "uint"): integer_remainder,
    ("remainder", "float"): float_remainder,
    ("bitwise_left_shift", "int"): left_shift,
    ("bitwise_left_shift", "uint"): left_shift,
    ("bitwise_right_shift", "int"): right_shift,
    ("bitwise_right_shift", "uint"): right_shift,
    ("minimum", "int"): integer_minimum,
    ("minimum", "uint"): integer_minimum,
    ("minimum", "float"): float_minimum,
    ("maximum", "int"): integer_maximum,
    ("maximum", "uint"): integer_maximum,
    ("maximum", "float"): float_maximum,
    ("ldexp", "float"): ldexp,
}
"""Function and kind of dtype -> what writes it."""
