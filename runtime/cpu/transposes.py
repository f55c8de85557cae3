"""Transposes in registers: for accesses whose lanes lie apart, but whose instances lie together.

A tile holds places in a row for many channels, a vector of channels for each place; where a row of
places is what memory has side by side, its vectors are turned and then stored row by row. So are
those of a copy that reads across its rows loaded. Lane by lane it would be one access an element.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from graphc.ir import dim
from graphc.ir.dim import DimCall, Size
from graphc.ir.types import DType
from graphc.runtime.cpu.block import MEMORY, Block, first_lanes, mangled, shuffle, vector
from graphc.runtime.cpu.function import Function, Instance, Variable
from graphc.runtime.cpu.indexing import Expanded, Polynomial, Registers, address, expand

Terms: TypeAlias = tuple[tuple[Registers, int], ...]

# Lanes that lie this far apart are loaded and stored as pairs of which one half is left out.
PAIRS = 2


class Strip(NamedTuple):
    """Instances whose first lanes follow one another in memory, `slope` from lane to lane."""

    instances: tuple[Instance, ...]
    start: Polynomial
    slope: int
    active: int


def lies_apart(offset: Expanded) -> bool:
    """Whether lanes are a known number of elements apart, and more than pairs are."""
    slope = offset.slope
    return not offset.varying and slope.keys() == {()} and abs(slope[()]) > PAIRS


def lie_together(f: Function, offset: Size, instances: Sequence[Instance], block: Block) -> bool:
    """Whether some of the instances of an offset in a vector loop make a strip."""
    if not f.lanes or len(instances) == 1 or not is_regular(f, offset):
        return False
    first = expand(f, offset, instances[0], block)
    return lies_apart(first) and any(strips(f, offset, instances, block))


def is_regular(f: Function, offset: Size) -> bool:
    """Whether an offset is made of sizes and of loop variables alone, without divisions."""
    if isinstance(offset, int):
        return False
    atoms = [atom for monomial, _ in offset.terms for atom in monomial]
    if any(isinstance(atom, DimCall) and dim.variables(dim.atom(atom)) for atom in atoms):
        return False
    return all(isinstance(f.binding(symbol.name), Variable) for symbol in dim.variables(offset))


def strips(
    f: Function, offset: Size, instances: Iterable[Instance], block: Block
) -> Iterator[Strip]:
    """The instances of a regular offset whose lanes lie apart and that lie together, in strips.

    A strip has two instances or more, and no more than a vector has lanes.
    """
    found: dict[tuple[Terms, int, int], dict[int, Instance]] = {}
    for instance in instances:
        where = expand(f, offset, instance, block)
        active = active_lanes(f.lanes, f.mask(instance))
        if lies_apart(where) and active:
            terms = tuple(sorted((k, v) for k, v in where.uniform.items() if k))
            group = found.setdefault((terms, where.slope[()], active), {})
            group.setdefault(where.uniform.get((), 0), instance)
    for (terms, slope, active), group in found.items():
        for first, members in in_rows(group, f.lanes):
            yield Strip(members, {**dict(terms), (): first}, slope, active)


def in_rows(group: dict[int, Instance], most: int) -> Iterator[tuple[int, tuple[Instance, ...]]]:
    """Stretches of successive numbers, the first number of each with what all of them stand for."""
    row: list[int] = []
    for number in [*sorted(group), None]:
        if row and (number != row[-1] + 1 or len(row) == most):
            if len(row) > 1:
                yield row[0], tuple(group[at] for at in row)
            row = []
        if number is not None:
            row.append(number)


def active_lanes(lanes: int, mask: str) -> int:
    """How many lanes a constant mask of the first ones has; 0 where the mask is no constant."""
    if not mask:
        return lanes
    return next((n for n in range(1, lanes) if mask == first_lanes(lanes, n)), 0)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a strip is loaded and stored with: pieces of memory as wide as a power of two."""

    f: Function
    block: Block
    buffer: str
    dtype: DType
    strip: Strip

    @property
    def element(self) -> str:
        """The type of an element in memory."""
        return MEMORY[self.dtype.name]

    @property
    def width(self) -> int:
        """Elements of a piece, of which the first are those of the strip's instances."""
        return 1 << (len(self.strip.instances) - 1).bit_length()

    def store(self, values: Sequence[str]) -> None:
        """Write a vector for each of the instances."""
        rows = turned(self.block, self.element, self.f.lanes, self.filled_up(values))
        for lane in range(self.strip.active):
            start = lane // self.width * self.width
            piece = tuple(range(start, start + self.width))
            row = rows[lane % self.width]
            self.store_piece(lane, shuffle(self.block, self.element, self.f.lanes, row, piece))

    def load(self) -> list[str]:
        """Read a vector for each of the instances; lanes that are not active are of any value."""
        lanes, width = self.f.lanes, self.width
        pieces = [self.load_piece(lane) for lane in range(self.strip.active)]
        pieces += ["poison"] * (lanes - len(pieces))
        rows = [self.together(pieces[row::width]) for row in range(width)]
        return turned(self.block, self.element, lanes, rows)[: len(self.strip.instances)]

    def filled_up(self, values: Sequence[str]) -> list[str]:
        """A vector for each element of a piece."""
        return [*values, *["poison"] * (self.width - len(values))]

    def together(self, pieces: list[str]) -> str:
        """Pieces as one vector, in order."""
        width = self.width
        while len(pieces) > 1:
            pairs = zip(pieces[::2], pieces[1::2], strict=True)
            pieces = [joined(self.block, self.element, width, *pair) for pair in pairs]
            width *= 2
        return pieces[0]

    def pointer(self, lane: int) -> str:
        """Where the piece of a lane begins."""
        start = dict(self.strip.start)
        start[()] = start[()] + lane * self.strip.slope
        return address(self.f, self.buffer, start, self.block)

    def load_piece(self, lane: int) -> str:
        """The elements of a lane."""
        kind, pointer, align = (
            vector(self.element, self.width),
            self.pointer(lane),
            self.dtype.bytes,
        )
        if not self.mask:
            return self.block.op("piece", f"load {kind}, ptr {pointer}, align {align}")
        arguments = f"ptr align {align} {pointer}, {self.mask}, {kind} zeroinitializer"
        name = f"@llvm.masked.load.{mangled(self.element, self.width)}.p0"
        return self.block.op("piece", f"call {kind} {name}({arguments})")

    def store_piece(self, lane: int, value: str) -> None:
        """Write the elements of a lane."""
        kind, pointer, align = (
            vector(self.element, self.width),
            self.pointer(lane),
            self.dtype.bytes,
        )
        if not self.mask:
            self.block.add(f"store {kind} {value}, ptr {pointer}, align {align}")
            return
        name = f"@llvm.masked.store.{mangled(self.element, self.width)}.p0"
        arguments = f"{kind} {value}, ptr align {align} {pointer}, {self.mask}"
        self.block.add(f"call void {name}({arguments})")

    @property
    def mask(self) -> str:
        """Which elements of a piece are there, with its type; "" for all."""
        count, width = len(self.strip.instances), self.width
        return "" if count == width else f"{vector('i1', width)} {first_lanes(width, count)}"


