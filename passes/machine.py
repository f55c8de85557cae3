"""What passes take a machine to be: its registers, its caches, and how large things usually are."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.dim import Size


@dataclass(frozen=True, slots=True)
class Registers:
    """A target's vector registers: how wide and how many."""

    bits: int = 512
    count: int = 32


# Elements of float32 in the widest registers.
VECTOR = Registers().bits // 32
# Bytes of the first and the second cache of a core.
FIRST_CACHE, SECOND_CACHE = 1 << 15, 1 << 20
# Bytes of a line of the caches, and the lines of one set of the second.
LINE, WAYS = 64, 8
# What a symbolic size is taken to be.
TYPICAL_SIZE = 64


def typical(size: Size) -> int:
    """A size, where it is symbolic a usual one."""
    if isinstance(size, int):
        return size
    return dim.evaluate(size, {symbol.name: TYPICAL_SIZE for symbol in dim.symbols(size)})
