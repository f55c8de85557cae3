"""The memory of a GPU from a pool of the driver's, allocated and freed in the order of a stream.

Memory from cuMemAlloc costs hundreds of microseconds where it is large, and cuMemFree waits for
the whole GPU. A pool keeps what is freed and hands it out again in a few microseconds: whoever has
it next works in the same stream, after all that was given to the stream before.
"""

from __future__ import annotations

import weakref
from typing import Any

from graphc.runtime.cuda.driver import Driver, Owned

ALL = (1 << 64) - 1  # bytes: keep whatever is freed


class Pool:
    """What allocates memory for a stream; where the GPU has no pools, as it was without them."""

    def __init__(self, driver: Driver, stream: Any) -> None:
        self.driver = driver
        self.stream = stream
        self.shared: set[int] = set()
        self.handle = make_pool(driver) if driver.attribute("MEMORY_POOLS_SUPPORTED") else None
        driver.give_up_memory = self.trim

    def allocate(self, size: int) -> Owned:
        """Memory, by its address, which goes back with the last reference to it."""
        if self.handle is None:
            return self.driver.own(int(self.driver.ask("cuMemAlloc", max(size, 1))), "cuMemFree")
        taken = self.driver.ask("cuMemAllocFromPoolAsync", max(size, 1), self.handle, self.stream)
        memory = Owned(int(taken))
        weakref.finalize(memory, self.free, memory.value).atexit = False
        return memory

    def trim(self) -> None:
        """Leave all that is kept to whoever asks the GPU next."""
        self.driver.check("cuStreamSynchronize", self.stream)  # until then it may be in use
        if self.handle is not None:
            self.driver.check("cuMemPoolTrimTo", self.handle, 0)

    def share(self, address: int) -> None:
        """Note that other libraries are handed memory, which they may use in other streams."""
        if self.handle is not None:
            self.shared.add(address)

    def free(self, address: int) -> None:
        """Put memory back, from any thread, when the stream has done what it was given so far.

        What others have used is free when all streams have.
        """
        if address in self.shared:
            if not self.driver.release("cuCtxSynchronize"):
                return  # nobody knows who still uses it
            self.shared.discard(address)
        self.driver.release("cuMemFreeAsync", address, self.stream)


def make_pool(driver: Driver) -> Any:
    """A new pool of a GPU's memory, for the life of the process, which keeps what is freed."""
    api = driver.api
    properties = api.CUmemPoolProps()
    properties.allocType = api.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
    properties.location.type = api.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
    properties.location.id = driver.number
    pool = driver.ask("cuMemPoolCreate", properties)
    threshold = api.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    driver.ask("cuMemPoolSetAttribute", pool, threshold, api.cuuint64_t(ALL))
    return pool
