"""Where arrays begin in memory: at a line of the cache, and those of one step apart in a page."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

LINE = 64
"""Bytes of a cache line, and of the widest vector."""
PAGE = 4096
"""Bytes after which addresses share the sets of the first cache, and seem equal to its loads."""
APART = 23 * LINE
"""Bytes between the beginnings of one array and the next within a page: odd, so that only every
64th begins at the same line, and such that those of a few turns before are no neighbours."""

turns = itertools.count()


def aligned_copy(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A contiguous copy that begins where a cache line does, if it fills one."""
    if array.nbytes < LINE:
        return np.array(array, order="C", copy=True)
    return copy_at(array, LINE, 0)


def spread_copy(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A contiguous copy that begins at another line of a page than the copies before, if large.

    An update reads and writes the same element of several arrays in turn. Where all of these begin
    at the same place of a page, their lines push each other out of the first cache, and each load
    waits for the stores before it.
    """
    if array.nbytes < PAGE:
        return aligned_copy(array)
    return copy_at(array, PAGE, next(turns) * APART % PAGE)


def copy_at(array: np.ndarray[Any, Any], unit: int, first: int) -> np.ndarray[Any, Any]:
    """A contiguous copy whose address is so many bytes beyond a multiple of a unit."""
    block = np.empty(array.nbytes + unit, np.uint8)
    start = (first - block.__array_interface__["data"][0]) % unit
    copy: np.ndarray[Any, Any] = block[start : start + array.nbytes].view(array.dtype)
    copy = copy.reshape(array.shape)
    copy[...] = array
    return copy
