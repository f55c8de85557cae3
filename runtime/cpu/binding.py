"""Binding: what calls of a step with the same sizes share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.program import Allocation, Program
from graphc.ir.types import TensorType
from graphc.passes.memory_plan import MemoryPlan, place
from graphc.runtime.cpu.work import Work
from graphc.runtime.loaded import Array
from graphc.runtime.recent import Recent
from graphc.runtime.sizes import shape_for


@dataclass(frozen=True)
class Binding:
    """A plan and tables for given sizes.

    sizes is the table that kernels read, shapes are those of the outputs. Allocation k lies at
    places[k], or that many bytes into the arena where in_arena[k] is -1 and not 0; the places of
    inputs and outputs are filled in by each call. nanoseconds says roughly how long a call takes.
    """

    plan: MemoryPlan
    sizes: Array
    shapes: tuple[tuple[int, ...], ...]
    places: Array
    in_arena: Array
    nanoseconds: float


class Bindings:
    """The bindings of a program, each made when a call has its sizes; the last ones are kept.

    sizes are those that kernels read, outputs the types of the arrays that a call makes.
    """

    def __init__(
        self, program: Program, sizes: Sequence[Size], outputs: Sequence[TensorType]
    ) -> None:
        self.program = program
        self.sizes = sizes
        self.outputs = outputs
        self.known: Recent[tuple[tuple[str, int], ...], Binding] = Recent()
        self.fixed = fixed_arrays(program.allocations)
        self.owners = dict(program.reuses)
        self.work = Work(program)

    def find(self, sizes: Mapping[str, int]) -> Binding:
        """The binding of given sizes."""
        key = tuple(sizes.items())
        binding = self.known.find(key)
        return self.known.enter(key, self.make(sizes)) if binding is None else binding

    def make(self, sizes: Mapping[str, int]) -> Binding:
        """A binding for sizes not met before."""
        plan = place(self.program, sizes)
        owners = [owner_of(a.name, self.owners) for a in self.program.allocations]
        places = [self.place(name, plan) for name in owners]
        table = [dim.evaluate(size, sizes) for size in self.sizes]
        return Binding(
            plan,
            np.array([*table, 0], np.int64),
            tuple(shape_for(tensor, sizes) for tensor in self.outputs),
            np.array(places, np.int64),
            np.array([-1 if name in plan.offsets else 0 for name in owners], np.int64),
            self.work.nanoseconds(sizes),
        )

    def place(self, name: str, plan: MemoryPlan) -> int:
        """Where a buffer lies, or how far into the arena; 0 for inputs and outputs."""
        array = self.fixed.get(name)
        return plan.offsets.get(name, 0) if array is None else address_of(array)


def address_of(array: Array) -> int:
    """Where an array's elements begin."""
    address: int = array.__array_interface__["data"][0]
    return address


def owner_of(name: str, reuses: Mapping[str, str]) -> str:
    """The allocation whose memory one takes over, in the end; itself if none."""
    while name in reuses:
        name = reuses[name]
    return name


def fixed_arrays(allocations: Sequence[Allocation]) -> dict[str, Array]:
    """The memory of variables and constants, which stays where it is from call to call."""
    states = {a.name: a.state.array for a in allocations if a.state is not None}
    return states | {a.name: a.value.array for a in allocations if a.value is not None}
