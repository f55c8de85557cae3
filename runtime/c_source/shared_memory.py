"""Memory that the threads of a block share: arrays of a kernel, or what it is launched with.

CUDA has a limit of 48 KiB for what a kernel declares, which all its GPUs have. More is given at the
launch, as one piece of memory of which the arrays are parts. Units that read matrices from there
want eight lines of all banks to begin at a multiple of their size, as they do there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.names import Names

MOST_DECLARED = 48 << 10
"""Bytes that a kernel may declare (CUDA C++ Programming Guide, technical specifications)."""
ALIGNMENT = 1024
"""Bytes that eight lines of all banks take, at a multiple of which each array begins."""


@dataclass(frozen=True, slots=True)
class SharedArray:
    """So many elements of a type of C, and how many bytes they take."""

    word: str
    name: str
    count: int
    bytes: int


def declared(
    dialect: Dialect, arrays: Sequence[SharedArray], names: Names, in_lines: bool = False
) -> tuple[list[str], int]:
    """The lines that declare arrays, and the bytes that the kernel is to be launched with.

    in_lines says that units read matrices there; such arrays are given.
    """
    is_small = sum(array.bytes for array in arrays) <= MOST_DECLARED
    if not dialect.given or (is_small and not in_lines):
        space = f"{dialect.shared}{dialect.aligned}"
        return [f"{space}{array.word} {array.name}[{array.count}];" for array in arrays], 0
    memory, end = names.fresh("shared"), 0
    lines = [f"{dialect.given.format(name=memory)};"]
    for array in arrays:
        lines.append(f"{array.word} *const {array.name} = ({array.word} *)({memory} + {end});")
        end += -(-array.bytes // ALIGNMENT) * ALIGNMENT
    return lines, end
