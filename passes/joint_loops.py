"""Loops that several kernels have in common, however each of them has cut and nested its own.

A loop over 8192 rows and one over 8 matrices of 1024 rows do the same iterations. What a kernel
does in an iteration is written over common variables, one for each common loop. Its loops over
results are independent, so that any of them may go outermost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any

from graphc.ir import dim
from graphc.ir.dim import Dim, Size, Symbol
from graphc.ir.kernel import (
    Accumulator,
    For,
    Kernel,
    Let,
    Statement,
    accesses,
    loop,
    statements,
    substitute,
    variable,
)
from graphc.ir.program import CallKernel, Program, Step, walk_steps
from graphc.passes.loop_nests import independent, perfect
from graphc.passes.machine import typical


@dataclass(frozen=True, slots=True)
class Nest:
    """Perfectly nested loops over results, the outermost first, and what the innermost does."""

    loops: tuple[For, ...]
    inside: tuple[Statement, ...]


@dataclass(frozen=True)  # no slots: a property is cached
class Iteration:
    """What a kernel does in an iteration of common loops: loops that are left, and their body.

    None stands where the innermost common loop stood, for a loop over the rows of a block.
    """

    loops: tuple[For | None, ...]
    inside: tuple[Statement, ...]

    @cached_property
    def offsets(self) -> Mapping[str, Sequence[Size]]:
        """Where each buffer is touched."""
        found: dict[str, dict[Size, None]] = {}
        for access in accesses(self.inside):
            found.setdefault(access.buffer, {})[access.offset] = None
        return {buffer: list(offsets) for buffer, offsets in found.items()}

    def over(self, rows: For | None) -> tuple[Statement, ...]:
        """The iterations of a block, whose rows a loop goes over; None for a block of one row."""
        body = self.inside
        for nest in reversed(self.loops):
            around = rows if nest is None else nest
            body = body if around is None else (replace(around, body=body),)
        return body


def nest_of(kernel: Kernel) -> Nest:
    """A kernel as perfectly nested loops; values between the loops are computed inside."""
    outermost = independent(kernel.body)
    if outermost is None:
        return Nest((), kernel.body)
    loops, inside = perfect(outermost)
    return Nest(tuple(loops), (*kernel.body[:-1], *inside))


def by_reach(nest: Nest, buffers: Collection[str]) -> list[For]:
    """The loops that move accesses of some buffers, those first that move them farthest."""
    touched = (access.offset for access in accesses(nest.inside) if access.buffer in buffers)
    offset = next(touched, 0)
    steps = {nested: dim.coefficient(offset, nested.variable.name) for nested in nest.loops}
    moving = [nested for nested, step in steps.items() if step is not None and step != 0]
    return sorted(moving, key=lambda nested: -typical(steps[nested] or 0))


def common_limits(left: Sequence[Size], right: Sequence[Size]) -> list[Size]:
    """The finest outer loops into which both of two nests can be cut."""
    found: list[Size] = []
    one, other = list(left), list(right)
    while one and other:
        small = one[0] if divides(one[0], other[0]) else other[0]
        if not (divides(small, one[0]) and divides(small, other[0])):
            break
        found.append(small)
        cut_off(one, small)
        cut_off(other, small)
    return found


def divides(part: Size, limit: Size) -> bool:
    """Whether a loop can be cut into an outer one of so many iterations and an inner one."""
    return part == limit or (part != 0 and dim.floor_divide(limit, part) * part == limit)


def cut_off(limits: list[Size], part: Size) -> None:
    """Take an outer loop off the first of several."""
    rest = 1 if part == limits[0] else dim.floor_divide(limits[0], part)
    limits[:1] = [] if rest == 1 else [rest]


def common_variable(place: int, limit: Size) -> Dim:
    """The variable of a common loop, by its place among them."""
    return dim.symbol(f"%c{place}", "index", limit)


def iteration(nest: Nest, order: Sequence[For], limits: Sequence[Size]) -> Iteration:
    """What a nest does in an iteration of common loops, which its own make in an order."""
    left: dict[str, tuple[For | None, ...]] = {}
    at: dict[str, Size] = {}
    place = 0
    for nested in order:
        if place == len(limits):
            break
        value: Size = 0
        rest = [nested.limit]
        while rest and place < len(limits):
            value = value * limits[place] + common_variable(place, limits[place])
            cut_off(rest, limits[place])
            place += 1
        inner = loop(nested.variable.name, rest[0], nested.kind, ()) if rest else None
        at[nested.variable.name] = value * rest[0] + variable(inner) if inner else value
        row: tuple[For | None, ...] = (None,) if place == len(limits) else ()
        left[nested.variable.name] = (*row, inner) if inner else row
    loops = (part for nested in nest.loops for part in left.get(nested.variable.name, (nested,)))
    return Iteration(tuple(loops), substitute(nest.inside, at))


class Nests:
    """The nests and the iterations of kernels, each of which is worked out once."""

    def __init__(self) -> None:
        self.nests: dict[str, Nest] = {}
        self.iterations: dict[tuple[Any, ...], Iteration] = {}

    def nest(self, kernel: Kernel) -> Nest:
        """See `nest_of`; no two kernels have the same name."""
        if kernel.name not in self.nests:
            self.nests[kernel.name] = nest_of(kernel)
        return self.nests[kernel.name]

    def iteration(
        self, kernel: Kernel, order: Sequence[For], limits: tuple[Size, ...]
    ) -> Iteration:
        """See `iteration`."""
        key = (kernel.name, limits, *(nested.variable.name for nested in order))
        if key not in self.iterations:
            self.iterations[key] = iteration(self.nest(kernel), order, limits)
        return self.iterations[key]


def with_own_names(body: tuple[Statement, ...], taken: set[str]) -> tuple[Statement, ...]:
    """A body whose values have no names that are taken; afterwards theirs are, too."""
    declared = (s.name for s in statements(body) if isinstance(s, Let | Accumulator))
    values = dict.fromkeys(declared)
    renamed: dict[str, str] = {}
    for name in values:
        if name in taken:
            numbered = (f"{name}_{number}" for number in count(1))
            renamed[name] = next(n for n in numbered if n not in taken and n not in values)
    taken.update(renamed.get(name, name) for name in values)
    return substitute(body, {}, renamed) if renamed else body


def slice_size(offsets: Sequence[Size], limits: Sequence[Size]) -> Size | None:
    """How many elements an iteration has to itself, if all accesses stay within them.

    They lie one after another in the order of the iterations. None where they do not.
    """
    last = len(limits) - 1
    size = dim.coefficient(offsets[0], f"%c{last}")
    if size is None or size == 0:
        return None
    for offset in offsets:
        rest, step = offset, size
        for place in reversed(range(len(limits))):
            rest = rest - common_variable(place, limits[place]) * step
            step = step * limits[place]
        if any(moves(rest, place) for place in range(len(limits))) or not dim.is_within(rest, size):
            return None
    return size


def moves(offset: Size, place: int) -> bool:
    """Whether an offset depends on the variable of a common loop."""
    return any(isinstance(s, Symbol) and s.name == f"%c{place}" for s in dim.variables(offset))


def calls_from(steps: Sequence[Step]) -> list[CallKernel]:
    """The calls that steps begin with."""
    calls = []
    for step in steps:
        if not isinstance(step, CallKernel):
            break
        calls.append(step)
    return calls


def with_joint_kernels(
    program: Program, steps: tuple[Step, ...], kernels: Iterable[Kernel], gone: Collection[str]
) -> Program:
    """The program with other steps and the kernels that they call, without some temporaries."""
    called = {step.kernel for step in walk_steps(steps) if isinstance(step, CallKernel)}
    return replace(
        program,
        allocations=tuple(a for a in program.allocations if a.name not in gone),
        kernels=tuple(kernel for kernel in kernels if kernel.name in called),
        steps=steps,
    )
