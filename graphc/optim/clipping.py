"""Gradients kept within bounds before they become steps."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import GraphError
from graphc.ir.node import Node
from graphc.lang.arithmetic import clip, maximum, sqrt
from graphc.lang.operands import to_node_dtype
from graphc.lang.reduction import squared_size, sum, widen
from graphc.nn.options import is_infinite, real, real_or_node


def global_norm(gradients: Sequence[Node]) -> Node:
    """The square root of the sum of all squares; float32 for 16-bit gradients."""
    if not gradients:
        raise GraphError("global_norm: needs at least one gradient")
    squares = [sum(squared_size(widen(gradient))) for gradient in gradients]
    total = squares[0]
    for part in squares[1:]:
        total = total + part
    return sqrt(total)


def clip_by_global_norm(gradients: Sequence[Node], max_norm: float) -> list[Node]:
    """Gradients scaled, all by one number, so that their norm is at most max_norm.

    Pascanu, Mikolov, Bengio: On the difficulty of training recurrent networks (2013). A norm that
    is below stays, that of zeros too. GraphError unless max_norm > 0; it may be infinite.
    """
    max_norm = real(max_norm, "clip_by_global_norm: max_norm")
    if not max_norm > 0:
        raise GraphError(f"clip_by_global_norm: max_norm must be positive, not {max_norm}")
    norm = global_norm(gradients)
    if is_infinite(max_norm, norm.dtype):  # which divided by itself is NaN
        return list(gradients)
    factor = max_norm / maximum(norm, max_norm)
    return [gradient * to_node_dtype(factor, gradient.dtype) for gradient in gradients]


def clip_by_value(gradients: Sequence[Node], limit: float) -> list[Node]:
    """Each number of the gradients kept from -limit to limit.

    GraphError unless limit is a number of at least 0, or a node.
    """
    bound = real_or_node(limit, "clip_by_value: limit")
    if not isinstance(bound, Node) and not bound >= 0:
        raise GraphError(f"clip_by_value: limit must be at least 0, not {limit}")
    return [clip(gradient, -bound, bound) for gradient in gradients]
