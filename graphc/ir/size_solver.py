"""The values of symbols from equations between sizes, or a readable contradiction.

An equation says that two sizes are equal: that of a declared axis and the one it was given, or
two sizes that an operator needs to agree. Solving takes turns: known symbols are put in, and what
remains is a linear system over the monomials that are left. Where elimination leaves a symbol, or
a power of one, by itself, its value is known. So `n*m` gives m once n is known, and `n + m` and
`n - m` together give both. Values are integers of at least 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from graphc.ir.dim import (
    Dim,
    DimCall,
    Monomial,
    Size,
    Symbol,
    floor_divide,
    polynomial,
    substitute,
    symbols,
    terms_of,
)


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sizes that must be equal, and who says so: "'x' (axis 0)"."""

    left: Size
    right: Size
    source: str
    origin: Any = field(default=None, compare=False)


class SizeConflict(Exception):  # noqa: N818 (what it is, not that it is an error)
    """Equations contradict each other: the reason, and the equation that cannot hold."""

    def __init__(self, reason: str, equation: Equation) -> None:
        self.reason = reason
        self.equation = equation
        super().__init__(f"{reason} ({equation.source})")


@dataclass(frozen=True, slots=True)
class Row:
    """A linear equation over monomials, `terms` + `constant` = 0, and what it was made from."""

    terms: dict[Monomial, Fraction]
    constant: Fraction
    equations: tuple[Equation, ...]


def solve(equations: Sequence[Equation]) -> dict[str, int]:
    """The values that equations decide, by name; SizeConflict where they contradict each other.

    A symbol that they leave open is left out.
    """
    return Solver(equations).run()


def determined(equations: Sequence[Equation]) -> set[str]:
    """The names that equations decide, whatever the numbers on their right sides are."""
    known: dict[str, int] = {}
    primes = primes_from(101)
    while True:
        differences = (substitute(e.left - e.right, known) for e in equations)
        rows = [row_of(size, ()) for size in differences]
        found = {name for row in eliminate(rows) for name in single_symbol(row)}
        if not found:
            return set(known)
        known |= {name: next(primes) for name in sorted(found)}


def primes_from(start: int) -> Iterator[int]:
    """The primes from a number on: values that make no factor 0 and no two sizes equal."""
    number = start
    while True:
        if all(number % divisor for divisor in range(2, int(number**0.5) + 1)):
            yield number
        number += 1


def row_of(difference: Size, equations: tuple[Equation, ...]) -> Row:
    """The row that says that a size is 0."""
    terms = {monomial: Fraction(factor) for monomial, factor in terms_of(difference)}
    return Row({m: c for m, c in terms.items() if m}, terms.get((), Fraction(0)), equations)


def single_symbol(row: Row) -> list[str]:
    """The name of the only symbol in a row with one monomial; none for any other row."""
    names = {a.name if isinstance(a, Symbol) else None for monomial in row.terms for a in monomial}
    return [name for name in names if name] if len(row.terms) == 1 and len(names) == 1 else []


def eliminate(rows: Sequence[Row]) -> list[Row]:
    """The rows with each monomial in one of them alone, as far as it can be (Gauss, Jordan).

    Products and calls are eliminated before symbols, so that rows of symbols alone remain.
    """
    done: list[Row] = []
    rest = [row for row in rows if row.terms or row.constant]
    columns = {monomial for row in rest for monomial in row.terms}
    for column in sorted(columns, key=elimination_order):
        pivot = next((row for row in rest if column in row.terms), None)
        if pivot is not None:
            rest = [without(row, column, pivot) for row in rest if row is not pivot]
            done = [*(without(row, column, pivot) for row in done), pivot]
    return [row for row in done + rest if row.terms or row.constant]


def elimination_order(monomial: Monomial) -> tuple[int, int, str]:
    """Calls first, then products by their length, then symbols by name."""
    calls = sum(isinstance(a, DimCall) for a in monomial)
    return (-calls, -len(monomial), str(polynomial([(monomial, 1)])))


def without(row: Row, column: Monomial, pivot: Row) -> Row:
    """The row with a multiple of the pivot added, so that the column is gone."""
    if column not in row.terms:
        return row
    times = row.terms[column] / pivot.terms[column]
    keys = dict.fromkeys([*row.terms, *pivot.terms])
    sums = {k: row.terms.get(k, Fraction(0)) - times * pivot.terms.get(k, Fraction(0))
            for k in keys}  # fmt: skip
    equations = tuple(dict.fromkeys([*row.equations, *pivot.equations]))
    terms = {k: value for k, value in sums.items() if value}
    return Row(terms, row.constant - times * pivot.constant, equations)


