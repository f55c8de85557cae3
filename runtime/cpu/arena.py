"""Arena: one block of memory for what a call works on."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.runtime.cpu.binding import address_of
from graphc.runtime.loaded import Array

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Arena:
    """One block of memory for all temporaries of a call, aligned for vectors."""

    def __init__(self) -> None:
        self.bytes = 0
        self.block: np.ndarray[Any, Any] = np.empty(ALIGNMENT, np.uint8)
        self.address = aligned(self.block)

    def hold(self, size: int) -> None:
        """Have exactly this many bytes; what was in them is lost when their number changes."""
        if size != self.bytes:
            self.block = np.empty(size + ALIGNMENT, np.uint8)
            self.address = aligned(self.block)
            self.bytes = size


def aligned(block: Array) -> int:
    """The first aligned byte of a block."""
    return -(-address_of(block) // ALIGNMENT) * ALIGNMENT
