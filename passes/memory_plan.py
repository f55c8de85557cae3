"""MemoryPlan: where each temporary of a program lies in the arena, for given sizes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.program import Program
from graphc.passes.liveness import uses

ADDRESSES = (1 << 63) - 1  # bytes, which native code counts in words of 64 bits
ALIGNMENT = 64  # bytes: a cache line, and the widest vector
SHOWN = 12  # rows of the table of what is alive at the peak
ENOUGH = 1.02  # times the lower bound: an arena that no further order is tried for


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Offsets in bytes of the temporaries in one arena, and what else a program needs.

    bytes are the temporaries' own sizes, without padding. arena is the size of the arena, and
    lower_bound what any plan needs: the most bytes alive at once. state, constants, inputs and
    outputs are bytes too. alive names the temporaries alive where that is most.
    """

    offsets: Mapping[str, int]
    bytes: Mapping[str, int]
    arena: int
    lower_bound: int
    state: int
    constants: int
    inputs: int
    outputs: int
    alive: tuple[str, ...]

    @property
    def peak(self) -> int:
        """The most bytes of memory held at once, the caller's inputs apart."""
        return self.arena + self.state + self.constants + self.outputs

    def __str__(self) -> str:
        largest = sorted(self.alive, key=lambda name: -self.bytes[name])
        rest = sum(self.bytes[name] for name in largest[SHOWN:])
        rows = [
            ("peak", self.peak),
            ("state", self.state),
            ("constants", self.constants),
            ("outputs", self.outputs),
            (f"arena (at least {self.lower_bound:,}), at its fullest:", self.arena),
            *((f"  %{name}", self.bytes[name]) for name in largest[:SHOWN]),
            *([(f"  {len(largest) - SHOWN} more", rest)] if largest[SHOWN:] else []),
            ("inputs, held by the caller", self.inputs),
        ]
        return table(rows)


def table(rows: Sequence[tuple[str, int]]) -> str:
    """Rows of a label and bytes, the numbers aligned."""
    width = max(len(label) for label, _ in rows)
    digits = max(len(f"{number:,}") for _, number in rows)
    return "\n".join(f"{label:{width}}  {number:>{digits},} bytes" for label, number in rows)


@dataclass(frozen=True, slots=True)
class Block:
    """Memory for a temporary, and for those that take it over: alive in calls first to last."""

    name: str
    bytes: int
    first: int
    last: int


def place(program: Program, sizes: Mapping[str, int]) -> MemoryPlan:
    """Where everything lies for a binding of the symbolic sizes (KeyError if one is missing).

    Raises GraphError for an array of more bytes than there are addresses.
    """
    number = Evaluate(sizes)
    check_reach(program, number)
    owned = {
        kind: sum(number(a.bytes) for a in program.allocations if a.kind == kind)
        for kind in ("state", "constant", "input", "output")
    }
    temporaries = {a.name: number(a.bytes) for a in program.allocations if a.kind == "temporary"}
    root = owners(program)
    blocks = join(lifetimes(program, temporaries), root)
    lower_bound, time = fullest(blocks)
    offsets, arena = pack(blocks, lower_bound)
    return MemoryPlan(
        offsets={name: offsets[root.get(name, name)] for name in temporaries},
        bytes=temporaries,
        arena=arena,
        lower_bound=lower_bound,
        state=owned["state"],
        constants=owned["constant"],
        inputs=owned["input"],
        outputs=owned["output"],
        alive=tuple(b.name for b in blocks if b.first <= time <= b.last),
    )


def check_reach(program: Program, number: Evaluate) -> None:
    """GraphError for an array that no memory can have, or for all temporaries together."""
    largest = max(program.allocations, key=lambda a: number(a.bytes), default=None)
    if largest is None:
        return
    together = sum(number(a.bytes) for a in program.allocations if a.kind == "temporary")
    for words, size in (
        (f"an array {largest.type}", number(largest.bytes)),
        ("the temporaries of the step", together),
    ):
        if size > ADDRESSES:
            given = ", ".join(f"{name}={value}" for name, value in number.sizes.items())
            raise GraphError(
                f"{words} would have {size:,} bytes for {given or 'its sizes'}, "
                "and no memory has so many"
            )


