"""Keys: two words, uint32[2], from which random numbers follow; split them, never use one twice."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphError
from graphc.ir.node import Node
from graphc.ir.types import uint32
from graphc.lang.movement import stack
from graphc.lang.operands import ArrayLike, as_node, constant
from graphc.lang.sizes import SizeLike, is_integer, to_size
from graphc.random.threefry import Words, counters, halves, threefry


def key(seed: ArrayLike) -> Node:
    """The key of a seed: a Python integer, or a node of an integer dtype without axes.

    The key is uint32[2], the upper and the lower word of the seed modulo 2**64.
    """
    return stack(list(seed_words(seed, "key: the seed")))


def seed_words(seed: Any, what: str) -> Words:
    """The upper and lower words of an integer; GraphError for anything else."""
    if is_integer(seed):
        upper, lower = divmod(int(seed) % 2**64, 2**32)
        return constant(upper, uint32), constant(lower, uint32)
    node = as_node(seed)
    if node.shape or not node.dtype.is_integer:
        raise GraphError(f"{what} must be an integer without axes, this is {node.type}")
    return halves(node)


def key_words(given: ArrayLike, what: str) -> Words:
    """The two words of a key; GraphError unless it is uint32[2]."""
    node = as_node(given)
    if node.shape != (2,) or node.dtype != uint32:
        raise GraphError(
            f"{what}: the key must be u32[2], this is {node.type}: "
            "make one with random.key(seed), and take one row of what random.split gives"
        )
    return node[0], node[1]


def split(key: ArrayLike, n: SizeLike = 2) -> Node:
    """n keys, uint32[n, 2], independent of each other and not to be used beside the key itself."""
    words = threefry(key_words(key, "split"), counters(to_size(n, "split")))
    return stack(list(words), axis=1)


def fold_in(key: ArrayLike, data: ArrayLike) -> Node:
    """The key for a key and an integer, such as the number of a step or a layer.

    Different integers give independent keys; a node without axes will do as well.
    """
    counter = seed_words(data, "fold_in: the data")
    return stack(list(threefry(key_words(key, "fold_in"), counter)))
