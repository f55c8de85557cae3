"""The device "cpu": passes, LLVM code, and one native call for a step."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.program import Decision, Program
from graphc.passes.assign_layouts import assign_layouts
from graphc.passes.block_sums import block_sums
from graphc.passes.choose import Plans, choosing
from graphc.passes.collapse_loops import collapse_loops
from graphc.passes.contract_temporaries import contract_temporaries
from graphc.passes.fuse import fuse
from graphc.passes.graph_passes import GRAPH_PASSES
from graphc.passes.interchange_loops import interchange_loops
from graphc.passes.join_rows import join_rows
from graphc.passes.lay_out_constants import lay_out_constants
from graphc.passes.lay_out_convolutions import lay_out_convolutions
from graphc.passes.lay_out_loops import lay_out_loops
from graphc.passes.lay_out_products import lay_out_products
from graphc.passes.lay_out_transposes import lay_out_transposes
from graphc.passes.lower import lower
from graphc.passes.machine import TYPICAL, Registers, predicting_for, typical
from graphc.passes.memory_plan import MemoryPlan
from graphc.passes.pipeline import Pass, Run, run_passes
from graphc.passes.plan_memory import plan_memory
from graphc.passes.split_convolutions import split_convolutions
from graphc.passes.split_loops import split_loops
from graphc.passes.split_reductions import split_reductions
from graphc.passes.stage_rows import stage_rows
from graphc.passes.store_past_cache import store_past_cache
from graphc.passes.tile_loops import tile_loops
from graphc.passes.use_winograd import use_winograd
from graphc.runtime.arguments import to_array
from graphc.runtime.cpu.arena import Arena
from graphc.runtime.cpu.binding import Binding, Bindings, address_of
from graphc.runtime.cpu.build import Built, build
from graphc.runtime.cpu.call import Records, why_not_native
from graphc.runtime.cpu.measure_machine import known_machine, machine
from graphc.runtime.cpu.pool import address as pool_address
from graphc.runtime.cpu.profiler import Profiler
from graphc.runtime.cpu.program_cache import compile_program
from graphc.runtime.cpu.target import host
from graphc.runtime.cpu.work import runs_of
from graphc.runtime.cpu.workshop import CpuWorkshop
from graphc.runtime.interface import interface_of
from graphc.runtime.loaded import Array, Options, Prepare
from graphc.runtime.profile import Profile
from graphc.runtime.search_schedules import search_schedules
from graphc.structure import Rebuild


def lay_out_convolutions_for_host(graph: Graph) -> Graph:
    """Lay out convolutions for a processor that loads by masks, or does not."""
    return lay_out_convolutions(graph, host().masks)


def tile_for_host(program: Program) -> Program:
    """Tile loops for the vector registers of this processor."""
    target = host()
    return tile_loops(program, Registers(target.vector_bits, target.registers))


# The passes that choose a schedule for each kernel, among those of equal bits.
SCHEDULES: tuple[Pass, ...] = (tile_for_host, join_rows, stage_rows)

PIPELINE: tuple[Pass, ...] = (
    *GRAPH_PASSES,
    use_winograd,
    split_convolutions,
    assign_layouts,
    lay_out_convolutions_for_host,
    lay_out_loops,
    lay_out_products,
    lay_out_transposes,
    lay_out_constants,
    fuse,
    lower,
    split_loops,
    collapse_loops,
    interchange_loops,
    block_sums,
    contract_temporaries,
    split_reductions,
    *SCHEDULES,
    plan_memory,
    store_past_cache,
)


def load(graph: Graph, options: Options) -> CpuStep:
    """A graph compiled for this processor; `use_winograd` is left out unless it is asked for."""
    passes = [change for change in PIPELINE if options.winograd or change is not use_winograd]
    if options.tune is not None:
        run = tuned(graph, passes, options.tune)
        return CpuStep(graph, run, build(run.result))
    known = known_machine() or TYPICAL
    with predicting_for(known):
        return CpuStep(graph, *compile_program(graph, passes, known))


def tuned(graph: Graph, passes: list[Pass], seconds: float) -> Run:
    """The passes run with schedules that were searched for, for at most so many seconds."""
    known = machine() if seconds else known_machine()
    plans = Plans()

    def tune(program: Program) -> Program:
        runs = {name: typical(times) for name, times in (runs_of(program) or {}).items()}
        footprint = sum(typical(a.type.size) * a.type.dtype.bytes for a in program.allocations)
        workshop = CpuWorkshop(SCHEDULES, footprint)
        plans.plans = search_schedules(program, workshop, seconds, runs)
        return program

    place = passes.index(SCHEDULES[0])
    with predicting_for(known or TYPICAL), choosing(plans):
        return run_passes(graph, [*passes[:place], tune, *passes[place:]])


class CpuStep:
    """A compiled program with its machine code and the memory it works in."""

    to_array = staticmethod(to_array)

    def __init__(self, graph: Graph, run: Run, built: Built) -> None:
        self.program: Program = run.result
        self.seconds = (*run.seconds, *built.seconds)
        self.found = built.found
        self.library = built.library
        self.interface = interface_of(graph, self.program)
        self.bindings = Bindings(
            self.program, built.keys.sizes, [output.type for output in self.interface.outputs]
        )
        self.arena = Arena()
        why_python = why_not_native()
        self.is_native = not why_python
        self.decisions = (*run.decisions, *self.program.decisions)
        if why_python:
            self.decisions += (Decision("call", "in Python", "calls", why_python),)

    @cached_property
    def step(self) -> Callable[[int, int, int], None]:
        """The step as ctypes calls it."""
        return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(self.library.address("step"))

    def native_call(self, prepare: Prepare, structure: Rebuild) -> Callable[..., Any] | None:
        """A built-in function that is the call of the step; None where there cannot be one."""
        if not self.is_native:
            return None
        address = self.library.address("step")
        records = Records(address, self.library, self.interface, self.bindings, prepare)
        return records.function(structure)

    def run(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> list[Array]:
        """One call through ctypes over the arguments, the variables, the arena and new outputs."""
        binding = self.bindings.find(sizes)
        outputs = self.interface.outputs
        made = [np.empty(shape, output.type.dtype.numpy)
                for shape, output in zip(binding.shapes, outputs, strict=True)]  # fmt: skip
        addresses = self.addresses(binding, [*arguments, *made])
        self.step(address_of(binding.sizes), pool_address(), address_of(addresses))
        return [made[r.output].copy() if r.repeated else made[r.output]
                for r in self.interface.results]  # fmt: skip

    def addresses(self, binding: Binding, owned: Sequence[Array]) -> Array:
        """Where each buffer lies, for arguments and outputs that the caller owns; in one arena."""
        self.arena.hold(binding.plan.arena)
        addresses: Array = binding.places + (self.arena.address & binding.in_arena)
        for buffer, array in zip(self.interface.caller_owned, owned, strict=True):
            addresses[buffer.slot] = address_of(array)
        return addresses

    def memory(self, sizes: Mapping[str, int]) -> MemoryPlan:
        """The plan for given sizes."""
        return self.bindings.find(sizes).plan

    @cached_property
    def profiler(self) -> Profiler:
        """The step with stamps, made when it is first asked for."""
        return Profiler(self.program)

    def profile(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> Profile:
        """Where the time of a step goes, from running it some times; variables are updated."""
        binding = self.bindings.find(sizes)
        outputs = zip(binding.shapes, self.interface.outputs, strict=True)
        made = [np.empty(shape, output.type.dtype.numpy) for shape, output in outputs]
        addresses = self.addresses(binding, [*arguments, *made])
        return self.profiler.profile(binding.sizes, addresses, sizes)

    def code(self, kind: str) -> str:
        """The LLVM text or the assembly."""
        codes = {"llvm": lambda: self.library.text, "assembly": lambda: self.library.assembly}
        if kind not in codes:
            raise GraphError(f"the device 'cpu' has no code {kind!r}: it has {', '.join(codes)}")
        return codes[kind]()
