"""The device "cpu": passes, LLVM code, and one native call for a step."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.program import Allocation, Program
from graphc.ir.types import TensorType
from graphc.passes.collapse_loops import collapse_loops
from graphc.passes.expand_while_gradient import expand_while_gradient
from graphc.passes.fold_constants import fold_constants
from graphc.passes.fuse import fuse
from graphc.passes.hoist_from_loops import hoist_from_loops
from graphc.passes.interchange_loops import interchange_loops
from graphc.passes.lay_out_convolutions import lay_out_convolutions
from graphc.passes.lay_out_products import lay_out_products
from graphc.passes.lower import lower
from graphc.passes.memory_plan import MemoryPlan, place
from graphc.passes.merge_loops import merge_loops
from graphc.passes.pipeline import Pass, Run, run_passes
from graphc.passes.plan_memory import plan_memory
from graphc.passes.register_tile import Registers
from graphc.passes.remove_custom_gradient import remove_custom_gradient
from graphc.passes.remove_dead_code import remove_dead_code
from graphc.passes.remove_duplicates import remove_duplicates
from graphc.passes.remove_stop_gradient import remove_stop_gradient
from graphc.passes.simplify import simplify
from graphc.passes.sink_from_loops import sink_from_loops
from graphc.passes.split_complex import split_complex
from graphc.passes.split_loops import split_loops
from graphc.passes.stabilise import stabilise
from graphc.passes.tile_loops import tile_loops
from graphc.passes.use_winograd import use_winograd
from graphc.runtime.cpu.emit import Emitted, emit
from graphc.runtime.cpu.jit import Library
from graphc.runtime.cpu.jit import load as load_code
from graphc.runtime.cpu.pool import address as pool_address
from graphc.runtime.cpu.target import host
from graphc.runtime.loaded import Array
from graphc.runtime.sizes import shape_for

ALIGNMENT = 64  # bytes: a cache line, and the widest vector

GRAPH_PASSES: tuple[Pass, ...] = (
    remove_stop_gradient,
    remove_custom_gradient,
    expand_while_gradient,
    merge_loops,
    split_complex,
    simplify,
    hoist_from_loops,
    sink_from_loops,
    stabilise,
    fold_constants,
    simplify,
    remove_duplicates,
    remove_dead_code,
)


def tile_for_host(program: Program) -> Program:
    """Tile loops for the vector registers of this processor."""
    target = host()
    return tile_loops(program, Registers(target.vector_bits, target.registers))


PIPELINE: tuple[Pass, ...] = (
    *GRAPH_PASSES,
    use_winograd,
    lay_out_convolutions,
    lay_out_products,
    fuse,
    lower,
    split_loops,
    collapse_loops,
    interchange_loops,
    tile_for_host,
    plan_memory,
)


def load(graph: Graph, winograd: bool = False) -> CpuStep:
    """A graph compiled for this processor; `use_winograd` is left out unless it is asked for."""
    passes = [change for change in PIPELINE if winograd or change is not use_winograd]
    run = run_passes(graph, passes)
    start = time.perf_counter()
    emitted = emit(run.result, host())
    middle = time.perf_counter()
    library = load_code(emitted.text)
    end = time.perf_counter()
    seconds = (*run.seconds, ("emit", middle - start), ("machine code", end - middle))
    types = [node.tensor for node in graph.outputs]
    return CpuStep(Run(run.result, run.decisions, seconds), emitted, library, types)


@dataclass
class Binding:
    """What calls with the same sizes share.

    sizes is the table that kernels read, shapes are those of the outputs. addresses holds where
    every allocation lies; those of inputs and outputs are filled in by each call, the others
    stay right as long as the arena is where it was.
    """

    plan: MemoryPlan
    sizes: Array
    shapes: list[tuple[int, ...]]
    addresses: Array
    arena: int = 0

    def __post_init__(self) -> None:
        self.sizes_address = address_of(self.sizes)
        self.addresses_address = address_of(self.addresses)


class CpuStep:
    """A compiled program with its machine code and the memory it works in.

    `types` are those of the results as the user's graph has them.
    """

    def __init__(
        self, run: Run, emitted: Emitted, library: Library, types: Sequence[TensorType]
    ) -> None:
        self.program: Program = run.result
        self.decisions = (*run.decisions, *self.program.decisions)
        self.seconds = run.seconds
        self.emitted = emitted
        self.library = library
        self.types = types
        self.step = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(library.address("step"))
        self.bindings: dict[tuple[tuple[str, int], ...], Binding] = {}
        self.arena = Arena()
        self.slots = {a.name: slot for slot, a in enumerate(self.program.allocations)}
        self.inputs = self.slots_of("input")
        self.outputs = self.slots_of("output")
        self.caller_owned = self.inputs + self.outputs
        self.output_dtypes = [self.program.allocations[k].type.dtype.numpy for k in self.outputs]
        self.fixed = fixed_arrays(self.program.allocations)

    def slots_of(self, kind: str) -> list[int]:
        """The places of the allocations of a kind among all."""
        return [k for k, a in enumerate(self.program.allocations) if a.kind == kind]

    def run(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> list[Array]:
        """One native call over the arguments, the variables, the arena and new outputs."""
        binding = self.bind(sizes)
        outputs = list(map(np.empty, binding.shapes, self.output_dtypes))
        self.settle(binding)
        for slot, array in zip(self.caller_owned, [*arguments, *outputs], strict=True):
            binding.addresses[slot] = address_of(array)
        self.step(binding.sizes_address, pool_address(), binding.addresses_address)
        return self.results(outputs)

    def bind(self, sizes: Mapping[str, int]) -> Binding:
        """The plan for given sizes, made on their first call and remembered."""
        key = tuple(sizes.items())
        if key not in self.bindings:
            table = [dim.evaluate(size, sizes) for size in self.emitted.sizes]
            shapes = [shape_for(self.program.allocations[k].type, sizes) for k in self.outputs]
            plan = place(self.program, sizes)
            addresses = np.zeros(len(self.slots), np.uint64)
            self.bindings[key] = Binding(plan, np.array([*table, 0], np.int64), shapes, addresses)
        return self.bindings[key]

    def settle(self, binding: Binding) -> None:
        """Have an arena of the right size, and a binding's addresses in it."""
        self.arena.hold(binding.plan.arena)
        if binding.arena != self.arena.address:
            binding.arena = self.arena.address
            owners = dict(self.program.reuses)
            for name, slot in self.slots.items():
                binding.addresses[slot] = self.address(binding, owner_of(name, owners))

    def address(self, binding: Binding, name: str) -> int:
        """Where an allocation lies; 0 for inputs and outputs, which differ with each call."""
        if name in self.fixed:
            return address_of(self.fixed[name])
        offset = binding.plan.offsets.get(name)
        return 0 if offset is None else self.arena.address + offset

    def results(self, outputs: Sequence[Array]) -> list[Array]:
        """One array for each output; one that stands twice is given twice, not shared."""
        names = (self.program.allocations[slot].name for slot in self.outputs)
        arrays = dict(zip(names, outputs, strict=True))
        fresh = dict(arrays)
        found = [fresh.pop(n) if n in fresh else arrays[n].copy() for n in self.program.outputs]
        return [as_declared(*pair) for pair in zip(found, self.types, strict=True)]

    def memory(self, sizes: Mapping[str, int]) -> MemoryPlan:
        """The plan for given sizes."""
        return self.bind(sizes).plan

    def code(self, kind: str) -> str:
        """The LLVM text or the assembly."""
        codes = {"llvm": lambda: self.emitted.text, "assembly": lambda: self.library.assembly}
        if kind not in codes:
            raise GraphError(f"the device 'cpu' has no code {kind!r}: it has {', '.join(codes)}")
        return codes[kind]()


def as_declared(array: Array, kind: TensorType) -> Array:
    """A result as the user's graph has it: pairs of parts are seen as complex numbers."""
    if not kind.dtype.is_complex:
        return array
    return array.reshape(-1).view(kind.dtype.numpy).reshape(array.shape[:-1])


class Arena:
    """One block of memory for all temporaries of a call, aligned for vectors."""

    def __init__(self) -> None:
        self.bytes = 0
        self.block: np.ndarray[Any, Any] = np.empty(ALIGNMENT, np.uint8)
        self.address = aligned(self.block)

    def hold(self, size: int) -> None:
        """Have exactly this many bytes; what was in them is lost when their number changes."""
        if size != self.bytes:
            self.block = np.empty(size + ALIGNMENT, np.uint8)
            self.address = aligned(self.block)
            self.bytes = size


def aligned(block: Array) -> int:
    """The first aligned byte of a block."""
    return -(-address_of(block) // ALIGNMENT) * ALIGNMENT


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
