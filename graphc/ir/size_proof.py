"""Proofs about sizes: what holds whatever values the symbols take.

Equal polynomials have one normal form, but divisions, maxima and minima can write one size in
several ways: `n - floor_divide(n, 2)` is `floor_divide(n + 1, 2)`. A proof goes through cases. With
n = 6*k + r, for each r below 6, divisions by 2 and 3 leave polynomials; and once small values of n
are looked at one by one, maxima and minima are decided for the rest. For equalities of sizes with
one symbol and divisors that are integers this decides; else what is not proved is unknown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache

from graphc.ir.dim import (
    FUNCTIONS,
    DimCall,
    Size,
    atom,
    is_nonnegative,
    substitute,
    symbol,
    symbols,
    terms_of,
    variables,
)

DIVISIONS = ("floor_divide", "remainder")
MOST_CASES = 1024
"""A proof with more cases is not tried; what it would show is unknown."""


@lru_cache(maxsize=4096)
def are_equal(left: Size, right: Size) -> bool:
    """Whether two sizes are proved equal for all values of their symbols."""
    return left == right or all(case == 0 for case in cases(left - right))


@lru_cache(maxsize=4096)
def differ(left: Size, right: Size) -> bool:
    """Whether two sizes are proved to differ wherever no symbol is 0.

    Two sizes that agree only where an array is empty, such as n and 2*n, were hardly meant.
    """
    return left != right and all(map(is_never_zero, cases(left - right, 1)))


def is_never_zero(size: Size) -> bool:
    """Whether a size is surely not 0: by its sign, or since one number divides all but one term."""
    factors = dict(terms_of(size))
    constant = factors.pop((), 0)
    by_sign = is_nonnegative(size - 1) or is_nonnegative(-size - 1)
    return by_sign or bool(constant % math.gcd(*factors.values()) if factors else constant)


@lru_cache(maxsize=4096)
def is_never_negative(size: Size) -> bool:
    """Whether a size is proved to be at least 0 for all values of its symbols."""
    return is_nonnegative(size) or all(map(is_nonnegative, cases(size)))


def simplify(size: Size) -> Size:
    """The size without the maxima and minima that proofs decide."""
    total: Size = 0
    for monomial, factor in terms_of(size):
        part: Size = factor
        for a in monomial:
            part = part * (simplify_call(a) if isinstance(a, DimCall) else atom(a))
        total = total + part
    return total


def simplify_call(call: DimCall) -> Size:
    """A call with simpler operands, or one of them where that is what it is."""
    left, right = simplify(call.left), simplify(call.right)
    if call.function in ("maximum", "minimum"):
        larger = (left, right) if call.function == "maximum" else (right, left)
        if is_never_negative(left - right):
            return larger[0]
        if is_never_negative(right - left):
            return larger[1]
    return FUNCTIONS[call.function](left, right)


def may_be_equal(left: Size, right: Size) -> bool:
    """Whether values of symbols decide if sizes are equal, such as n and 4*floor_divide(n, 4).

    Both must hold the same symbols: that n is m, or 2, is for the user to say.
    """
    return symbols(left) == symbols(right) and not differ(left, right)


def advice(left: Size, right: Size) -> str:
    """What to do about two sizes that must be equal, for a message; nothing where they differ."""
    if differ(left, right):
        return ""
    return "\n  where these sizes are always equal, use one name for both, or gx.ensure_shape"


# --- cases ----------------------------------------------------------------------------------------


def cases(size: Size, least: int = 0) -> Iterator[Size]:
    """What a size is in cases that cover all values of its symbols from `least` on.

    Symbols stay in a case, and stand for any number from 0 on. Where there would be too many
    cases, or loop variables stand in the size, the size itself is the only one.
    """
    inside = {s.name for call in calls_of(size) for s in symbols(atom(call))}
    step, small = period(size), threshold(size)
    names = sorted(s.name for s in symbols(size))
    choices = [
        values_of(name, step, max(small, least), least) if name in inside
        else [least + symbol(name)]
        for name in names
    ]  # fmt: skip
    if variables(size) or math.prod(map(len, choices)) > MOST_CASES:
        yield size
        return
    for values in itertools.product(*choices):
        yield substitute(size, dict(zip(names, values, strict=True)))


def values_of(name: str, step: int, small: int, least: int) -> list[Size]:
    """The values from `least` on: below `small` one by one, then one progression a remainder."""
    if step + small > MOST_CASES:
        return [symbol(name)] * (MOST_CASES + 1)
    progression: list[Size] = [small + rest + step * symbol(name) for rest in range(step)]
    return [*range(least, small), *progression]


def calls_of(size: Size) -> Iterator[DimCall]:
    """The divisions, maxima and minima of a size, those inside others left out."""
    for monomial, _ in terms_of(size):
        yield from (a for a in monomial if isinstance(a, DimCall))


def period(size: Size) -> int:
    """A number p such that with p*k + r for each symbol all divisions by integers are exact."""
    parts = [1]
    for call in calls_of(size):
        divides = call.function in DIVISIONS
        divisor = call.right if divides and isinstance(call.right, int) else 1
        parts.append(abs(divisor) * math.lcm(period(call.left), period(call.right)))
    return math.lcm(*parts)


def threshold(size: Size) -> int:
    """A number from which on the maxima and minima of one symbol no longer change their choice."""
    if not any(has_choice(call) for call in calls_of(size)):
        return 0
    return period(size) * max(constants(atom(call)) for call in calls_of(size))


def has_choice(call: DimCall) -> bool:
    """Whether a call is a maximum or minimum, or has one inside."""
    inside = itertools.chain(calls_of(call.left), calls_of(call.right))
    return call.function in ("maximum", "minimum") or any(map(has_choice, inside))


def constants(size: Size) -> int:
    """The constants in a size and its calls added up, without their signs."""
    total = sum(abs(factor) for monomial, factor in terms_of(size) if not monomial)
    inside = (constants(part) for call in calls_of(size) for part in (call.left, call.right))
    return total + sum(inside)


def may_divide_by_zero(size: Size) -> bool:
    """Whether a divisor in a size is not proved to be above 0."""
    return any(
        may_divide_by_zero(call.left)
        or may_divide_by_zero(call.right)
        or (call.function in DIVISIONS and not is_never_negative(call.right - 1))
        for call in calls_of(size)
    )
