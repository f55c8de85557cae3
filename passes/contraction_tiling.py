"""Tiling: the text of a contraction in tiles, each of which a block of threads computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.divisibility import is_multiple
from graphc.ir.kernel import (
    Accumulate,
    Barrier,
    For,
    Let,
    Local,
    Statement,
    Store,
    accesses,
    loop,
    substitute,
    variable,
)
from graphc.ir.scalar import Load, Ref, Scalar
from graphc.passes.axis import Axis
from graphc.passes.block_tile import PADDING, SIDE, THREADS, BlockTile
from graphc.passes.contraction import Contraction, moved
from graphc.passes.loop_nests import nested
from graphc.passes.order_terms import apart, in_even_slices
from graphc.passes.partial_tiles import both, guarded, is_zero_of_zeros, within
from graphc.passes.split_kernels import names_in as names_used
from graphc.passes.widen_accesses import WIDEST, Starts

BANK_BYTES = 128
"""Bytes that the banks of shared memory hold side by side."""
WARP, ABREAST = 32, 8
"""Threads side by side that a device runs in step, and how many of them share a row of the tile: a
rectangle, near a square, reads the fewest different elements of both operands at once."""
TOGETHER = 4
"""Neighbours that a thread computes: it reads them from shared memory at once."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A factor of the product, which is brought to shared memory in slices.

    width is how many rows (or columns) a tile has of it. along says that neighbours in memory are
    terms of one sum rather than rows, so that threads side by side bring those, and lanes how many
    of them a thread brings at once.
    """

    name: str
    value: Scalar
    axis: Axis
    width: int
    along: bool
    lanes: int

    def place(self, number: Size, depth: int) -> tuple[Size, Size]:
        """The row and the term of the first neighbours of a slice, by the number they come as."""
        groups = (depth if self.along else self.width) // self.lanes
        outer, inner = dim.floor_divide(number, groups), dim.remainder(number, groups) * self.lanes
        return (outer, inner) if self.along else (inner, outer)


class Tiling:
    """A contraction in tiles, over buffers that begin somewhere; threads are those of a block."""

    threads = THREADS

    def __init__(self, found: Contraction, tile: BlockTile, starts: Starts) -> None:
        self.found = found = in_even_slices(found, tile.depth)
        self.tile = tile
        self.starts = starts
        self.depth = Axis(found.depth)
        self.left = self.operand("left", found.left, found.rows, tile.rows)
        self.right = self.operand("right", found.right, found.columns, tile.columns)
        self.operands = (self.left, self.right)
        self.tiles = {
            "left": loop("%row_tile", tiles(self.left), "block", ()),
            "right": loop("%column_tile", tiles(self.right), "block", ()),
        }
        self.thread = loop("%thread", self.threads, "thread", (), self.threads)
        self.slices = loop("%slice", over(self.depth.count, tile.depth), "serial", ())
        self.term = loop("%term", tile.depth, "serial", ())
        self.parts = self.own_parts()
        *outer, inner = self.parts["right"]
        self.parts["right"] = [*outer, replace(inner, lanes=self.stored_at_once(inner))]

    def own_parts(self) -> dict[str, list[For]]:
        """The lockstep loops over a thread's rows and columns."""
        return {
            "left": parts("%row", self.tile.rows // SIDE),
            "right": parts("%column", self.tile.columns // SIDE),
        }

    def operand(self, name: str, value: Scalar, loops: tuple[For, ...], width: int) -> Operand:
        """A factor, brought along the terms where more of these lie side by side than rows do."""
        axis = Axis(loops)
        found = [part.offset for part in scalar.walk([value]) if isinstance(part, Load)]
        along = any(self.is_along(offset, axis) for offset in found)
        innermost = (self.depth if along else axis).loops[-1]
        most = width * self.tile.depth // self.threads
        lanes = lanes_along(value, innermost, self.starts, most)
        return Operand(name, value, axis, width, along, lanes)

    def is_along(self, offset: Size, axis: Axis) -> bool:
        """Whether more terms than rows lie side by side, or else terms nearer to one another."""
        terms, rows = self.depth.run(offset), axis.run(offset)
        if terms != rows:
            return terms > rows
        return 0 < apart(offset, self.depth.loops[-1]) < apart(offset, axis.loops[-1])

    def nest(self) -> For:
        """The loops over separate products and tiles."""
        separate = [replace(loop, kind="block") for loop in self.found.separate]
        shared = (
            Local(o.name, o.value.dtype, self.slots * self.elements(o)) for o in self.operands
        )
        return nested([*separate, *self.tile_loops()], (*shared, self.block()))

    def tile_loops(self) -> list[For]:
        """The loops over tiles, the outermost first: blocks run about in their order."""
        return list(self.tiles.values())

    def tile_number(self, each: Operand) -> Size:
        """The number of a block's tile along the rows or columns."""
        return variable(self.tiles[each.name])

    def elements(self, each: Operand) -> int:
        """Elements of shared memory that a slice takes."""
        together, padding = self.padding(each)
        return each.width * self.tile.depth + padding * (self.tile.depth // together)

    def at(self, each: Operand, row: Size, term: Size) -> Size:
        """Where an element of a slice lies among these."""
        together, padding = self.padding(each)
        return each.width * term + padding * dim.floor_divide(term, together) + row

    def padding(self, each: Operand) -> tuple[int, int]:
        """After how many terms of a slice others begin in other banks, and elements between them.

        The terms that threads of a warp store side by side, each of them some neighbours, then lie
        in as many different banks as there are, if what a thread reads at once is aligned so too.
        """
        if not each.along:
            return 1, max(PADDING, each.lanes)
        size = max(each.value.dtype.bytes, 4)
        banks, aligned = BANK_BYTES // size, min(WIDEST // size, each.width // SIDE)
        return each.lanes, max(aligned, banks * each.lanes // self.tile.depth)

    @property
    def slots(self) -> int:
        """How many slices shared memory has room for."""
        return 2

    def slot(self, each: Operand, number: Size) -> Size:
        """Where a slice lies in shared memory."""
        return dim.remainder(number, self.slots) * self.elements(each)

    def block(self) -> For:
        """The loop over threads: each with its sums in registers, in lockstep."""
        own = tuple(
            Local(f"next_{each.name}", each.value.dtype, self.brought(each))
            for each in self.operands
        )
        sums = nested(
            [*self.parts["left"], *self.parts["right"]],
            (
                self.found.sum,
                *(self.bring(each, 0, each.name) for each in self.operands),
                Barrier(),
                replace(self.slices, body=self.slice()),
                *self.finish(),
            ),
        )
        return replace(self.thread, body=(*own, sums))

    def slice(self) -> tuple[Statement, ...]:
        """Add up the slice that is there while the next one is on its way, then keep that."""
        following = variable(self.slices) + 1
        return (
            *(self.bring(each, following, f"next_{each.name}") for each in self.operands),
            self.add_up(),
            *(self.keep(each, following) for each in self.operands),
            Barrier(),
        )

    def brought(self, each: Operand) -> int:
        """How many elements of a slice a thread brings."""
        return each.width * self.tile.depth // self.threads

    def bring(self, each: Operand, number: Size, target: str) -> For:
        """Load a thread's elements of a slice, into shared memory or into its own."""
        steps, lane = self.steps(each)
        row, term = each.place(self.group(steps), self.tile.depth)
        place = self.tile_number(each) * each.width + row
        at = number * self.tile.depth + term
        value = self.value(each, place, at, number, lane)
        shared = self.slot(each, number) + self.place(each, steps, lane)
        to = shared if target == each.name else self.own(each, steps, lane)
        return stepwise(steps, lane, Store(target, to, value))

    def steps(self, each: Operand) -> tuple[For, For]:
        """The loops over what a thread brings: groups of neighbours, and those of one."""
        count = self.brought(each) // each.lanes
        lane = loop("%lane", each.lanes, "wide", (), each.lanes)
        return loop("%step", count, "unrolled", ()), lane

    def group(self, steps: For) -> Size:
        """The number of the neighbours that a thread brings in a step."""
        return variable(steps) * self.threads + variable(self.thread)

    def own(self, each: Operand, steps: For, lane: For) -> Size:
        """Where a thread keeps an element for itself."""
        return variable(steps) * each.lanes + lane_of(lane)

    def place(self, each: Operand, steps: For, lane: For) -> Size:
        """Where an element that a thread brings lies in a slice."""
        row, term = each.place(self.group(steps), self.tile.depth)
        if each.along:
            return self.at(each, row, term + lane_of(lane))
        return self.at(each, row + lane_of(lane), term)

    def keep(self, each: Operand, number: Size) -> For:
        """Move a thread's elements of the next slice to where shared memory has room for it."""
        steps, lane = self.steps(each)
        to = self.slot(each, number) + self.place(each, steps, lane)
        value = Load(each.value.dtype, f"next_{each.name}", self.own(each, steps, lane), None)
        return stepwise(steps, lane, Store(each.name, to, value))

    def value(self, each: Operand, place: Size, at: Size, number: Size, lane: For) -> Scalar:
        """A factor at a row and a term and at their neighbours, zero beyond either's end."""
        indices = {**each.axis.digits(place), **self.depth.digits(at)}
        innermost = (self.depth if each.along else each.axis).loops[-1].variable.name
        indices[innermost] = indices[innermost] + lane_of(lane)
        value = moved(each.value, indices)
        row = each.axis.is_inside(place, each.width)
        step = self.tile.depth if number == 0 else 0  # after the last slice there is no other
        term = self.depth.is_inside(at, step)
        inside = both(row, term)
        if inside is None:
            return value
        value = guarded(value, inside)
        if term is None or is_zero_of_zeros(value):
            return value
        return scalar.where(term, value, 0)

    def add_up(self) -> For:
        """Accumulate the products of the terms of a slice."""
        lets = tuple(self.read(each, variable(self.term)) for each in self.operands)
        left, right = (Ref(let.value.dtype, let.name) for let in lets)
        return replace(self.term, body=(*lets, Accumulate(self.found.sum.name, left * right)))

    def read(self, each: Operand, term: Size) -> Let:
        """An element of a slice, for the rows or columns of a thread."""
        number = variable(self.slices)
        at = self.slot(each, number) + self.at(each, self.own_place(each), term)
        return Let(f"{each.name}_term", Load(each.value.dtype, each.name, at, None))

    def own_place(self, each: Operand) -> Size:
        """A thread's row or column in the tile."""
        side = self.own_side(each)
        *outer, inner = self.parts[each.name]
        width = inner.limit
        place = side * width + variable(inner)
        return place + variable(outer[0]) * SIDE * width if outer else place

    def own_side(self, each: Operand) -> Size:
        """A thread's place among those along the rows or the columns: warps are rectangles."""
        thread = variable(self.thread)
        warp, lane = dim.floor_divide(thread, WARP), dim.remainder(thread, WARP)
        if each is self.right:
            return dim.remainder(warp, SIDE // ABREAST) * ABREAST + dim.remainder(lane, ABREAST)
        first = dim.floor_divide(warp, SIDE // ABREAST) * (WARP // ABREAST)
        return first + dim.floor_divide(lane, ABREAST)

    def finish(self) -> tuple[Statement, ...]:
        """What is made of a sum, and its stores."""
        indices: dict[str, Size] = {}
        lets: list[Statement] = []
        inside: list[Scalar] = []
        for each in self.operands:
            place = self.tile_number(each) * each.width + self.own_place(each)
            indices |= each.axis.digits(place)
            condition = each.axis.is_inside(place, each.width)
            if condition is not None:
                lets.append(Let(f"in_{each.name}", condition))
                inside.append(Ref(condition.dtype, f"in_{each.name}"))
        guard = both(*inside, None)
        body = (*needed(self.found.before, self.found.after), *self.found.after)
        return (*lets, *(within(s, guard) for s in substitute(body, indices)))

    def stored_at_once(self, inner: For) -> int:
        """How many neighbouring columns are stored at once, and what goes with them loaded."""
        name, count = inner.variable.name, inner.limit
        assert isinstance(count, int)
        beside = [a for a in accesses(self.finish()) if dim.coefficient(a.offset, name) == 1]
        if not any(isinstance(access, Store) for access in beside):
            return 1
        for access in beside:
            dtype = access.dtype if isinstance(access, Load) else access.value.dtype
            begins = (access.offset - variable(inner), *self.starts.get(access.buffer, ()))
            if access.guard is not None or count * dtype.bytes > WIDEST:
                return 1
            if not all(is_multiple(size, count) for size in begins):
                return 1
        return count


def lanes_along(value: Scalar, innermost: For, starts: Starts, most: int) -> int:
    """How many neighbours along a loop a thread loads at once for a factor; 1 where no more.

    Those of each load begin at multiples of their number, and all are there or none.
    """
    found = [part for part in scalar.walk([value]) if isinstance(part, Load)]
    name = innermost.variable.name
    beside = [load for load in found if name in variables_of(load.offset)]
    if not beside or any(load.guard is not None for load in found):
        return 1
    if any(dim.coefficient(load.offset, name) != 1 for load in beside):
        return 1
    lanes = min(most, WIDEST // max(load.dtype.bytes for load in beside))
    firsts = [load.offset - variable(innermost) for load in beside]
    begins = [start for load in beside for start in starts.get(load.buffer, ())]
    while lanes > 1 and not all(
        is_multiple(size, lanes) for size in (innermost.limit, *firsts, *begins)
    ):
        lanes //= 2
    return lanes


def variables_of(offset: Size) -> set[str]:
    """The names of the variables in an offset."""
    return {symbol.name for symbol in dim.variables(offset)}


def stepwise(steps: For, lane: For, store: Store) -> For:
    """A store in loops over steps and over the neighbours of each, where there are several."""
    return replace(steps, body=(store if lane.lanes == 1 else replace(lane, body=(store,)),))


def lane_of(lane: For) -> Size:
    """The number of an element among its neighbours."""
    return 0 if lane.lanes == 1 else variable(lane)


def tiles(each: Operand) -> Size:
    """How many tiles the rows or columns of an operand make."""
    return over(each.axis.count, each.width)


def over(count: Size, step: int) -> Size:
    """How many steps it takes to go through so many."""
    return (count + step - 1) // step


def parts(name: str, count: int) -> list[For]:
    """Lockstep loops over a thread's rows or columns, a few neighbours in the inner one."""
    if count <= TOGETHER:
        return [loop(name, count, "unrolled", ())]
    outer = loop(f"{name}_part", count // TOGETHER, "unrolled", ())
    return [outer, loop(name, TOGETHER, "unrolled", ())]


def needed(lets: Sequence[Let], later: Sequence[Statement]) -> list[Let]:
    """The values that later statements use, and those that these use."""
    used = names_used(tuple(later))
    kept: list[Let] = []
    for let in reversed(lets):
        if let.name in used:
            kept.append(let)
            used |= names_used((let,))
    return kept[::-1]
