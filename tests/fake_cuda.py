"""A CUDA driver without a GPU, for tests: memory of the host, kernels compiled by a C++ compiler.

It stands in for `cuda.bindings.driver`, records what it is asked, and is as strict as a driver
about handles, and about memory that was freed, which it fills with what nobody expects.
"""
# ruff: noqa: N802, N815 (its functions have NVIDIA's names)

import ctypes
import enum
import itertools
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cuda_on_host import MOST_GIVEN, on_host

from graphc.runtime.cuda import device, driver, machine

COMPILER = shutil.which("g++") or shutil.which("clang++")
FLAGS = ["-O0", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-w"]
CUresult = enum.IntEnum(
    "CUresult",
    {
        "CUDA_SUCCESS": 0,
        "CUDA_ERROR_INVALID_VALUE": 1,
        "CUDA_ERROR_OUT_OF_MEMORY": 2,
        "CUDA_ERROR_NO_DEVICE": 100,
        "CUDA_ERROR_INVALID_CONTEXT": 201,
        "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": 701,
        "CUDA_ERROR_LAUNCH_FAILED": 719,
        "CUDA_ERROR_NOT_SUPPORTED": 801,
    },
)
ALIGNMENT = 256  # bytes
FREED = 0xFD  # what each byte of memory becomes that is given back
GOOD = CUresult.CUDA_SUCCESS
Answer = tuple[Any, ...]


class FakeDriver:
    """The driver: functions by their names in `cuda.bindings.driver`, with the same answers."""

    CUresult = CUresult
    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR="major",
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR="minor",
        CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED="pools",
    )
    CUfunction_attribute = SimpleNamespace(
        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES="shared",
    )
    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
    CUmemAllocationType = SimpleNamespace(CU_MEM_ALLOCATION_TYPE_PINNED=1)
    CUmemLocationType = SimpleNamespace(CU_MEM_LOCATION_TYPE_DEVICE=1)
    CUmemPool_attribute = SimpleNamespace(CU_MEMPOOL_ATTR_RELEASE_THRESHOLD=4)
    cuuint64_t = ctypes.c_uint64
    CUDA_KERNEL_NODE_PARAMS = SimpleNamespace

    @staticmethod
    def CUmemPoolProps() -> SimpleNamespace:
        return SimpleNamespace(allocType=0, location=SimpleNamespace(type=0, id=0))

    def __init__(self, folder: Path, names: tuple[str, ...] = ("Fake GPU",)) -> None:
        self.folder = folder
        self.names = names
        self.asked: list[str] = []
        self.failing = "", CUresult.CUDA_SUCCESS
        self.memory: dict[int, Any] = {}
        self.handles: dict[int, Any] = {}
        self.numbers = itertools.count(1)
        self.attributes = {"major": 9, "minor": 0, "pools": 1}
        self.kept: dict[int, list[Any]] = {}
        self.times: dict[int, float] = {}
        self.waiting: list[int] = []
        self.contexts: dict[int, int] = {}
        self.given: dict[int, int] = {}
        self.in_context = threading.local()
        self.loaded_in: list[int] = []
        self.room = 1 << 30
        self.in_use: list[int] = []

    def __getattribute__(self, name: str) -> Any:
        """Record each function that is asked for; one of them may fail."""
        if name.startswith("cu") and name != "cuCtxGetCurrent":  # it is asked all the time
            object.__getattribute__(self, "asked").append(name)
            failing, status = object.__getattribute__(self, "failing")
            if name == failing:
                return lambda *arguments: (status, None)
        return object.__getattribute__(self, name)

    def handle(self, thing: Any) -> int:
        """A new number for a thing."""
        number = next(self.numbers)
        self.handles[number] = thing
        return number

    # --- devices and contexts ----------------------------------------------------------------

    def cuInit(self, flags: int) -> Answer:
        return (GOOD if self.names else CUresult.CUDA_ERROR_NO_DEVICE,)

    def cuDeviceGetCount(self) -> Answer:
        return GOOD, len(self.names)

    def cuDeviceGetName(self, size: int, number: int) -> Answer:
        # As the bindings have it: a buffer of blanks, of which the driver fills what it likes.
        return GOOD, self.names[number].encode().ljust(size // 2, b"\0").ljust(size)

    def cuDevicePrimaryCtxRetain(self, number: int) -> Answer:
        return GOOD, self.contexts.setdefault(number, 1 + len(self.contexts))

    def cuCtxSetCurrent(self, context: int) -> Answer:
        self.in_context.number = context
        return (GOOD,)

    def cuCtxPushCurrent(self, context: int) -> Answer:
        stack = self.in_context.__dict__.setdefault("below", [])
        stack.append(self.cuCtxGetCurrent()[1])
        return self.cuCtxSetCurrent(context)

    def cuCtxPopCurrent(self) -> Answer:
        gone = self.cuCtxGetCurrent()[1]
        self.in_context.number = self.in_context.below.pop()
        return GOOD, gone

    def cuCtxGetCurrent(self) -> Answer:
        return GOOD, getattr(self.in_context, "number", 0)

    def cuDeviceGetAttribute(self, attribute: str, number: int) -> Answer:
        return GOOD, self.attributes[attribute]

    def cuCtxSynchronize(self) -> Answer:
        return (GOOD,)

    # --- memory ------------------------------------------------------------------------------

    def cuMemAlloc(self, size: int) -> Answer:
        if size > self.room:
            return CUresult.CUDA_ERROR_OUT_OF_MEMORY, None
        return GOOD, self.new_block(size)

    def new_block(self, size: int) -> int:
        """The address of new memory, at a multiple of what a driver has it at."""
        whole = bytearray(size + ALIGNMENT)
        start = ctypes.addressof(ctypes.c_char.from_buffer(whole))
        block = (ctypes.c_char * size).from_buffer(whole, -start % ALIGNMENT)
        self.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def cuMemFree(self, address: int) -> Answer:
        found = self.memory.pop(address, None)
        return (CUresult.CUDA_ERROR_INVALID_VALUE if found is None else GOOD,)

    def cuMemPoolCreate(self, properties: Any) -> Answer:
        if not self.attributes["pools"]:
            return CUresult.CUDA_ERROR_NOT_SUPPORTED, None
        kinds, where = (properties.allocType, properties.location.type), properties.location.id
        good = kinds == (1, 1) and where in self.contexts
        return (GOOD, self.handle("pool")) if good else (CUresult.CUDA_ERROR_INVALID_VALUE, None)

    def cuMemPoolSetAttribute(self, pool: int, attribute: int, value: ctypes.c_uint64) -> Answer:
        good = self.handles[pool] == "pool" and attribute == 4 and value.value == (1 << 64) - 1
        return (GOOD if good else CUresult.CUDA_ERROR_INVALID_VALUE,)

    def cuMemAllocFromPoolAsync(self, size: int, pool: int, stream: int) -> Answer:
        """Memory that was freed, of the same size, before any other."""
        if size == 0 or (self.handles[pool], self.handles[stream]) != ("pool", "stream"):
            return CUresult.CUDA_ERROR_INVALID_VALUE, None
        if blocks := self.kept.get(size):
            block = blocks.pop()
            self.memory[ctypes.addressof(block)] = block
            return GOOD, ctypes.addressof(block)
        kept = sum(size * len(blocks) for size, blocks in self.kept.items())
        if size > self.room - kept:
            return CUresult.CUDA_ERROR_OUT_OF_MEMORY, None
        return GOOD, self.new_block(size)

    def cuMemFreeAsync(self, address: int, stream: int) -> Answer:
        block = self.memory.pop(address, None)
        if block is None or self.handles[stream] != "stream":
            return (CUresult.CUDA_ERROR_INVALID_VALUE,)
        ctypes.memset(address, FREED, len(block))
        self.kept.setdefault(len(block), []).append(block)
        return (GOOD,)

    def cuMemPoolTrimTo(self, pool: int, size: int) -> Answer:
        assert size == 0
        self.kept.clear()
        return (GOOD,)

    def cuMemHostAlloc(self, size: int, flags: int) -> Answer:
        return GOOD, self.new_block(size)

    def covered(self, address: int, size: int) -> bool:
        """Whether bytes lie in one allocation."""
        return any(
            a <= address and address + size <= a + len(m) for a, m in list(self.memory.items())
        )

    def cuMemcpyHtoDAsync(self, target: int, source: int, size: int, stream: int) -> Answer:
        if not (self.covered(target, size) and self.covered(source, size)):
            return (CUresult.CUDA_ERROR_INVALID_VALUE,)
        ctypes.memmove(target, source, size)
        return (GOOD,)

    cuMemcpyDtoHAsync = cuMemcpyDtoDAsync = cuMemcpyHtoDAsync

    # --- streams, events, graphs -------------------------------------------------------------

    def cuStreamCreate(self, flags: int) -> Answer:
        return GOOD, self.handle("stream")

    def cuEventCreate(self, flags: int) -> Answer:
        return GOOD, self.handle("event")

    def cuEventRecord(self, event: int, stream: int) -> Answer:
        assert self.handles[event] == "event"
        self.times[event] = time.perf_counter()
        return (GOOD,)

    def cuEventSynchronize(self, event: int) -> Answer:
        return (GOOD,)

    def cuStreamSynchronize(self, stream: int) -> Answer:
        return (GOOD,)

    def cuEventElapsedTime(self, first: int, last: int) -> Answer:
        return GOOD, 1e3 * (self.times[last] - self.times[first])

    def cuEventDestroy(self, event: int) -> Answer:
        del self.handles[event]
        self.times.pop(event, None)
        return (GOOD,)

    def cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> Answer:
        assert event in self.times
        self.waiting.append(stream)
        return (GOOD,)

    def cuGraphCreate(self, flags: int) -> Answer:
        return GOOD, self.handle({})

    def cuGraphAddKernelNode(
        self, graph: int, dependencies: list[int], count: int, parameters: Any
    ) -> Answer:
        """A node of a chain: here a graph is nothing else."""
        nodes = self.handles[graph]
        if count != len(dependencies) or dependencies != list(nodes)[-1:]:
            return CUresult.CUDA_ERROR_INVALID_VALUE, None
        node = next(self.numbers)
        nodes[node] = self.node(parameters)
        return GOOD, node

    def node(self, parameters: Any) -> tuple[int, Callable[[], bool]]:
        """The kernel of a node, and its launch with the arguments that there are now."""
        p = parameters
        assert (p.gridDimY, p.gridDimZ, p.blockDimY, p.blockDimZ, p.sharedMemBytes) == (
            1,
            1,
            1,
            1,
            self.given.get(p.func, 0),
        )
        return p.func, self.prepared(p.func, p.gridDimX, p.blockDimX, p.kernelParams)

    def cuGraphInstantiate(self, graph: int, flags: int) -> Answer:
        return GOOD, self.handle((graph, dict(self.handles[graph])))

    def cuGraphExecKernelNodeSetParams(self, step: int, node: int, parameters: Any) -> Answer:
        """Change a launch; a graph that is gone has no nodes."""
        graph, nodes = self.handles[step]
        if node not in nodes or node not in self.handles.get(graph, {}):
            return (CUresult.CUDA_ERROR_INVALID_VALUE,)
        nodes[node] = self.node(parameters)
        return (GOOD,)

    def cuGraphDestroy(self, graph: int) -> Answer:
        del self.handles[graph]
        return (GOOD,)

    cuGraphExecDestroy = cuGraphDestroy

    def cuGraphLaunch(self, step: int, stream: int) -> Answer:
        for _, launch in self.handles[step][1].values():
            if launch():
                return (CUresult.CUDA_ERROR_LAUNCH_FAILED,)
        return (GOOD,)

    # --- kernels -----------------------------------------------------------------------------

    def cuModuleLoadData(self, code: bytes) -> Answer:
        self.loaded_in.append(self.cuCtxGetCurrent()[1])
        number = next(self.numbers)
        source, library = (self.folder / f"{number}.{end}" for end in ("cpp", "so"))
        text, counts = on_host(code.decode())
        source.write_text(text)
        subprocess.run([str(COMPILER), *FLAGS, str(source), "-o", str(library)], check=True)
        return GOOD, self.handle((ctypes.CDLL(str(library)), counts))

    def cuModuleUnload(self, module: int) -> Answer:
        """Unload a module, of which no graph may have kernels any more."""
        gone = self.handles.pop(module)[0]
        graphs = [h for h in self.handles.values() if isinstance(h, dict)]
        graphs += [h[1] for h in self.handles.values() if isinstance(h, tuple) and is_step(h)]
        self.in_use += [
            f for nodes in graphs for f, _ in nodes.values() if is_of(self.handles.get(f), gone)
        ]
        self.handles = {n: h for n, h in self.handles.items() if not is_of(h, gone)}
        return (GOOD,)

    def cuModuleGetFunction(self, module: int, name: bytes) -> Answer:
        library, counts = self.handles[module]
        function = library[f"run_{name.decode()}"]
        return GOOD, self.handle((function, counts[name.decode()], library))

    def cuFuncSetAttribute(self, kernel: int, attribute: str, value: int) -> Answer:
        if attribute != "shared" or value > MOST_GIVEN[self.attributes["major"]]:
            return (CUresult.CUDA_ERROR_INVALID_VALUE,)
        self.given[kernel] = value
        return (GOOD,)

    def cuLaunchKernel(self, kernel: int, blocks: int, *rest: Any) -> Answer:
        if rest[5] != self.given.get(kernel, 0) or blocks == 0:
            return (CUresult.CUDA_ERROR_INVALID_VALUE,)
        launch = self.prepared(kernel, blocks, rest[2], rest[7])
        return (CUresult.CUDA_ERROR_LAUNCH_FAILED if launch() else GOOD,)

    def prepared(
        self, kernel: int, blocks: int, threads: int, arguments: int
    ) -> Callable[[], bool]:
        """A launch with copies of its arguments, which says whether it fails."""
        function, count, _ = self.handles[kernel]
        places = (ctypes.c_void_p * count).from_address(arguments)
        words = (ctypes.c_int64 * count)(*(ctypes.c_int64.from_address(p).value for p in places))

        def launch() -> bool:
            start = ctypes.addressof(words)
            own = (ctypes.c_void_p * count)(*range(start, start + 8 * count, 8))
            return bool(function(ctypes.c_uint(blocks), ctypes.c_uint(threads), own))

        return launch


@contextmanager
def installed(folder: Path) -> Iterator[FakeDriver]:
    """The time in which such a driver is in the place of NVIDIA's."""
    found = FakeDriver(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "import_cuda", lambda name: found)
        patch.setattr(machine, "compile_cubin", lambda text, architecture: text.encode())
        device.opened.cache_clear()
        yield found
        assert not found.in_use, "modules were unloaded before the graphs of their kernels"
        device.opened.cache_clear()


def is_step(handle: tuple[Any, ...]) -> bool:
    """Whether a handle is a graph that can be run."""
    return len(handle) == 2 and isinstance(handle[0], int)


def is_of(handle: Any, library: Any) -> bool:
    """Whether a handle is a function of a library."""
    return isinstance(handle, tuple) and handle[-1] is library
