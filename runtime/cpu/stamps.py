"""Stamps: a step that counts the time of each of its calls, for a profile.

It takes one more argument, a table of 64-bit integers: for each call, in the order in which they
stand, the ticks that it took and how often it ran. The ticks are those of a counter of the
processor that runs evenly whatever its clock does; `ticks` reads it, so that the host can see how
long one is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from graphc.runtime.cpu.block import Block
from graphc.runtime.cpu.target import Target

FIELDS = 2
"""Integers for each call: ticks, and runs."""
ARGUMENT = ", ptr %counts"
"""What the head of a step has in addition."""


def counter(target: Target) -> str:
    """LLVM's function that reads the counter.

    On x86 it is the time stamp counter; elsewhere the cycle counter may be forbidden to programs,
    and the steady one is not.
    """
    steady = target.triple and not target.triple.startswith(("x86_64", "i686"))
    return "@llvm.readsteadycounter" if steady else "@llvm.readcyclecounter"


def definitions(target: Target) -> str:
    """The functions that a step with stamps needs: the counter, and `ticks` for the host."""
    name = counter(target)
    return (
        f"declare i64 {name}()\n\n"
        "define i64 @ticks() nounwind {\n"
        f"  %ticks = call i64 {name}()\n"
        "  ret i64 %ticks\n"
        "}"
    )


class Stamps:
    """Writes what counts the calls of a step."""

    def __init__(self, target: Target) -> None:
        self.read = f"call i64 {counter(target)}()"
        self.places = itertools.count(0, FIELDS)

    @contextmanager
    def around(self, block: Block) -> Iterator[None]:
        """Count what is written in between as the next call."""
        at = next(self.places)
        before = block.op("before", self.read)
        yield
        after = block.op("after", self.read)
        self.add(block, at, block.op("ticks", f"sub i64 {after}, {before}"))
        self.add(block, at + 1, "1")

    def add(self, block: Block, at: int, value: str) -> None:
        """Add to a field of the table."""
        place = block.op("count", f"getelementptr i64, ptr %counts, i64 {at}")
        old = block.op("old", f"load i64, ptr {place}, align 8")
        new = block.op("new", f"add i64 {old}, {value}")
        block.add(f"store i64 {new}, ptr {place}, align 8")
