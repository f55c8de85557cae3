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
from graphc.passes.machine import machine
from graphc.passes.pipeline import Pass
from graphc.runtime.cpu.arena import Arena
from graphc.runtime.cpu.binding import address_of
from graphc.runtime.cpu.code_generator import generate
from graphc.runtime.cpu.emit import emit_kernel
from graphc.runtime.cpu.findings import recall, remember
from graphc.runtime.cpu.jit import link
from graphc.runtime.cpu.pool import address as pool_address
from graphc.runtime.cpu.pool import get_num_threads
from graphc.runtime.cpu.target import host
from graphc.runtime.loaded import Array
from graphc.runtime.search_schedules import Runner

KIND = "schedule"
TIMED = "timed"
ROUND = 3e-4  # seconds that a round of runs takes, at least
MOST_COPIES = 1 << 26  # bytes that copies of buffers take, at most


class CpuWorkshop:
    """What a search needs of the CPU; kernels run on as many threads as steps do.

    footprint is the bytes of all data of the program. A kernel works on copies of its buffers in
    turn that are as large together, so that it finds them as far away as in a step.
    """

    def __init__(self, passes: Sequence[Pass], footprint: int) -> None:
        self.passes = passes
        self.footprint = min(footprint, MOST_COPIES)
        far = machine().level(self.footprint)
        self.circumstances = f"{get_num_threads()} threads, data at level {far}"
        self.buffers: tuple[Buffer, ...] = ()
        self.copies: list[list[Held]] = [[]]

    def runner(self, kernel: Kernel) -> Runner:
        """A scheduled kernel of known sizes, made ready to be timed."""
        if kernel.buffers != self.buffers:  # else it is another schedule of the kernel before
            own = sum(map(bytes_of, kernel.buffers))
            count = max(1, self.footprint // max(own, 1))
            self.copies = [[Held(buffer) for buffer in kernel.buffers] for _ in range(count)]
            self.buffers = kernel.buffers
        return TimedKernel(kernel, self.copies)

    def recall(self, subject: str) -> str | None:
        """What an earlier search has found."""
        return recall(KIND, subject)

    def remember(self, subject: str, finding: str) -> None:
        """Keep what a search has found, where machine code is kept."""
        remember(KIND, subject, finding)


class TimedKernel:
    """A kernel's machine code with copies of its buffers; a call runs it for a moment."""

    def __init__(self, kernel: Kernel, copies: Sequence[Sequence[Held]]) -> None:
        emitted = emit_kernel(replace(kernel, name=TIMED, origin=()), host())
        self.library = link([generate(emitted.text)], [TIMED], lambda: emitted.text)
        self.sizes = np.array([*(dim.evaluate(size, {}) for size in emitted.sizes), 0], np.int64)
        self.copies = copies
        shared = (address_of(self.sizes), pool_address())
        self.operands = [(*shared, *(each.address for each in held)) for held in copies]
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (2 + len(kernel.buffers)))
        self.run = function(self.library.address(TIMED))
        # Of one thread the processor's own time counts, which others do not lengthen.
        self.clock = time.thread_time if get_num_threads() == 1 else time.perf_counter
        self.seconds(1)
        self.turns = math.ceil(ROUND / max(self.seconds(1), 1e-9))

    def __call__(self) -> float:
        """The seconds of a run, the mean over a round."""
        return self.seconds(self.turns) / (self.turns * len(self.operands))

    def seconds(self, turns: int) -> float:
        """The seconds of so many turns, each of a run on every copy."""
        start = self.clock()
        for _ in range(turns):
            for operands in self.operands:
                self.run(*operands)
        return self.clock() - start


def bytes_of(buffer: Buffer) -> int:
    """The bytes of a buffer of known size."""
    return dim.evaluate(buffer.size, {}) * buffer.dtype.bytes


class Held:
    """Memory for a buffer, aligned as in an arena.

    Floats are between a half and one, so that none becomes very small or very large; all other
    numbers are 0, which is a valid index.
    """

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
