"""How alike vectors are, and losses that teach which should be.

Names and options are PyTorch's, where it has them. `reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Axes, Node, apply, describe
from graphc.ir.types import int64
from graphc.lang.arithmetic import maximum, minimum, relu, rsqrt, square
from graphc.lang.linear_algebra import matmul, vector_norm
from graphc.lang.movement import matrix_transpose
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    to_float,
    to_node_dtype,
    together_as_floats,
)
from graphc.lang.reduction import sum, widen
from graphc.lang.selection import where
from graphc.nn.classification import cross_entropy
from graphc.nn.losses import reduced
from graphc.nn.options import real


def cosine_similarity(x1: ArrayLike, x2: ArrayLike, axis: int = 1, eps: float = 1e-8) -> Node:
    """x1 . x2 / (max(|x1|, eps) * max(|x2|, eps)) along an axis; 0 where a vector is 0.

    Its gradient is finite there too.
    """
    left, right = together_as_floats(x1, x2)
    return sum(unit(left, axis, eps) * unit(right, axis, eps), axis=axis)


def unit(x: Node, axis: int, eps: float) -> Node:
    """Vectors along an axis divided by their length, or by eps where that is larger."""
    wide = widen(x)
    length = maximum(sum(square(wide), axis=axis, keepdims=True), eps * eps)
    return to_node_dtype(wide * rsqrt(length), x.dtype)


def normalize(x: ArrayLike, p: float = 2.0, axis: Axes = 1, eps: float = 1e-12) -> Node:
    """Vectors along an axis, or several, divided by their p-norm or by eps where that is larger.

    Its gradient is finite at vectors of zeros too.
    """
    node = to_float(x)
    wide = widen(node)
    p = real(p, "normalize: p")
    unit = wide / maximum(vector_norm(wide, axis, keepdims=True, ord=p), eps)
    return to_node_dtype(unit, node.dtype)


def cosine_embedding_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Node:
    """1 - cos for pairs with target 1, max(0, cos - margin) for those with target -1.

    Vectors are along the last axis; cos is x1 . x2 / sqrt((|x1|**2 + e) (|x2|**2 + e)) with
    e = 1e-12.
    """
    given = together_as_floats(input1, input2)
    left, right = map(widen, given)
    lengths = [sum(square(x), axis=-1) + 1e-12 for x in (left, right)]
    cosine = sum(left * right, axis=-1) * rsqrt(lengths[0] * lengths[1])
    loss = where(as_node(target) == 1, 1 - cosine, relu(cosine - margin))
    return reduced(to_node_dtype(loss, given[0].dtype), reduction, "cosine_embedding_loss")


def pairwise_distance(x1: ArrayLike, x2: ArrayLike, p: float = 2.0, eps: float = 1e-6) -> Node:
    """The p-norm of x1 - x2 + eps along the last axis; at 0 its sub-gradient is 0."""
    p = real(p, "pairwise_distance: p")
    if not p > 0:
        raise GraphError(f"pairwise_distance: p must be positive, not {p}")
    given = together_as_floats(x1, x2)
    left, right = map(widen, given)
    return to_node_dtype(vector_norm(left - right + eps, -1, ord=p), given[0].dtype)


def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Node:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) for vectors in the last axis.

    d is `pairwise_distance`. With swap the negative is compared with the nearer of anchor and
    positive. Balntas et al.: Learning local feature descriptors with triplets (2016).
    """
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(relu(near - far + margin), reduction, "triplet_margin_loss")


def info_nce(
    query: ArrayLike,
    positive: ArrayLike,
    temperature: ArrayLike = 0.1,
    symmetric: bool = False,
    reduction: str = "mean",
) -> Node:
    """The contrastive loss: each query must find its own positive among those of the batch.

    query and positive are (batch, width). The loss is the cross entropy of the cosines divided by
    the temperature, of which the right class is the diagonal (van den Oord, Li, Vinyals:
    Contrastive predictive coding, 2018). With symmetric the mean of both directions, as in
    Radford et al. (CLIP, 2021).
    """
    left, right = to_float(query), to_float(positive)
    if left.ndim != 2 or left.shape != right.shape:
        raise GraphError(
            f"info_nce: query and positive must be (batch, width) alike{describe([left, right])}"
        )
    units = [unit(x, 1, 1e-8) for x in together_as_floats(left, right)]
    scores = matmul(units[0], matrix_transpose(units[1])) / temperature
    own = apply("iota", shape=left.shape[:1], axis=0, dtype=int64)
    loss = cross_entropy(scores, own, reduction=reduction)
    if not symmetric:
        return loss
    return 0.5 * (loss + cross_entropy(matrix_transpose(scores), own, reduction=reduction))
