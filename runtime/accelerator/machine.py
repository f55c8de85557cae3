"""Machine: what a device answers; all else about running programs on it is common to all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from graphc.ir.types import DType
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.emit import Module
from graphc.runtime.loaded import Array


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

    def why_not(self, dtype: DType) -> str:
        """Why kernels cannot compute with a dtype; empty where they can."""

    def allocate(self, size: int) -> Any:
        """New memory of so many bytes, which ends with the last reference to it."""

    def write(self, memory: Any, offset: int, array: Array) -> None:
        """Copy a contiguous array to memory, from a byte on."""

    def read(self, memory: Any, offset: int, array: Array) -> None:
        """Copy memory, from a byte on, into a contiguous array, when all launches have ended."""

    def build(self, module: Module) -> list[Any]:
        """A function for each entry of a module, ready to be launched."""

    def launch(self, function: Any, blocks: int, threads: int, arguments: Sequence[Any]) -> None:
        """Launch a function after all before; arguments are memory and integers of 64 bits."""

    def recorded(self, launches: Callable[[], None]) -> Callable[[], None]:
        """What does the same launches as a function does, which are the same each time."""


def as_bytes(array: Array) -> Array:
    """A contiguous array as bytes, which can be copied to any memory."""
    return array.reshape(-1).view(np.uint8)
