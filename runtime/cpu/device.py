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
from graphc.passes.collapse_loops import collapse_loops
from graphc.passes.fold_constants import fold_constants
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower
from graphc.passes.memory_plan import MemoryPlan, place
from graphc.passes.pipeline import Pass, Run, run_passes
from graphc.passes.plan_memory import plan_memory
from graphc.passes.register_tile import Registers
from graphc.passes.remove_duplicates import remove_duplicates
from graphc.passes.remove_stop_gradient import remove_stop_gradient
from graphc.passes.simplify import simplify
from graphc.passes.stabilise import stabilise
from graphc.passes.tile_loops import tile_loops
from graphc.runtime.arguments import shape_for
from graphc.runtime.cpu.emit import Emitted, emit
from graphc.runtime.cpu.jit import Library
from graphc.runtime.cpu.jit import load as load_code
from graphc.runtime.cpu.pool import address as pool_address
from graphc.runtime.cpu.target import host
from graphc.runtime.loaded import Array

ALIGNMENT = 64  # bytes: a cache line, and the widest vector

GRAPH_PASSES: tuple[Pass, ...] = (
    remove_stop_gradient,
    simplify,
    stabilise,
    fold_constants,
    simplify,
    remove_duplicates,
)


def tile_for_host(program: Program) -> Program:
    """Tile loops for the vector registers of this processor."""
    target = host()
    return tile_loops(program, Registers(target.vector_bits, target.registers))


PIPELINE: tuple[Pass, ...] = (
    *GRAPH_PASSES,
    fuse,
    lower,
    collapse_loops,
    tile_for_host,
    plan_memory,
)


def load(graph: Graph) -> CpuStep:
    """A graph compiled for this processor."""
    run = run_passes(graph, PIPELINE)
    start = time.perf_counter()
    emitted = emit(run.result, host())
    middle = time.perf_counter()
    library = load_code(emitted.text)
    end = time.perf_counter()
    seconds = (*run.seconds, ("emit", middle - start), ("machine code", end - middle))
    return CpuStep(Run(run.result, run.decisions, seconds), emitted, library)


@dataclass(frozen=True, slots=True)
class Binding:
    """What calls with the same sizes share: the memory plan, size table and shapes of outputs."""

    plan: MemoryPlan
    sizes: Array
    shapes: dict[str, tuple[int, ...]]


class CpuStep:
    """A compiled program with its machine code and the memory it works in."""

    def __init__(self, run: Run, emitted: Emitted, library: Library) -> None:
        self.program: Program | None = run.result
        self.decisions = run.decisions
        self.seconds = run.seconds
        self.emitted = emitted
        self.library = library
        self.step = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(library.address("step"))
        self.bindings: dict[tuple[tuple[str, int], ...], Binding] = {}
        self.arena = Arena()
        self.allocations: tuple[Allocation, ...] = run.result.allocations
        self.inputs = [a for a in self.allocations if a.kind == "input"]
        self.reuses = dict(run.result.reuses)
        self.fixed = fixed_arrays(self.allocations)

    def run(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> list[Array]:
        """One native call over the arguments, the variables, the arena and new outputs."""
        binding = self.bind(sizes)
        self.arena.hold(binding.plan.arena)
        arrays = dict(zip((a.name for a in self.inputs), arguments, strict=True))
        outputs = self.new_outputs(binding)
        pointers = self.pointers(binding, {**arrays, **outputs, **self.fixed})
        self.step(binding.sizes.ctypes.data, pool_address(), pointers.ctypes.data)
        return self.results(outputs)

    def bind(self, sizes: Mapping[str, int]) -> Binding:
        """The plan for given sizes, made on their first call and remembered."""
        key = tuple(sorted(sizes.items()))
        if key not in self.bindings:
            assert self.program is not None
            table = [dim.evaluate(size, sizes) for size in self.emitted.sizes]
            shapes = {a.name: shape_for(a.type, sizes) for a in self.allocations
                      if a.kind == "output"}  # fmt: skip
            plan = place(self.program, sizes)
            self.bindings[key] = Binding(plan, np.array([*table, 0], np.int64), shapes)
        return self.bindings[key]

    def new_outputs(self, binding: Binding) -> dict[str, Array]:
        """Fresh arrays for the results."""
        return {
            a.name: np.empty(binding.shapes[a.name], a.type.dtype.numpy)
            for a in self.allocations
            if a.kind == "output"
        }

    def pointers(self, binding: Binding, arrays: Mapping[str, Array]) -> Array:
        """The address of every allocation, in order."""
        addresses = np.zeros(len(self.allocations), np.uint64)
        for slot, allocation in enumerate(self.allocations):
            owner = self.owner(allocation.name)
            if owner in arrays:
                addresses[slot] = arrays[owner].ctypes.data
            else:
                addresses[slot] = self.arena.address + binding.plan.offsets[owner]
        return addresses

    def owner(self, name: str) -> str:
        """The allocation whose memory one takes over, in the end; itself if none."""
        while name in self.reuses:
            name = self.reuses[name]
        return name

    def results(self, outputs: Mapping[str, Array]) -> list[Array]:
        """One array for each output; an output that stands twice is given twice, not shared."""
        assert self.program is not None
        given: set[str] = set()
        results: list[Array] = []
        for name in self.program.outputs:
            results.append(outputs[name].copy() if name in given else outputs[name])
            given.add(name)
        return results

    def memory(self, sizes: Mapping[str, int]) -> MemoryPlan:
        """The plan for given sizes."""
        return self.bind(sizes).plan

    def code(self, kind: str) -> str:
        """The LLVM text or the assembly."""
        codes = {"llvm": lambda: self.emitted.text, "assembly": lambda: self.library.assembly}
        if kind not in codes:
            raise GraphError(f"the device 'cpu' has no code {kind!r}: it has {', '.join(codes)}")
        return codes[kind]()


class Arena:
    """One block of memory for all temporaries of a call, aligned for vectors."""

    def __init__(self) -> None:
        self.bytes = 0
        self.block: np.ndarray[Any, Any] = np.empty(ALIGNMENT, np.uint8)

    def hold(self, size: int) -> None:
        """Have exactly this many bytes; what was in them is lost when their number changes."""
        if size != self.bytes:
            self.block = np.empty(size + ALIGNMENT, np.uint8)
            self.bytes = size

    @property
    def address(self) -> int:
        """The first aligned byte."""
        return -(-self.block.ctypes.data // ALIGNMENT) * ALIGNMENT


def fixed_arrays(allocations: Sequence[Allocation]) -> dict[str, Array]:
    """The memory of variables and constants, which stays where it is from call to call."""
    states = {a.name: a.state.array for a in allocations if a.state is not None}
    return states | {a.name: a.value.array for a in allocations if a.value is not None}
