"""Guards that are known: what a load asks of an index that is surely within its limits.

Windows at a border look beyond it, and those inside need not ask. Once loops are cut, the bounds of
their variables tell which is which.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import Statement, map_statement
from graphc.ir.scalar import Call, Const, Index, Load, Scalar
from graphc.ir.types import bool_


def settle_guards(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """The statements without the comparisons of indices whose outcome the bounds of loops tell."""
    return tuple(map_statement(s, settled, lambda size: size) for s in body)


def replaced(body: tuple[Statement, ...], known: Mapping[Scalar, Scalar]) -> tuple[Statement, ...]:
    """The statements with parts of their values replaced."""
    return tuple(
        map_statement(s, lambda value: scalar.rebuild(value, known.get), lambda size: size)
        for s in body
    )


@lru_cache(maxsize=4096)  # bounds of loops are asked for each tile that might stand apart
def settled(value: Scalar) -> Scalar:
    """A value without such comparisons."""
    return scalar.rebuild(value, without_question)


def without_question(part: Scalar) -> Scalar | None:
    """What is left of a comparison that holds, of what is added to it, and of a load behind it."""
    if isinstance(part, Load) and part.guard is not None and is_true(part.guard):
        return Load(part.dtype, part.buffer, part.offset, None)
    if isinstance(part, Call) and part.function == "where" and is_true(part.arguments[0]):
        return part.arguments[1]
    if not isinstance(part, Call) or len(part.arguments) != 2:
        return None
    left, right = part.arguments
    if part.function == "bitwise_and" and (is_true(left) or is_true(right)):
        return right if is_true(left) else left
    return scalar.const(bool_, True) if surely_holds(part) else None


def is_true(value: Scalar) -> bool:
    """Whether a value is the constant that lets all through."""
    return isinstance(value, Const) and value.value is True


def surely_holds(comparison: Call) -> bool:
    """Whether a comparison of two indices holds wherever their loops are."""
    margin = margin_of(comparison)
    least = None if margin is None else dim.lower_bound(margin)
    return least is not None and dim.is_nonnegative(least)


def margin_of(comparison: Call) -> Size | None:
    """What is not negative where a comparison of two indices holds; None for anything else."""
    if comparison.function not in ("less", "greater_equal"):
        return None
    left, right = map(size_of, comparison.arguments)
    if left is None or right is None:
        return None
    return right - left - 1 if comparison.function == "less" else left - right


def size_of(value: Scalar) -> Size | None:
    """The size or whole number that a value is; None if it is anything else."""
    if isinstance(value, Index):
        return value.value
    return value.value if isinstance(value, Const) and type(value.value) is int else None
