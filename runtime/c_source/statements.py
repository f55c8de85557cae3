"""Statements in C: loops, lets, accumulators and stores, by one thread or by a block of them.

A thread of a grid runs everything by itself. In a kernel with loops over a block's threads, what
stands outside of those is computed by each thread and stored by the first one; barriers stand
around stores, so that all threads see what one has stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Barrier,
    For,
    Let,
    Local,
    Statement,
    Store,
    statements,
)
from graphc.ir.scalar import Call, Load
from graphc.runtime.c_source.accumulators import combine, dtypes, has_position, identity, words
from graphc.runtime.c_source.body import Body
from graphc.runtime.c_source.functions import apply, to_memory
from graphc.runtime.c_source.lockstep import Lockstep, holds_barrier, is_lockstep
from graphc.runtime.c_source.sizes import bare, operand
from graphc.runtime.c_source.types import HALVES, MEMORY, REGISTERS, computed

THREAD = "thread"
"""The variable that holds a thread's number in its block."""


class Writer:
    """The statements of a kernel, written into a body.

    together says that a block's threads run side by side here, each the same statements. shared
    collects the memory that they have in common. states holds what each accumulator in scope is
    called, met whether nothing was read or written since the last barrier. thread is the loop of
    which each thread runs one iteration.
    """

    def __init__(self, body: Body, together: bool) -> None:
        self.body = body
        self.dialect = body.context.dialect
        self.together = together
        self.shared: list[str] = []
        self.accumulators: dict[str, Accumulator] = {}
        self.states: dict[str, tuple[str, ...]] = {}
        self.met = True
        self.thread: For | None = None

    def finished(self) -> list[str]:
        """The lines of the function; a barrier at the end is for nobody."""
        lines = self.body.lines
        return lines[:-1] if lines[-1].strip() == f"{self.dialect.barrier};" else lines

    def write(self, body: Sequence[Statement]) -> None:
        """Statements in order; what is for one thread of a block alone stands in an `if`."""
        for alone, group in groupby(body, self.is_for_one):
            if not alone:
                for statement in group:
                    self.statement(statement)
                continue
            self.meet()
            self.together = False
            with self.body.block(f"if ({THREAD} == 0)"):
                self.write(tuple(group))
            self.together = True
            self.barrier()

    def is_for_one(self, statement: Statement) -> bool:
        """Whether one thread does it for a block: a store, and loops that store in their order."""
        if not self.together or isinstance(statement, Store):
            return self.together
        if not isinstance(statement, For) or statement.kind == "thread" or self.filled(statement):
            return False
        inner = list(statements(statement.body))
        shared = any(isinstance(s, Local) or getattr(s, "kind", "") == "thread" for s in inner)
        return not shared and any(isinstance(s, Store) for s in inner)

    # --- single statements -------------------------------------------------------------------

    def statement(self, statement: Statement) -> None:
        """A statement by its class."""
        WRITERS[type(statement)](self, statement)

    def let(self, let: Let) -> None:
        """Name a value."""
        text = self.body.expression(let.value)
        name = self.body.names.of("value", let.name)
        self.body.line(f"const {REGISTERS[let.value.dtype.name]} {name} = {text};")
        self.met = False

    def accumulator(self, accumulator: Accumulator) -> None:
        """Start from the identity."""
        name = self.body.names.of("value", accumulator.name)
        state = (self.body.names.fresh(f"{name}_best"), name)
        self.accumulators[accumulator.name] = accumulator
        self.states[accumulator.name] = state if has_position(accumulator) else (name,)
        self.start(accumulator, self.states[accumulator.name])

    def start(self, accumulator: Accumulator, state: Sequence[str]) -> None:
        """Declare variables that hold the identity."""
        values = identity(self.dialect, accumulator)
        for word, name, value in zip(words(accumulator), state, values, strict=True):
            self.body.line(f"{word} {name} = {value};")

    def accumulate(self, statement: Accumulate) -> None:
        """Combine a value into an accumulator; a product is added by a fused multiply-add."""
        accumulator, body = self.accumulators[statement.name], self.body
        old, value = self.states[statement.name], statement.value
        fused = isinstance(value, Call) and value.function == "multiply"
        if isinstance(value, Call) and fused and accumulator.kind == "sum" and value.dtype.is_float:
            parts = [*body.expressions(value.arguments), *old]
            text = apply(body.context, "fma", computed(accumulator.dtype), parts)
            body.line(f"{old[0]} = {text};")
        else:
            new = [operand(body.expression(value))]
            if has_position(accumulator):
                new = [self.simple(accumulator, new[0]), body.size(statement.position)]
            for line in combine(body.context, accumulator, new, old):
                body.line(line)
        self.met = False

    def simple(self, accumulator: Accumulator, text: str) -> str:
        """A name for a value, since a comparison mentions it several times."""
        return self.body.name(accumulator.dtype, text)

    def local(self, local: Local) -> None:
        """Memory of a thread, or shared by a block where its threads run side by side."""
        text = (
            f"{MEMORY[local.dtype.name]} {self.body.names.of('buffer', local.name)}[{local.size}];"
        )
        if self.together:
            self.shared.append(f"{self.dialect.shared}{text}")
        else:
            self.body.line(text)

    def store(self, store: Store) -> None:
        """Write an element."""
        body, dtype = self.body, store.value.dtype
        value = store.value
        if isinstance(value, Load) and dtype in HALVES:
            text = body.copied(value)
        else:
            text = to_memory(body.context, body.expression(value), dtype)
        place = f"{body.names.of('buffer', store.buffer)}[{bare(body.size(store.offset))}]"
        guard = "" if store.guard is None else f"if ({body.expression(store.guard)}) "
        body.line(f"{guard}{place} = {text};")

    def meet(self) -> None:
        """A barrier, unless nothing was read or written since the last one."""
        if not self.met:
            self.barrier()

    def barrier(self, _: Barrier | None = None) -> None:
        """All threads of the block meet here, and see what the others have written."""
        self.body.line(f"{self.dialect.barrier};")
        self.met = True

    # --- loops -------------------------------------------------------------------------------

    def loop(self, loop: For) -> None:
        """A loop by its kind."""
        if loop.kind == "thread":
            self.spread(loop)
        elif is_lockstep(loop):
            Lockstep(self).enter(loop)
        elif loop.kind == "vector" and self.filled(loop):
            self.in_lanes(loop)
        else:
            assert loop.kind != "unrolled" or not self.filled(loop), "its order would be another"
            if loop.kind == "unrolled":
                self.body.line("#pragma unroll")
            self.repeat(loop, "0", "++")

    def repeat(self, loop: For, begin: str, step: str, first: Sequence[str] = ()) -> None:
        """A loop of C, whose body begins with some lines."""
        with self.counting(loop, begin, step):
            for line in first:
                self.body.line(line)
            self.write(loop.body)

    @contextmanager
    def counting(self, loop: For, begin: str, step: str, word: str = "int64_t") -> Iterator[None]:
        """A loop of C around what is written inside."""
        name = self.body.names.of("value", loop.variable.name)
        limit = bare(self.body.size(loop.limit))
        self.met = False
        with self.body.block(f"for ({word} {name} = {begin}; {name} < {limit}; {name}{step})"):
            yield
        self.met = False

    def filled(self, loop: For) -> list[Accumulator]:
        """The accumulators from around a loop that it fills."""
        inside = list(statements(loop.body))
        own = {s.name for s in inside if isinstance(s, Accumulator)}
        names = dict.fromkeys(s.name for s in inside if isinstance(s, Accumulate))
        return [self.accumulators[name] for name in names if name not in own]

    def in_lanes(self, loop: For) -> None:
        """A vector loop run by one thread: partial results in an array, combined by halves."""
        names, lanes = self.body.names, loop.lanes
        partial: dict[str, tuple[str, ...]] = {}
        for accumulator in self.filled(loop):
            arrays = tuple(names.fresh(f"{n}_lanes") for n in self.states[accumulator.name])
            partial[accumulator.name] = arrays
            for word, array in zip(words(accumulator), arrays, strict=True):
                self.body.line(f"{word} {array}[{lanes}];")
        lane = names.fresh("lane")
        with self.body.block(f"for (int {lane} = 0; {lane} < {lanes}; {lane}++)"):
            for name, arrays in partial.items():
                values = identity(self.dialect, self.accumulators[name])
                for array, value in zip(arrays, values, strict=True):
                    self.body.line(f"{array}[{lane}] = {value};")
        variable = names.of("value", loop.variable.name)
        with self.in_place_of(at(partial, lane)):
            self.repeat(loop, "0", "++", [f"const int {lane} = (int)({variable} % {lanes});"])
        self.halve(partial, lanes, lane)

    def halve(self, partial: Mapping[str, Sequence[str]], lanes: int, lane: str) -> None:
        """Combine the lanes of partial results, and those with the accumulators."""
        span = self.body.names.fresh("span")
        with (
            self.body.block(f"for (int {span} = {lanes // 2}; {span} > 0; {span} /= 2)"),
            self.body.block(f"for (int {lane} = 0; {lane} < {span}; {lane}++)"),
        ):
            self.combine_all(partial, f"{lane} + {span}", lane)
        self.finish(partial)

    def combine_all(self, partial: Mapping[str, Sequence[str]], new: str, old: str) -> None:
        """Bring the partial results in one lane into those in another."""
        for name, arrays in partial.items():
            pair = [[f"{array}[{place}]" for array in arrays] for place in (new, old)]
            for line in combine(self.body.context, self.accumulators[name], *pair):
                self.body.line(line)

    def finish(self, partial: Mapping[str, Sequence[str]]) -> None:
        """Bring what all lanes have come to into the accumulators."""
        for name, arrays in partial.items():
            new = [f"{array}[0]" for array in arrays]
            for line in combine(self.body.context, self.accumulators[name], new, self.states[name]):
                self.body.line(line)

    @contextmanager
    def in_place_of(self, states: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
        """Other variables for some accumulators, until the end of a `with` block."""
        before = self.states
        self.states = {**before, **states}
        yield
        self.states = before

    # --- loops over the threads of a block ---------------------------------------------------

    def spread(self, loop: For) -> None:
        """A loop whose iterations the threads of a block share."""
        filled = self.filled(loop)
        stores = any(isinstance(s, Store) for s in statements(loop.body))
        partial: dict[str, tuple[str, ...]] = {}
        for accumulator in filled:
            own = tuple(self.body.names.fresh(f"{n}_part") for n in self.states[accumulator.name])
            partial[accumulator.name] = own
            self.start(accumulator, own)
        if stores:
            self.meet()
        self.together = False
        with self.in_place_of(partial):
            if holds_barrier(loop):
                self.own(loop)
            else:
                self.repeat(loop, THREAD, f" += {loop.lanes}")
        self.together = True
        if filled:
            self.combine_threads(partial, loop.lanes)
        elif stores:
            self.barrier()

    def own(self, loop: For) -> None:
        """The iteration of a thread, of which each has one."""
        name = self.body.names.of("value", loop.variable.name)
        self.body.line(f"const int64_t {name} = {THREAD};")
        self.thread = loop
        self.write(loop.body)
        self.thread = None

    def combine_threads(self, partial: Mapping[str, tuple[str, ...]], lanes: int) -> None:
        """Combine what the threads have come to, by halves, in memory that they share."""
        names, body = self.body.names, self.body
        places: dict[str, tuple[str, ...]] = {}
        for name, own in partial.items():
            places[name] = tuple(names.fresh(f"{n}_of_all") for n in own)
            kinds = dtypes(self.accumulators[name])
            for dtype, array, value in zip(kinds, places[name], own, strict=True):
                self.shared.append(f"{self.dialect.shared}{MEMORY[dtype.name]} {array}[{lanes}];")
                body.line(f"{array}[{THREAD}] = {value};")
        self.barrier()
        span = names.fresh("span")
        with body.block(f"for (int {span} = {lanes // 2}; {span} > 0; {span} /= 2)"):
            with body.block(f"if ({THREAD} < {span})"):
                self.combine_all(places, f"{THREAD} + {span}", THREAD)
            self.barrier()
        self.finish(places)
        self.barrier()


def at(arrays: Mapping[str, Sequence[str]], place: str) -> dict[str, tuple[str, ...]]:
    """The elements at a place of the arrays that accumulators have."""
    return {name: tuple(f"{a}[{place}]" for a in found) for name, found in arrays.items()}


WRITERS: dict[type, Callable[[Writer, Any], None]] = {
    For: Writer.loop,
    Let: Writer.let,
    Accumulator: Writer.accumulator,
    Accumulate: Writer.accumulate,
    Store: Writer.store,
    Local: Writer.local,
    Barrier: Writer.barrier,
}
