"""The CPU's workshop: kernels compiled one by one and timed on data of their own."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.ir import dim
from graphc.ir.kernel import Buffer, Kernel
from graphc.passes.pipeline import Pass
from graphc.runtime.cpu.arena import Arena
from graphc.runtime.cpu.binding import address_of
from graphc.runtime.cpu.emit import emit_kernel
from graphc.runtime.cpu.findings import recall, remember
from graphc.runtime.cpu.jit import generate, link
from graphc.runtime.cpu.pool import address as pool_address
from graphc.runtime.cpu.pool import get_num_threads
from graphc.runtime.cpu.target import host
from graphc.runtime.loaded import Array
from graphc.runtime.search_schedules import Runner

KIND = "schedule"
TIMED = "timed"
ROUND = 3e-4  # seconds that a round of runs takes, at least


class CpuWorkshop:
    """What a search needs of the CPU; kernels run on as many threads as steps do."""

    def __init__(self, passes: Sequence[Pass]) -> None:
        self.passes = passes
        self.circumstances = f"{get_num_threads()} threads"

    def runner(self, kernel: Kernel) -> Runner:
        """A scheduled kernel of known sizes, made ready to be timed."""
        return TimedKernel(kernel)

    def recall(self, subject: str) -> str | None:
        """What an earlier search has found."""
        return recall(KIND, subject)

    def remember(self, subject: str, finding: str) -> None:
        """Keep what a search has found, where machine code is kept."""
        remember(KIND, subject, finding)


class TimedKernel:
    """A kernel's machine code with memory to work on; a call runs it for a moment.

    Floats are between a half and one, so that none becomes very small or very large; all other
    numbers are 0, which is a valid index.
    """

    def __init__(self, kernel: Kernel) -> None:
        emitted = emit_kernel(replace(kernel, name=TIMED, origin=()), host())
        self.library = link([generate(emitted.text)], [TIMED], lambda: emitted.text)
        self.sizes = np.array([*(dim.evaluate(size, {}) for size in emitted.sizes), 0], np.int64)
        self.held = [Held(buffer) for buffer in kernel.buffers]
        buffers = (each.address for each in self.held)
        self.operands = (address_of(self.sizes), pool_address(), *buffers)
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(self.operands))
        self.run = function(self.library.address(TIMED))
        self.run(*self.operands)
        self.repeats = math.ceil(ROUND / max(self.seconds(1), 1e-9))

    def __call__(self) -> float:
        """The seconds of a run, the mean over a round."""
        return self.seconds(self.repeats) / self.repeats

    def seconds(self, count: int) -> float:
        """The seconds of so many runs."""
        start = time.perf_counter()
        for _ in range(count):
            self.run(*self.operands)
        return time.perf_counter() - start


class Held:
    """Memory for a buffer, aligned as in an arena."""

    def __init__(self, buffer: Buffer) -> None:
        count = max(1, dim.evaluate(buffer.size, {}))
        dtype = buffer.dtype.numpy
        self.arena = Arena()
        self.arena.hold(count * buffer.dtype.bytes)
        self.address = self.arena.address
        start = self.address - address_of(self.arena.block)
        values: Any = self.arena.block[start : start + count * buffer.dtype.bytes].view(dtype)
        values[:] = data(count) if buffer.dtype.is_float else 0


def data(count: int) -> Array:
    """Some floats between a half and one."""
    return np.resize(np.random.default_rng(0).uniform(0.5, 1.0, min(count, 1 << 12)), count)
