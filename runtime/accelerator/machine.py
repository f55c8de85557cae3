"""Machine: what a device answers; all else about running programs on it is common to all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from graphc.errors import GraphError
from graphc.ir.types import DType
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.emit import Module
from graphc.runtime.loaded import Array

Launch: TypeAlias = Callable[..., None]
"""What launches a function, with the parameters of `Machine.launch`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies: memory of the device, and the byte that it begins at."""

    memory: Any
    offset: int


@dataclass(frozen=True, slots=True)
class Given:
    """What stands for memory that each call gives, by its number, where launches are recorded."""

    number: int


class NothingLaunchedError(GraphError):
    """Launches that were recorded could not begin: all that they write is as it was."""


class Exchange(Protocol):
    """How a machine's memory is handed to other libraries, and taken from them, by DLPack."""

    @property
    def device(self) -> tuple[int, int]:
        """The kind and the number that DLPack has for the device."""

    @property
    def stream(self) -> int | None:
        """The stream that others have to be ready for, by its number."""

    def address(self, memory: Any) -> int:
        """What others know memory by."""

    def adopt(self, address: int, offset: int, owner: object) -> Place:
        """Memory of others, so many bytes beyond an address, for as long as its owner lives.

        A place at offset 0 has the alignment of memory that the machine allocates.
        """

    def hold_back(self, stream: int | None) -> None:
        """Have another stream wait for all launches so far; None is the usual one."""


class Machine(Protocol):
    """A device with memory of its own, on which kernels are launched in order.

    Memory and functions are whatever the device makes of them; nobody else looks inside. Every
    method raises GraphError with what the device says where it fails.
    """

    @property
    def name(self) -> str:
        """What the device is called: times that were measured are for devices of that name."""

    @property
    def dialect(self) -> Dialect:
        """The C that it compiles."""

    @property
    def exchange(self) -> Exchange | None:
        """How arrays go to other libraries; None where by way of the host alone."""

    def why_not(self, dtype: DType) -> str:
        """Why kernels cannot compute with a dtype; empty where they can."""

    def allocate(self, size: int) -> Any:
        """New memory of so many bytes, which ends with the last reference to it."""

    def write(self, memory: Any, offset: int, array: Array) -> None:
        """Copy a contiguous array to memory, from a byte on."""

    def read(self, memory: Any, offset: int, array: Array) -> None:
        """Copy memory, from a byte on, into a contiguous array, when all launches have ended."""

    def copy(self, source: Place, target: Place, size: int) -> None:
        """Copy bytes from place to place, in order with the launches."""

    def finish(self) -> None:
        """Wait until all launches and copies have ended."""

    def build(self, module: Module) -> list[Any]:
        """A function for each entry of a module, ready to be launched."""

    def launch(self, function: Any, blocks: int, threads: int, arguments: Sequence[Any]) -> None:
        """Launch a function after all before; arguments are memory and integers of 64 bits."""

    def recorded(
        self, launches: Callable[[Launch], None]
    ) -> Callable[[Sequence[Any]], None] | None:
        """What does the launches of a function as a whole, each time the same; None if nothing.

        The function is handed what it has to launch with. Arguments may be `Given`: what does the
        launches is called with the memory for each, by its number.
        """

    def timed(self, launches: Callable[[Launch], None]) -> list[float]:
        """Run a function to the end of its launches: the seconds of each launch, in order.

        The function is handed what it has to launch with.
        """


class SynchronousMachine:
    """What a machine answers in common with others whose launches have ended when they return.

    It computes with every dtype, and hands nothing to other libraries but by way of the host.
    """

    exchange = None
    launch: Callable[..., None]

    def why_not(self, dtype: DType) -> str:
        """Nothing."""
        return ""

    def finish(self) -> None:
        """There is nothing to wait for."""

    def recorded(self, launches: Callable[[Launch], None]) -> None:
        """None: there is nothing to gain from a record."""

    def timed(self, launches: Callable[[Launch], None]) -> list[float]:
        """Run launches by the host's clock."""
        seconds: list[float] = []

        def timing(*arguments: Any) -> None:
            start = time.perf_counter()
            self.launch(*arguments)
            seconds.append(time.perf_counter() - start)

        launches(timing)
        return seconds


def as_bytes(array: Array) -> Array:
    """A contiguous array as bytes, which can be copied to any memory."""
    return array.reshape(-1).view(np.uint8)
