"""An OpenCL device as a Machine, through pyopencl."""

from __future__ import annotations

import importlib
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from graphc.errors import GraphError
from graphc.ir.types import DType
from graphc.runtime.accelerator.failures import refused
from graphc.runtime.accelerator.machine import Launch, Place, as_bytes
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.emit import Module
from graphc.runtime.loaded import Array
from graphc.runtime.opencl.dialect import OPENCL

# Division and square root as IEEE 754 has them, where the device can.
EXACT = "-cl-fp32-correctly-rounded-divide-sqrt"
# The platform that runs OpenCL on any processor, and the program that it links kernels with. Where
# that is missing it ends the process.
POCL, LINKER = "Portable Computing Language", "ld"


def import_pyopencl() -> Any:
    """The module that drives OpenCL, or a GraphError that says how to get it."""
    try:
        return importlib.import_module("pyopencl")
    except ImportError as error:
        raise GraphError(
            "the device 'opencl' needs the package pyopencl: "
            f"pip install 'graphc-compiler[opencl]' ({error})"
        ) from None


def check_linker(device: Any) -> None:
    """Raise GraphError for a device of PoCL where there is nothing to link kernels with."""
    if device.platform.name == POCL and shutil.which(LINKER) is None:
        raise GraphError(
            f"{POCL} links kernels with the program {LINKER!r}, which is not on the PATH: "
            "install binutils, or choose another OpenCL device"
        )


def dialect_for(processor: bool) -> Dialect:
    """The C of a device; a processor gains nothing from loops taken apart, and compiles long."""
    return replace(OPENCL, unroll="") if processor else OPENCL


class Function(NamedTuple):
    """A kernel, and the program that it is in, which others may ask for as long as it lives."""

    kernel: Any
    program: Any


class OpenClMachine:
    """A context and a queue of one device."""

    def __init__(self, device: Any) -> None:
        self.cl = import_pyopencl()
        check_linker(device)
        self.device = device
        self.name = str(device.name)
        self.dialect = dialect_for(bool(device.type & self.cl.device_type.CPU))
        self.context = self.cl.Context([device])
        self.queue = self.cl.CommandQueue(self.context)
        exact = device.single_fp_config & self.cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
        self.options = ["-cl-std=CL1.2", *([EXACT] if exact else [])]
        self.programs: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self.exchange = OpenClExchange(self)

    def why_not(self, dtype: DType) -> str:
        """Why kernels cannot compute with a dtype: float64 is optional in OpenCL."""
        if dtype.part.name != "float64" or self.device.double_fp_config:
            return ""
        return f"the OpenCL device {self.device.name!r} has no float64: use float32"

    def allocate(self, size: int) -> Any:
        """A buffer."""
        flags = self.cl.mem_flags.READ_WRITE
        return self.attempt("allocate", lambda: self.cl.Buffer(self.context, flags, max(size, 1)))

    def write(self, memory: Any, offset: int, array: Array) -> None:
        """Copy an array to a buffer."""
        if array.nbytes:
            self.enqueue_copy(memory, as_bytes(array), dst_offset=offset)

    def read(self, memory: Any, offset: int, array: Array) -> None:
        """Copy a buffer into an array."""
        if array.nbytes:
            self.enqueue_copy(as_bytes(array), memory, src_offset=offset)

    def copy(self, source: Place, target: Place, size: int) -> None:
        """Copy from buffer to buffer."""
        if size:
            offsets = {"src_offset": source.offset, "dst_offset": target.offset}
            self.enqueue_copy(target.memory, source.memory, byte_count=size, **offsets)

    def enqueue_copy(self, target: Any, source: Any, **numbers: int) -> None:
        """Copy to or from a buffer; with an array, wait for it."""
        self.attempt("copy", lambda: self.cl.enqueue_copy(self.queue, target, source, **numbers))

    def finish(self) -> None:
        """Wait for all that is enqueued."""
        self.attempt("finish", self.queue.finish)

    def attempt(self, what: str, action: Any) -> Any:
        """Do something; GraphError with the device's reason where it fails."""
        try:
            return action()
        except (self.cl.MemoryError, self.cl.LogicError, self.cl.RuntimeError) as error:
            name = self.device.name
            raise GraphError(f"the OpenCL device {name!r} failed to {what}: {error}") from None

    def build(self, module: Module) -> list[Function]:
        """The kernels of a module, which is compiled once for all that use it."""
        if not module.entries:
            return []
        program = self.programs.get(module.text)
        if program is None:
            program = self.programs[module.text] = self.compile(module)
        return [Function(self.cl.Kernel(program, e.name), program) for e in module.entries]

    def compile(self, module: Module) -> Any:
        """A program; GraphError with the user's lines and a file with the text where it fails."""
        try:
            with warnings.catch_warnings():  # the compiler's, about code that nobody wrote
                warnings.simplefilter("ignore", self.cl.CompilerWarning)
                return self.cl.Program(self.context, module.text).build(self.options)
        except self.cl.RuntimeError as error:
            name = f"the OpenCL device {self.device.name!r}"
            raise refused(name, self.dialect, module, error) from None

    def launch(
        self, function: Function, blocks: int, threads: int, arguments: Sequence[Any]
    ) -> None:
        """Enqueue a kernel."""
        self.enqueue(self.queue, function, blocks, threads, arguments)

    def enqueue(
        self, queue: Any, function: Function, blocks: int, threads: int, arguments: Sequence[Any]
    ) -> Any:
        """Enqueue a kernel in a queue: the event of its end."""
        function.kernel.set_args(*(np.int64(a) if isinstance(a, int) else a for a in arguments))
        grid = (blocks * threads,), (threads,)
        return self.attempt(
            "launch", lambda: self.cl.enqueue_nd_range_kernel(queue, function.kernel, *grid)
        )

    def recorded(self, launches: Callable[[Launch], None]) -> None:
        """None: OpenCL 1.2 records nothing."""

    @cached_property
    def timing_queue(self) -> Any:
        """A queue that notes when each launch begins and ends."""
        properties = self.cl.command_queue_properties.PROFILING_ENABLE
        return self.cl.CommandQueue(self.context, properties=properties)

    def timed(self, launches: Callable[[Launch], None]) -> list[float]:
        """Run launches in a queue that times them, each to its end: all else is in the other."""
        seconds: list[float] = []

        def timing(*arguments: Any) -> None:
            self.finish()
            event = self.enqueue(self.timing_queue, *arguments)
            self.attempt("launch", event.wait)
            seconds.append(1e-9 * (event.profile.end - event.profile.start))

        launches(timing)
        return seconds


class OpenClExchange:
    """Buffers as other libraries know them: by the address of the driver's object."""

    KIND = 4  # kDLOpenCL
    stream = None

    def __init__(self, machine: OpenClMachine) -> None:
        self.cl, self.queue = machine.cl, machine.queue
        devices = [d for platform in self.cl.get_platforms() for d in platform.get_devices()]
        self.device = self.KIND, devices.index(machine.device)

    def address(self, memory: Any) -> int:
        """The driver's object."""
        return int(memory.int_ptr)

    def adopt(self, address: int, offset: int, owner: object) -> Place:
        """A buffer of others, which counts its users itself."""
        return Place(self.cl.Buffer.from_int_ptr(address, retain=True), offset)

    def hold_back(self, stream: int | None) -> None:
        """Wait: OpenCL has no queue that others use as well."""
        self.queue.finish()
