"""Threefry-2x32 with 20 rounds: two words of a counter, mixed with two words of a key.

Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011). Additions,
rotations and exclusive ors of uint32 alone, so that every device computes the same bits.
"""

from __future__ import annotations

from typing import TypeAlias

from graphc.ir.dim import Size, product
from graphc.ir.node import Node, apply
from graphc.ir.types import uint32, uint64
from graphc.lang.operands import constant, to_node_dtype

Words: TypeAlias = tuple[Node, Node]

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def threefry(key: Words, counter: Words) -> Words:
    """The two words for a key and a counter, uint32 arrays that broadcast."""
    schedule = (*key, key[0] ^ key[1] ^ PARITY)
    x, y = counter[0] + schedule[0], counter[1] + schedule[1]
    for group in range(5):
        for places in ROTATIONS[group % 2]:
            x = x + y
            y = rotate(y, places) ^ x
        x = x + schedule[(group + 1) % 3]
        y = y + (schedule[(group + 2) % 3] + (group + 1))
    return x, y


def rotate(word: Node, places: int) -> Node:
    """The bits of a uint32 moved up, those that leave coming in again below."""
    return (word << places) | (word >> (32 - places))


def words_for(key: Words, shape: tuple[Size, ...]) -> Words:
    """Two words for each element of a shape; the counter is the element's place in row order."""
    first, second = threefry(key, counters(product(shape)))
    return first.reshape(shape), second.reshape(shape)


def counters(count: Size) -> Words:
    """The numbers 0, 1, ... below a count, as their upper and lower words."""
    if isinstance(count, int) and count <= 2**32:
        return constant(0, uint32), apply("iota", shape=(count,), axis=0, dtype=uint32)
    return halves(apply("iota", shape=(count,), axis=0, dtype=uint64))


def halves(number: Node) -> Words:
    """The upper and lower words of an integer."""
    wide = to_node_dtype(number, uint64)
    return to_node_dtype(wide >> 32, uint32), to_node_dtype(wide, uint32)


def joined(words: Words) -> Node:
    """The uint64 of an upper and a lower word."""
    upper, lower = (to_node_dtype(word, uint64) for word in words)
    return (upper << 32) | lower
