"""ChainTiling: the text of a chain of two contractions, of which a block computes some rows.

for block %row_tile < n/64 {
  local %left, %right: f32[...]          slices of the operands of either product
  local %weights: f32[...]               a tile of the second product's left factor
  for thread %thread < 256 lanes 256 {
    local %results: f32[16]              the thread's sums of the second product
    for unrolled %row < 4 {
      accumulator %m_part = max          a sweep over the middle for each level of totals
      for serial %middle_tile < d/32 {
        ... a tile of scores ...           as `contraction_tiling` adds them up
        accumulate %m_part ...
      }
      ... %m, of all threads' parts ...
      accumulator %t_part = sum
      for serial %middle_tile < d/32 {     the last sweep
        ... the same tile of scores ...
        accumulate %t_part ...
        store %weights[...] = ...
        ... add up the second product's terms of the tile, and those to the results ...
      }
      ... store the results ... } } }
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Barrier,
    For,
    Let,
    Local,
    Statement,
    Store,
    loop,
    substitute,
    variable,
)
from graphc.ir.scalar import Load, Ref, Scalar
from graphc.passes.block_tile import PADDING, SIDE, THREADS, BlockTile
from graphc.passes.contraction import Contraction
from graphc.passes.contraction_chain import WEIGHTS, Chain, Sweep, Total
from graphc.passes.contraction_tiling import Operand, Tiling, needed
from graphc.passes.loop_nests import nested
from graphc.passes.partial_tiles import both, within
from graphc.passes.widen_accesses import Starts

DEPTH = 16
"""Terms of either product that are brought at a time: one element for each thread at least."""


@dataclass(frozen=True, slots=True)
class ChainTile:
    """Rows of a block, how many columns of the scores it has at a time, and of the results."""

    rows: int
    middle: int
    columns: int

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.middle} scores of each at a time, {self.columns} results"

    @property
    def scores(self) -> BlockTile:
        """The tile of the first product."""
        return BlockTile(self.rows, self.middle, DEPTH)

    @property
    def results(self) -> BlockTile:
        """The tile of the second product."""
        return BlockTile(self.rows, self.columns, DEPTH)

    @property
    def registers(self) -> int:
        """The sums that a thread has: its results, and a tile's of one product at a time."""
        return self.rows * (self.columns + max(self.middle, self.columns)) // THREADS


class Staged(Tiling):
    """A contraction with room for one slice: other blocks work while it is on its way."""

    def slot(self, each: Operand, number: Size) -> Size:
        """Where a slice lies in shared memory."""
        return 0

    def slice(self) -> tuple[Statement, ...]:
        """Bring a slice and add it up."""
        number = variable(self.slices)
        brought = (self.bring(each, number, each.name) for each in self.operands)
        return (*brought, Barrier(), self.add_up(), Barrier())


