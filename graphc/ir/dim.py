"""Dim: an integer known when a program runs, as a polynomial over sizes and loop variables.

A shape is made of sizes, an index of loop variables and sizes; both are `Size = int | Dim`, and a
Dim that turns out constant always becomes an int, so that equal sizes compare equal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, Union


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named integer.

    kind "size": a symbolic size, never negative. kind "index": a loop variable, 0 <= it < limit.
    kind "value": any integer, such as one loaded from memory.
    """

    name: str
    kind: str = "size"
    limit: Size | None = None

    def __hash__(self) -> int:
        return hash((self.name, self.limit))  # which tell nearly all apart

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class DimCall:
    """floor_divide, remainder, maximum or minimum of two sizes that does not simplify."""

    function: str
    left: Size
    right: Size

    def __str__(self) -> str:
        return f"{self.function}({self.left}, {self.right})"


Atom: TypeAlias = Symbol | DimCall
Monomial: TypeAlias = tuple[Atom, ...]


class Dim:
    """A polynomial with integer coefficients; immutable, compared by value."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Iterable[tuple[Monomial, int]]) -> None:
        """Make from (monomial, coefficient) pairs; `polynomial` is the way to add them up."""
        self.terms: tuple[tuple[Monomial, int], ...] = tuple(terms)
        self._hash = hash(self.terms)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and self.terms == other.terms

    def __add__(self, other: Size) -> Size:
        if isinstance(other, Dim):
            return polynomial(itertools.chain(self.terms, other.terms))
        monomial, factor = self.terms[-1]  # the number is the last term
        if monomial:
            return Dim((*self.terms, ((), int(other)))) if other else self
        return Dim((*self.terms[:-1], *terms_of(factor + other)))

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + -other

    def __rsub__(self, other: int) -> Size:
        return other + -self

    def __mul__(self, other: Size) -> Size:
        if not isinstance(other, Dim):
            if other in (0, 1):
                return self if other else 0
            return Dim([(monomial, factor * int(other)) for monomial, factor in self.terms])
        pairs = itertools.product(self.terms, other.terms)
        return polynomial((tuple(sorted(a + b, key=atom_order)), m * n) for (a, m), (b, n) in pairs)

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: Size) -> Size:
        return floor_divide(self, other)

    def __rfloordiv__(self, other: int) -> Size:
        return floor_divide(other, self)

    def __mod__(self, other: Size) -> Size:
        return remainder(self, other)

    def __rmod__(self, other: int) -> Size:
        return remainder(other, self)

    def __str__(self) -> str:
        text = ""
        for monomial, factor in self.terms:
            sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
            factors = [str(abs(factor))] if abs(factor) != 1 or not monomial else []
            text += sign + "*".join(factors + [str(atom) for atom in monomial])
        return text

    def __repr__(self) -> str:
        return f"Dim({self})"


Size: TypeAlias = Union[int, Dim]  # noqa: UP007 (a forward reference needs Union at run time)


@lru_cache(maxsize=65536)
def atom_order(atom: Atom) -> tuple[str, str]:
    """The order in which factors and terms are kept and printed."""
    return ("" if isinstance(atom, Symbol) and atom.kind == "size" else "~", str(atom))


@lru_cache(maxsize=65536)
def monomial_order(monomial: Monomial) -> tuple[int, tuple[tuple[str, str], ...]]:
    """The order in which terms are kept and printed: the number is the last one."""
    return -len(monomial), tuple(map(atom_order, monomial))


def terms_of(size: Size) -> tuple[tuple[Monomial, int], ...]:
    """The (monomial, coefficient) pairs of a size; none for 0."""
    if isinstance(size, Dim):
        return size.terms
    return (((), int(size)),) if size else ()


def polynomial(terms: Iterable[tuple[Monomial, int]]) -> Size:
    """Add terms up: an int where nothing symbolic is left, else a Dim."""
    total: dict[Monomial, int] = {}
    for monomial, factor in terms:
        total[monomial] = total.get(monomial, 0) + factor
    kept = [term for term in total.items() if term[1]]
    if len(kept) > 1:
        kept.sort(key=lambda term: monomial_order(term[0]))
    return Dim(kept) if kept and kept[0][0] else sum(factor for _, factor in kept)


def symbol(name: str, kind: str = "size", limit: Size | None = None) -> Dim:
    """The size that is one symbol."""
    return atom(Symbol(name, kind, limit))


def atom(value: Atom) -> Dim:
    """The size that is one atom."""
    return Dim([((value,), 1)])


def product(sizes: Iterable[Size]) -> Size:
    """The product of sizes; 1 for none."""
    return math.prod(sizes)


@lru_cache(maxsize=65536)
def floor_divide(left: Size, right: Size) -> Size:
    """left // right, rounded down; exact parts are taken out, the rest stays a DimCall."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    quotient, rest = divide_terms(left, right)
    if rest == 0 or is_within(rest, right):
        return quotient
    factor, multiples, _ = common_factor(rest, right)
    if factor > 1 and isinstance(right, int):
        return quotient + floor_divide(multiples, right // factor)
    return quotient + atom(DimCall("floor_divide", rest, right))


@lru_cache(maxsize=65536)
def remainder(left: Size, right: Size) -> Size:
    """left % right, with the sign of right."""
    if isinstance(left, int) and isinstance(right, int):
        return left % right
    _, rest = divide_terms(left, right)
    if rest == 0 or is_within(rest, right):
        return rest
    factor, multiples, small = common_factor(rest, right)
    if factor > 1 and isinstance(right, int):
        return remainder(multiples, right // factor) * factor + small
    return atom(DimCall("remainder", rest, right))


def common_factor(size: Size, divisor: Size) -> tuple[int, Size, Size]:
    """(f, a, b): size == a * f + b, 0 <= b < f, f the largest that divides the divisor, or 1."""
    if isinstance(divisor, int) and divisor > 0:
        terms = terms_of(size)
        for factor in sorted({math.gcd(number, divisor) for _, number in terms}, reverse=True):
            small = polynomial(term for term in terms if term[1] % factor)
            if factor > 1 and is_within(small, factor):
                whole = ((monomial, n // factor) for monomial, n in terms if n % factor == 0)
                return factor, polynomial(whole), small
    return 1, size, 0


def divide_terms(left: Size, right: Size) -> tuple[Size, Size]:
    """(quotient, rest) with left == quotient * right + rest, by long division on terms."""
    lead, factor = terms_of(right)[0]
    quotient: Size = 0
    rest = left
    for monomial, coefficient in terms_of(left):
        others = without(monomial, lead)
        times = coefficient // factor if factor > 0 else 0
        if others is None or not times:
            continue
        part = polynomial([(others, times)])
        quotient, rest = quotient + part, rest - part * right
    return quotient, rest


def without(monomial: Monomial, factors: Monomial) -> Monomial | None:
    """The monomial divided by the factors, or None where it does not contain them."""
    left = list(monomial)
    for factor in factors:
        if factor not in left:
            return None
        left.remove(factor)
    return tuple(left)


def is_within(size: Size, limit: Size) -> bool:
    """Whether 0 <= size < limit can be proved from the limits of the loop variables."""
    low, high = lower_bound(size), upper_bound(size)
    if low is None or high is None or not is_nonnegative(low):
        return False
    return is_nonnegative(limit - 1 - high)


def is_nonnegative(size: Size) -> bool:
    """Whether a size is surely at least 0 (loop variables and sizes are never negative)."""
    terms = terms_of(size)
    return all(factor > 0 and all(map(is_nonnegative_atom, each)) for each, factor in terms)


def is_nonnegative_atom(a: Atom) -> bool:
    """Whether a factor is surely at least 0 (a remainder has the sign of its divisor, a size)."""
    if isinstance(a, Symbol):
        return a.kind != "value"
    if a.function == "maximum":
        return is_nonnegative(a.left) or is_nonnegative(a.right)
    if a.function == "remainder":
        return is_nonnegative(a.right)
    return is_nonnegative(a.left) and is_nonnegative(a.right)


def upper_bound(size: Size) -> Size | None:
    """A size without loop variables that is never exceeded, or None if none is known."""
    return bound(size, lambda factor: factor > 0)


def lower_bound(size: Size) -> Size | None:
    """A size without loop variables that is never undercut, or None if none is known."""
    return bound(size, lambda factor: factor < 0)


def bound(size: Size, at_limit: Callable[[int], bool]) -> Size | None:
    """The polynomial with each loop variable at its last value where at_limit, else at 0."""
    total: Size = 0
    for monomial, factor in terms_of(size):
        part: Size = factor
        alone = len(monomial) == 1  # else factors are bounded one by one: none may be negative
        for a in monomial:
            extreme = extreme_of(a, at_limit(factor), alone)
            if extreme is None:
                return None
            part = part * extreme
        total = total + part
    return total


def extreme_of(a: Atom, highest: bool, alone: bool) -> Size | None:
    """The most or the least that a factor can be; None if unknown, or perhaps negative."""
    if isinstance(a, Symbol):
        if a.kind == "index" and a.limit is not None:
            return upper_bound(a.limit - 1) if highest else 0
        return atom(a) if a.kind == "size" else None
    if a.function == "remainder":
        return a.right - 1 if highest else 0
    if not alone and not is_nonnegative_atom(a):
        return None
    if not variables(atom(a)):
        return atom(a)
    if a.function == "minimum" and highest:
        return lowest_of(upper_bound(a.left), upper_bound(a.right))
    if a.function == "floor_divide" and isinstance(a.right, int) and a.right > 0:
        inner = upper_bound(a.left) if highest else lower_bound(a.left)
        return None if inner is None else inner // a.right
    return None


def lowest_of(left: Size | None, right: Size | None) -> Size | None:
    """The lower of two bounds, if there are two; a number is worth more than a symbol."""
    numbers = [each for each in (left, right) if isinstance(each, int)]
    return min(numbers) if numbers else right if left is None else left


def maximum(left: Size, right: Size) -> Size:
    """The larger of two sizes, decided now where it can be."""
    if is_nonnegative(left - right):
        return left
    if is_nonnegative(right - left):
        return right
    flat = without_clamp(left) if right == 0 else left
    return atom(DimCall("maximum", left, right)) if flat == left else maximum(flat, right)


def without_clamp(size: Size) -> Size:
    """a - c for maximum(a, 0) - c with c > 0, which is negative where that is; else the size.

    So the sizes of slices of slices stay short, and x[1:][1:] has the size of x[2:].
    """
    (monomial, factor), *rest = terms_of(size) or [((), 0)]
    if factor != 1 or len(monomial) != 1 or [m for m, _ in rest] not in ([], [()]):
        return size
    call, shift = monomial[0], sum(k for _, k in rest)
    if not isinstance(call, DimCall) or (call.function, call.right) != ("maximum", 0) or shift > 0:
        return size
    return call.left + shift


def minimum(left: Size, right: Size) -> Size:
    """The smaller of two sizes, decided now where it can be."""
    if is_nonnegative(left - right):
        return right
    if is_nonnegative(right - left):
        return left
    return atom(DimCall("minimum", left, right))


FUNCTIONS: dict[str, Callable[[Size, Size], Size]] = {
    "floor_divide": floor_divide, "remainder": remainder, "maximum": maximum, "minimum": minimum,
}  # fmt: skip


@lru_cache(maxsize=65536)
def symbols(size: Size) -> frozenset[Symbol]:
    """Every symbol in a size, those inside calls included."""
    atoms = [a for monomial, _ in terms_of(size) for a in monomial]
    calls = [symbols(a.left) | symbols(a.right) for a in atoms if isinstance(a, DimCall)]
    return frozenset([a for a in atoms if isinstance(a, Symbol)]).union(*calls)


def variables(size: Size) -> set[Symbol]:
    """The symbols of a size that are not sizes: loop variables and loaded values."""
    return {s for s in symbols(size) if s.kind != "size"}


def substitute(size: Size, values: Mapping[str, Size]) -> Size:
    """The size with symbols replaced by name."""
    if isinstance(size, int) or values.keys().isdisjoint([s.name for s in symbols(size)]):
        return size
    terms: list[tuple[Monomial, int]] = []
    for monomial, factor in size.terms:
        part: Size = factor
        for a in monomial:
            if isinstance(a, Symbol):
                part = part * (values[a.name] if a.name in values else atom(a))
            else:
                left, right = substitute(a.left, values), substitute(a.right, values)
                part = part * FUNCTIONS[a.function](left, right)
        terms += terms_of(part)
    return polynomial(terms)


def evaluate(size: Size, sizes: Mapping[str, int]) -> int:
    """The integer that a size is for given values of its symbols (KeyError if one is missing)."""
    if isinstance(size, int):
        return size
    missing = [s.name for s in symbols(size) if s.name not in sizes]
    if missing:
        raise KeyError(missing[0])
    result = substitute(size, sizes)
    assert isinstance(result, int)
    return result


@lru_cache(maxsize=65536)
def coefficient(size: Size, variable: str) -> Size | None:
    """The factor of a variable in a size that is linear in it; None where it is not linear."""
    total: Size = 0
    for monomial, factor in terms_of(size):
        found = [a for a in monomial if any(s.name == variable for s in symbols(atom(a)))]
        if len(found) > 1 or any(isinstance(a, DimCall) for a in found):
            return None
        if found:
            total = total + polynomial([(tuple(a for a in monomial if a is not found[0]), factor)])
    return total
