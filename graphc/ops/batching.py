"""What the batching rules share: operands that get the batch axis, and axes that move on for it."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.dim import Size
from graphc.ir.node import Node, apply


def all_batched(operands: Sequence[Node], batched: Sequence[bool]) -> tuple[Node, ...]:
    """The operands, each with the batch axis in front: those without it are repeated along it."""
    pairs = list(zip(operands, batched, strict=True))
    size = next(operand.shape[0] for operand, flag in pairs if flag)
    return tuple(operand if flag else repeated(operand, size) for operand, flag in pairs)


def repeated(node: Node, size: Size) -> Node:
    """A node `size` times along a new axis in front."""
    return apply("broadcast", node, shape=(size, *node.shape), axes=shifted(range(node.ndim)))


def shifted(axes: Sequence[int]) -> tuple[int, ...]:
    """Axes, each one place further on."""
    return tuple(axis + 1 for axis in axes)


def select(condition: Node, one: Node, other: Node) -> Node:
    """For each example of a batch the one or the other, as its condition says."""
    whole = apply("broadcast", condition, shape=one.shape, axes=(0,))
    return apply("where", whole, one, other)
