"""Executable: a compiled step, called with arrays and asked what it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.program import Decision, Program
from graphc.ir.turn import turn
from graphc.passes.memory_plan import MemoryPlan
from graphc.runtime.arguments import listed
from graphc.runtime.loaded import Loaded, Prepare
from graphc.runtime.prepare import Preparation
from graphc.runtime.profile import Profile
from graphc.runtime.report import report
from graphc.runtime.sizes import Sizes, check_given
from graphc.structure import Rebuild


class Memory:
    """The memory of a step: `memory.peak` in bytes, or `memory(batch=64).peak`.

    Sizes are given by name where the step has symbolic ones; the figures are known before any
    call, and are what a call with those sizes allocates. Calls in flight at the same time have an
    arena each, and one left by a call with other sizes serves if it is at most twice as large.
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


class PythonCall:
    """A call step by step in Python, where there is no native one."""

    def __init__(self, graph: Graph, loaded: Loaded, prepare: Prepare, structure: Rebuild) -> None:
        self.loaded = loaded
        self.prepare = prepare
        self.structure = structure
        variables = {*graph.variables, *(target for target, _ in graph.updates)}
        self.users = [variable.attrs["state"].users for variable in variables]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run the step in its turn."""
        call = self.prepare(*arguments, **named)
        with turn(self.users):
            results = self.loaded.run(call.arrays, call.sizes)
        for given, result in zip(call.results, results, strict=False):
            np.copyto(given, result)
        return self.structure(call.results or results)


class Executable:
    """A compiled step: call it with one array for each input, by position or by name.

    The result has the structure of the outputs that were compiled. Its arrays are new each time,
    unless the argument `out` gives arrays to write into: in the same structure, of the outputs'
    dtypes and shapes, contiguous, and apart from the arguments. (Where an input is named "out",
    that is what the name means.) Raises GraphError for an argument that does not fit, before
    anything runs.

    Variables with updates change with each call. Any number of threads may call steps: those that
    use the same variables take turns where one changes them, all others run side by side.
    """

    __slots__ = {"__call__": "Run the step.", "__dict__": "", "__weakref__": ""}

    __call__: Callable[..., Any]
    """A field, not a method: what is called is the function that the device made for the step."""

    def __init__(self, graph: Graph, loaded: Loaded, structure: Rebuild, device: str) -> None:
        self.graph = graph
        self.loaded = loaded
        self.device = device
        self.structure = structure
        self.prepare = prepare = Preparation(graph, structure, loaded.to_array)
        self.memory = Memory(loaded, prepare.sizes)
        self.__call__ = loaded.native_call(prepare, structure) or PythonCall(
            graph, loaded, prepare, structure
        )

    @property
    def program(self) -> Program:
        """The kernels, buffers and calls that run; GraphError on a device without kernels."""
        if self.loaded.program is None:
            raise GraphError(f"the device {self.device!r} runs the graph without a program")
        return self.loaded.program

    def profile(self, *arguments: Any, **named: Any) -> Profile:
        """Run the step again and again for half a second, and say where its time goes.

        Takes the arguments of a call. Print the result for a table: of each call of a kernel the
        time, the share, the rates that it reaches, and the user's lines; or go through its
        `calls`. The step runs on as many threads as usual. Variables are afterwards as they were
        before. It needs code of its own, made on first use; calls stay as fast as they were.
        Raises GraphError for an argument that does not fit, and on a device that times no kernels.
        """
        call = self.prepare(*arguments, **named)
        states = [variable.attrs["state"] for variable in self.graph.variables]
        with turn([state.users for state in states]):
            before = [state.array.copy() for state in states]
            try:
                return self.loaded.profile(call.arrays, call.sizes)
            finally:
                with turn([state.users for state in states], assigns=True):
                    for state, array in zip(states, before, strict=True):
                        state.array[...] = array

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
    def source(self) -> str:
        """The generated C, on a device that takes C."""
        return self.loaded.code("source")

    @property
    def assembly(self) -> str:
        """The machine code as assembly text."""
        return self.loaded.code("assembly")

    def __str__(self) -> str:
        text = report(self.device, self.loaded)
        return text if self.loaded.program is None else f"{text}\n{self.memory}"
