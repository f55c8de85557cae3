"""Permutations of axes: several as one, and what they are of."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.node import Node
from graphc.lang.movement import permute_dims


def unpermuted(x: Node) -> tuple[Node, tuple[int, ...]]:
    """What a value is a permutation of, as it lies in memory, and the axes there of its own."""
    axes = tuple(range(x.ndim))
    while x.op.name == "permute_dims":
        axes = tuple(x.attrs["axes"][axis] for axis in axes)
        x = x.inputs[0]
    return x, axes


def permuted(x: Node, axes: Sequence[int]) -> Node:
    """permute_dims by one movement, also of what is permuted already: the same is the same node."""
    source, before = unpermuted(x)
    return permute_dims(source, [before[axis] for axis in axes])
