"""A device's workshop: kernels built one by one and timed on data of their own."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.kernel import Buffer, Kernel
from graphc.ir.program import Program
from graphc.passes.choose import Plans, choosing
from graphc.passes.machine import typical
from graphc.passes.pipeline import Pass
from graphc.runtime.accelerator.machine import Machine
from graphc.runtime.accelerator.pipeline import SCHEDULES, Translated, translate
from graphc.runtime.c_source.emit import emit
from graphc.runtime.cpu.findings import recall, remember
from graphc.runtime.cpu.work import runs_of
from graphc.runtime.loaded import Array
from graphc.runtime.search_schedules import Runner, search_schedules

KIND = "schedule of a device"
ROUND = 2e-3  # seconds that a round of launches takes, at least: much more than waiting for it
MOST_LAUNCHES = 200


def translate_tuned(
    graph: Graph, machine: Machine, passes: Sequence[Pass], seconds: float
) -> Translated:
    """A graph translated with schedules that were searched for, for at most so many seconds.

    passes are those that translate it without a search.
    """
    plans = Plans()

    def tune(program: Program) -> Program:
        runs = {name: typical(times) for name, times in (runs_of(program) or {}).items()}
        plans.plans = search_schedules(program, DeviceWorkshop(machine, SCHEDULES), seconds, runs)
        return program

    place = passes.index(SCHEDULES[0])
    with choosing(plans):
        return translate(graph, machine.dialect, (*passes[:place], tune, *passes[place:]))


class DeviceWorkshop:
    """What a search needs of a device with memory of its own."""

    def __init__(self, machine: Machine, passes: Sequence[Pass]) -> None:
        self.machine = machine
        self.passes = passes
        self.circumstances = f"{machine.dialect.name} on {machine.name}"
        self.buffers: tuple[Buffer, ...] = ()
        self.memory: list[Any] = []

    def runner(self, kernel: Kernel) -> Runner:
        """A scheduled kernel of known sizes, made ready to be timed."""
        if kernel.buffers != self.buffers:  # else it is another schedule of the kernel before
            self.memory = [self.filled(buffer) for buffer in kernel.buffers]
            self.buffers = kernel.buffers
        return TimedKernel(self.machine, kernel, self.memory)

    def filled(self, buffer: Buffer) -> Any:
        """Memory for a buffer: floats between a half and one, all other numbers 0."""
        array = data(buffer)
        memory = self.machine.allocate(array.nbytes)
        self.machine.write(memory, 0, array)
        return memory

    def recall(self, subject: str) -> str | None:
        """What an earlier search has found."""
        return recall(KIND, subject)

    def remember(self, subject: str, finding: str) -> None:
        """Keep what a search has found, where code is kept."""
        remember(KIND, subject, finding)


class TimedKernel:
    """A kernel on a device with memory of its own; a call launches it for a moment."""

    def __init__(self, machine: Machine, kernel: Kernel, memory: Sequence[Any]) -> None:
        module = emit([replace(kernel, name="timed", origin=())], machine.dialect)
        (self.entry,) = module.entries
        (self.function,) = machine.build(module)
        self.machine = machine
        self.blocks = dim.evaluate(self.entry.blocks, {})
        self.memory = memory
        self.arguments = [part for place in memory for part in (place, 0)]
        self.seconds(1)
        self.launches = min(MOST_LAUNCHES, math.ceil(ROUND / max(self.seconds(1), 1e-9)))

    def __call__(self) -> float:
        """The seconds of a launch, the mean over a round."""
        return self.seconds(self.launches) / self.launches

    def seconds(self, launches: int) -> float:
        """The seconds from the first of so many launches to the end of the last."""
        self.machine.finish()
        start = time.perf_counter()
        for _ in range(launches if self.blocks else 0):
            self.machine.launch(self.function, self.blocks, self.entry.threads, self.arguments)
        self.machine.finish()
        return time.perf_counter() - start


def data(buffer: Buffer) -> Array:
    """What a buffer holds while its kernel is timed."""
    count = max(1, dim.evaluate(buffer.size, {}))
    if not buffer.dtype.is_float:
        return np.zeros(count, buffer.dtype.numpy)
    some = np.random.default_rng(0).uniform(0.5, 1.0, min(count, 1 << 12))
    return np.resize(some, count).astype(buffer.dtype.numpy)