def turned(block: Block, element: str, lanes: int, rows: list[str]) -> list[str]:
    """Vectors as square blocks side by side, each transposed; rows are a power of two.

    Blocks of one half of the size change places in each pair of vectors, then those of a quarter,
    and so on (J. O. Eklundh, A fast computer method for matrix transposing, 1972), here from the
    smallest on.
    """
    rows, distance = list(rows), 1
    while distance < len(rows):
        for at in range(len(rows)):
            if not at & distance:
                pair = rows[at], rows[at + distance]
                rows[at] = exchanged(block, element, lanes, pair, distance, 0)
                rows[at + distance] = exchanged(block, element, lanes, pair, distance, distance)
        distance *= 2
    return rows


def exchanged(
    block: Block, element: str, lanes: int, pair: tuple[str, str], distance: int, side: int
) -> str:
    """The blocks of a pair of vectors that stand on one side of it, those of the first first."""
    picked = tuple(
        lane + side if not lane & distance else lanes + lane - distance + side
        for lane in range(lanes)
    )
    return mixed(block, element, lanes, pair, picked)


def joined(block: Block, element: str, lanes: int, left: str, right: str) -> str:
    """Two vectors as one."""
    return mixed(block, element, lanes, (left, right), tuple(range(2 * lanes)))


def mixed(
    block: Block, element: str, lanes: int, pair: tuple[str, str], picked: tuple[int, ...]
) -> str:
    """Lanes picked of a pair of vectors."""
    kind, order = vector(element, lanes), ", ".join([f"i32 {lane}" for lane in picked])
    operands = f"{kind} {pair[0]}, {kind} {pair[1]}, <{len(picked)} x i32> <{order}>"
    return (
        "poison" if pair == ("poison", "poison") else block.op("turn", f"shufflevector {operands}")
    )
