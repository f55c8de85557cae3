"""The function that runs a program: its calls of kernels, in native loops and branches."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import NamedTuple

from graphc.ir.dim import Size
from graphc.ir.kernel import For
from graphc.ir.program import Branch, CallKernel, Program, Repeat, Step, While, walk_steps
from graphc.runtime.cpu.block import MEMORY, Block, identifier, symbol
from graphc.runtime.cpu.control import repeat
from graphc.runtime.cpu.function import Function, Instance, SizeTable
from graphc.runtime.cpu.indexing import integer
from graphc.runtime.cpu.loops import bind
from graphc.runtime.cpu.stamps import ARGUMENT, Stamps
from graphc.runtime.cpu.target import Target


def head(stamps: Stamps | None) -> str:
    """The first line of the function."""
    more = ARGUMENT if stamps else ""
    return f"define void @step(ptr %sizes, ptr %pool, ptr %buffers{more}) nounwind {{"


class Called(NamedTuple):
    """A kernel as `step` sees it: the name of its function, and its table of sizes."""

    function: str
    sizes: tuple[Size, ...]


class Steps:
    """The steps of a program in one function; it holds no arithmetic but that of offsets.

    stamps writes what counts the time of calls, in a step that is made for a profile.
    """

    def __init__(
        self,
        program: Program,
        called: Mapping[str, Called],
        sizes: SizeTable,
        target: Target,
        stamps: Stamps | None = None,
    ) -> None:
        self.program = program
        self.called = called
        self.stamps = stamps
        self.function = Function((), sizes, target, lambda name: None)
        self.dtypes = {a.name: a.type.dtype for a in program.allocations}
        self.pointers: dict[str, str] = {}
        self.tables: dict[int, str] = {0: "%sizes"}

    def write(self) -> Block:
        """The body of the function."""
        entry = Block("entry", self.function.names)
        with self.function.scope(entry, True, ()):
            self.load_pointers()
            self.steps(self.program.steps)
        return entry

    def load_pointers(self) -> None:
        """Load the pointer to each allocation that a step names."""
        order = {allocation.name: at for at, allocation in enumerate(self.program.allocations)}
        block = self.function.prologue
        for name in dict.fromkeys(n for s in walk_steps(self.program.steps) for n in named(s)):
            slot = block.op("field", f"getelementptr ptr, ptr %buffers, i64 {order[name]}")
            self.pointers[name] = block.op(identifier(name), f"load ptr, ptr {slot}, align 8")

    def steps(self, steps: Iterable[Step]) -> None:
        """Steps one after another."""
        for step in steps:
            if isinstance(step, CallKernel):
                self.call(step)
            elif isinstance(step, Repeat):
                self.repeat(step)
            elif isinstance(step, While):
                self.loop(step)
            else:
                self.branch(step)

    def call(self, call: CallKernel) -> None:
        """The call of a kernel."""
        function, sizes = self.called[call.kernel]
        places = [f"ptr {self.place(name, offset)}" for name, offset in call.places]
        arguments = ", ".join([f"ptr {self.table(sizes)}", "ptr %pool", *places])
        block = self.function.block
        with self.stamps.around(block) if self.stamps else nullcontext():
            block.add(f"call void {symbol(function)}({arguments})")

    def table(self, sizes: tuple[Size, ...]) -> str:
        """The pointer to a kernel's table of sizes, a part of the table of all."""
        at = self.function.sizes.run(sizes) if sizes else 0
        if at not in self.tables:
            inside = f"getelementptr i64, ptr %sizes, i64 {at}"
            self.tables[at] = self.function.prologue.op("sizes", inside)
        return self.tables[at]

    def place(self, name: str, offset: Size) -> str:
        """The pointer to a part of an allocation."""
        pointer = self.pointers[name]
        if offset == 0:
            return pointer
        f = self.function
        at = integer(f, offset, Instance(()))
        element = MEMORY[self.dtypes[name].name]
        return f.block.op("part", f"getelementptr {element}, ptr {pointer}, i64 {at}")

    def repeat(self, step: Repeat) -> None:
        """A loop with a counter."""
        f = self.function
        loop = For(step.variable, "serial", ())

        def write(counter: str) -> None:
            bind(f, loop, counter)
            self.steps(step.steps)

        end = integer(f, loop.limit, Instance(()))
        repeat(f, loop, "0", end, 1, False, write)

    def loop(self, step: While) -> None:
        """A loop whose condition is read from memory before each iteration."""
        label = f"while.{next(self.function.names)}"
        body = self.arm(f"{label}.body", step.steps, label)
        outer = self.function.block
        outer.add(f"br label %{label}")
        outer.lines.append(f"{label}:")
        self.choose(step.condition, f"{label}.body", f"{label}.done")
        self.go_on(f"{label}.done", [body])

    def branch(self, step: Branch) -> None:
        """One of two arms."""
        label = f"if.{next(self.function.names)}"
        yes = self.arm(f"{label}.yes", step.yes, f"{label}.done")
        no = self.arm(f"{label}.no", step.no, f"{label}.done")
        self.choose(step.condition, f"{label}.yes", f"{label}.no")
        self.go_on(f"{label}.done", [yes, no])

    def choose(self, condition: str, yes: str, no: str) -> None:
        """Go to one of two labels."""
        block = self.function.block
        byte = block.op("byte", f"load i8, ptr {self.pointers[condition]}, align 1")
        bit = block.op("bit", f"icmp ne i8 {byte}, 0")
        block.add(f"br i1 {bit}, label %{yes}, label %{no}")

    def arm(self, label: str, steps: Iterable[Step], following: str) -> list[str]:
        """A labelled block of steps that goes on to another label.

        It is written before what leads to it, since offsets in it may be worked out before.
        """
        inner = Block(label, self.function.names)
        with self.function.scope(inner, False, ()):
            self.steps(steps)
            inner.add(f"br label %{following}")
        return [f"{label}:", *inner.lines]

    def go_on(self, label: str, arms: Iterable[list[str]]) -> None:
        """Put arms behind what leads to them, and go on at a label."""
        outer = self.function.block
        outer.lines += [*itertools.chain(*arms), f"{label}:"]
        outer.label = label


def named(step: Step) -> tuple[str, ...]:
    """The allocations that a step itself names."""
    if isinstance(step, CallKernel):
        return step.arguments
    return () if isinstance(step, Repeat) else (step.condition,)
