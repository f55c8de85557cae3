"""Profiler: runs the launches of a step again and again and adds up what each call takes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from graphc.ir.program import CallKernel, Program
from graphc.runtime.accelerator.launches import Call, Launches, Run, nothing
from graphc.runtime.accelerator.machine import Machine, Place
from graphc.runtime.c_source.emit import Entry
from graphc.runtime.loaded import Array
from graphc.runtime.profile import Profile, count_rounds, summarise


class NumberedLaunches(Launches):
    """Launches that note which calls of the program they are of."""

    def __init__(self, machine: Machine, *rest: Any) -> None:
        self.numbers = itertools.count()
        self.noted: list[int] = []
        super().__init__(machine, *rest)

    def call(self, call: CallKernel) -> Run:
        """The launch of the next call, which notes its number."""
        number, run, noted = next(self.numbers), super().call(call), self.noted

        def noting(call: Call) -> None:
            noted.append(number)
            run(call)

        return run if run is nothing else noting

    def round(self, calls: int, memories: Sequence[Any]) -> Array:
        """Run the step once: its seconds and a 1, then those of its calls and how often each ran.

        The step has the time of the host as well, which launches kernels one by one.
        """
        self.noted.clear()
        start = time.perf_counter()
        seconds = self.machine.timed(partial(self.launch, memories))
        counts = np.zeros((1 + calls, 2))
        counts[0] = time.perf_counter() - start, 1
        for number, taken in zip(self.noted, seconds, strict=True):
            counts[1 + number] += taken, 1
        return counts


def profile(
    machine: Machine,
    program: Program,
    kernels: Mapping[str, tuple[Entry, Any]],
    places: Mapping[str, Place],
    sizes: Mapping[str, int],
    memories: Sequence[Any],
) -> Profile:
    """Where the time of a step goes, whose arguments lie in their places, some in given memory."""
    launches = NumberedLaunches(machine, program, kernels, places, sizes)
    counts = count_rounds(lambda: launches.round(len(program.calls), memories))
    return summarise(program, counts, 1.0, sizes)
