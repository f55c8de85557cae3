"""A step on a device with memory of its own: what `load` of such a device gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.node import Node, made_at
from graphc.ir.program import Allocation, Decision, Program
from graphc.ir.turn import turn
from graphc.ir.types import DType
from graphc.passes.memory_plan import ALIGNMENT, MemoryPlan, aligned, place
from graphc.runtime.accelerator.arguments import argument
from graphc.runtime.accelerator.device_array import DeviceArray, empty_array
from graphc.runtime.accelerator.failures import does_not_fit, failed
from graphc.runtime.accelerator.launches import Launches
from graphc.runtime.accelerator.machine import Place
from graphc.runtime.accelerator.pipeline import Translated, pipeline_of, translate
from graphc.runtime.accelerator.profiler import profile
from graphc.runtime.accelerator.residence import Residence
from graphc.runtime.accelerator.workshop import translate_tuned
from graphc.runtime.interface import Result, interface_of
from graphc.runtime.loaded import Options, Prepare
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

    def __init__(
        self, graph: Graph, translated: Translated, residence: Residence, options: Options
    ) -> None:
        self.stays = options.results == "device"
        self.program: Program = translated.program
        self.translated = translated
        self.residence = residence
        self.machine = residence.machine
        self.seconds = translated.run.seconds
        self.chosen = (*translated.run.decisions, *self.program.decisions)
        self.interface = interface_of(graph, self.program)
        updated = {id(target.attrs["state"].users) for target, _ in graph.updates}
        self.states = [a for a in self.program.allocations if a.state is not None]
        self.updated = [a for a in self.states if a.state and id(a.state.users) in updated]
        self.owners = dict(self.program.reuses)
        module = translated.module
        functions = zip(module.entries, self.machine.build(module), strict=True)
        names = [kernel.name for kernel in self.program.kernels]
        self.kernels = dict(zip(names, functions, strict=True))
        self.constants = {
            a.name: self.constant(a) for a in self.program.allocations if a.value is not None
        }
        self.words = [*self.interface.readers, *self.interface.changed]
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

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What the passes chose, and how each binding of the sizes so far is launched."""
        return (*self.chosen, *(b.launches.decision for b in self.bindings.values()))

    def to_array(self, node: Node, value: Any) -> Any:
        """An argument, which is not copied where it lies on the device."""
        return argument(self.machine, node, value)

    def native_call(self, prepare: Prepare, structure: Rebuild) -> Callable[..., Any]:
        """A call in which variables stay on the device."""

        def call(*arguments: Any, **named: Any) -> Any:
            given = prepare(*arguments, **named)
            if self.stays and given.results:
                raise GraphError("results that stay on the device go into no arrays given as out")
            with turn(self.words, self.residence):
                results = self.run(given.arrays, given.sizes)
            for target, result in zip(given.results, results, strict=False):
                np.copyto(target, result)
            return structure(given.results or results)

        return call

    def run(self, arguments: Sequence[Any], sizes: Mapping[str, int]) -> list[Any]:
        """One call: inputs and variables to the device, the launches, the outputs back."""
        binding = self.prepared(arguments, sizes)
        results = [self.empty(result, sizes) for result in self.interface.results]
        launched = False
        try:
            binding.launches.run()
            launched = True
            self.fetch(binding, results)
        except BaseException as error:
            if isinstance(error, GraphError):
                error = failed(self.machine.dialect, self.translated.module, error)
            if not launched or isinstance(error, GraphError):
                self.residence.lose(self.updated, str(error) or type(error).__name__)
            raise error from None
        self.residence.note_changes(self.updated)
        if self.stays and any(isinstance(a, DeviceArray) and a.borrowed for a in arguments):
            self.machine.finish()  # their owner may use the memory again
        return results

    def prepared(self, arguments: Sequence[Any], sizes: Mapping[str, int]) -> Binding:
        """The binding of given sizes, with the arguments and variables in their places."""
        self.residence.check_process()
        binding = self.binding(sizes)
        for state in self.states:
            self.residence.take(state)
        for buffer, array in zip(self.interface.inputs, arguments, strict=True):
            where = binding.places[self.program.allocations[buffer.slot].name]
            if isinstance(array, DeviceArray):
                self.machine.copy(array.place, where, array.nbytes)
            else:
                self.machine.write(where.memory, where.offset, array)
        return binding

    def empty(self, result: Result, sizes: Mapping[str, int]) -> Any:
        """An array for a result, on the device or on the host, made before anything runs."""
        buffer = self.interface.outputs[result.output]
        shape = shape_for(buffer.type, sizes)
        if self.stays:
            return empty_array(self.machine, buffer.type.dtype, shape)
        return np.empty(shape, buffer.type.dtype.numpy)

    def fetch(self, binding: Binding, results: Sequence[Any]) -> None:
        """Copy results to where they are wanted."""
        for array, result in zip(results, self.interface.results, strict=True):
            buffer = self.interface.outputs[result.output]
            where = binding.places[self.program.allocations[buffer.slot].name]
            if self.stays:
                self.machine.copy(where, array.place, array.nbytes)
            else:
                self.machine.read(where.memory, where.offset, array)

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
                places[allocation.name] = Place(self.residence.memory(allocation), 0)
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
        needed = max(end, ALIGNMENT)
        try:
            memory = self.machine.allocate(needed)
        except GraphError as error:
            raise does_not_fit(self.program, sizes, needed, error) from None
        return {name: Place(memory, offset) for name, offset in offsets.items()}

    def owner(self, name: str) -> str:
        """The allocation whose memory one takes over, in the end."""
        while name in self.owners:
            name = self.owners[name]
        return name

    def memory(self, sizes: Mapping[str, int]) -> MemoryPlan:
        """The plan for given sizes."""
        return place(self.program, sizes)

    def profile(self, arguments: Sequence[Any], sizes: Mapping[str, int]) -> Profile:
        """Where the time of a step goes, from running it some times; variables are updated."""
        with turn(self.words, self.residence):
            places = self.prepared(arguments, sizes).places
            self.residence.note_changes(self.updated)
            return profile(self.machine, self.program, self.kernels, places, sizes)

    def code(self, kind: str) -> str:
        """The source text."""
        if kind != "source":
            name = self.machine.dialect.name
            raise GraphError(f"the device {name!r} has no code {kind!r}: it has source")
        return self.translated.module.text


def load_on(graph: Graph, residence: Residence, options: Options) -> AcceleratorStep:
    """A graph compiled for a machine; GraphError where it cannot compute with a dtype."""
    residence.check_process()
    machine = residence.machine
    for node in graph.walk():
        dtype = getattr(node.type, "dtype", None)
        if isinstance(dtype, DType) and (why := machine.why_not(dtype)):
            raise GraphError(f"{why}: {node!r}{made_at(node)}", node.where)
    passes = pipeline_of(machine.dialect, options.tf32)
    if options.tune is None:
        translated = translate(graph, machine.dialect, passes)
    else:
        translated = translate_tuned(graph, machine, passes, options.tune)
    return AcceleratorStep(graph, translated, residence, options)
