"""Function: one LLVM function in the making; what is in scope, and which values exist already.

Loops nest, and so do `Scope`s. A value is written into the outermost scope that knows all it
depends on: lines of an enclosing loop go before the inner loop's, which join them only when the
inner loop ends. So everything that does not change in a loop is computed before it, once, and
LLVM need not look for it.

Inside unrolled and vector loops every statement is written once for each `Instance`: the position
of each such variable. A value is remembered by its formula and by the positions it depends on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from graphc.ir import dim
from graphc.ir.dim import Dim, DimCall, Size
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Buffer,
    For,
    Local,
    Statement,
    Store,
    statements,
)
from graphc.ir.scalar import Load, Scalar
from graphc.ir.types import DType
from graphc.runtime.cpu.block import MEMORY, Block, broadcast, identifier
from graphc.runtime.cpu.reductions import State
from graphc.runtime.cpu.target import Target

if TYPE_CHECKING:
    from graphc.runtime.cpu.prefetch import Ahead


class Place(NamedTuple):
    """Where a value is computed: the level of the scope, and a bit for each position it needs.

    A volatile value may change while its scope runs: it was read from memory or from an
    accumulator that the scope writes. What follows from a let is known by its name, which another
    let may have in the next block: it is forgotten where the scope of level `until` ends.
    """

    level: int
    mask: int
    volatile: bool
    until: int = 0


EVERYWHERE = Place(0, 0, False)


class Instance:
    """One of the iterations that run in lockstep: a position for each variable, outermost first."""

    __slots__ = ("_projections", "positions")

    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions
        self._projections: dict[int, tuple[int, ...]] = {0: ()}

    def project(self, mask: int) -> tuple[int, ...]:
        """The positions that the bits of a mask name."""
        found = self._projections.get(mask)
        if found is None:
            chosen = (p for at, p in enumerate(self.positions) if mask >> at & 1)
            found = self._projections[mask] = tuple(chosen)
        return found


@dataclass(eq=False, slots=True)
class Variable:
    """A loop variable: text + start + position * step, + the lane in a vector loop.

    text is a register ("" for none); depth counts the variables in lockstep around it, -1 for a
    variable that is not one of them.
    """

    place: Place
    text: str = ""
    start: int = 0
    depth: int = -1
    step: int = 0
    lanes: int = 0


@dataclass(eq=False, slots=True)
class Named:
    """A let."""

    place: Place
    dtype: DType


@dataclass(eq=False, slots=True)
class Accumulated:
    """An accumulator: the states of its instances, by their positions under the mask.

    lanes are those of a state's registers, 0 for single values. first is the position that argmax
    and argmin begin with, if positions only grow; "" if they may come in any order. counts is the
    variable of the vector loop whose iterations they count instead in 32 bits; "" if they do not.
    """

    accumulator: Accumulator
    level: int
    mask: int
    lanes: int
    first: str = ""
    counts: str = ""
    states: dict[tuple[int, ...], State] = field(default_factory=dict)

    @property
    def position(self) -> str:
        """The LLVM type of a position."""
        return "i32" if self.counts else "i64"


@dataclass(eq=False, slots=True)
class Scope:
    """A block of statements; certain if it surely runs whenever the one around it does.

    stored and accumulated are the buffers and accumulators that change somewhere inside.
    """

    block: Block
    certain: bool
    stored: frozenset[str]
    accumulated: frozenset[str]
    remembered: list[object] = field(default_factory=list)
    volatile: list[object] = field(default_factory=list)
    placed: list[object] = field(default_factory=list)


class SizeTable:
    """What stands in the table of sizes that the host fills, in the making."""

    def __init__(self) -> None:
        self.entries: list[Size] = []
        self.slots: dict[Dim, int] = {}
        self.runs: dict[tuple[Size, ...], int] = {}

    def slot(self, size: Dim) -> int:
        """The place of a size in the table."""
        if size not in self.slots:
            self.slots[size] = len(self.entries)
            self.entries.append(size)
        return self.slots[size]

    def run(self, sizes: tuple[Size, ...]) -> int:
        """Where a table inside this one begins that has just these entries."""
        if sizes not in self.runs:
            self.runs[sizes] = len(self.entries)
            self.entries += sizes
        return self.runs[sizes]


class Function:
    """The state of one function's emission."""

    def __init__(
        self,
        buffers: tuple[Buffer, ...],
        sizes: SizeTable,
        target: Target,
        capture: Callable[[str], tuple[str, DType] | None],
    ) -> None:
        """Begin a function; capture brings a name of an enclosing function in, if it is one."""
        self.names = itertools.count()
        self.buffers = {b.name: b for b in buffers}
        self.pointers = {b.name: f"%{identifier(b.name)}.{next(self.names)}" for b in buffers}
        self.sizes = sizes
        self.target = target
        self.capture = capture
        self.prologue = Block("entry", self.names)
        self.scopes: list[Scope] = []
        self.memo: dict[object, str] = {}
        self.places: dict[object, Place] = {}
        self.levels: dict[str, int] = {}
        self.bindings: dict[str, Variable | Named | Accumulated] = {}
        self.hints: dict[Scalar, str] = {}
        self.expansions: dict[Scalar, Scalar] = {}
        self.firsts: Mapping[str, Size] = {}
        self.outline: Callable[[For], None] | None = None
        self.lanes = 0
        self.vector_depth = -1
        self.vector_level = -1
        self.vector_bit = 0  # of the vector variable in a place's mask
        self.masks: tuple[str, ...] = ()
        self.past_cache: frozenset[str] = frozenset()  # buffers to store so; they begin at a line
        self.instances: Sequence[Instance] = ()  # those that statements are being written for
        self.next_row: tuple[Load, ...] = ()  # what the vector loop being written asks for
        self.ahead: Ahead | None = None  # what the next loop over the steps of a sum asks for

    # --- scopes ------------------------------------------------------------------------------

    @property
    def level(self) -> int:
        """The level of the innermost scope."""
        return len(self.scopes) - 1

    @property
    def block(self) -> Block:
        """Where the innermost scope's lines go."""
        return self.scopes[-1].block

    @contextmanager
    def scope(self, block: Block, certain: bool, body: tuple[Statement, ...]) -> Iterator[None]:
        """Open a scope; at its end forget what was computed in it."""
        inner = tuple(statements(body))
        stored = frozenset([s.buffer for s in inner if isinstance(s, Store)])
        accumulated = frozenset([s.name for s in inner if isinstance(s, Accumulate)])
        self.scopes.append(Scope(block, certain, stored, accumulated))
        yield
        closed = self.scopes.pop()
        for key in itertools.chain(closed.remembered, closed.volatile):
            self.memo.pop(key, None)
        for key in closed.placed:
            self.places.pop(key, None)
        if self.scopes and (stored or accumulated):
            self.forget_volatile()

    def forget_volatile(self) -> None:
        """Forget what may have changed in the innermost scope."""
        scope = self.scopes[-1]
        for key in scope.volatile:
            self.memo.pop(key, None)
        scope.volatile.clear()

    def remember(self, key: object, text: str, place: Place) -> None:
        """Note that a value exists."""
        self.memo[key] = text
        if text.startswith("%"):
            self.levels.setdefault(text, place.level)
        scope = self.scopes[place.level]
        (scope.volatile if place.volatile else scope.remembered).append(key)
        if place.until > place.level:
            self.scopes[place.until].remembered.append(key)

    # --- places ------------------------------------------------------------------------------

    def set_place(self, key: object, place: Place) -> Place:
        """Note where a formula or size is computed, until the innermost scope ends."""
        self.places[key] = place
        self.scopes[-1].placed.append(key)
        return place

    def known_place(self, key: object) -> Place | None:
        """Where a formula or size was found to be computed.

        One that may change is asked again in an inner scope, which may be what changes it.
        """
        found = self.places.get(key)
        if found is None or (found.volatile and found.level < self.level):
            return None
        return found

    def place_of_size(self, size: Size) -> Place:
        """Where a size is computed."""
        if isinstance(size, int):
            return EVERYWHERE
        found = self.known_place(size)
        if found is not None:
            return found
        place = EVERYWHERE
        for monomial, _ in size.terms:
            for atom in monomial:
                if isinstance(atom, DimCall):
                    place = merge(place, self.place_of_size(atom.left))
                    place = merge(place, self.place_of_size(atom.right))
                elif atom.kind != "size":
                    place = merge(place, self.place_of_name(atom.name))
        return self.set_place(size, place)

    def place_of_name(self, name: str) -> Place:
        """Where a loop variable, let or accumulator has its value."""
        bound = self.binding(name)
        if not isinstance(bound, Accumulated):
            return bound.place
        for level in range(self.level, bound.level - 1, -1):
            if name in self.scopes[level].accumulated:
                return Place(level, bound.mask, True)
        return Place(bound.level, bound.mask, False)

    def place_of_load(self, load: Load, place: Place) -> Place:
        """Where an element is read, given the place of its offset and guard.

        Not before a loop that may run no iteration: the memory may be missing.
        """
        for level in range(self.level, place.level, -1):
            if load.buffer in self.scopes[level].stored:
                return place._replace(level=level, volatile=True)
            if not self.scopes[level].certain:
                return place._replace(level=level, volatile=False)
        volatile = load.buffer in self.scopes[place.level].stored
        return place._replace(volatile=place.volatile or volatile)

    # --- names -------------------------------------------------------------------------------

    def binding(self, name: str) -> Variable | Named | Accumulated:
        """What a name stands for; in an offset, a let's name has a % before it."""
        found = self.bindings.get(name) or self.bindings.get(name.removeprefix("%"))
        if found is None:
            name = name.removeprefix("%") if self.capture(name) is None else name
            captured = self.capture(name)
            assert captured is not None, f"%{name} is not defined"
            found = self.bindings[name] = Named(EVERYWHERE, captured[1])
            self.remember((found, ()), captured[0], EVERYWHERE)
        return found

    def read(self, name: str, instance: Instance) -> str:
        """The register of a let or an accumulator."""
        bound = self.binding(name)
        if isinstance(bound, Accumulated):
            return bound.states[instance.project(bound.mask)][-1]
        assert isinstance(bound, Named), f"%{name} is a loop variable; its value is an Index"
        return self.memo[(bound, instance.project(bound.place.mask))]

    def size(self, size: Size) -> str:
        """A size over size symbols alone: a number, or a register loaded at the entry."""
        if isinstance(size, int):
            return str(size)
        key = ("size", size)
        found = self.memo.get(key)
        if found is None:
            at = self.sizes.slot(size)
            pointer = self.prologue.op("slot", f"getelementptr i64, ptr %sizes, i64 {at}")
            found = self.prologue.op("size", f"load i64, ptr {pointer}, align 8")
            self.remember(key, found, EVERYWHERE)
        return found

    def allocate(self, local: Local) -> None:
        """Memory for a local buffer, aligned for vectors, from the function's entry on."""
        kind = f"[{local.size} x {MEMORY[local.dtype.name]}]"
        pointer = self.prologue.op(identifier(local.name), f"alloca {kind}, align 64")
        self.buffers[local.name] = Buffer(local.name, local.dtype, local.size, written=True)
        self.pointers[local.name] = pointer

    # --- vectors -----------------------------------------------------------------------------

    def begin_vector(self, lanes: int, depth: int) -> None:
        """Begin a vector loop whose variable has so many others in lockstep around it."""
        self.lanes, self.vector_depth, self.vector_level = lanes, depth, self.level + 1
        self.vector_bit = 1 << depth

    def end_vector(self) -> None:
        """End a vector loop."""
        self.lanes, self.vector_depth, self.vector_level, self.vector_bit = 0, -1, -1, 0

    def lanes_of(self, place: Place) -> int:
        """The lanes of a value: 0 if it is the same for all."""
        return self.lanes if place.mask & self.vector_bit else 0

    def mask(self, instance: Instance) -> str:
        """Which lanes of the instance are iterations of the loop; "" for all."""
        return self.masks[instance.positions[self.vector_depth]] if self.masks else ""

    def broadcast(self, text: str, element: str, level: int) -> str:
        """A value in every lane, written where the value is."""
        key = ("splat", text, element, self.lanes)
        found = self.memo.get(key)
        if found is None:
            found = broadcast(self.scopes[level].block, element, self.lanes, text)
            self.remember(key, found, Place(level, 0, False))
        return found


def merge(left: Place, right: Place) -> Place:
    """The place of what depends on two values."""
    if left is right or right is EVERYWHERE:
        return left
    if left is EVERYWHERE:
        return right
    level = max(left.level, right.level)
    volatile = (left.volatile and left.level == level) or (right.volatile and right.level == level)
    return Place(level, left.mask | right.mask, volatile, max(left.until, right.until))


def is_fixed(size: Size) -> bool:
    """Whether a size is known at a function's entry."""
    return isinstance(size, int) or not dim.variables(size)