class Evaluate:
    """Sizes as integers, each worked out once."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.known: dict[Size, int] = {}

    def __call__(self, size: Size) -> int:
        """The integer that a size is."""
        if isinstance(size, int):
            return size
        if size not in self.known:
            self.known[size] = dim.evaluate(size, self.sizes)
        return self.known[size]


def owners(program: Program) -> dict[str, str]:
    """For each temporary that takes memory over, the first one that had it."""
    found: dict[str, str] = {}
    for name, before in program.reuses:
        found[name] = found.get(before, before)
    return found


def lifetimes(program: Program, temporaries: Mapping[str, int]) -> list[Block]:
    """The temporaries that calls touch, each a block of its own, in the order of birth."""
    touched = {name: use for name, use in uses(program).items() if name in temporaries}
    return [Block(name, temporaries[name], use.first, use.last) for name, use in touched.items()]


def join(blocks: Iterable[Block], root: Mapping[str, str]) -> list[Block]:
    """The blocks with those that share memory joined into one."""
    joined: dict[str, Block] = {}
    for block in blocks:
        name = root.get(block.name, block.name)
        old = joined.get(name, block)
        size = aligned(block.bytes)
        first, last = min(old.first, block.first), max(old.last, block.last)
        joined[name] = Block(name, size, first, last)
    return list(joined.values())


def aligned(size: int) -> int:
    """A size in bytes rounded up to whole cache lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def fullest(blocks: Iterable[Block]) -> tuple[int, int]:
    """The most bytes alive at once, and the first call at which they are."""
    changes: dict[int, int] = {0: 0}
    for block in blocks:
        changes[block.first] = changes.get(block.first, 0) + block.bytes
        changes[block.last + 1] = changes.get(block.last + 1, 0) - block.bytes
    times = sorted(changes)
    alive = list(itertools.accumulate(changes[time] for time in times))
    most = max(alive)
    return most, times[alive.index(most)]


def pack(blocks: Sequence[Block], lower_bound: int) -> tuple[dict[str, int], int]:
    """Offsets of blocks, and the size of the arena: the best of a few orders of placing them."""
    orders = [
        sorted(blocks, key=lambda b: (-b.bytes * (b.last - b.first + 1), b.first)),
        sorted(blocks, key=lambda b: (-b.bytes, b.first)),
    ]
    best = place_in_order(orders[0])
    for order in orders[1:]:
        if best[1] > ENOUGH * lower_bound:
            best = min(best, place_in_order(order), key=lambda found: found[1])
    return best


def place_in_order(blocks: Sequence[Block]) -> tuple[dict[str, int], int]:
    """Offsets of blocks placed one after another, each into the tightest gap, and the total."""
    placed = Placed(len(blocks))
    offsets = {block.name: placed.add(block) for block in blocks}
    return offsets, max((offsets[b.name] + b.bytes for b in blocks), default=0)


class Placed:
    """The blocks placed so far in rising order of offset, as columns of one array."""

    OFFSET, END, FIRST, LAST = range(4)

    def __init__(self, capacity: int) -> None:
        # Column 0 stands for the bottom of the arena: always alive, and of no size.
        self.columns = np.zeros((4, capacity + 1), np.int64)
        self.columns[self.FIRST, 0] = np.iinfo(np.int64).min
        self.columns[self.LAST, 0] = np.iinfo(np.int64).max
        self.count = 1

    def add(self, block: Block) -> int:
        """Place a block in the tightest gap among those alive with it; returns its offset."""
        offset = self.tightest_gap(block)
        held = self.columns[:, : self.count + 1]
        at = int(held[self.OFFSET, : self.count].searchsorted(offset, side="right"))
        held[:, at + 1 :] = held[:, at:-1]
        held[:, at] = (offset, offset + block.bytes, block.first, block.last)
        self.count += 1
        return offset

    def tightest_gap(self, block: Block) -> int:
        """The offset of the smallest gap that holds a block, or of the end of all."""
        held = self.columns[:, : self.count]
        alive = ((held[self.FIRST] <= block.last) & (held[self.LAST] >= block.first)).nonzero()[0]
        starts = held[self.OFFSET].take(alive)
        tops = np.maximum.accumulate(held[self.END].take(alive))
        gaps = starts[1:] - tops[:-1]
        fits = (gaps >= block.bytes).nonzero()[0]
        if not fits.size:
            return int(tops[-1])
        return int(tops[fits[gaps.take(fits).argmin()]])


def check_plan(program: Program, plan: MemoryPlan) -> None:
    """Raise ValueError, with their names, if two temporaries alive at once overlap.

    Those that share memory as `program.reuses` says may meet in one call, where one is read for
    the last time and the other written for the first.
    """
    blocks = [b for b in lifetimes(program, plan.bytes) if b.bytes]
    blocks.sort(key=lambda block: plan.offsets[block.name])
    handed = {frozenset(pair) for pair in program.reuses}
    for at, low in enumerate(blocks):
        end = plan.offsets[low.name] + low.bytes
        if end > plan.arena or plan.offsets[low.name] % ALIGNMENT:
            raise ValueError(f"%{low.name} ends beyond the arena, or is not aligned")
        for high in blocks[at + 1 :]:
            if plan.offsets[high.name] >= end:
                break
            if not may_share(low, high, frozenset((low.name, high.name)) in handed):
                raise ValueError(f"%{low.name} and %{high.name} overlap while both are alive")


def may_share(one: Block, other: Block, handed: bool) -> bool:
    """Whether the lifetimes of two blocks allow them to share memory."""
    meeting = min(one.last, other.last) - max(one.first, other.first)
    return meeting < 0 or (meeting == 0 and handed and one.first != other.first)
