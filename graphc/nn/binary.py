"""Losses against bits: targets are 0 or 1, or probabilities between.

Names and options are PyTorch's. Operands broadcast. `reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node, describe
from graphc.lang.arithmetic import power
from graphc.lang.exponential import log, log1p, sigmoid, softplus
from graphc.lang.operands import ArrayLike, as_node, together_as_floats
from graphc.lang.reduction import mean
from graphc.lang.selection import where
from graphc.nn.losses import reduced
from graphc.nn.options import real

LEAST_LOGARITHM = -100.0
"""Below it logarithms of probabilities are cut off, as in PyTorch."""


def binary_cross_entropy(
    input: ArrayLike, target: ArrayLike, weight: ArrayLike | None = None, reduction: str = "mean"
) -> Node:
    """-(y log(p) + (1 - y) log(1 - p)) of probabilities p and targets y from 0 to 1.

    Logarithms are at least -100, and without gradient where they would be less. Of scores,
    `binary_cross_entropy_with_logits` is more precise.
    """
    p, y = together_as_floats(input, target)
    loss = -(y * cut_off(log(p)) + (1 - y) * cut_off(log1p(-p)))
    loss = loss if weight is None else loss * weight
    return reduced(loss, reduction, "binary_cross_entropy")


def cut_off(logarithm: Node) -> Node:
    """A logarithm, or -100 where it is less; a choice, so that no infinite slope gets through."""
    return where(logarithm < LEAST_LOGARITHM, LEAST_LOGARITHM, logarithm)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
) -> Node:
    """-(y log(s) + (1 - y) log(1 - s)) for s = sigmoid(input) and targets y from 0 to 1.

    Computed from softplus, without overflow. pos_weight multiplies the first term, weight all.
    """
    x, y = together_as_floats(input, target)
    loss = cross_entropy_of_bits(x, y, pos_weight)
    loss = loss if weight is None else loss * weight
    return reduced(loss, reduction, "binary_cross_entropy_with_logits")


def cross_entropy_of_bits(x: Node, y: Node, pos_weight: ArrayLike | None = None) -> Node:
    """-(y log(s) + (1 - y) log(1 - s)) for s = sigmoid(x), the first term times a weight."""
    positive = y * softplus(-x)
    positive = positive if pos_weight is None else positive * pos_weight
    return positive + (1 - y) * softplus(x)


def multi_label_soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
) -> Node:
    """The mean over classes, the last axis, of the binary cross entropy of scores and bits.

    weight multiplies each class. The result has the other axes.
    """
    x, y = together_as_floats(input, target)
    if not x.ndim:
        raise GraphError(f"multi_label_soft_margin_loss: needs an axis of classes{describe([x])}")
    loss = cross_entropy_of_bits(x, y)
    loss = loss if weight is None else loss * as_node(weight)
    return reduced(mean(loss, axis=-1), reduction, "multi_label_soft_margin_loss")


def sigmoid_focal_loss(
    input: ArrayLike,
    target: ArrayLike,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Node:
    """Binary cross entropy of scores times (1 - q)**gamma, q the probability of the right answer.

    With alpha the terms of target 1 count alpha, those of 0 count 1 - alpha. Lin et al.: Focal loss
    for dense object detection (2017). GraphError unless gamma is 0 or at least 1, where the slope
    is finite, and alpha from 0 to 1.
    """
    gamma = real(gamma, "sigmoid_focal_loss: gamma")
    alpha = None if alpha is None else real(alpha, "sigmoid_focal_loss: alpha")
    if gamma != 0 and not gamma >= 1:
        raise GraphError(f"sigmoid_focal_loss: gamma must be 0 or at least 1, not {gamma}")
    if alpha is not None and not 0 <= alpha <= 1:
        raise GraphError(f"sigmoid_focal_loss: alpha must be 0 to 1 or None, not {alpha}")
    x, y = together_as_floats(input, target)
    wrong = y * sigmoid(-x) + (1 - y) * sigmoid(x)
    loss = cross_entropy_of_bits(x, y) * power(wrong, gamma)
    loss = loss if alpha is None else loss * (alpha * y + (1 - alpha) * (1 - y))
    return reduced(loss, reduction, "sigmoid_focal_loss")
