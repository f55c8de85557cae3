"""A step on a device with memory of its own: what `load` of such a device gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.node import Node, made_at
from graphc.ir.program import Allocation, Decision, Program
from graphc.ir.turn import RETURNS, turn
from graphc.ir.types import DType
from graphc.passes.memory_plan import ALIGNMENT, MemoryPlan, aligned, place
from graphc.runtime.accelerator.arguments import argument
from graphc.runtime.accelerator.binding import Binding, given_by_calls, targets_of
from graphc.runtime.accelerator.device_array import DeviceArray
from graphc.runtime.accelerator.failures import does_not_fit, failed
from graphc.runtime.accelerator.launches import Launches
from graphc.runtime.accelerator.machine import Machine, NothingLaunchedError, Place
from graphc.runtime.accelerator.pipeline import Translated, pipeline_of, translate
from graphc.runtime.accelerator.profiler import profile
from graphc.runtime.accelerator.residence import Residence
from graphc.runtime.accelerator.workshop import translate_tuned
from graphc.runtime.interface import interface_of
from graphc.runtime.loaded import Options, Prepare
from graphc.runtime.profile import Profile
from graphc.structure import Rebuild

BINDINGS = 8
"""Bindings of the symbolic sizes whose memory is kept; the oldest goes first."""


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
        self.words = (*self.interface.readers, *self.interface.changed)
        self.settled = self.noted = -1
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
            with turn(self.words, self.residence, settled=self.settled):
                results = self.run(given.arrays, given.sizes)
            for target, result in zip(given.results, results, strict=False):
                np.copyto(target, result)
            return structure(given.results or results)

        return call

    def run(self, arguments: Sequence[Any], sizes: Mapping[str, int]) -> list[Any]:
        """One call: inputs and variables to the device, the launches, the outputs back."""
        binding = self.prepared(sizes)
        try:
            results = self.launch(binding, binding.bring(arguments))
        except BaseException:
            with suppress(GraphError):
                self.let_go(arguments)
            raise
        self.let_go(arguments)
        return results

    def launch(self, binding: Binding, memories: list[Any]) -> list[Any]:
        """The results of the launches; the variables are as the device has them afterwards."""
        results = binding.empty()
        launched = False
        try:
            binding.launches.run([*memories, *binding.given(results)])
            launched = True
            binding.fetch(results)
        except NothingLaunchedError as error:
            raise failed(self.machine.dialect, self.translated.module, error) from None
        except BaseException as error:
            if isinstance(error, GraphError):
                error = failed(self.machine.dialect, self.translated.module, error)
            if not launched or isinstance(error, GraphError):
                self.residence.lose(self.updated, str(error) or type(error).__name__)
            else:
                self.note_changes()
            raise error from None
        self.note_changes()
        return results

    def let_go(self, arguments: Sequence[Any]) -> None:
        """Wait for the device where others own what it reads: they may use the memory again."""
        if any(isinstance(array, DeviceArray) and array.borrowed for array in arguments):
            self.machine.finish()

    def prepared(self, sizes: Mapping[str, int]) -> Binding:
        """The binding of given sizes, with the variables on the device."""
        self.residence.check_process()
        binding = self.binding(sizes)
        if self.settled != RETURNS[0]:
            for state in self.states:
                self.residence.take(state)
            self.settled = int(RETURNS[0])
        return binding

    def note_changes(self) -> None:
        """Say that the variables with updates have new values, unless that is known."""
        if self.noted != RETURNS[0]:
            self.residence.note_changes(self.updated)
            self.noted = int(RETURNS[0])

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
        inputs, outputs = (self.names_of(kind) for kind in ("input", "output"))
        given = given_by_calls(self.program, inputs + (outputs if self.stays else []), sizes)
        kept = [name for name in (*plan.offsets, *inputs, *outputs) if name not in given]
        places = self.arena(plan, kept, sizes) | self.constants
        places |= {name: Place(memory, 0) for name, memory in given.items()}
        for allocation in self.states:
            places[allocation.name] = Place(self.residence.memory(allocation), 0)
        places |= {new: places[self.owner(new)] for new in self.owners}
        targets = targets_of(self.interface, outputs, sizes)
        firsts = {t.output: at for at, t in enumerate(targets) if t.same is None}
        return Binding(
            self.machine,
            plan,
            places,
            Launches(self.machine, self.program, self.kernels, places, sizes),
            inputs,
            targets,
            [firsts[name] for name in outputs if name in given],
            self.stays,
            partial(allocate, self.machine, self.program, sizes),
        )

    def names_of(self, kind: str) -> list[str]:
        """The allocations of a kind in order."""
        return [a.name for a in self.program.allocations if a.kind == kind]

    def arena(
        self, plan: MemoryPlan, names: Iterable[str], sizes: Mapping[str, int]
    ) -> dict[str, Place]:
        """Places for temporaries, and for inputs and outputs that are copied, in one block."""
        offsets, end = dict(plan.offsets), aligned(plan.arena)
        for name in names:
            if name not in offsets:
                offsets[name] = end
                end += aligned(dim.evaluate(self.program.allocation(name).bytes, sizes))
        if not offsets:
            return {}
        memory = allocate(self.machine, self.program, sizes, max(end, ALIGNMENT))
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
            binding = self.prepared(sizes)
            memories = [*binding.bring(arguments), *binding.given(binding.empty())]
            self.note_changes()
            places = binding.places
            return profile(self.machine, self.program, self.kernels, places, sizes, memories)

    def code(self, kind: str) -> str:
        """The source text."""
        if kind != "source":
            name = self.machine.dialect.name
            raise GraphError(f"the device {name!r} has no code {kind!r}: it has source")
        return self.translated.module.text


def allocate(machine: Machine, program: Program, sizes: Mapping[str, int], size: int) -> Any:
    """Memory for a call with given sizes; GraphError that counts what such a call needs."""
    try:
        return machine.allocate(size)
    except GraphError as error:
        raise does_not_fit(program, sizes, error) from None


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