class Weighted(Staged):
    """The second product over a tile of the middle, whose left factor is there already."""

    def __init__(
        self, found: Contraction, tile: BlockTile, starts: Starts, middle_tile: For, middle: int
    ) -> None:
        super().__init__(found, tile, starts)
        self.slices = loop("%slice", middle // DEPTH, "serial", ())
        self.first = variable(middle_tile) * (middle // DEPTH)

    def slice(self) -> tuple[Statement, ...]:
        """Bring a slice of the right factor and add it up."""
        number = self.first + variable(self.slices)
        return (self.bring(self.right, number, "right"), Barrier(), self.add_up(), Barrier())

    def read(self, each: Operand, term: Size) -> Let:
        """An element of a slice, or of the weights."""
        if each is self.right:
            return super().read(each, term)
        at = weight_at(self.tile.rows, self.own_place(each), variable(self.slices) * DEPTH + term)
        return Let("left_term", Load(each.value.dtype, WEIGHTS, at, None))


def weight_at(rows: int, row: Size, middle: Size) -> Size:
    """Where a weight lies in shared memory."""
    return (rows + PADDING) * middle + row


class ChainTiling:
    """A chain in tiles, over buffers that begin somewhere."""

    def __init__(self, chain: Chain, tile: ChainTile, starts: Starts) -> None:
        self.chain = chain
        self.tile = tile
        self.scores = Staged(chain.first, tile.scores, starts)
        count = self.scores.tiles["right"].limit
        self.middle_tile = loop("%middle_tile", count, "serial", ())
        self.scores.tiles["right"] = self.middle_tile
        total = chain.second.sum
        second = replace(chain.second, sum=replace(total, name=f"{total.name}_tile"))
        self.results = Weighted(second, tile.results, starts, self.middle_tile, tile.middle)
        self.row_parts = self.scores.parts["left"]

    def nest(self) -> For:
        """The loops over separate products and tiles."""
        separate = [replace(loop, kind="block") for loop in self.chain.first.separate]
        tiles = [self.scores.tiles["left"], self.results.tiles["right"]]
        return nested([*separate, *tiles], (*self.shared(), self.block()))

    def shared(self) -> list[Local]:
        """The memory that a block's threads share."""
        left, right = (each.value.dtype for each in self.scores.operands)
        rows = self.tile.rows
        first, second = self.scores, self.results
        parts = {self.part_memory(t): t.accumulator.dtype
                 for sweep in self.chain.sweeps for t in sweep.totals}  # fmt: skip
        return [
            Local("left", left, first.elements(first.left)),
            Local("right", right, max(t.elements(t.right) for t in (first, second))),
            Local(WEIGHTS, self.chain.second.left.dtype, (rows + PADDING) * self.tile.middle),
            *(Local(name, dtype, rows * SIDE) for name, dtype in parts.items()),
        ]

    def block(self) -> For:
        """The loop over threads: each with its rows in lockstep."""
        count = self.tile.rows * self.tile.columns // THREADS
        results = Local("results", self.chain.second.sum.dtype, count)
        *sweeps, last = self.chain.sweeps
        rows = (
            *self.in_row(),
            *self.of_row(self.chain.before),
            *(s for sweep in sweeps for s in self.sweep(sweep, False)),
            self.cleared(),
            *self.sweep(last, True),
            *self.finish(),
        )
        return replace(self.scores.thread, body=(results, nested(self.row_parts, rows)))

    # --- places ----------------------------------------------------------------------------------

    @cached_property
    def row(self) -> Size:
        """A thread's row."""
        own = self.scores.own_place(self.scores.left)
        return variable(self.scores.tiles["left"]) * self.tile.rows + own

    @cached_property
    def middle(self) -> Size:
        """A thread's place in its row."""
        own = self.scores.own_place(self.scores.right)
        return variable(self.middle_tile) * self.tile.middle + own

    @cached_property
    def row_guard(self) -> Scalar | None:
        """Whether a thread's row counts, None where it surely does."""
        inside = self.scores.left.axis.is_inside(self.row, self.tile.rows)
        return None if inside is None else Ref(inside.dtype, "in_rows")

    @cached_property
    def middle_guard(self) -> Scalar | None:
        """Whether a thread's place in the row counts, None where it surely does."""
        inside = self.scores.right.axis.is_inside(self.middle, self.tile.middle)
        return None if inside is None else Ref(inside.dtype, "in_middle")

    def in_row(self) -> list[Statement]:
        """Name whether a row counts."""
        inside = self.scores.left.axis.is_inside(self.row, self.tile.rows)
        return [] if inside is None else [Let("in_rows", inside)]

    def in_middle(self) -> list[Statement]:
        """Name whether a place in a row counts."""
        inside = self.scores.right.axis.is_inside(self.middle, self.tile.middle)
        return [] if inside is None else [Let("in_middle", inside)]

    def of_row(self, body: Sequence[Statement]) -> list[Statement]:
        """What is computed of a row."""
        at = self.scores.left.axis.digits(self.row)
        return [within(s, self.row_guard) for s in substitute(tuple(body), at)]

    def of_element(self, body: Sequence[Statement]) -> list[Statement]:
        """What is computed of an element of a row."""
        at = self.scores.left.axis.digits(self.row) | self.scores.right.axis.digits(self.middle)
        guard = both(self.row_guard, self.middle_guard)
        return [within(s, guard) for s in substitute(tuple(body), at)]

    # --- sweeps ----------------------------------------------------------------------------------

    def sweep(self, sweep: Sweep, last: bool) -> list[Statement]:
        """A walk over the middle, and what follows from its totals."""
        parts = [replace(t.accumulator, name=part_of(t)) for t in sweep.totals]
        products = (self.multiply(),) if last else ()
        walk = replace(self.middle_tile, body=(self.score(sweep, last), *products))
        wholes = (s for total in sweep.totals for s in self.combined(total))
        return [*parts, walk, *wholes, *self.of_row(sweep.after)]

    def score(self, sweep: Sweep, last: bool) -> For:
        """A tile of scores, and what a sweep makes of them."""
        tiling, found = self.scores, self.chain.first
        names: dict[Scalar, Ref] = {}
        made: list[Statement] = []
        values = [total.value for total in sweep.totals]
        if last:
            values.append(self.chain.second.left)
        for number, value in enumerate(values):
            known = scalar.rebuild(value, names.get)
            if not isinstance(known, Ref):
                name = Ref(value.dtype, f"of_score{number}")
                made.append(Let(name.name, known))
                names[value] = name
        taken = [scalar.rebuild(value, names.get) for value in values]
        body = (
            found.sum,
            replace(tiling.slices, body=tiling.slice()),
            *self.in_middle(),
            *self.of_element((*needed(found.before, found.after), *found.after, *made)),
            *(self.take(total, value) for total, value in zip(sweep.totals, taken, strict=False)),
            *((self.keep(taken[-1]),) if last else ()),
        )
        return nested(tiling.parts["right"], body)

    def take(self, total: Total, value: Scalar) -> Accumulate:
        """Bring an element into a thread's part of a total, if there is one."""
        if self.middle_guard is not None:
            neutral = neutral_of(total.accumulator)
            value = scalar.where(self.middle_guard, value, neutral)
        return Accumulate(part_of(total), value)

    def keep(self, value: Scalar) -> Store:
        """Store a weight for all threads, zero beyond the end."""
        tiling = self.scores
        if self.middle_guard is not None:
            value = scalar.where(self.middle_guard, value, 0)
        places = (tiling.own_place(tiling.left), tiling.own_place(tiling.right))
        return Store(WEIGHTS, weight_at(self.tile.rows, *places), value)

    def combined(self, total: Total) -> tuple[Statement, ...]:
        """The total of all threads that have parts of a row, in their order."""
        memory, found = self.part_memory(total), total.accumulator
        row = self.scores.own_place(self.scores.left) * SIDE
        other = loop("%other", SIDE, "serial", ())
        part = Load(found.dtype, memory, row + variable(other), None)
        thread = self.scores.own_side(self.scores.right)
        return (
            Store(memory, row + thread, Ref(found.dtype, part_of(total))),
            Barrier(),
            found,
            replace(other, body=(Accumulate(found.name, part),)),
            Barrier(),
        )

    def part_memory(self, total: Total) -> str:
        """The memory in which threads hand on their parts of a total."""
        return f"parts_{total.accumulator.dtype.short}"

    # --- the second product ----------------------------------------------------------------------

    def place(self) -> Size:
        """The number of a sum among a thread's results."""
        at: Size = 0
        for part in (*self.row_parts, *self.results.parts["right"]):
            at = at * part.limit + variable(part)
        return at

    def cleared(self) -> For:
        """Start from zero."""
        dtype = self.chain.second.sum.dtype
        zero = Store("results", self.place(), scalar.const(dtype, 0))
        return nested(self.results.parts["right"], (zero,))

    def multiply(self) -> For:
        """Add up the terms of a tile of weights, and add that to the results."""
        tiling = self.results
        total = tiling.found.sum
        before = Load(total.dtype, "results", self.place(), None)
        body = (
            total,
            replace(tiling.slices, body=tiling.slice()),
            Store("results", self.place(), before + Ref(total.dtype, total.name)),
        )
        return nested(tiling.parts["right"], body)

    def finish(self) -> list[Statement]:
        """What is made of the results, and all stores."""
        total, tiling = self.chain.second.sum, self.results
        result = Let(total.name, Load(total.dtype, "results", self.place(), None))
        stored = nested(tiling.parts["right"], (result, *tiling.finish()))
        return [stored, *self.keep_totals()]

    def keep_totals(self) -> list[Statement]:
        """Store the results that are one for each row, by one of the threads that have it."""
        at = self.scores.left.axis.digits(self.row)
        thread = self.results.own_side(self.results.right)
        place = SIDE * variable(self.results.tiles["right"]) + thread
        one = scalar.call("equal", scalar.index(place), 0)
        guard = both(self.row_guard, one)
        return [within(s, guard) for s in substitute(self.chain.kept, at)]


def part_of(total: Total) -> str:
    """The name of a thread's part of a total."""
    return f"{total.accumulator.name}_part"


def neutral_of(accumulator: Accumulator) -> float:
    """What adds nothing to a total."""
    if accumulator.kind == "sum":
        return 0
    return accumulator.dtype.limits[accumulator.kind == "min"]
