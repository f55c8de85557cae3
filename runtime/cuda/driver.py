"""The CUDA driver: its functions with errors as exceptions, in one GPU's context."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from graphc.errors import GraphError
from graphc.runtime.cuda.bindings import first_call, import_cuda, without_gpu

HOPPER = "sm_90a"
"""Compute capability 9.0 with the instructions that other GPUs do not have."""
LOST = "the process has lost the GPU: start it anew"
REASONS = {
    "CUDA_ERROR_OUT_OF_MEMORY": "its memory does not suffice",
    "CUDA_ERROR_ILLEGAL_ADDRESS": f"a kernel left its memory, and {LOST}",
    "CUDA_ERROR_LAUNCH_FAILED": f"a kernel failed, and {LOST}",
    "CUDA_ERROR_LAUNCH_TIMEOUT": f"a kernel ran for too long, and {LOST}",
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": "a kernel needs more registers or memory than it has",
    "CUDA_ERROR_NOT_INITIALIZED": "the process is a fork of one that uses it",
    "CUDA_ERROR_DEVICE_UNAVAILABLE": "another process has it for itself",
    "CUDA_ERROR_ECC_UNCORRECTABLE": "its memory is damaged",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "the code is for another architecture",
}
"""What is said in place of the driver's own name of an error."""


def list_devices() -> list[str]:
    """The names of the GPUs, in the driver's order; GraphError where there is none."""
    api = import_cuda("driver")
    (status,) = first_call(api.cuInit, 0)
    told((status, None))
    names = [told(api.cuDeviceGetName(256, n)) for n in range(told(api.cuDeviceGetCount()))]
    return [name.partition(b"\0")[0].decode() for name in names]


def told(answer: tuple[Any, Any]) -> Any:
    """What the driver tells of the devices; GraphError where it fails."""
    status, result = answer
    if status:
        raise GraphError(without_gpu(f"the driver says {status.name}"))
    return result


class OutOfMemoryError(GraphError):
    """The GPU has no memory left of the size that was asked for."""


class Owned:
    """Something of the driver's, which is given back when nothing refers to it any more."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Driver:
    """A GPU's primary context, which is that of other libraries in the process as well."""

    def __init__(self, number: int, name: str) -> None:
        self.api = import_cuda("driver")
        self.name = name
        self.number = number
        self.process = os.getpid()
        self.give_up_memory: Callable[[], None] | None = None
        self.context = self.check("cuDevicePrimaryCtxRetain", number)
        self.number_of_context = int(self.context)

    def ask(self, function: str, *arguments: Any) -> Any:
        """The result of a function of the driver in this context; GraphError where it fails.

        The context is the thread's own where it had none; another one is current again afterwards,
        for it says to other libraries which GPU is meant.
        """
        current = int(self.check("cuCtxGetCurrent"))
        if current in {0, self.number_of_context}:
            if not current:
                self.check("cuCtxSetCurrent", self.context)
            return self.answer(function, *arguments)
        self.check("cuCtxPushCurrent", self.context)
        try:
            return self.answer(function, *arguments)
        finally:
            self.check("cuCtxPopCurrent")

    def answer(self, function: str, *arguments: Any) -> Any:
        """The result of a function in the current context.

        Where memory does not suffice, what is kept for later is given up first.
        """
        try:
            return self.check(function, *arguments)
        except OutOfMemoryError:
            if self.give_up_memory is None:
                raise
            self.give_up_memory()
            return self.check(function, *arguments)

    def own(self, value: Any, release: str, needed: object = None) -> Owned:
        """A thing with the function that gives it back in the end, from any thread.

        What it needs stays until then.
        """
        owned = Owned(value)
        weakref.finalize(owned, give_back, self, release, value, needed).atexit = False
        return owned

    def release(self, function: str, *arguments: Any) -> bool:
        """Give something back to the driver, and whether it took it.

        After an error that ended the context all is gone; a fork has none of what its parent has.
        """
        with suppress(GraphError):
            if os.getpid() == self.process:
                self.ask(function, *arguments)
                return True
        return False

    def check(self, function: str, *arguments: Any) -> Any:
        """The result of a function of the driver; GraphError where it fails."""
        status, *results = getattr(self.api, function)(*arguments)
        if status:
            why = REASONS.get(status.name, status.name)
            failure = OutOfMemoryError if status.name == "CUDA_ERROR_OUT_OF_MEMORY" else GraphError
            raise failure(f"the GPU {self.name!r} fails in {function}: {why}")
        return results[0] if results else None

    def attribute(self, name: str) -> int:
        """A number that tells what the GPU is like."""
        attribute = getattr(self.api.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(self.ask("cuDeviceGetAttribute", attribute, self.number))

    @property
    def architecture(self) -> str:
        """What NVRTC compiles for, such as "sm_80"; all that a GPU has, where that has a name."""
        major, minor = (self.attribute(f"COMPUTE_CAPABILITY_{part}") for part in ("MAJOR", "MINOR"))
        return HOPPER if (major, minor) == (9, 0) else f"sm_{major}{minor}"


def give_back(driver: Driver, release: str, value: Any, needed: object) -> None:
    """Give something back to the driver, which has stayed as long as what needs it."""
    driver.release(release, value)
    del needed