class Solver:
    """Equations on their way to values; `reasons` says for each symbol where its value is from."""

    def __init__(self, equations: Sequence[Equation]) -> None:
        self.equations = equations
        self.values: dict[str, int] = {}
        self.reasons: dict[str, str] = {}

    def run(self) -> dict[str, int]:
        """Take turns until nothing new is found."""
        while True:
            rows = [self.reduced(equation) for equation in self.equations]
            solved = [row for row in rows if single_symbol(row)]
            if not solved:
                solved = self.combined(rows)
            if not solved:
                return self.values
            for row in solved:
                self.settle(row)

    def reduced(self, equation: Equation) -> Row:
        """An equation with the known values in it; SizeConflict where it is false."""
        try:
            difference = substitute(equation.left - equation.right, self.values)
        except ZeroDivisionError:
            reason = f"it divides by 0{self.known(equation.left, equation.right)}"
            raise SizeConflict(reason, equation) from None
        if isinstance(difference, int) and difference:
            raise SizeConflict(self.mismatch(equation), equation)
        return row_of(difference, (equation,))

    def combined(self, rows: Sequence[Row]) -> list[Row]:
        """What several rows decide together; SizeConflict where they cannot all hold."""
        combinations = [self.in_order(row) for row in eliminate(rows)]
        for row in combinations:
            if not row.terms:
                sides = " and ".join(f"{e.left} = {e.right} by {e.source}" for e in row.equations)
                raise SizeConflict(f"not all of {sides} can hold", row.equations[-1])
        return [row for row in combinations if single_symbol(row)]

    def in_order(self, row: Row) -> Row:
        """A row whose equations stand in the order in which they were given."""
        equations = sorted(row.equations, key=self.equations.index)
        return Row(row.terms, row.constant, tuple(equations))

    def settle(self, row: Row) -> None:
        """Note the value of the symbol in a row of one monomial."""
        (name,) = single_symbol(row)
        ((monomial, factor),) = row.terms.items()
        value = -row.constant / factor
        root = integer_root(value, len(monomial))
        if name in self.values:
            return
        if root is None:
            raise SizeConflict(self.unsolvable(row, name, monomial, value), row.equations[-1])
        self.values[name] = root
        self.reasons[name] = " and ".join(equation.source for equation in row.equations)

    # --- words ------------------------------------------------------------------------------------

    def mismatch(self, equation: Equation) -> str:
        """Why an equation whose symbols are all known is false."""
        left, right = equation.left, equation.right
        if isinstance(right, int):
            value = substitute(left, self.values)
            if (name := str(left)) in self.reasons:
                return f"{name} is {right} here, but {value} by {self.reasons[name]}"
            return f"{left} is {right} here, but {value}{self.known(left)}"
        for size, other in ((left, right), (right, left)):
            divisor = divisor_of(size, other)
            if divisor is not None:
                return f"{self.said(other)}, which is not divisible by {divisor}"
        if isinstance(left, int):
            return f"{self.said(right)}, but must be {left}"
        return f"{self.said(left)}, but {self.said(right)}"

    def said(self, size: Size) -> str:
        """A size, its value, and why it is that."""
        value = substitute(size, self.values)
        if (name := str(size)) in self.reasons:
            return f"{name} is {value} by {self.reasons[name]}"
        return f"{size} is {value}{self.known(size)}"

    def unsolvable(self, row: Row, name: str, monomial: Monomial, value: Fraction) -> str:
        """Why no symbol of at least 0 satisfies a row."""
        said = " and ".join(dict.fromkeys(f"{e.left} = {e.right}" for e in row.equations))
        known = self.known(*(size for e in row.equations for size in (e.left, e.right)))
        if value < 0:
            product = polynomial([(monomial, 1)])
            return f"{said} makes {product} {value}, and a size is at least 0{known}"
        if value.denominator == 1:
            return f"no integer {name} makes {said}{known}"
        divided, divisor = abs(row.constant), abs(row.terms[monomial])
        if divided.denominator > 1 or divisor.denominator > 1:
            divided, divisor = Fraction(value.numerator), Fraction(value.denominator)
        return f"no integer {name} makes {said}{known}: {divided} is not divisible by {divisor}"

    def known(self, *sizes: Size) -> str:
        """The values of the symbols in sizes, with their sources, for a message."""
        names = sorted({s.name for size in sizes for s in symbols(size)} & self.values.keys())
        parts = [f"{name} = {self.values[name]} by {self.reasons[name]}" for name in names]
        return f", with {' and '.join(parts)}" if parts else ""


def integer_root(value: Fraction, degree: int) -> int | None:
    """The integer of at least 0 whose power is a value; None where there is none."""
    if value.denominator != 1 or value < 0:
        return None
    near = round(float(value) ** (1 / degree)) if degree > 1 else int(value)
    roots = (root for root in (near - 1, near, near + 1) if root >= 0)
    return next((root for root in roots if root**degree == value), None)


def divisor_of(size: Size, other: Size) -> int | None:
    """The integer c with size = c*floor_divide(other, c), which says that c divides the other."""
    for monomial, factor in terms_of(size):
        if factor > 1 and size == factor * floor_divide(other, factor) and monomial:
            return factor
    return None


def values_with(known: Mapping[str, int], source: str) -> list[Equation]:
    """Equations that say what symbols are."""
    return [Equation(Dim([((Symbol(name),), 1)]), value, source) for name, value in known.items()]
