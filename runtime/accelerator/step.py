"""A step on a device with memory of its own: what `load` of such a device gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.node import made_at
from graphc.ir.program import Allocation, Decision, Program
from graphc.ir.turn import turn
from graphc.ir.types import DType
from graphc.passes.memory_plan import ALIGNMENT, MemoryPlan, aligned, place
from graphc.runtime.accelerator.launches import Launches, Place
from graphc.runtime.accelerator.pipeline import Translated, translate
from graphc.runtime.accelerator.residence import Residence
from graphc.runtime.accelerator.workshop import translate_tuned
from graphc.runtime.interface import interface_of
from graphc.runtime.loaded import Array, Prepare
from graphc.runtime.profile import Profile
from graphc.runtime.sizes import shape_for
from graphc.structure import Rebuild

BINDINGS = 8
"""Bindings of the symbolic sizes whose memory is kept; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What calls with the same sizes share: the plan, where everything lies, and the launches."""

    plan: MemoryPlan
    places: Mapping[str, Place]
    launches: Launches


class AcceleratorStep:
    """A compiled program, built for a machine, with the memory that it works in."""

    def __init__(self, graph: Graph, translated: Translated, residence: Residence) -> None:
        self.program: Program = translated.program
        self.translated = translated
        self.residence = residence
        self.machine = residence.machine
        self.seconds = translated.run.seconds
        self.decisions: tuple[Decision, ...] = (
            *translated.run.decisions, *self.program.decisions,
        )  # fmt: skip
        self.interface = interface_of(graph, self.program)
        self.updated = {id(target.attrs["state"].users) for target, _ in graph.updates}
        self.states = [a.state for a in self.program.allocations if a.state is not None]
        self.owners = dict(self.program.reuses)
        module = translated.module
        functions = zip(module.entries, self.machine.build(module), strict=True)
        names = [kernel.name for kernel in self.program.kernels]
        self.kernels = dict(zip(names, functions, strict=True))
        self.constants = {
            a.name: self.constant(a) for a in self.program.allocations if a.value is not None
        }
        self.bindings: dict[tuple[tuple[str, int], ...], Binding] = {}

    @property
    def found(self) -> int:
        """0: what the device's compiler keeps for later is its own affair."""
        return 0

    def constant(self, allocation: Allocation) -> Place:
        """The memory of a constant."""
        assert allocation.value is not None
        array = np.ascontiguousarray(allocation.value.array)
        memory = self.machine.allocate(array.nbytes)
        self.machine.write(memory, 0, array)
        return Place(memory, 0)

    def native_call(self, prepare: Prepare, structure: Rebuild) -> Callable[..., Any]:
        """A call in which variables stay on the device."""
        words = [*self.interface.readers, *self.interface.changed]

        def call(*arguments: Any, **named: Any) -> Any:
            given = prepare(*arguments, **named)
            with turn(words, self.residence):
                results = self.run(given.arrays, given.sizes)
            for target, result in zip(given.results, results, strict=False):
                np.copyto(target, result)
            return structure(given.results or results)

        return call

    def run(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> list[Array]:
        """One call: inputs and variables to the device, the launches, the outputs back."""
        binding = self.binding(sizes)
        allocations = self.program.allocations
        for state in self.states:
            self.residence.take(state, id(state.users) in self.updated)
        for buffer, array in zip(self.interface.inputs, arguments, strict=True):
            where = binding.places[allocations[buffer.slot].name]
            self.machine.write(where.memory, where.offset, array)
        binding.launches.run()
        made = []
        for buffer in self.interface.outputs:
            where = binding.places[allocations[buffer.slot].name]
            made.append(np.empty(shape_for(buffer.type, sizes), buffer.type.dtype.numpy))
            self.machine.read(where.memory, where.offset, made[-1])
        return [made[r.output].copy() if r.repeated else made[r.output]
                for r in self.interface.results]  # fmt: skip

    def binding(self, sizes: Mapping[str, int]) -> Binding:
        """The binding of given sizes."""
        key = tuple(sizes.items())
        if key not in self.bindings:
            while len(self.bindings) >= BINDINGS:
                del self.bindings[next(iter(self.bindings))]
            self.bindings[key] = self.make_binding(sizes)
        return self.bindings[key]

    def make_binding(self, sizes: Mapping[str, int]) -> Binding:
        """Memory for given sizes, and launches over it."""
        plan = place(self.program, sizes)
        places = self.arena(plan, sizes) | self.constants
        for allocation in self.program.allocations:
            if allocation.state is not None:
                places[allocation.name] = Place(self.residence.memory(allocation.state), 0)
        places |= {new: places[self.owner(new)] for new in self.owners}
        launches = Launches(self.machine, self.program, self.kernels, places, sizes)
        return Binding(plan, places, launches)

    def arena(self, plan: MemoryPlan, sizes: Mapping[str, int]) -> dict[str, Place]:
        """Places for temporaries, inputs and outputs in one block of memory."""
        offsets, end = dict(plan.offsets), aligned(plan.arena)
        for allocation in self.program.allocations:
            if allocation.kind in ("input", "output"):
                offsets[allocation.name] = end
                end += aligned(dim.evaluate(allocation.bytes, sizes))
        memory = self.machine.allocate(max(end, ALIGNMENT))
        return {name: Place(memory, offset) for name, offset in offsets.items()}

    def owner(self, name: str) -> str:
        """The allocation whose memory one takes over, in the end."""
        while name in self.owners:
            name = self.owners[name]
        return name

    def memory(self, sizes: Mapping[str, int]) -> MemoryPlan:
        """The plan for given sizes."""
        return place(self.program, sizes)

    def profile(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> Profile:
        """Refused: launches are not timed."""
        name = self.machine.dialect.name
        raise GraphError(f"the device {name!r} does not time its kernels: profile on 'cpu'")

    def code(self, kind: str) -> str:
        """The source text."""
        if kind != "source":
            name = self.machine.dialect.name
            raise GraphError(f"the device {name!r} has no code {kind!r}: it has source")
        return self.translated.module.text


def load_on(graph: Graph, residence: Residence, tune: float | None = None) -> AcceleratorStep:
    """A graph compiled for a machine; GraphError where it cannot compute with a dtype.

    tune is how many seconds to search for schedules, or None for the usual ones.
    """
    machine = residence.machine
    for node in graph.walk():
        dtype = getattr(node.type, "dtype", None)
        if isinstance(dtype, DType) and (why := machine.why_not(dtype)):
            raise GraphError(f"{why}: {node!r}{made_at(node)}", node.where)
    if tune is None:
        return AcceleratorStep(graph, translate(graph, machine.dialect), residence)
    return AcceleratorStep(graph, translate_tuned(graph, machine, tune), residence)
