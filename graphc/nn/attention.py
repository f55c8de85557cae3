"""Attention: means of values, weighted by how well keys fit queries."""

from __future__ import annotations

import math

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node, describe
from graphc.ir.types import float64, show_shape
from graphc.lang.arithmetic import rsqrt
from graphc.lang.creation import positions
from graphc.lang.exponential import exp
from graphc.lang.linear_algebra import matmul
from graphc.lang.movement import matrix_transpose, reshape
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    broadcast_shapes,
    same_dtype,
    to_float,
    to_node_dtype,
)
from graphc.lang.reduction import finite_max, sum, widen
from graphc.lang.selection import where
from graphc.lang.sizes import size_value
from graphc.nn.dropout import dropout

SHORT = 16
"""Bits of floats that large sums overflow."""


def scaled_dot_product_attention(  # noqa: PLR0913, PLR0917 (PyTorch's arguments)
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    dropout_p: float = 0.0,
    dropout_key: ArrayLike | None = None,
) -> Node:
    """softmax(query @ key.T * scale + mask) @ value (Vaswani et al., 2017).

    query is (..., heads, n, e), key (..., heads, m, e), value (..., heads, m, v), the result
    (..., heads, n, v). A mask broadcasts to (..., heads, n, m): bools say which keys take part,
    numbers are added. is_causal lets query i see keys 0 to i, mask or not. The scale defaults to
    1 / sqrt(e). With enable_gqa several heads of queries share one of keys and values (Ainslie et
    al., 2023). A query that sees no key gives 0, with gradient 0. Dropout of the weights needs a
    key of its own.

    The softmax is divided by its sum after the product with the values (Dao et al., 2022), but for
    16-bit floats, of which sums of unscaled values might overflow.
    """
    q, k, v = (to_float(part) for part in same_dtype(query, key, value))
    check_operands(q, k, v, enable_gqa)
    shared = k.shape[-3] if enable_gqa else None
    factor = rsqrt(size_value(q.shape[-1], float64)) if scale is None else scale
    scaled = q * to_node_dtype(as_node(factor), q.dtype)
    scores = unfolded(matmul(folded(scaled, shared), matrix_transpose(k)), q, shared)
    weights, total = unscaled_softmax(masked(widen(scores), attn_mask, is_causal))
    late = v.dtype.bits > SHORT
    weights = weights if late else weights / total
    if dropout_p:
        if dropout_key is None:
            raise GraphError("scaled_dot_product_attention: dropout_p needs a dropout_key")
        weights = dropout(dropout_key, weights, dropout_p)
    mixed = unfolded(matmul(folded(to_node_dtype(weights, v.dtype), shared), v), q, shared)
    return mixed / total if late else mixed


def folded(x: Node, heads: Size | None) -> Node:
    """x with the heads that share keys put below one another, so that one product does for all."""
    if heads is None:
        return x
    rows = as_int(x.shape[-3]) // max(as_int(heads), 1) * x.shape[-2]
    return reshape(x, (*x.shape[:-3], heads, rows, x.shape[-1]))


def unfolded(x: Node, query: Node, heads: Size | None) -> Node:
    """The heads of the queries side by side again."""
    return x if heads is None else reshape(x, (*x.shape[:-3], *query.shape[-3:-1], x.shape[-1]))


def masked(scores: Node, mask: ArrayLike | None, is_causal: bool) -> Node:
    """The scores with -inf where a query does not see a key, and with a mask of numbers added."""
    if mask is not None:
        node = fitting(as_node(mask), scores)
        if node.dtype.kind == "bool":
            scores = where(node, scores, -math.inf)
        else:
            scores = scores + to_node_dtype(node, scores.dtype)
    if not is_causal:
        return scores
    row, column = positions(scores.shape[-2:])
    return where(column <= row, scores, -math.inf)


def fitting(mask: Node, scores: Node) -> Node:
    """The mask; GraphError unless it broadcasts to the scores."""
    if broadcast_shapes([mask.shape, scores.shape], [mask, scores]) != scores.shape:
        raise GraphError(
            "scaled_dot_product_attention: the mask must broadcast to the scores "
            f"{show_shape(scores.shape)}{describe([mask])}"
        )
    return mask


def unscaled_softmax(scores: Node) -> tuple[Node, Node]:
    """What the softmax over the last axis divides, and by what; 0 and 1 where all of it is -inf."""
    nothing = scores.shape[-1] == 0  # of which there is no maximum
    powers = scores if nothing else exp(scores - finite_max(scores, (scores.ndim - 1,)))
    total = sum(powers, axis=-1, keepdims=True)
    return powers, where(total == 0, 1, total)


def check_operands(q: Node, k: Node, v: Node, enable_gqa: bool) -> None:
    """GraphError unless the shapes fit one another."""
    name, rank = "scaled_dot_product_attention", 3 if enable_gqa else 2
    if min(q.ndim, k.ndim, v.ndim) < rank:
        raise GraphError(f"{name}: operands need at least {rank} axes{describe([q, k, v])}")
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise GraphError(
            f"{name}: queries and keys must agree in the last axis, keys and values in the last "
            f"but one{describe([q, k, v])}"
        )
    heads = [node.shape[-3] for node in (q, k, v)] if enable_gqa else [1, 1, 1]
    both = all(isinstance(size, int) for size in heads)
    if heads[1] != heads[2] or not both or as_int(heads[0]) % max(as_int(heads[1]), 1):
        raise GraphError(
            f"{name}: with enable_gqa the heads of keys and values must be equally many and "
            f"divide those of queries, not {heads[1]}, {heads[2]} and {heads[0]}"
        )


def as_int(size: Size) -> int:
    """A size that is known to be no symbol."""
    assert isinstance(size, int)
    return size
