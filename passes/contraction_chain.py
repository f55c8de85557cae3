"""Chains: two contractions, and between them what is made of each row of the first one's results.

    s[i, j] = sum_k q[i, k] * r[k, j]      rows i, middle j: the scores
    m[i] = max_j f(s[i, j])                totals of a row, each of a sweep over the middle
    t[i] = sum_j g(s[i, j], m[i])
    p[i, j] = g(s[i, j], m[i])             the weights
    o[i, c] = h(sum_j p[i, j] * v[j, c], t[i])

Attention is one. Here three kernels are written over the same loops, and what the middle one does
is put in order by what it needs: a total needs all of a row, so what is made of it needs another
sweep over the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TypeAlias

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    For,
    Kernel,
    Let,
    Statement,
    Store,
    loop,
    map_statement,
    substitute,
    variable,
)
from graphc.ir.scalar import Load, Ref, Scalar
from graphc.passes.contraction import (
    Contraction,
    contraction_of,
    moved,
    names,
    names_in,
    place_of,
    written_out,
)
from graphc.passes.joint_loops import by_reach, common_limits, iteration, nest_of
from graphc.passes.loop_nests import nested
from graphc.passes.split_kernels import names_in as names_used

SCORES, WEIGHTS = "scores", "weights"
"""What the kernels of a chain call the memory between them."""
WITH_NEUTRAL = ("sum", "max", "min")
"""Totals that threads have parts of, and to which what lies beyond a row's end adds nothing."""


class NoChainError(Exception):
    """Kernels are no two contractions over the same rows."""


class BrokenChainError(Exception):
    """Two contractions over the same rows cannot be one kernel; the message says why."""


@dataclass(frozen=True, slots=True)
class Total:
    """A reduction over a row, and what it takes of each element."""

    accumulator: Accumulator
    value: Scalar


