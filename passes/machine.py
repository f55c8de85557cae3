"""What passes take a machine to be: registers, caches, rates, and how large things usually are.

Passes choose by the typical machine, so that equal graphs become equal kernels everywhere, with
sums of the same order. What a choice costs is predicted for the machine that has been measured.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Iterator
from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.dim import Size


@dataclass(frozen=True, slots=True)
class Registers:
    """A target's vector registers: how wide and how many."""

    bits: int = 512
    count: int = 32


@dataclass(frozen=True, slots=True)
class Machine:
    """A processor as one of its cores sees it: what it does in a second at most.

    float32 and float64 count operations (a fused multiply-add is two), exponentials those of
    float32. caches holds the bytes of each cache, the nearest first; read and written the bytes a
    second where data are in each of them, and at the end where they are in memory.
    """

    name: str
    float32: float
    float64: float
    exponentials: float
    caches: tuple[int, ...]
    read: tuple[float, ...]
    written: tuple[float, ...]

    def level(self, size: int) -> int:
        """Where so many bytes stay: the place of the first cache that holds them, or of memory."""
        fitting = (at for at, cache in enumerate(self.caches) if size <= cache)
        return next(fitting, len(self.caches))

    def __str__(self) -> str:
        rates = (("float32", self.float32), ("float64", self.float64), ("exp", self.exponentials))
        lines = [f"{self.name}, one core", "        10^9 operations/s"]
        lines += [f"{name:8}{rate / 1e9:9.1f}" for name, rate in rates]
        lines.append("             size  read GB/s  written GB/s")
        sizes = [f"{cache / 1024:.0f} KiB" for cache in self.caches]
        names = [*(f"cache {level}" for level in range(1, len(sizes) + 1)), "memory"]
        rows = zip(names, [*sizes, ""], self.read, self.written, strict=True)
        lines += [f"{n:8}{s:>9}{r / 1e9:11.1f}{w / 1e9:14.1f}" for n, s, r, w in rows]
        return "\n".join(lines)


TYPICAL = Machine(
    "a typical processor",
    float32=100e9,
    float64=50e9,
    exponentials=4e9,
    caches=(1 << 15, 1 << 20, 1 << 25),
    read=(200e9, 100e9, 50e9, 20e9),
    written=(100e9, 60e9, 40e9, 15e9),
)

# Elements of float32 in the widest registers.
VECTOR = Registers().bits // 32
# Bytes of the first and the second cache of a core.
FIRST_CACHE, SECOND_CACHE = TYPICAL.caches[:2]
# Bytes of a line of a cache; how many lines that lie a way of a cache apart it can hold.
LINE, WAYS = 64, 8
# What a symbolic size is taken to be.
TYPICAL_SIZE = 64

MACHINE: contextvars.ContextVar[Machine]
MACHINE = contextvars.ContextVar("machine", default=TYPICAL)


def machine() -> Machine:
    """The machine that costs are predicted for: a typical one unless another one is given."""
    return MACHINE.get()


@contextlib.contextmanager
def predicting_for(chosen: Machine) -> Iterator[None]:
    """Predict costs for a machine inside."""
    token = MACHINE.set(chosen)
    try:
        yield
    finally:
        MACHINE.reset(token)


def typical(size: Size) -> int:
    """A size, where it is symbolic a usual one."""
    if isinstance(size, int):
        return size
    return dim.evaluate(size, {symbol.name: TYPICAL_SIZE for symbol in dim.symbols(size)})


def lines_to_a_set(count: int, stride: int) -> float:
    """How many of some lines a number of bytes apart share a place in the first cache."""
    way = FIRST_CACHE // WAYS
    places = way // math.gcd(max(stride, LINE), way)
    return max(1.0, count / places)
