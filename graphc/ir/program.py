"""Program: a whole step as data; buffers, kernels, and the calls in order.

    program {
      input %x: f32[batch, 784]
      state %w: f32[784, 256]
      constant %c = ...
      temporary %t0: f32[batch, 256]
      output %y: f32[batch, 256]
      call @matmul_0(%x, %w, %t0)
      ...
    }

The text form says all of it but the values of states.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from graphc.ir.dim import Size
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
    """Runs a kernel; arguments are names of allocations, in the order of the kernel's buffers."""

    kernel: str
    arguments: tuple[str, ...]


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
    """A step: allocations and kernels by name, calls in order, and its results.

    outputs names an allocation for each result. updates pairs a state with the temporary that
    holds its next value; planning memory turns each pair into work in place or a copy, and
    leaves none. reuses maps a temporary to the allocation whose memory it takes over.
    """

    allocations: tuple[Allocation, ...]
    kernels: tuple[Kernel, ...]
    calls: tuple[CallKernel, ...]
    outputs: tuple[str, ...]
    updates: tuple[tuple[str, str], ...] = ()
    reuses: tuple[tuple[str, str], ...] = ()
    decisions: tuple[Decision, ...] = field(default=(), compare=False)

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
