"""Partial tiles: what lies beyond the end is not loaded, counts as zero and is not stored."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import scalar
from graphc.ir.kernel import Statement, Store, map_statement
from graphc.ir.scalar import Call, Load, Scalar


def both(*conditions: Scalar | None) -> Scalar | None:
    """A condition that holds where all do; None where there is none."""
    result: Scalar | None = None
    for condition in conditions:
        if condition is not None:
            result = condition if result is None else result & condition
    return result


def guarded(value: Scalar, inside: Scalar) -> Scalar:
    """A formula that loads only where a condition holds."""

    def change(part: Scalar) -> Scalar | None:
        if not isinstance(part, Load):
            return None
        guard = inside if part.guard is None else inside & part.guard
        return Load(part.dtype, part.buffer, part.offset, guard)

    return scalar.rebuild(value, change)


def within(statement: Statement, guard: Scalar | None) -> Statement:
    """A statement that loads and stores only where a condition holds."""
    if guard is None:
        return statement
    changed = map_statement(statement, lambda value: guarded(value, guard), lambda size: size)
    return replace(changed, guard=guard) if isinstance(changed, Store) else changed


def is_zero_of_zeros(value: Scalar) -> bool:
    """Whether a formula is surely zero where nothing is loaded: a load, or one converted."""
    while isinstance(value, Call) and value.function == "cast":
        (value,) = value.arguments
    return isinstance(value, Load)
