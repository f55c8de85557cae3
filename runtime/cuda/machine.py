"""A GPU as a Machine, through the CUDA driver: one stream, in which everything happens in order."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from graphc.ir.types import DType
from graphc.passes.widen_accesses import WIDEST
from graphc.runtime.accelerator.failures import refused
from graphc.runtime.accelerator.machine import Launch, Place, as_bytes
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.emit import Entry, Module
from graphc.runtime.cpu.pool import available_processors
from graphc.runtime.cuda.dialect import dialect_for
from graphc.runtime.cuda.driver import Driver, Owned
from graphc.runtime.cuda.nvrtc import NvrtcError, compile_cubin
from graphc.runtime.cuda.pool import Pool
from graphc.runtime.cuda.record import Function, Record, Words
from graphc.runtime.cuda.staging import Staging
from graphc.runtime.loaded import Array

UNTIMED = 2  # CU_EVENT_DISABLE_TIMING
PART = 16_000
"""Characters of kernels that are compiled at once, at least: NVRTC uses one thread for a text."""


class Borrowed(NamedTuple):
    """Memory of another library, and what keeps it alive."""

    value: int
    owner: object


class CudaMachine:
    """A stream of one GPU, and the modules that are loaded there."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.name = driver.name
        self.architecture = driver.architecture
        self.dialect: Dialect = dialect_for(self.architecture)
        non_blocking = driver.api.CUstream_flags.CU_STREAM_NON_BLOCKING
        self.stream = driver.ask("cuStreamCreate", non_blocking)
        self.pool = Pool(driver, self.stream)
        self.staging = Staging(driver, self.stream)
        self.modules: WeakValueDictionary[str, Owned] = WeakValueDictionary()
        self.exchange = CudaExchange(driver, self.stream, self.pool)

    def why_not(self, dtype: DType) -> str:
        """Every dtype of graphc is one of CUDA C."""
        return ""

    # --- memory ------------------------------------------------------------------------------

    def allocate(self, size: int) -> Owned:
        """Memory, by its address, which others have when the launches so far have ended."""
        return self.pool.allocate(size)

    def write(self, memory: Owned, offset: int, array: Array) -> None:
        """Copy an array to memory."""
        self.staging.write(memory.value + offset, as_bytes(array))

    def read(self, memory: Owned, offset: int, array: Array) -> None:
        """Copy memory into an array."""
        self.staging.read(memory.value + offset, as_bytes(array))

    def copy(self, source: Place, target: Place, size: int) -> None:
        """Copy from memory to memory in the stream."""
        if size:
            to, start = target.memory.value + target.offset, source.memory.value + source.offset
            self.driver.ask("cuMemcpyDtoDAsync", to, start, size, self.stream)

    def finish(self) -> None:
        """Wait for the stream."""
        self.driver.ask("cuStreamSynchronize", self.stream)

    # --- kernels -----------------------------------------------------------------------------

    def build(self, module: Module) -> list[Function]:
        """The kernels of a module; each part is compiled and loaded once for all that use it."""
        parts = module.parts(PART)
        loaded = {p.text: found for p in parts if (found := self.modules.get(p.text))}
        missing = [part for part in parts if part.text not in loaded]
        for part, code in zip(missing, self.compile_all(missing), strict=True):
            loaded[part.text] = self.modules[part.text] = self.load(code)
        return [self.function(e, loaded[part.text]) for part in parts for e in part.entries]

    def function(self, entry: Entry, module: Owned) -> Function:
        """A kernel of a module, with as much shared memory as it needs."""
        handle = self.driver.ask("cuModuleGetFunction", module.value, entry.name.encode())
        if entry.shared:
            kinds = self.driver.api.CUfunction_attribute
            kind = kinds.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self.driver.ask("cuFuncSetAttribute", handle, kind, entry.shared)
        return Function(handle, module, entry.shared)

    def load(self, code: bytes) -> Owned:
        """A module of machine code, which stays until its launches have ended."""
        module = Owned(self.driver.ask("cuModuleLoadData", code))
        weakref.finalize(module, self.unload, module.value).atexit = False
        return module

    def unload(self, handle: Any) -> None:
        """Give a module up that nobody has any more, from any thread."""
        self.driver.release("cuStreamSynchronize", self.stream)
        self.driver.release("cuModuleUnload", handle)

    def compile_all(self, modules: Sequence[Module]) -> list[bytes]:
        """The code of modules; where there are several, threads compile them side by side."""
        if len(modules) < 2:
            return [self.compile(module) for module in modules]
        with ThreadPoolExecutor(available_processors()) as threads:
            return list(threads.map(self.compile, modules))

    def compile(self, module: Module) -> bytes:
        """The code for this GPU; GraphError with the user's lines where NVRTC refuses the text."""
        try:
            return compile_cubin(module.text, self.architecture)
        except NvrtcError as error:
            raise refused(f"NVRTC for {self.architecture}", self.dialect, module, error) from None

    def launch(
        self, function: Function, blocks: int, threads: int, arguments: Sequence[Any]
    ) -> None:
        """Launch a kernel; the driver copies the arguments before this returns."""
        words = Words(arguments)
        sizes = (blocks, 1, 1, threads, 1, 1)
        tail = (function.shared, self.stream, words.address, 0)
        self.driver.ask("cuLaunchKernel", function.handle, *sizes, *tail)

    def recorded(self, launches: Callable[[Launch], None]) -> Callable[[Sequence[Any]], None]:
        """Launches as a graph, which the GPU runs without the processor."""
        record = Record(self.driver, self.stream)
        launches(record.add)
        record.finish()
        return record.run

    def timed(self, launches: Callable[[Launch], None]) -> list[float]:
        """Run launches between events, which have the GPU's time."""
        pairs: list[tuple[Owned, Owned]] = []

        def timing(*arguments: Any) -> None:
            begin = self.event()
            self.launch(*arguments)
            pairs.append((begin, self.event()))

        self.finish()
        launches(timing)
        self.finish()
        return [1e-3 * self.driver.ask("cuEventElapsedTime", a.value, b.value) for a, b in pairs]

    def event(self) -> Owned:
        """An event of this point in the stream."""
        event = self.driver.own(self.driver.ask("cuEventCreate", 0), "cuEventDestroy")
        self.driver.ask("cuEventRecord", event.value, self.stream)
        return event


class CudaExchange:
    """Memory as other libraries know it: by its address, in the order of streams."""

    KIND = 2  # kDLCUDA
    USUAL = 1  # the number of CUDA's default stream, which None means

    def __init__(self, driver: Driver, stream: Any, pool: Pool) -> None:
        self.driver = driver
        self.pool = pool
        self.device = self.KIND, driver.number
        self.own = stream
        self.stream = int(stream)

    def address(self, memory: Owned) -> int:
        """The address, under which others may use the memory in their streams."""
        self.pool.share(memory.value)
        return int(memory.value)

    def adopt(self, address: int, offset: int, owner: object) -> Place:
        """Memory that begins at an address of the alignment that all memory has."""
        beyond = (address + offset) % WIDEST
        return Place(Borrowed(address + offset - beyond, owner), beyond)

    def hold_back(self, stream: int | None) -> None:
        """Have another stream wait for the machine's, by an event."""
        event = self.driver.own(self.driver.ask("cuEventCreate", UNTIMED), "cuEventDestroy")
        self.driver.ask("cuEventRecord", event.value, self.own)
        self.driver.ask("cuStreamWaitEvent", stream or self.USUAL, event.value, 0)