@dataclass(frozen=True, slots=True)
class Sweep:
    """The totals of one walk over the middle, and the values of the row that follow from them."""

    totals: tuple[Total, ...]
    after: tuple[Let, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Two contractions with sweeps over the rows between.

    The first one's columns are one loop, `middle`, over which the second one sums; after it stands
    what makes the score of the sum. The second one's left factor is the weight. before are the
    values of a row that need no sweep, kept the results that are one for each row.
    """

    first: Contraction
    before: tuple[Let, ...]
    sweeps: tuple[Sweep, ...]
    second: Contraction
    kept: tuple[Store, ...]

    @property
    def middle(self) -> For:
        """The loop over a row's elements."""
        return self.first.columns[0]


@dataclass(frozen=True, slots=True)
class Part:
    """What a kernel does for a row: the loops that are left, and what they hold."""

    common: tuple[For, ...]
    left: tuple[For, ...]
    inside: tuple[Statement, ...]

    @property
    def rows(self) -> For:
        """The innermost common loop."""
        return self.common[-1]

    def contraction(self) -> Contraction:
        """The part as a contraction whose rows are the common ones."""
        found = contraction_of(nested([*self.common, *self.left], self.inside))
        if found is None or len(self.left) != 1:
            raise NoChainError("a kernel is no contraction of whole rows")
        by_row, by_column = names_in(found.left), names_in(found.right)
        row, (column,) = self.rows.variable.name, names(self.left)
        if row not in by_row - by_column or column not in by_column - by_row:
            raise NoChainError("a kernel's rows are not those of the scores")
        separate = self.common[:-1]
        return replace(found, separate=separate, rows=(self.rows,), columns=self.left)


Known: TypeAlias = dict[str, tuple[Size, Scalar]]


def chain_of(kernels: Sequence[Kernel], inside: Iterable[str]) -> Chain:
    """The chain that kernels are; NoChainError or BrokenChainError where they are none.

    They are two contractions with a kernel of rows between, and perhaps one more behind them.
    inside names the buffers that only these kernels touch, `scores` and `weights` among them.
    """
    scores, row, product, *rest = parts_of(kernels)
    first, store = scored(scores.contraction())
    if row.left:
        raise NoChainError("the kernel between the contractions goes over other rows")
    body = RowBody(
        first.columns[0],
        {SCORES: (store.offset, Ref(store.value.dtype, "score"))},
        frozenset(inside),
    )
    for statement in row.inside:
        body.add(statement)
    if not body.totals:
        raise NoChainError("no total of a row stands between the contractions")
    try:
        second = with_middle(product.contraction(), body.middle)
    except NoChainError as error:
        raise BrokenChainError(f"what reads the rows is another kernel: {error}") from error
    weight = body.forwarded(second.left)
    if body.forwarded(second.right) is not second.right:
        raise BrokenChainError("both factors of the second contraction are made of the scores")
    before = lets_of(map(body.changed, second.before))
    after = tuple(map(body.changed, second.after))
    for part in rest:
        after = ended(body, part, second.columns[0], after)
    second = replace(second, left=weight, before=before, after=after)
    sweeps = body.sweeps(weight)
    before = tuple(let for let in body.lets if body.level[let.name] == 0)
    return Chain(first, before, sweeps, second, tuple(body.kept))


def ended(
    body: RowBody, part: Part, columns: For, after: tuple[Statement, ...]
) -> tuple[Statement, ...]:
    """What is made of a result, by a last kernel that may have totals of the row as well."""
    *row, results = part.inside
    if part.left or not isinstance(results, For) or results.limit != columns.limit:
        raise BrokenChainError("a kernel behind the contractions goes over other results")
    for statement in row:
        body.add(statement)
    *lets, store = after
    if not isinstance(store, Store) or store.buffer not in body.inside:
        raise BrokenChainError("the second contraction has other results")
    body.store(store)
    inside = substitute(results.body, {results.variable.name: variable(columns)})
    return (*lets, *map(body.changed, inside))


def scored(first: Contraction) -> tuple[Contraction, Store]:
    """The first contraction with the score as the last value after it, and where it was stored."""
    (columns,) = first.columns
    middle = loop("%middle", columns.limit, "serial", ())
    at: dict[str, Size] = {columns.variable.name: variable(middle)}
    *lets, store = substitute(first.after, at)
    if not isinstance(store, Store) or store.buffer != SCORES or store.guard is not None:
        raise NoChainError("the first contraction has other results")
    after = (*lets_of(lets), Let("score", store.value))
    before = lets_of(substitute(first.before, at))
    right = moved(first.right, at)
    return replace(first, right=right, columns=(middle,), before=before, after=after), store


def lets_of(body: Iterable[Statement]) -> tuple[Let, ...]:
    """Statements that are known to name values."""
    found = []
    for statement in body:
        if not isinstance(statement, Let):
            raise NoChainError("the first contraction has other results")
        found.append(statement)
    return tuple(found)


def parts_of(kernels: Sequence[Kernel]) -> list[Part]:
    """Kernels over the loops that all have in common, as far as they move what is between them."""
    nests = [nest_of(kernel) for kernel in kernels]
    orders = [by_reach(nest, (SCORES, WEIGHTS)) for nest in nests]
    limits = reduce(common_limits, ([nested.limit for nested in order] for order in orders))
    if not limits:
        raise NoChainError("the kernels have no rows in common")
    common = tuple(loop(f"%c{n}", limit, "parallel", ()) for n, limit in enumerate(limits))
    found = []
    for nest, order in zip(nests, orders, strict=True):
        part = iteration(nest, order, limits)
        left = tuple(nested for nested in part.loops if nested is not None)
        found.append(Part(common, left, part.inside))
    return found


def with_middle(second: Contraction, middle: For) -> Contraction:
    """The second contraction with its sum over the middle's own variable."""
    if len(second.depth) != 1 or second.depth[0].limit != middle.limit:
        raise NoChainError("the second contraction sums over something else")
    at = {second.depth[0].variable.name: variable(middle)}
    left, right = moved(second.left, at), moved(second.right, at)
    return replace(second, left=left, right=right, depth=(middle,))


class RowBody:
    """What stands between the contractions, taken apart.

    known has for each buffer that is not stored any more where an element of it lay, and what it
    is now. level tells how many sweeps a value of the row needs before it is there.
    """

    def __init__(self, middle: For, known: Known, inside: frozenset[str]) -> None:
        self.middle = middle
        self.known = known
        self.inside = inside
        self.level: dict[str, int] = {}
        self.lets: list[Let] = []
        self.kept: list[Store] = []
        self.accumulators: dict[str, Accumulator] = {}
        self.totals: list[Total] = []

    def add(self, statement: Statement) -> None:
        """One statement of a row."""
        if isinstance(statement, For):
            self.walk(statement)
            return
        statement = self.changed(statement)
        if isinstance(statement, Let):
            self.lets.append(statement)
            self.level[statement.name] = self.needs(statement.value)
        elif isinstance(statement, Accumulator) and statement.kind in WITH_NEUTRAL:
            self.accumulators[statement.name] = statement
        elif isinstance(statement, Store) and statement.guard is None:
            self.store(statement)
        else:
            raise BrokenChainError("what is made of a row is no total of a known kind")

    def store(self, store: Store) -> None:
        """A result for each row: the value itself where only the chain reads it."""
        if store.buffer in self.inside:
            self.known[store.buffer] = store.offset, store.value
        else:
            self.kept.append(store)

    def walk(self, nest: For) -> None:
        """A loop over a row's elements, whose values are written out."""
        if nest.limit != self.middle.limit:
            raise BrokenChainError("a loop between the contractions is not over a row's elements")
        values: dict[str, Scalar] = {}
        for statement in substitute(nest.body, {nest.variable.name: variable(self.middle)}):
            if isinstance(statement, Let):
                values[statement.name] = self.element(statement.value, values)
            elif isinstance(statement, Store) and statement.buffer == WEIGHTS:
                self.known[WEIGHTS] = statement.offset, self.element(statement.value, values)
            elif isinstance(statement, Accumulate):
                total = Total(
                    self.accumulators[statement.name], self.element(statement.value, values)
                )
                self.totals.append(total)
                self.level[statement.name] = 1 + self.needs(total.value)
            else:
                raise BrokenChainError("what is made of a row's elements is stored as well")

    def element(self, value: Scalar, values: Mapping[str, Scalar]) -> Scalar:
        """A value of an element in terms of the score, of memory and of values of the row."""
        found = self.forwarded(written_out(value, values))
        symbols = {s for part in scalar.walk([found]) for s in dim.variables(place_of(part))}
        if any(symbol.kind == "value" for symbol in symbols):
            raise BrokenChainError("where a value lies depends on the row's elements")
        return found

    def needs(self, value: Scalar) -> int:
        """How many sweeps there are before a value can be computed."""
        names = names_used((Let("needed", value),))
        return max((self.level.get(name, 0) for name in names), default=0)

    def sweeps(self, weight: Scalar) -> tuple[Sweep, ...]:
        """The sweeps, of which the last one has the weights."""
        levels = {total.accumulator.name: self.level[total.accumulator.name]
                  for total in self.totals}  # fmt: skip
        last = 1 + self.needs(weight)
        if max(levels.values()) > last:
            raise BrokenChainError("a total of a row needs another sweep than the weights")
        return tuple(
            Sweep(
                tuple(t for t in self.totals if levels[t.accumulator.name] == number),
                tuple(let for let in self.lets if self.level[let.name] == number),
            )
            for number in range(1, last + 1)
        )

    def changed(self, statement: Statement) -> Statement:
        """A statement with values in place of what is not stored any more."""
        return map_statement(statement, self.forwarded, lambda size: size)

    def forwarded(self, value: Scalar) -> Scalar:
        """A formula with values in place of what is not stored any more."""

        def now(part: Scalar) -> Scalar | None:
            if not isinstance(part, Load) or part.buffer not in self.inside:
                return None
            offset, known = self.known.get(part.buffer, (None, None))
            if part.offset != offset or part.guard is not None:
                raise BrokenChainError("what lies between is not read as it was written")
            return known

        return scalar.rebuild(value, now)
