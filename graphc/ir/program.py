"""Program: a whole step as data; buffers, kernels, and the calls in order, in loops and branches.

    program {
      input %x: f32[batch, 784]
      state %w: f32[784, 256]
      constant %c = ...
      temporary %t0: f32[batch, 256]
      output %y: f32[batch, 256]
      call @matmul_0(%x, %w, %t0)
      repeat %i0 < n {
        call @add_0(%c[3*%i0], %y[3*%i0])
      }
      ...
    }

The text form says all of it but the values of states.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from graphc.ir.dim import Size, Symbol
from graphc.ir.kernel import Kernel
from graphc.ir.literal import Literal
from graphc.ir.state import State
from graphc.ir.types import TensorType

BUFFER_KINDS = ("input", "state", "constant", "temporary", "output")


@dataclass(frozen=True, slots=True)
class Allocation:
    """A buffer of the program.

    kind says who owns its memory: the caller (input, output), the variable (state), the program
    (constant, whose value it holds), or the arena (temporary). A state that was not read from
    text holds the variable's memory.
    """

    name: str
    kind: str
    type: TensorType
    value: Literal | None = None
    state: State | None = field(default=None, compare=False, repr=False)

    @property
    def bytes(self) -> Size:
        """Its size in memory."""
        return self.type.size * self.type.dtype.bytes


@dataclass(frozen=True, slots=True)
class CallKernel:
    """Runs a kernel; arguments are names of allocations, in the order of the kernel's buffers.

    offsets say for each where its buffer begins, in elements: sizes over the variables of the
    loops around; none means 0 for all.
    """

    kernel: str
    arguments: tuple[str, ...]
    offsets: tuple[Size, ...] = ()

    @property
    def places(self) -> tuple[tuple[str, Size], ...]:
        """Each argument with its offset."""
        offsets = self.offsets or (0,) * len(self.arguments)
        return tuple(zip(self.arguments, offsets, strict=True))


def make_call(kernel: str, places: Sequence[tuple[str, Size]]) -> CallKernel:
    """The call of a kernel on parts of allocations; offsets are left out where all are 0."""
    offsets = tuple(offset for _, offset in places)
    moved = any(offset != 0 for offset in offsets)
    return CallKernel(kernel, tuple(name for name, _ in places), offsets if moved else ())


@dataclass(frozen=True, slots=True)
class Repeat:
    """Runs steps one after another, for each value of a variable from 0 up to its limit."""

    variable: Symbol
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class While:
    """Runs steps again and again as long as the bool of an allocation is true before them."""

    condition: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """Runs one of two lists of steps, the first where the bool of an allocation is true."""

    condition: str
    yes: tuple[Step, ...]
    no: tuple[Step, ...]


Step: TypeAlias = CallKernel | Repeat | While | Branch


def inner_steps(step: Step) -> tuple[Step, ...]:
    """The steps directly inside one."""
    if isinstance(step, Branch):
        return step.yes + step.no
    return step.steps if isinstance(step, Repeat | While) else ()


def walk_steps(steps: Iterable[Step]) -> Iterator[Step]:
    """Every step, a loop before what it holds."""
    stack = list(reversed(tuple(steps)))
    while stack:
        step = stack.pop()
        yield step
        stack.extend(reversed(inner_steps(step)))


def rename_step(step: Step, names: Mapping[str, str]) -> Step:
    """The step over other allocations; nests are no deeper than what a user writes."""
    if isinstance(step, CallKernel):
        return replace(step, arguments=tuple(names.get(a, a) for a in step.arguments))
    if isinstance(step, Branch):
        yes, no = (tuple(rename_step(s, names) for s in arm) for arm in (step.yes, step.no))
        return Branch(names.get(step.condition, step.condition), yes, no)
    inner = tuple(rename_step(s, names) for s in step.steps)
    if isinstance(step, Repeat):
        return replace(step, steps=inner)
    return While(names.get(step.condition, step.condition), inner)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass chose, by which rule, with which numbers, about what."""

    stage: str
    choice: str
    subject: str
    reason: str
    numbers: tuple[tuple[str, str], ...] = ()
    where: tuple[str, ...] = ()


@dataclass(frozen=True)  # no slots: properties are cached
class Program:
    """What a call runs: allocations and kernels by name, steps in order, and its results.

    outputs names an allocation for each result. updates pairs a state with the temporary that
    holds its next value; planning memory turns each pair into work in place or a copy, and
    leaves none. reuses maps a temporary to the allocation whose memory it takes over.
    """

    allocations: tuple[Allocation, ...]
    kernels: tuple[Kernel, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    updates: tuple[tuple[str, str], ...] = ()
    reuses: tuple[tuple[str, str], ...] = ()
    decisions: tuple[Decision, ...] = field(default=(), compare=False)

    @property
    def calls(self) -> tuple[CallKernel, ...]:
        """The calls of kernels in the order in which they stand, those in loops once."""
        return tuple(step for step in walk_steps(self.steps) if isinstance(step, CallKernel))

    def allocation(self, name: str) -> Allocation:
        """The allocation of that name."""
        return self.allocations_by_name[name]

    def kernel(self, name: str) -> Kernel:
        """The kernel of that name."""
        return self.kernels_by_name[name]

    @cached_property
    def allocations_by_name(self) -> dict[str, Allocation]:
        """The allocations, each under its name."""
        return {a.name: a for a in self.allocations}

    @cached_property
    def kernels_by_name(self) -> dict[str, Kernel]:
        """The kernels, each under its name."""
        return {k.name: k for k in self.kernels}
