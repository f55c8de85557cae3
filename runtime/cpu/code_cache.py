"""Machine code that was made before: in this process, or in an earlier one and kept on the disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from graphc.locks import fork_safe_lock
from graphc.runtime.cpu.disk_cache import DiskCache, chosen_folder

REMEMBERED = 4096  # entries in memory, of some kilobytes each

memory: dict[str, bytes] = {}
changing = fork_safe_lock()


def kept(key: str, make: Callable[[], bytes]) -> bytes:
    """The code of a key, made if it is nowhere."""
    code = find(key)
    if code is None:
        code = make()
        keep(key, code)
    return code


def find(key: str) -> bytes | None:
    """The code of a key; None where it is nowhere."""
    code = memory.get(key)
    if code is None and (disk := disk_cache()) is not None:
        code = disk.read(key)
        if code is not None:
            remember(key, code)
    return code


def keep(key: str, code: bytes) -> None:
    """Keep code in memory and on the disk."""
    remember(key, code)
    if (disk := disk_cache()) is not None:
        disk.write(key, code)


def remember(key: str, code: bytes) -> None:
    """Keep code in memory; what came first goes first."""
    with changing:
        memory[key] = code
        if len(memory) > REMEMBERED:
            del memory[next(iter(memory))]


@cache
def disk_cache() -> DiskCache | None:
    """The folder that this process uses; None where it is switched off."""
    folder = chosen_folder()
    return None if folder is None else DiskCache(folder)
