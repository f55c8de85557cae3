"""Arena: one block of memory for what a call works on."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.runtime.cpu.binding import address_of
from graphc.runtime.loaded import Array

PAGE = 4096
"""Bytes of a page. An arena begins in the middle of one, since large arrays of a caller begin at
its start: a load waits for a store before it whose address agrees within the page."""


class Arena:
    """One block of memory for all temporaries of a call, aligned for vectors."""

    def __init__(self) -> None:
        self.bytes = 0
        self.block: np.ndarray[Any, Any] = np.empty(PAGE, np.uint8)
        self.address = amid_page(self.block)

    def hold(self, size: int) -> None:
        """Have exactly this many bytes; what was in them is lost when their number changes."""
        if size != self.bytes:
            self.block = np.empty(size + PAGE, np.uint8)
            self.address = amid_page(self.block)
            self.bytes = size


def amid_page(block: Array) -> int:
    """The first byte of a block that lies in the middle of a page."""
    middle = PAGE // 2
    return -(-(address_of(block) - middle) // PAGE) * PAGE + middle
