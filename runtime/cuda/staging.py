"""Copies between arrays and the GPU's memory by way of pinned memory, which the GPU reads itself.

Arrays of the user lie in pages that the system may move; the driver copies such ones slowly. Here
they pass through two blocks of pinned memory in turn: while the GPU copies one, the processor fills
or empties the other.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.runtime.cuda.driver import Driver
from graphc.runtime.loaded import Array

BLOCK = 4 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Pinned memory as an array of bytes, its address, and the event after its last copy."""

    array: Array
    address: int
    done: Any


class Staging:
    """Two blocks of pinned memory, and copies through them in a stream, of one thread at a time."""

    def __init__(self, driver: Driver, stream: Any) -> None:
        self.driver = driver
        self.stream = stream
        self.blocks = [self.make_block(), self.make_block()]
        self.turns = itertools.cycle(self.blocks)
        self.make_lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.make_lock)

    def make_lock(self) -> None:
        """A new lock, which no thread of a parent process holds: the driver shall refuse a fork."""
        self.lock = threading.Lock()

    def make_block(self) -> Block:
        """A new block, for the life of the process."""
        address = int(self.driver.ask("cuMemHostAlloc", BLOCK, 0))
        bytes_there = (ctypes.c_uint8 * BLOCK).from_address(address)
        done = self.driver.ask("cuEventCreate", 0)
        return Block(np.ctypeslib.as_array(bytes_there), address, done)

    def write(self, address: int, array: Array) -> None:
        """Copy bytes to the GPU; the array may change as soon as this returns."""
        with self.lock:
            for block, begin, part in self.parts(array):
                self.driver.ask("cuEventSynchronize", block.done)
                block.array[: part.size] = part
                copy = (address + begin, block.address, part.size, self.stream)
                self.driver.ask("cuMemcpyHtoDAsync", *copy)
                self.driver.ask("cuEventRecord", block.done, self.stream)

    def read(self, address: int, array: Array) -> None:
        """Copy bytes from the GPU, after all that the stream has to do before."""
        waiting: list[tuple[Block, Array]] = []
        with self.lock:
            for block, begin, part in self.parts(array):
                if len(waiting) == len(self.blocks):
                    self.take(*waiting.pop(0))
                copy = (block.address, address + begin, part.size, self.stream)
                try:
                    self.driver.ask("cuMemcpyDtoHAsync", *copy)
                finally:  # nobody may fill the block before, whatever interrupts this
                    self.driver.ask("cuEventRecord", block.done, self.stream)
                waiting.append((block, part))
            for block, part in waiting:
                self.take(block, part)

    def take(self, block: Block, part: Array) -> None:
        """Move what has been copied into a block to where it belongs."""
        self.driver.ask("cuEventSynchronize", block.done)
        part[...] = block.array[: part.size]

    def parts(self, array: Array) -> Iterator[tuple[Block, int, Array]]:
        """The parts of an array of bytes, each with a block in turn and where it begins."""
        for begin in range(0, array.size, BLOCK):
            yield next(self.turns), begin, array[begin : begin + BLOCK]
