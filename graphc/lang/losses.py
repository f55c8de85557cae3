"""Losses of examples."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node, describe, word
from graphc.ir.types import show_shape
from graphc.lang.exponential import exp, log
from graphc.lang.indexing import take_along_axis
from graphc.lang.movement import expand_dims, squeeze
from graphc.lang.operands import ArrayLike, as_node, to_float
from graphc.lang.reduction import finite_max, sum


@word
def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike, /) -> Node:
    """-log(softmax(logits)[label]) for each example: logits [..., classes], integer labels [...].

    The result has the shape of the labels. A negative label counts from the end, one out of range
    gives NaN.
    """
    scores, chosen = to_float(logits), as_node(labels)
    if not chosen.dtype.is_integer:
        raise GraphError(
            f"softmax_cross_entropy: labels must be integers, these are {chosen.dtype.name}"
        )
    if not scores.ndim or scores.shape[:-1] != chosen.shape:
        raise GraphError(
            f"softmax_cross_entropy: labels of shape {show_shape(chosen.shape)} do not fit logits "
            f"of shape {show_shape(scores.shape)}: they must be (...) and (..., classes)"
            f"{describe([scores, chosen])}"
        )
    below, total = softmax_parts(scores)
    picked = take_along_axis(below, expand_dims(chosen, chosen.ndim), -1)
    return total - squeeze(picked, -1)


def softmax_parts(scores: Node) -> tuple[Node, Node]:
    """Scores less their maximum, and the logarithm of their exponentials' sum.

    Their difference is log_softmax. Apart, a picked one costs one number an example, and its
    gradient comes out as the softmax less 1 at the class, with nothing else to add up.
    """
    below = scores - finite_max(scores, (scores.ndim - 1,))
    return below, log(sum(exp(below), axis=-1))
