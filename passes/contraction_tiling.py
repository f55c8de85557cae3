"""Tiling: the text of a contraction in tiles, each of which a block of threads computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Accumulate,
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
from graphc.passes.axis import Axis
from graphc.passes.block_tile import PADDING, SIDE, THREADS, BlockTile
from graphc.passes.contraction import Contraction
from graphc.passes.loop_nests import nested
from graphc.passes.partial_tiles import both, guarded, is_zero_of_zeros, within
from graphc.passes.split_kernels import names_in as names_used

TOGETHER = 4
"""Neighbours that a thread computes: it reads them from shared memory at once."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A factor of the product, which is brought to shared memory in slices.

    width is how many rows (or columns) a tile has of it. along says that neighbours in memory are
    terms of one sum rather than rows, so that threads side by side bring those.
    """

    name: str
    value: Scalar
    axis: Axis
    width: int
    along: bool

    def place(self, number: Size, depth: int) -> tuple[Size, Size]:
        """The row and the term of an element of a slice, by the number it is brought as."""
        if self.along:
            return dim.floor_divide(number, depth), dim.remainder(number, depth)
        return dim.remainder(number, self.width), dim.floor_divide(number, self.width)


class Tiling:
    """A contraction in tiles."""

    def __init__(self, found: Contraction, tile: BlockTile) -> None:
        self.found = found
        self.tile = tile
        self.depth = Axis(found.depth)
        self.left = self.operand("left", found.left, found.rows, tile.rows)
        self.right = self.operand("right", found.right, found.columns, tile.columns)
        self.operands = (self.left, self.right)
        self.tiles = {
            "left": loop("%row_tile", tiles(self.left), "block", ()),
            "right": loop("%column_tile", tiles(self.right), "block", ()),
        }
        self.thread = loop("%thread", THREADS, "thread", (), THREADS)
        self.slices = loop("%slice", over(self.depth.count, tile.depth), "serial", ())
        self.term = loop("%term", tile.depth, "serial", ())
        self.parts = self.own_parts()

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
        runs = ((self.depth.run(offset), axis.run(offset)) for offset in found)
        return Operand(name, value, axis, width, any(terms > rows for terms, rows in runs))

    def nest(self) -> For:
        """The loops over separate products and tiles."""
        separate = [replace(loop, kind="block") for loop in self.found.separate]
        shared = (Local(o.name, o.value.dtype, 2 * self.elements(o)) for o in self.operands)
        return nested([*separate, *self.tiles.values()], (*shared, self.block()))

    def elements(self, each: Operand) -> int:
        """Elements of shared memory that a slice takes."""
        return (each.width + PADDING) * self.tile.depth

    def at(self, each: Operand, row: Size, term: Size) -> Size:
        """Where an element of a slice lies among these."""
        return (each.width + PADDING) * term + row

    def half(self, each: Operand, number: Size) -> Size:
        """Where a slice lies in shared memory, which has room for two."""
        return dim.remainder(number, 2) * self.elements(each)

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
        return each.width * self.tile.depth // THREADS

    def bring(self, each: Operand, number: Size, target: str) -> For:
        """Load a thread's elements of a slice, into shared memory or into its own."""
        steps = loop("%step", self.brought(each), "unrolled", ())
        row, term = each.place(self.element(steps), self.tile.depth)
        place = variable(self.tiles[each.name]) * each.width + row
        at = number * self.tile.depth + term
        value = self.value(each, place, at, number)
        to = variable(steps) if target != each.name else self.at(each, row, term)
        return replace(steps, body=(Store(target, to, value),))

    def element(self, steps: For) -> Size:
        """The number of the element of a slice that a thread brings in a step."""
        return variable(steps) * THREADS + variable(self.thread)

    def keep(self, each: Operand, number: Size) -> For:
        """Move a thread's elements of the next slice to the half of shared memory that is free."""
        steps = loop("%step", self.brought(each), "unrolled", ())
        row, term = each.place(self.element(steps), self.tile.depth)
        to = self.half(each, number) + self.at(each, row, term)
        value = Load(each.value.dtype, f"next_{each.name}", variable(steps), None)
        return replace(steps, body=(Store(each.name, to, value),))

    def value(self, each: Operand, place: Size, at: Size, number: Size) -> Scalar:
        """A factor at a row and a term, zero beyond either's end."""
        indices = {**each.axis.digits(place), **self.depth.digits(at)}
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
        at = self.half(each, number) + self.at(each, self.own_place(each), term)
        return Let(f"{each.name}_term", Load(each.value.dtype, each.name, at, None))

    def own_place(self, each: Operand) -> Size:
        """A thread's row or column in the tile."""
        thread = variable(self.thread)
        side = dim.floor_divide(thread, SIDE) if each is self.left else dim.remainder(thread, SIDE)
        *outer, inner = self.parts[each.name]
        width = inner.limit
        place = side * width + variable(inner)
        return place + variable(outer[0]) * SIDE * width if outer else place

    def finish(self) -> tuple[Statement, ...]:
        """What is made of a sum, and its stores."""
        indices: dict[str, Size] = {}
        lets: list[Statement] = []
        inside: list[Scalar] = []
        for each in self.operands:
            place = variable(self.tiles[each.name]) * each.width + self.own_place(each)
            indices |= each.axis.digits(place)
            condition = each.axis.is_inside(place, each.width)
            if condition is not None:
                lets.append(Let(f"in_{each.name}", condition))
                inside.append(Ref(condition.dtype, f"in_{each.name}"))
        guard = both(*inside, None)
        body = (*needed(self.found.before, self.found.after), *self.found.after)
        return (*lets, *(within(s, guard) for s in substitute(body, indices)))


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


def moved(value: Scalar, indices: Mapping[str, Size]) -> Scalar:
    """A formula with loop variables replaced."""
    (statement,) = substitute((Let("moved", value),), dict(indices))
    assert isinstance(statement, Let)
    return statement.value


def needed(lets: Sequence[Let], later: Sequence[Statement]) -> list[Let]:
    """The values that later statements use, and those that these use."""
    used = names_used(tuple(later))
    kept: list[Let] = []
    for let in reversed(lets):
        if let.name in used:
            kept.append(let)
            used |= names_used((let,))
    return kept[::-1]
