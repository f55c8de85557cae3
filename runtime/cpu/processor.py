"""What the system says of the processor: its name and its caches."""

from __future__ import annotations

import ctypes
import itertools
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
DESCRIPTION = Path("/proc/cpuinfo")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def processor_name() -> str:
    """The model, as far as the system tells."""
    with suppress(OSError):
        for line in DESCRIPTION.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip().lower() in ("model name", "cpu model", "uarch") and value.strip():
                return value.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def cache_sizes() -> tuple[int, ...]:
    """The bytes of each cache for data, the nearest first; none where the system tells none."""
    found = dict(apple_caches() if sys.platform == "darwin" else linux_caches())
    sizes = tuple(found[level] for level in sorted(found))
    return sizes if all(a < b for a, b in itertools.pairwise(sizes)) else ()


def linux_caches() -> Iterator[tuple[int, int]]:
    """The level and the bytes of the first processor's caches, as Linux lists them."""
    for folder in CACHES.glob("index*"):
        with suppress(OSError, ValueError, KeyError):
            kind, level, size = (
                (folder / name).read_text().strip() for name in ("type", "level", "size")
            )
            if kind in ("Data", "Unified"):
                yield int(level), in_bytes(size)


def in_bytes(text: str) -> int:
    """A size such as 32K."""
    unit = text[-1:]
    return int(text[:-1]) * UNITS[unit] if unit in UNITS else int(text)


def apple_caches() -> Iterator[tuple[int, int]]:
    """The level and the bytes of each cache, as macOS tells."""
    for level, name in ((1, "hw.l1dcachesize"), (2, "hw.l2cachesize"), (3, "hw.l3cachesize")):
        size, length = ctypes.c_uint64(0), ctypes.c_size_t(8)
        by_name = ctypes.CDLL(None).sysctlbyname
        failed = by_name(name.encode(), ctypes.byref(size), ctypes.byref(length), None, 0)
        if not failed and size.value:
            yield level, size.value
