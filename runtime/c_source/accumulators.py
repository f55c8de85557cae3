"""Accumulators in C: what they start from, how a value joins, how partial states are combined."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.kernel import Accumulator
from graphc.ir.types import DType, int64
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.functions import Context, apply
from graphc.runtime.c_source.sizes import bare
from graphc.runtime.c_source.types import REGISTERS, computed, literal

FUNCTIONS = {
    "sum": "add",
    "prod": "multiply",
    "max": "maximum",
    "min": "minimum",
    "any": "bitwise_or",
    "all": "bitwise_and",
}


LAST = 2**63 - 1  # a position after every other


def has_position(accumulator: Accumulator) -> bool:
    """Whether an accumulator remembers a position beside its value."""
    return accumulator.kind in ("argmax", "argmin")


def dtypes(accumulator: Accumulator) -> tuple[DType, ...]:
    """The dtypes of what an accumulator holds."""
    value = computed(accumulator.dtype)
    return (value, int64) if has_position(accumulator) else (value,)


def words(accumulator: Accumulator) -> tuple[str, ...]:
    """The types in C of what an accumulator holds."""
    return tuple(REGISTERS[dtype.name] for dtype in dtypes(accumulator))


def identity(dialect: Dialect, accumulator: Accumulator, first: str = "") -> tuple[str, ...]:
    """What an accumulator holds before anything is accumulated.

    first is the position of the first element, where positions only grow: if all are as this is,
    none wins against it. Otherwise it is one after every other.
    """
    dtype, kind = accumulator.dtype, accumulator.kind.removeprefix("arg")
    if kind in ("max", "min"):
        limits = (False, True) if dtype.kind == "bool" else dtype.limits
        number = limits[kind == "min"]
    else:
        number = kind in ("prod", "all")
    texts = (literal(dialect, dtype, number),)
    return (*texts, first or literal(dialect, int64, LAST)) if has_position(accumulator) else texts


def combine(
    context: Context,
    accumulator: Accumulator,
    new: Sequence[str],
    old: Sequence[str],
    in_order: bool = False,
) -> list[str]:
    """Statements that bring a new state into an old one, which is named by variables.

    in_order says that new positions are greater than old ones.
    """
    if accumulator.kind == "last":
        return [f"{old[0]} = {new[0]};"]
    if has_position(accumulator):
        condition = precedes(accumulator, new, old, in_order)
        return [f"if ({condition}) {{ {old[0]} = {new[0]}; {old[1]} = {new[1]}; }}"]
    function = FUNCTIONS[accumulator.kind]
    return [f"{old[0]} = {bare(apply(context, function, accumulator.dtype, [new[0], old[0]]))};"]


def precedes(
    accumulator: Accumulator, new: Sequence[str], old: Sequence[str], in_order: bool
) -> str:
    """Whether a (value, position) wins: by NaN, then by value, then by the lower position."""
    (left, at), (right, before) = new, old
    sign = ">" if accumulator.kind == "argmax" else "<"
    if not accumulator.dtype.is_float and in_order:
        return f"{left} {sign} {right}"
    if not accumulator.dtype.is_float:
        return f"{left} {sign} {right} || ({left} == {right} && {at} < {before})"
    opposite = "<=" if sign == ">" else ">="
    better = f"!({left} {opposite} {right}) && {right} == {right}"
    if in_order:
        return better
    tie = f"{left} == {right} || ({left} != {left} && {right} != {right})"
    return f"({better}) || (({tie}) && {at} < {before})"
