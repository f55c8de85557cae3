"""Launches: the steps of a program, as functions that launch kernels with given sizes.

What does not change from call to call is worked out once for each binding of the symbolic sizes:
memory, offsets, numbers of blocks. Loops and branches are run by the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.program import Branch, CallKernel, Program, Repeat, Step, While, walk_steps
from graphc.runtime.accelerator.machine import Machine
from graphc.runtime.c_source.emit import Entry

Values: TypeAlias = dict[str, int]
"""The variables of the program's loops that run."""
Run: TypeAlias = Callable[[Values], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an allocation lies: memory of the device, and the byte that it begins at."""

    memory: Any
    offset: int


class Launches:
    """The steps of a program for one binding of its sizes, over places of its allocations."""

    def __init__(
        self,
        machine: Machine,
        program: Program,
        kernels: Mapping[str, tuple[Entry, Any]],
        places: Mapping[str, Place],
        sizes: Mapping[str, int],
    ) -> None:
        self.machine = machine
        self.kernels = kernels
        self.places = places
        self.sizes = sizes
        self.bytes = {a.name: a.type.dtype.bytes for a in program.allocations}
        self.steps = self.sequence(program.steps)
        self.run = machine.recorded(self.launch) if is_fixed(program) else self.launch

    def launch(self) -> None:
        """Launch everything in order."""
        variables: Values = {}
        for step in self.steps:
            step(variables)

    def sequence(self, steps: Iterable[Step]) -> list[Run]:
        """A function for each step."""
        return [self.step(step) for step in steps]

    def step(self, step: Step) -> Run:
        """The function that runs a step."""
        if isinstance(step, CallKernel):
            return self.call(step)
        if isinstance(step, Repeat):
            return self.repeat(step)
        return self.loop(step) if isinstance(step, While) else self.branch(step)

    def call(self, call: CallKernel) -> Run:
        """The launch of a kernel; offsets that depend on loops are worked out at each launch."""
        entry, function = self.kernels[call.kernel]
        blocks = dim.evaluate(entry.blocks, self.sizes)
        if blocks == 0:
            return nothing
        arguments: list[Any] = []
        moving: list[tuple[int, int, Callable[[Values], int]]] = []
        for name, offset in call.places:
            place = self.places[name]
            start = place.offset // self.bytes[name]
            known = dim.substitute(offset, self.sizes)
            if not isinstance(known, int):
                moving.append((len(arguments) + 1, start, evaluator(known)))
                known = 0
            arguments += [place.memory, start + known]
        arguments += [self.sizes[name] for name in entry.sizes]
        launch, threads = self.machine.launch, entry.threads

        def run(variables: Values) -> None:
            for at, start, offset in moving:
                arguments[at] = start + offset(variables)
            launch(function, blocks, threads, arguments)

        return run

    def repeat(self, step: Repeat) -> Run:
        """A loop with a counter."""
        name, inner = step.variable.name, self.sequence(step.steps)
        assert step.variable.limit is not None
        limit = evaluator(dim.substitute(step.variable.limit, self.sizes))

        def run(variables: Values) -> None:
            for number in range(limit(variables)):
                variables[name] = number
                for each in inner:
                    each(variables)

        return run

    def loop(self, step: While) -> Run:
        """A loop whose condition is read from the device before each iteration."""
        inner, holds = self.sequence(step.steps), self.condition(step.condition)

        def run(variables: Values) -> None:
            while holds():
                for each in inner:
                    each(variables)

        return run

    def branch(self, step: Branch) -> Run:
        """One of two arms."""
        yes, no = self.sequence(step.yes), self.sequence(step.no)
        holds = self.condition(step.condition)

        def run(variables: Values) -> None:
            for each in yes if holds() else no:
                each(variables)

        return run

    def condition(self, name: str) -> Callable[[], bool]:
        """What reads a bool from the device."""
        place, byte = self.places[name], np.empty(1, np.bool_)

        def holds() -> bool:
            self.machine.read(place.memory, place.offset, byte)
            return bool(byte[0])

        return holds


def is_fixed(program: Program) -> bool:
    """Whether each call launches the same kernels: nothing that the device computes decides."""
    return not any(isinstance(step, While | Branch) for step in walk_steps(program.steps))


def nothing(variables: Values) -> None:
    """Do nothing: a launch without blocks."""


def evaluator(size: Size) -> Callable[[Values], int]:
    """What works a size out from the variables of loops; a linear one without substitution."""
    if isinstance(size, int):
        return lambda variables: size
    pairs = [(m, f) for m, f in dim.terms_of(size)]
    if all(len(m) <= 1 and all(isinstance(a, dim.Symbol) for a in m) for m, _ in pairs):
        linear = [(str(m[0]), f) for m, f in pairs if m]
        constant = sum(f for m, f in pairs if not m)
        return lambda variables: constant + sum(variables[n] * f for n, f in linear)
    return lambda variables: dim.evaluate(size, variables)
