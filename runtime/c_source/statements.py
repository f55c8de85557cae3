"""Statements in C: loops, lets, accumulators and stores, by one thread or by a block of them.

A thread of a grid runs everything by itself. In a kernel with loops over a block's threads, what
stands outside of those is computed by each thread and stored by the first one; barriers stand
around stores, so that all threads see what one has stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import groupby
from typing import Any

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
    statements,
    stores,
)
from graphc.ir.scalar import Call, Load, Scalar
from graphc.runtime.c_source.accumulators import combine, has_position, identity, words
from graphc.runtime.c_source.barriers import lines_of
from graphc.runtime.c_source.body import Body
from graphc.runtime.c_source.copies import begin_copy
from graphc.runtime.c_source.dialect import WARP
from graphc.runtime.c_source.functions import apply, to_memory
from graphc.runtime.c_source.lockstep import Lockstep, holds_barrier, is_lockstep
from graphc.runtime.c_source.registers import Deal, own_in, place_in, wide_loop
from graphc.runtime.c_source.shared_memory import SharedArray
from graphc.runtime.c_source.sizes import bare, operand
from graphc.runtime.c_source.teams import THREAD, States, Team, at, combine_all
from graphc.runtime.c_source.types import HALVES, MEMORY, REGISTERS, computed
from graphc.runtime.c_source.wide import at_once, rest_of, words_copied


class Writer:
    """The statements of a kernel, written into a body.

    together says that a block's threads run side by side here, each the same statements; meeting is
    the barrier that they meet at, own names the local buffers that threads have for themselves.
    shared collects the memory that they have in common, arrays that of the kernel's own text.
    states holds what each accumulator in scope is called, met whether nothing was read or written
    since the last barrier, depth how many loops stand around. thread is the loop of which each
    thread runs one iteration, copies whether the device copies by itself, products whether it
    multiplies matrices by itself. first has the first positions of
    accumulators of which a thread comes upon the positions in their order.
    """

    def __init__(self, body: Body, together: bool, meeting: str, own: Mapping[str, Deal]) -> None:
        self.body = body
        self.meeting = meeting
        self.own = own
        self.dialect = body.context.dialect
        self.together = together
        self.shared: list[str] = []
        self.arrays: list[SharedArray] = []
        self.accumulators: dict[str, Accumulator] = {}
        self.states: dict[str, tuple[str, ...]] = {}
        self.met = True
        self.depth = 0
        self.thread: For | None = None
        self.copies = False
        self.products = False
        self.first: Mapping[str, Size] = {}

    def finished(self) -> list[str]:
        """The lines of the function; a barrier at the end is for nobody."""
        lines, last = self.body.lines, lines_of(self)
        while lines[-1].strip() in last:
            lines.pop()
        return lines

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
        self.met = self.met and not any(isinstance(v, Load) for v in scalar.walk([let.value]))

    def accumulator(self, accumulator: Accumulator) -> None:
        """Start from the identity."""
        name = self.body.names.of("value", accumulator.name)
        state = (self.body.names.fresh(f"{name}_best"), name)
        self.accumulators[accumulator.name] = accumulator
        self.states[accumulator.name] = state if has_position(accumulator) else (name,)
        self.start(accumulator, self.states[accumulator.name])

    def start(self, accumulator: Accumulator, state: Sequence[str]) -> None:
        """Declare variables that hold the identity."""
        values = self.identity(accumulator)
        for word, name, value in zip(words(accumulator), state, values, strict=True):
            self.body.line(f"{word} {name} = {value};")

    def identity(self, accumulator: Accumulator) -> tuple[str, ...]:
        """What an accumulator holds before anything is accumulated."""
        first = self.first.get(accumulator.name)
        return identity(self.dialect, accumulator, "" if first is None else self.body.size(first))

    def accumulate(self, statement: Accumulate) -> None:
        """Combine a value into an accumulator; a product is added by a fused multiply-add."""
        accumulator, body = self.accumulators[statement.name], self.body
        old, guard, value = self.states[statement.name], None, statement.value
        if accumulator.kind == "sum":
            guard, value = scalar.term(value)
        fused = isinstance(value, Call) and value.function == "multiply"
        if isinstance(value, Call) and fused and accumulator.kind == "sum" and value.dtype.is_float:
            asked = () if guard is None else (guard,)
            left, right, *condition = body.expressions((*value.arguments, *asked))
            text = apply(body.context, "fma", computed(accumulator.dtype), [left, right, *old])
            when = f"if ({condition[0]}) " if condition else ""
            body.line(f"{when}{old[0]} = {text};")
        else:
            new = [operand(body.expression(statement.value))]
            if has_position(accumulator):  # a comparison mentions the value several times
                new = [body.name(accumulator.dtype, new[0]), body.size(statement.position)]
            in_order = statement.name in self.first
            for line in combine(body.context, accumulator, new, old, in_order):
                body.line(line)
        self.met = False

    def local(self, local: Local) -> None:
        """Memory of a thread, or shared by a block where its threads run side by side."""
        name = self.body.names.of("buffer", local.name)
        deal = self.own.get(local.name)
        (self.body.locals if deal is None else self.body.registers).add(local.name)
        size = local.size if deal is None else deal.steps * deal.together
        word = (MEMORY if deal is None else REGISTERS)[local.dtype.name]
        if self.together and deal is None:
            self.body.shared.add(local.name)
            self.arrays.append(SharedArray(word, name, size, size * local.dtype.bytes))
        else:
            aligned = self.dialect.aligned if deal is None else ""
            self.body.line(f"{aligned}{word} {name}[{size}];")

    def store(self, store: Store) -> None:
        """Write an element."""
        body = self.body
        is_own = store.buffer in self.own
        text = body.expression(store.value) if is_own else self.in_memory(store.value)
        guard = "" if store.guard is None else f"if ({body.expression(store.guard)}) "
        body.line(f"{guard}{body.element(store.buffer, store.offset)} = {text};")

    def in_memory(self, value: Scalar) -> str:
        """A value as memory holds it; a half that comes from there is not converted."""
        if isinstance(value, Load) and value.dtype in HALVES and value.buffer not in self.own:
            return self.body.copied(value)
        return to_memory(self.body.context, self.body.expression(value), value.dtype)

    def meet(self) -> None:
        """A barrier, unless nothing was read or written since the last one."""
        if not self.met:
            self.barrier()

    def barrier(self, statement: Barrier | None = None) -> None:
        """All threads of the block meet here, and see what the others have written or copied."""
        for line in lines_of(self, statement):
            self.body.line(line)
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
        elif loop.kind == "wide":
            self.wide(loop)
        elif loop.kind == "copy":
            self.copy(loop)
        else:
            assert loop.kind != "unrolled" or not self.filled(loop), "its order would be another"
            if loop.kind == "unrolled":
                self.body.unroll()
            self.repeat(loop, self.limit(loop), "0", "++")

    def limit(self, loop: For) -> str:
        """The number of iterations."""
        return bare(self.body.size(loop.limit))

    def repeat(
        self, loop: For, limit: str, begin: str, step: str, first: Sequence[str] = ()
    ) -> None:
        """A loop of C, whose body begins with some lines."""
        with self.counting(loop, limit, begin, step):
            for line in first:
                self.body.line(line)
            self.write(loop.body)

    @contextmanager
    def counting(
        self, loop: For, limit: str, begin: str = "0", step: str = "++", word: str = ""
    ) -> Iterator[None]:
        """A loop of C around what is written inside; word is the type of its variable."""
        name = self.body.names.of("value", loop.variable.name)
        head = f"{word or self.body.index} {name} = {begin}; {name} < {limit}; {name}{step}"
        self.met = False
        self.depth += 1
        with self.body.block(f"for ({head})"):
            yield
        self.depth -= 1
        self.met = False

    def wide(self, loop: For) -> None:
        """A few iterations over wide accesses; one by one where these would go too far."""
        rest = rest_of(loop)
        if rest is None:
            self.widely(loop)
            return
        left = bare(self.body.size(rest))
        with self.body.block(f"if ({left} >= {loop.lanes})"):
            self.widely(loop)
        with self.body.block("else"):
            self.repeat(loop, left, "0", "++")

    def widely(self, loop: For) -> None:
        """All iterations of a wide loop."""
        with at_once(self.body, loop):
            words = words_copied(self.body, loop)
            for line in words:
                self.body.line(line)
            if not words:
                self.body.unroll()
                self.repeat(loop, str(loop.lanes), "0", "++")

    def copy(self, loop: For) -> None:
        """A copy that the device makes by itself; a wide access where it has no word for that."""
        if not begin_copy(self, loop):
            self.widely(loop)
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
                values = self.identity(self.accumulators[name])
                for array, value in zip(arrays, values, strict=True):
                    self.body.line(f"{array}[{lane}] = {value};")
        variable = names.of("value", loop.variable.name)
        with self.in_place_of(at(partial, lane)):
            first = [f"const int {lane} = (int)({variable} % {lanes});"]
            self.repeat(loop, self.limit(loop), "0", "++", first)
        self.halve(partial, lanes, lane)

    def halve(self, partial: States, lanes: int, lane: str) -> None:
        """Combine the lanes of partial results, and those with the accumulators."""
        span = self.body.names.fresh("span")
        with (
            self.body.block(f"for (int {span} = {lanes // 2}; {span} > 0; {span} /= 2)"),
            self.body.block(f"for (int {lane} = 0; {lane} < {span}; {lane}++)"),
        ):
            combine_all(self.body, self.accumulators, partial, f"{lane} + {span}", lane)
        self.finish(at(partial, "0"))

    def finish(self, results: Mapping[str, Sequence[str]]) -> None:
        """Bring what all lanes have come to into the accumulators."""
        for name, new in results.items():
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
        stored = {store.buffer for store in stores(loop.body)}
        shared = bool(stored - self.own.keys())
        partial: dict[str, tuple[str, ...]] = {}
        for accumulator in filled:
            own = tuple(self.body.names.fresh(f"{n}_part") for n in self.states[accumulator.name])
            partial[accumulator.name] = own
            self.start(accumulator, own)
        if shared:
            self.meet()
        self.together = False
        with self.in_place_of(partial):
            if holds_barrier(loop):
                self.once_each(loop)
            elif kept := list(own_in(loop, self.own)):
                self.in_steps(loop, kept)
            else:
                self.repeat(loop, self.limit(loop), THREAD, f" += {loop.lanes}")
        self.together = True
        if filled:
            self.combine_threads(partial, loop.lanes)
        elif shared:
            self.barrier()

    def combine_threads(self, partial: States, lanes: int) -> None:
        """Bring what the threads have come to into the accumulators."""
        team = Team(self.body, self.accumulators, lanes, self.shared, self.barrier)
        in_loop = self.depth > 0
        self.finish(team.combined(partial, in_loop))
        if self.dialect.warp is None or lanes < WARP:
            self.barrier()  # the result is read before the memory that it is in has another

    def once_each(self, loop: For) -> None:
        """A loop of which each thread runs the iteration of its number."""
        name = self.body.names.of("value", loop.variable.name)
        self.body.line(f"const {self.body.index} {name} = {THREAD};")
        self.thread = loop
        self.write(loop.body)
        self.thread = None

    def in_steps(self, loop: For, own: Sequence[str]) -> None:
        """A loop over threads with their own elements of buffers, which are numbered by steps."""
        body, deal = self.body, self.own[own[0]]
        step, name = body.names.fresh("step"), body.names.of("value", loop.variable.name)
        inner, outside = wide_loop(loop), body.elements
        lane = "" if inner is None else body.names.of("value", inner.variable.name)
        place = f"{deal.together} * {step} + {lane}" if lane else step
        body.elements = outside | {
            (buffer, place_in(loop)): f"{body.names.of('buffer', buffer)}[{place}]"
            for buffer in own
        }
        self.met = False
        with body.unrolled(f"for (int {step} = 0; {step} < {deal.steps}; {step}++)"):
            body.line(f"const {body.index} {name} = {loop.lanes} * {step} + {THREAD};")
            whole = deal.limit == deal.steps * deal.threads
            with nullcontext() if whole else body.block(f"if ({name} < {self.limit(loop)})"):
                self.write(loop.body)
        self.met = False
        body.elements = outside


WRITERS: dict[type, Callable[[Writer, Any], None]] = {
    For: Writer.loop,
    Let: Writer.let,
    Accumulator: Writer.accumulator,
    Accumulate: Writer.accumulate,
    Store: Writer.store,
    Local: Writer.local,
    Barrier: Writer.barrier,
}
