"""Profiler: runs the step that counts the time of its calls, until enough is known."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping

import numpy as np

from graphc.ir.program import Program
from graphc.runtime.cpu.binding import address_of
from graphc.runtime.cpu.build import build
from graphc.runtime.cpu.pool import address as pool_address
from graphc.runtime.cpu.stamps import FIELDS
from graphc.runtime.loaded import Array
from graphc.runtime.profile import Profile, count_rounds, summarise


class Profiler:
    """A program's step with stamps."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.library = build(program, stamped=True).library
        pointers = [ctypes.c_void_p] * 4
        self.step = ctypes.CFUNCTYPE(None, *pointers)(self.library.address("step"))
        self.ticks = ctypes.CFUNCTYPE(ctypes.c_int64)(self.library.address("ticks"))

    def profile(self, table: Array, addresses: Array, sizes: Mapping[str, int]) -> Profile:
        """What the calls take, for a table of sizes and the addresses of the buffers."""
        started, first = time.perf_counter(), self.ticks()
        counts = count_rounds(lambda: self.round(table, addresses))
        tick = (time.perf_counter() - started) / (self.ticks() - first)
        return summarise(self.program, counts, tick, sizes)

    def round(self, table: Array, addresses: Array) -> Array:
        """Run the step once: its ticks and a 1, then those of its calls and how often each ran."""
        counts = np.zeros((1 + len(self.program.calls), FIELDS), np.int64)
        before = self.ticks()
        self.step(address_of(table), pool_address(), address_of(addresses), address_of(counts[1:]))
        counts[0] = self.ticks() - before, 1
        return counts
