"""Launches: the steps of a program, as functions that launch kernels with given sizes.

What does not change from call to call is worked out once for each binding of the symbolic sizes:
memory, offsets, numbers of blocks. Some memory is `Given` by each call. Loops and branches are run
by the host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.program import Branch, CallKernel, Decision, Program, Repeat, Step, While, walk_steps
from graphc.runtime.accelerator.failures import not_launched
from graphc.runtime.accelerator.machine import Given, Launch, Machine, Place
from graphc.runtime.c_source.emit import Entry

Values: TypeAlias = dict[str, int]
"""The variables of the program's loops that run."""
MOST_RECORDED = 20_000
"""Launches of a call that are recorded; a record takes about a kilobyte of memory for each."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one call has of its own: what launches, the memory that is given, and variables."""

    launch: Launch
    memories: Sequence[Any]
    variables: Values


Run: TypeAlias = Callable[[Call], None]


class Launches:
    """The steps of a program for one binding of its sizes, over places of its allocations.

    run launches everything with the memory for each `Given` in the places; decision says how.
    """

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
        given = {name: p.memory for name, p in places.items() if isinstance(p.memory, Given)}
        stand_ins = sorted(given.values(), key=lambda memory: memory.number)
        why_not = why_not_recorded(program, sizes)
        recorded = (
            None if why_not else machine.recorded(lambda launch: self.launch(stand_ins, launch))
        )
        self.recorded = recorded
        self.decision = Decision(
            "launch",
            "as a whole" if recorded else "one by one",
            ", ".join(f"{name}={size}" for name, size in sizes.items()) or "the step",
            "every call launches the same kernels"
            if recorded
            else why_not or f"the device {machine.dialect.name!r} records no launches",
            (("where the caller has them", ", ".join(given) or "none"),),
        )

    def run(self, memories: Sequence[Any]) -> None:
        """Launch everything, as a whole where that has been recorded."""
        if self.recorded is None:
            self.launch(memories)
        else:
            self.recorded(memories)

    def launch(self, memories: Sequence[Any], launch: Launch | None = None) -> None:
        """Launch everything in order."""
        call = Call(launch or self.machine.launch, memories, {})
        for step in self.steps:
            step(call)

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
        given: list[tuple[int, int]] = []
        moving: list[tuple[int, int, Callable[[Values], int]]] = []
        for name, offset in call.places:
            place = self.places[name]
            start = place.offset // self.bytes[name]
            known = dim.substitute(offset, self.sizes)
            if not isinstance(known, int):
                moving.append((len(arguments) + 1, start, evaluator(known)))
                known = 0
            if isinstance(place.memory, Given):
                given.append((len(arguments), place.memory.number))
            arguments += [place.memory, start + known]
        arguments += [self.sizes[name] for name in entry.sizes]

        def run(call: Call) -> None:
            own = arguments.copy()
            for at, number in given:
                own[at] = call.memories[number]
            for at, start, offset in moving:
                own[at] = start + offset(call.variables)
            try:
                call.launch(function, blocks, entry.threads, own)
            except GraphError as error:
                raise not_launched(entry, error) from None

        return run

    def repeat(self, step: Repeat) -> Run:
        """A loop with a counter."""
        name, inner = step.variable.name, self.sequence(step.steps)
        limit = evaluator(dim.substitute(limit_of(step), self.sizes))

        def run(call: Call) -> None:
            for number in range(limit(call.variables)):
                call.variables[name] = number
                for each in inner:
                    each(call)

        return run

    def loop(self, step: While) -> Run:
        """A loop whose condition is read from the device before each iteration."""
        inner, holds = self.sequence(step.steps), self.condition(step.condition)

        def run(call: Call) -> None:
            while holds(call):
                for each in inner:
                    each(call)

        return run

    def branch(self, step: Branch) -> Run:
        """One of two arms."""
        yes, no = self.sequence(step.yes), self.sequence(step.no)
        holds = self.condition(step.condition)

        def run(call: Call) -> None:
            for each in yes if holds(call) else no:
                each(call)

        return run

    def condition(self, name: str) -> Callable[[Call], bool]:
        """What reads a bool from the device."""
        machine, place, byte = self.machine, self.places[name], np.empty(1, np.bool_)

        def holds(call: Call) -> bool:
            known = place.memory
            memory = call.memories[known.number] if isinstance(known, Given) else known
            machine.read(memory, place.offset, byte)
            return bool(byte[0])

        return holds


def why_not_recorded(program: Program, sizes: Mapping[str, int]) -> str:
    """Why launches are not recorded once and replayed; empty where they are."""
    if any(isinstance(step, While | Branch) for step in walk_steps(program.steps)):
        return "what the device computes decides about loops or branches"
    count = sum(times for _, times in repeated_calls(program.steps, sizes))
    if count > MOST_RECORDED:
        return f"a call has {count:,} launches, and {MOST_RECORDED:,} are recorded at most"
    return ""


def count_users(program: Program, sizes: Mapping[str, int]) -> Counter[str]:
    """In how many launches each allocation is used, where loops have counters alone."""
    counts: Counter[str] = Counter()
    for call, times in repeated_calls(program.steps, sizes):
        for name in set(call.arguments):
            counts[name] += times
    return counts


def repeated_calls(
    steps: Iterable[Step], sizes: Mapping[str, int]
) -> Iterator[tuple[CallKernel, int]]:
    """The calls of kernels, and how often each runs, where loops have counters alone."""
    stack = [(step, 1) for step in steps]
    while stack:
        step, times = stack.pop()
        if isinstance(step, CallKernel):
            yield step, times
        elif isinstance(step, Repeat):
            times *= dim.evaluate(limit_of(step), sizes)
            stack += [(inner, times) for inner in step.steps]


def limit_of(step: Repeat) -> Size:
    """How often a loop with a counter runs."""
    assert step.variable.limit is not None
    return step.variable.limit


def nothing(call: Call) -> None:
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
