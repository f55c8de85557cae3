"""Kernels of `machine_code` at work: how fast this processor runs them, on so many threads."""

from __future__ import annotations

import ctypes
import threading
import time
from functools import cached_property
from typing import Any

import numpy as np

from graphc.runtime.cpu.code_cache import kept
from graphc.runtime.cpu.code_generator import generate
from graphc.runtime.cpu.code_key import key_of
from graphc.runtime.cpu.jit import Library, link
from graphc.runtime.cpu.machine_code import ALIGNED, CHAINS, FLOAT, UNROLLED, machine_code
from graphc.runtime.cpu.target import host
from graphc.runtime.loaded import Array

NAMES = ("peak", "peak_double", "read", "exponential", "write", "write_past", "copy", "copy_past")


class MachineKernels:
    """The compiled kernels; each runs on several threads at once, each thread on its own memory.

    A figure is the best of `runs` runs that take at least `seconds` each.
    """

    def __init__(self, threads: int = 1, seconds: float = 0.01, runs: int = 5) -> None:
        self.threads, self.seconds_of_run, self.runs = threads, seconds, runs
        self.width = host().vector_bits // 8 // FLOAT
        self.memory = [[aligned(0), aligned(0)] for _ in range(threads)]

    @cached_property
    def library(self) -> Library:
        """The machine code of all kernels."""
        text = machine_code(self.width)
        code = kept(key_of("machine code", text), lambda: generate(text))
        return link([code], NAMES, lambda: text)

    def seconds(self, name: str, count: int) -> float:
        """The least time of one pass over `count` vectors in all, shared by the threads."""
        share = -(-count // (self.threads * UNROLLED * CHAINS)) * UNROLLED * CHAINS
        self.hold(share * self.width)
        repeats, taken = 1, self.run(name, share, 1)
        while taken < self.seconds_of_run:
            repeats = round(repeats * max(2.0, 1.2 * self.seconds_of_run / max(taken, 1e-9)))
            taken = self.run(name, share, repeats)
        others = (self.run(name, share, repeats) for _ in range(self.runs - 1))
        least = min([taken, *others])
        return least / repeats * count / (share * self.threads)

    def hold(self, size: int) -> None:
        """Have so many elements in each array."""
        for pair in self.memory:
            for at, array in enumerate(pair):
                if array.size < size:
                    pair[at] = aligned(size)

    def run(self, name: str, count: int, repeats: int) -> float:
        """The time of the slowest thread."""
        operands = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
        kernel = ctypes.CFUNCTYPE(ctypes.c_float, *operands, ctypes.c_float, ctypes.c_float)(
            self.library.address(name)
        )
        barrier, taken = threading.Barrier(self.threads), list[float]()

        def work(a: Array, b: Array) -> None:
            barrier.wait()
            start = time.thread_time()  # not the clock on the wall: others may have the core
            kernel(a.ctypes.data, b.ctypes.data, count, repeats, 1.0, 1e-7)
            taken.append(time.thread_time() - start)

        workers = [threading.Thread(target=work, args=pair) for pair in self.memory]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return max(taken)


def aligned(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """So many zeros, in memory that is there and begins at a cache line."""
    whole = np.zeros(count + ALIGNED // FLOAT, np.float32)
    whole.fill(0)
    start = -whole.ctypes.data % ALIGNED // FLOAT
    return whole[start : start + count]
