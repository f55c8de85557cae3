"""Unrolled loops around a barrier: iterations side by side in the registers of a thread.

    for unrolled %i < 4 {                   float s[4];
      accumulator %s: f32 = sum             for (i < 4) s[i] = 0;
      for serial %k < 8 {                   for (k < 8) {
        let %a: f32 = load %x[4*%k + %i]      float a[4];
        accumulate %s %a                      for (i < 4) a[i] = x[4*k + i];
        barrier                               for (i < 4) s[i] = a[i] + s[i];
      }                                       barrier();
    }                                       }

All iterations execute a statement before the next one. So each statement becomes loops of its own,
over what it depends on alone, a serial loop and a barrier are there once, and what differs between
iterations is an array. Compilers unroll the loops and keep the arrays in registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from graphc.ir import dim, scalar
from graphc.ir.kernel import (
    WARPGROUP,
    Accumulate,
    Accumulator,
    Barrier,
    For,
    Let,
    Statement,
    Store,
    sizes,
    statements,
    values,
)
from graphc.ir.scalar import Ref
from graphc.runtime.c_source.accumulators import words
from graphc.runtime.c_source.matrix_units import multiply_matrices
from graphc.runtime.c_source.names import identifier
from graphc.runtime.c_source.types import REGISTERS
from graphc.runtime.c_source.warpgroups import multiply_in_warpgroup, products_begun, settle_sums
from graphc.runtime.c_source.wide import at_once

if TYPE_CHECKING:
    from graphc.runtime.c_source.statements import Writer

MOST_UNROLLED = 32
"""Iterations of a serial loop without a barrier, up to which it is unrolled as well."""


def is_lockstep(loop: For) -> bool:
    """Whether iterations must be written side by side, since all meet a barrier together."""
    return loop.kind == "unrolled" and holds_barrier(loop)


def holds_barrier(loop: For) -> bool:
    """Whether threads wait for one another in a loop."""
    return any(isinstance(s, Barrier) for s in statements(loop.body))


def names_used(statement: Statement) -> set[str]:
    """The values and loop variables that a statement uses itself, without their %."""
    parts = scalar.walk(values(statement))
    found = {part.name for part in parts if isinstance(part, Ref)}
    if isinstance(statement, Accumulate):
        found.add(statement.name)
    symbols = {symbol.name for size in sizes(statement) for symbol in dim.variables(size)}
    return found | {name.removeprefix("%") for name in symbols}


class Lockstep:
    """The statements of loops in lockstep, written by a writer of statements.

    loops are those around, the outermost first. differing maps each name whose value differs
    between iterations to the loops that it differs in. added_up names the sums of products that
    warpgroups may still add up.
    """

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.body = writer.body
        self.loops: tuple[For, ...] = ()
        self.differing: dict[str, tuple[For, ...]] = {}
        self.added_up: list[str] = []

    def enter(self, loop: For) -> None:
        """Write a loop whose iterations are side by side."""
        before = self.loops
        self.loops = (*before, loop)
        self.differing[loop.variable.name.removeprefix("%")] = (loop,)
        self.write(loop.body)
        self.loops = before

    def write(self, body: Sequence[Statement]) -> None:
        """The statements of a block, neighbours that differ in the same loops together."""
        at = 0
        for alone, group in groupby(body, lambda s: isinstance(s, For | Barrier | Accumulator)):
            found = tuple(group)
            at += len(found)
            if alone:
                for statement in found:
                    self.single(statement)
            else:
                self.simple(found, body[at:])

    def single(self, statement: Statement) -> None:
        """A statement that is there once for all iterations."""
        if isinstance(statement, Accumulator):
            self.accumulator(statement)
        elif isinstance(statement, For) and is_lockstep(statement):
            self.enter(statement)
        elif isinstance(statement, For):
            self.once(statement)
        else:
            assert isinstance(statement, Barrier)
            self.writer.barrier(statement)
            settle_sums(self, statement)

    def once(self, loop: For) -> None:
        """A loop that all iterations run together, each its part of every statement in it."""
        if loop.kind == "matrix":
            self.matrix(loop)
            return
        if loop.kind in ("wide", "copy"):
            assert not any(map(self.depends, loop.body)), "neighbours differ in lockstep"
            self.writer.loop(loop)
            return
        assert loop.kind in ("serial", "unrolled"), f"a {loop.kind} loop in lockstep"
        with products_begun(self, loop):
            self.repeat(loop)

    def repeat(self, loop: For) -> None:
        """A loop of C, unrolled where it is short."""
        short = isinstance(loop.limit, int) and loop.limit <= MOST_UNROLLED
        if loop.kind == "unrolled" or (short and not holds_barrier(loop)):
            self.body.unroll()
        with self.writer.counting(loop, self.writer.limit(loop)):
            self.write(loop.body)

    def matrix(self, loop: For) -> None:
        """A loop for a unit that multiplies matrices, and as it stands for devices without one."""
        dialect, thread = self.body.context.dialect, self.writer.thread
        in_group = loop.lanes == WARPGROUP
        condition = dialect.warpgroup if in_group else dialect.matrix
        if not condition or thread is None:
            self.repeat(loop)
            return
        self.body.lines.append(f"#if {condition}")
        multiply = multiply_in_warpgroup if in_group else multiply_matrices
        multiply(self, loop, thread)
        self.body.lines.append("#else")
        self.repeat(loop)
        self.body.lines.append("#endif")

    def accumulator(self, accumulator: Accumulator) -> None:
        """An accumulator for each iteration, from its identity on."""
        self.writer.accumulators[accumulator.name] = accumulator
        state = tuple(self.array(word, accumulator.name) for word in words(accumulator))
        self.writer.states[accumulator.name] = state
        self.call(accumulator.name, state[-1])
        self.differing[accumulator.name] = self.loops
        values = self.writer.identity(accumulator)
        with self.iterations(self.loops):
            for text, value in zip(state, values, strict=True):
                self.body.line(f"{text} = {value};")

    def simple(self, group: tuple[Statement, ...], later: Sequence[Statement]) -> None:
        """Lets, accumulates and stores in order: those that differ in the same loops share them."""
        at = 0
        for loops, part in groupby(group, self.depends):
            found = tuple(part)
            at += len(found)
            after = {name for s in statements((*group[at:], *later)) for name in names_used(s)}
            arrays = {s.name for s in found if isinstance(s, Let) and s.name in after}
            self.together(loops, found, arrays)

    def together(
        self, loops: tuple[For, ...], group: tuple[Statement, ...], arrays: set[str]
    ) -> None:
        """Statements in loops of their own, with the lets that are wanted later in arrays."""
        places = {
            s.name: self.array(REGISTERS[s.value.dtype.name], s.name, loops)
            for s in group
            if isinstance(s, Let) and s.name in arrays and loops
        }
        with self.iterations(loops[:-1]), self.neighbours(loops[-1:], group):
            for statement in group:
                if isinstance(statement, Let) and statement.name in places:
                    text = self.body.expression(statement.value)
                    self.body.line(f"{places[statement.name]} = {text};")
                    self.call(statement.name, places[statement.name])
                else:
                    self.plain(statement)
        self.writer.met = False

    def plain(self, statement: Statement) -> None:
        """A statement as outside of lockstep; a let's name may have been an array's before."""
        known = self.body.names.known
        if isinstance(statement, Let) and "[" in known.get(("value", statement.name), ""):
            del known["value", statement.name]
        self.writer.statement(statement)

    def depends(self, statement: Statement) -> tuple[For, ...]:
        """The loops in which a statement differs; a let's name differs in them from here on."""
        used = {loop.variable for n in names_used(statement) for loop in self.differing.get(n, ())}
        loops = tuple(loop for loop in self.loops if loop.variable in used)
        if isinstance(statement, Let):
            self.differing[statement.name] = loops
        return loops

    def array(self, word: str, name: str, loops: tuple[For, ...] | None = None) -> str:
        """An array with a value for each iteration of some loops; the text of this one's."""
        chosen = self.loops if loops is None else loops
        found = self.body.names.fresh(identifier(name))
        self.body.line(f"{word} {found}{''.join(f'[{loop.limit}]' for loop in chosen)};")
        variables = (self.body.names.of("value", loop.variable.name) for loop in chosen)
        return found + "".join(f"[{variable}]" for variable in variables)

    def call(self, name: str, text: str) -> None:
        """Let a value be called by a text, in formulas and sizes."""
        self.body.names.known["value", name] = text

    @contextmanager
    def neighbours(self, last: tuple[For, ...], group: tuple[Statement, ...]) -> Iterator[None]:
        """The innermost loop; what statements store in one with lanes, they store at once."""
        with ExitStack() as stack:
            for loop in last:
                if loop.lanes > 1 and any(isinstance(s, Store) for s in group):
                    stack.enter_context(at_once(self.body, replace(loop, body=group)))
            stack.enter_context(self.iterations(last))
            yield

    @contextmanager
    def iterations(self, loops: Sequence[For]) -> Iterator[None]:
        """Loops of C around what is written inside."""
        with ExitStack() as stack:
            for loop in loops:
                self.body.unroll()
                stack.enter_context(self.writer.counting(loop, str(loop.limit), word="int"))
            yield
