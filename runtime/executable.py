"""Executable: a compiled step, called with arrays and asked what it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.program import Decision, Program
from graphc.ir.state import TURN
from graphc.passes.memory_plan import MemoryPlan
from graphc.runtime.arguments import listed, match_arguments, to_array
from graphc.runtime.loaded import Array, Loaded
from graphc.runtime.report import report
from graphc.runtime.sizes import Sizes, check_given
from graphc.structure import Rebuild


class Memory:
    """The memory of a step: `memory.peak` in bytes, or `memory(batch=64).peak`.

    Sizes are given by name where the step has symbolic ones; the figures are known before any
    call, and are what a call with those sizes allocates.
    """

    def __init__(self, loaded: Loaded, sizes: Sizes) -> None:
        self.loaded = loaded
        self.sizes = sizes

    def __call__(self, **sizes: int) -> MemoryPlan:
        """The plan for given sizes; GraphError unless all symbolic ones follow from them."""
        names = self.sizes.names
        check_given(sizes, names)
        known = self.sizes.complete(sizes, "the given value")
        if set(known) != set(names):
            raise GraphError(
                f"the memory depends on the sizes {listed(names)}, "
                f"given were {listed(list(sizes))}: call step.memory(name=value, ...)"
            )
        return self.loaded.memory(known)

    @property
    def peak(self) -> int:
        """The bytes that a call needs at most, for a step without symbolic sizes."""
        return self().peak

    def __str__(self) -> str:
        if self.sizes.names:
            return f"memory depends on {listed(self.sizes.names)}: ask step.memory(name=size, ...)"
        return str(self())


class Executable:
    """A compiled step: call it with one array for each input, by position or by name.

    The result has the structure of the outputs that were compiled; arrays are new each time.
    Variables with updates change with each call. Calls from several threads take turns, also
    those of different steps, since steps share variables.
    """

    def __init__(self, graph: Graph, loaded: Loaded, structure: Rebuild, device: str) -> None:
        self.graph = graph
        self.loaded = loaded
        self.device = device
        self.structure = structure
        self.known: dict[tuple[tuple[int, ...], ...], dict[str, int]] = {}
        self.sizes = Sizes(graph)
        self.memory = Memory(loaded, self.sizes)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the step; GraphError for an argument that does not fit, before anything runs."""
        inputs = self.graph.inputs
        values = match_arguments(inputs, arguments, named)
        arrays = [to_array(node, value) for node, value in zip(inputs, values, strict=True)]
        sizes = self.sizes_for(arrays)
        with TURN:
            results = self.loaded.run(arrays, sizes)
        return self.structure(results)

    def sizes_for(self, arrays: Sequence[Array]) -> dict[str, int]:
        """The symbolic sizes that arguments decide; shapes are checked when they are new."""
        shapes = tuple(array.shape for array in arrays)
        if shapes not in self.known:
            self.known[shapes] = self.sizes.bind(arrays)
        return self.known[shapes]

    @property
    def program(self) -> Program:
        """The kernels, buffers and calls that run; GraphError on a device without kernels."""
        if self.loaded.program is None:
            raise GraphError(f"the device {self.device!r} runs the graph without a program")
        return self.loaded.program

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What the passes chose, and why, in order."""
        return self.loaded.decisions

    @property
    def seconds(self) -> Mapping[str, float]:
        """How long each stage of compiling took."""
        total: dict[str, float] = {}
        for stage, seconds in self.loaded.seconds:
            total[stage] = total.get(stage, 0.0) + seconds
        return total

    @property
    def llvm_ir(self) -> str:
        """The generated LLVM IR."""
        return self.loaded.code("llvm")

    @property
    def assembly(self) -> str:
        """The machine code as assembly text."""
        return self.loaded.code("assembly")

    def __str__(self) -> str:
        text = report(self.device, self.loaded)
        return text if self.loaded.program is None else f"{text}\n{self.memory}"
