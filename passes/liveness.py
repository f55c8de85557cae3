"""Liveness: which calls of a program read and write each allocation, and how long each lives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from graphc.ir import dim, kernel
from graphc.ir.dim import Symbol
from graphc.ir.kernel import Kernel
from graphc.ir.program import Branch, CallKernel, Program, Repeat, Step, inner_steps


@dataclass(slots=True)
class Uses:
    """The places in the timeline that read and that write one allocation, each in rising order.

    What is touched both in a loop and around it, or in parts that depend on the loop's variable,
    is alive throughout the loop: `first` and `last` say so, which bound its life.
    """

    reads: list[int] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)
    first: int = 0
    last: int = 0

    @property
    def places(self) -> list[int]:
        """Where it is touched."""
        return self.reads + self.writes


@dataclass(frozen=True, slots=True)
class Span:
    """A loop in a timeline: where it begins and ends, and its variable if it has one."""

    begin: int
    end: int
    variable: Symbol | None


@dataclass(slots=True)
class Timeline:
    """A program's calls in the order in which they stand.

    A loop and a branch take a place of their own before their steps and another one after them,
    where there is no call. spans are the loops, inner ones first.
    """

    calls: list[CallKernel | None] = field(default_factory=list)
    conditions: dict[int, str] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)

    def add(self, steps: Iterable[Step]) -> None:
        """Go on with some steps; nests are no deeper than what a user writes."""
        for step in steps:
            if isinstance(step, CallKernel):
                self.calls.append(step)
                continue
            begin = len(self.calls)
            self.calls.append(None)
            self.add(inner_steps(step))
            if not isinstance(step, Repeat):
                self.conditions |= {begin: step.condition, len(self.calls): step.condition}
            if not isinstance(step, Branch):
                variable = step.variable if isinstance(step, Repeat) else None
                self.spans.append(Span(begin, len(self.calls), variable))
            self.calls.append(None)


def timeline(program: Program) -> Timeline:
    """The order of a program's calls."""
    found = Timeline()
    found.add(program.steps)
    return found


def uses(program: Program) -> dict[str, Uses]:
    """What touches each allocation, for those that a call or a result names.

    The program's results count as read by a call after the last one.
    """
    kernels = {k.name: k for k in program.kernels}
    loaded = {name: loads(k) for name, k in kernels.items()}
    order = timeline(program)
    found: dict[str, Uses] = {}
    for at, call in enumerate(order.calls):
        read, written = (
            accesses(call, kernels[call.kernel], loaded[call.kernel]) if call else ((), ())
        )
        for name in (*read, *([order.conditions[at]] if at in order.conditions else [])):
            found.setdefault(name, Uses()).reads.append(at)
        for name in written:
            found.setdefault(name, Uses()).writes.append(at)
    for name in dict.fromkeys(program.outputs):
        found.setdefault(name, Uses()).reads.append(len(order.calls))
    moving = moving_parts(order)
    for name, use in found.items():
        extend(use, order.spans, moving.get(name, set()))
    return found


def moving_parts(order: Timeline) -> dict[str, set[Symbol]]:
    """For each allocation the loop variables that the parts of it in use depend on."""
    found: dict[str, set[Symbol]] = {}
    for call in order.calls:
        for name, offset in call.places if call else ():
            if offset != 0:
                found.setdefault(name, set()).update(dim.variables(offset))
    return found


def extend(use: Uses, spans: Iterable[Span], moving: set[Symbol]) -> None:
    """Set the bounds of a life: it covers each loop that it enters, leaves, or moves in."""
    use.first, use.last = min(use.places), max(use.places)
    for span in spans:
        inside = [at for at in use.places if span.begin < at < span.end]
        whole = span.begin < use.first and use.last < span.end
        if inside and not (whole and span.variable not in moving and starts_written(use, inside)):
            use.first, use.last = min(use.first, span.begin), max(use.last, span.end)


def starts_written(use: Uses, inside: list[int]) -> bool:
    """Whether the first of some places writes and does not read."""
    first = min(inside)
    return first in use.writes and first not in use.reads


def accesses(
    call: CallKernel, called: Kernel, loaded: set[str]
) -> tuple[Iterable[str], Iterable[str]]:
    """The allocations that a call reads and those that it writes."""
    pairs = list(zip(call.arguments, called.buffers, strict=True))
    read = dict.fromkeys(a for a, b in pairs if not b.written or b.name in loaded)
    return read, dict.fromkeys(a for a, b in pairs if b.written)


def loads(called: Kernel) -> set[str]:
    """The buffers that a kernel loads from."""
    return {load.buffer for load in kernel.loads(called.body)}
