"""Losses that ask scores to keep a margin: targets are signs, -1 and 1.

Names and options are PyTorch's. Operands broadcast. `reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from graphc.ir.node import Node
from graphc.lang.arithmetic import relu
from graphc.lang.exponential import softplus
from graphc.lang.operands import ArrayLike, together_as_floats
from graphc.lang.selection import where
from graphc.nn.losses import reduced


def hinge_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", margin: float = 1.0
) -> Node:
    """max(0, margin - target * input) for targets of -1 and 1 (Cortes, Vapnik, 1995).

    At the margin the sub-gradient is 0.
    """
    x, y = together_as_floats(input, target)
    return reduced(relu(margin - y * x), reduction, "hinge_loss")


def soft_margin_loss(input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Node:
    """log(1 + exp(-target * input)) for targets of -1 and 1, without overflow."""
    x, y = together_as_floats(input, target)
    return reduced(softplus(-y * x), reduction, "soft_margin_loss")


def hinge_embedding_loss(
    input: ArrayLike, target: ArrayLike, margin: float = 1.0, reduction: str = "mean"
) -> Node:
    """A distance itself for target 1, max(0, margin - distance) for target -1.

    Hadsell, Chopra, LeCun: Dimensionality reduction by learning an invariant mapping (2006),
    without their squares.
    """
    x, y = together_as_floats(input, target)
    return reduced(where(y == 1, x, relu(margin - x)), reduction, "hinge_embedding_loss")


def margin_ranking_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0.0,
    reduction: str = "mean",
) -> Node:
    """max(0, margin - target * (input1 - input2)): target 1 wants the first larger, -1 smaller."""
    first, second, y = together_as_floats(input1, input2, target)
    return reduced(relu(margin - y * (first - second)), reduction, "margin_ranking_loss")
