"""A folder for what was compiled, which outlives the process: files whole or absent, and bounded.

Each entry is a file of its own, named by its key, in one of 256 subfolders (shards). A file holds
a checksum over the key and the data; what does not match it counts as missing and is replaced.
New files get their names only when they are complete, so any number of processes may read and
write at the same time; two that write the same entry write the same bytes.

Each shard holds at most its share of the folder's limit. What has not been used for the longest
time goes first; so that reading stays reading, the time of last use is noted once an hour.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

VARIABLE = "GRAPHC_CACHE"
OFF = "off"
LIMIT = 1 << 30  # bytes on the disk
SHARDS = 256
BLOCK = 4096  # bytes that file systems hand out at once: what a small file really takes
HOUR = 3600  # seconds: how exactly the last use is known, and when an unfinished file is a wreck
UNFINISHED = ".part"
PLACES = {"win32": ("LOCALAPPDATA", "~/AppData/Local"), "darwin": ("", "~/Library/Caches")}


class DiskCache:
    """Data by key in a folder, which is made when the first entry is written.

    Nothing raises because of the disk: what cannot be read is missing, and the first time that
    something cannot be written a warning says so. limit is in bytes on the disk.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = folder
        self.share = limit // SHARDS
        self.writable = True

    def read(self, key: str) -> bytes | None:
        """The data of a key, a string of hexadecimal digits; None where there are none."""
        try:
            content, last_used = read_whole(self.path(key))
        except OSError:
            return None
        unused = time.time() - last_used
        size = hashlib.sha256().digest_size
        checksum, data = content[:size], content[size:]
        if checksum != checksum_of(key, data):
            return None
        if unused > HOUR:
            with suppress(OSError):
                os.utime(self.path(key))
        return data

    def write(self, key: str, data: bytes) -> None:
        """Keep the data of a key, and let go of what is too much."""
        if not self.writable or blocks(len(data)) > self.share:
            return
        path = self.path(key)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_whole(path, checksum_of(key, data) + data)
            self.shrink(path.parent)
        except OSError as error:
            if not is_there(path):  # else another process has just written the same
                self.give_up(error)

    def path(self, key: str) -> Path:
        """The file of a key."""
        return self.folder / key[:2] / key[2:]

    def shrink(self, shard: Path) -> None:
        """Remove the files of a shard that are wrecks or too much, those longest unused first."""
        files = sorted(files_of(shard), key=lambda file: file[1].st_mtime)
        excess = sum(blocks(status.st_size) for _, status in files) - self.share
        for path, status in files:
            wreck = path.suffix == UNFINISHED and time.time() - status.st_mtime > HOUR
            if wreck or (excess > 0 and path.suffix != UNFINISHED):
                path.unlink(missing_ok=True)
                excess -= blocks(status.st_size)

    def give_up(self, error: OSError) -> None:
        """Write nothing any more, and say so once."""
        self.writable = False
        warnings.warn(
            f"cannot keep machine code in {self.folder} ({error.strerror or error}): later "
            f"processes will generate it anew. {VARIABLE}=folder names another folder, "
            f"{VARIABLE}={OFF} none",
            RuntimeWarning,
            stacklevel=2,
        )


def read_whole(path: Path) -> tuple[bytes, float]:
    """What is in a file, and when it was changed; OSError for what is no regular file.

    Nothing waits: to open a pipe as others do would, for somebody to write into it.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    with os.fdopen(handle, "rb", buffering=0) as file:
        return file.read(), status.st_mtime


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that nobody ever sees in part."""
    unfinished = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}{UNFINISHED}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def is_there(path: Path) -> bool:
    """Whether a file exists; no, where nobody may look."""
    with suppress(OSError):
        return path.exists()
    return False


def files_of(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files in a folder with what is known of them; what vanishes meanwhile is left out."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield Path(entry.path), entry.stat()


def checksum_of(key: str, data: bytes) -> bytes:
    """What tells whole files under their right name from others."""
    return hashlib.sha256(key.encode() + data).digest()


def blocks(size: int) -> int:
    """The bytes that a file takes on the disk."""
    return -(-size // BLOCK) * BLOCK


def chosen_folder() -> Path | None:
    """The folder that GRAPHC_CACHE names, else the platform's place for caches; None for off."""
    named = os.environ.get(VARIABLE, "")
    if named:
        return None if named == OFF else Path(os.path.expanduser(named))  # noqa: PTH111 (never raises)
    with suppress(RuntimeError):
        return platform_folder() / "graphc"
    return None


def platform_folder() -> Path:
    """Where this platform keeps caches of the user; RuntimeError where the user has no home."""
    variable, default = PLACES.get(sys.platform, ("XDG_CACHE_HOME", "~/.cache"))
    named = Path(os.environ.get(variable, ""))
    return named if named.is_absolute() else Path(default).expanduser()
