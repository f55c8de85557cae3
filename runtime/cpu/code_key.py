"""The names of machine code in caches: what the code depends on, as one number.

That is the text it is made from, the processor, the versions of LLVM and graphc, and the modules
of graphc that turn a text into code. These count by size and time of change, as Python tells
whether its own bytecode is stale.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

import llvmlite

import graphc.ir
import graphc.passes.math
import graphc.runtime.cpu
from graphc.runtime.cpu import llvm
from graphc.runtime.cpu.target import host
from graphc.version import VERSION

FORMAT = 1  # of what is kept; a new one makes everything kept before unknown
MAKERS = (graphc.ir, graphc.passes.math, graphc.runtime.cpu)


def key_of(kind: str, text: str) -> str:
    """The key, in hexadecimal digits, of the code that a text of a kind becomes."""
    return hashlib.sha256(f"{circumstances()}\n{kind}\n{text}".encode()).hexdigest()


@cache
def circumstances() -> str:
    """All that code depends on besides its text."""
    facts = (FORMAT, VERSION, llvmlite.__version__, llvm.llvm_version_info, host())
    return "\n".join([*map(str, facts), *modules_of(MAKERS)])


def modules_of(packages: Iterable[ModuleType]) -> list[str]:
    """A line for each module of packages."""
    folders = [Path(folder) for package in packages for folder in package.__path__]
    return [line for folder in folders for line in sorted(map(described, os.scandir(folder)))]


def described(entry: os.DirEntry[str]) -> str:
    """A file's name, size and time of change; a folder's are nobody's business."""
    status = entry.stat()
    return f"{entry.name} {status.st_size} {status.st_mtime_ns}" if entry.is_file() else ""
