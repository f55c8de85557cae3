"""Softmax and its logarithm."""

from __future__ import annotations

from graphc.ir.node import Axes, Node, say, word
from graphc.lang.operands import ArrayLike, to_axes, to_float
from graphc.lang.reduction import finite_max, sum


@word
def softmax(x: ArrayLike, /, axis: Axes = -1) -> Node:
    """exp(x) divided by its sum over one or several axes (None: all), without overflow.

    -inf gives 0, and NaN where nothing else stands along the axes. Integers give float64.
    """
    node = to_float(x)
    axes = to_axes(axis, node.ndim, "softmax")
    powers = say("exp", node - finite_max(node, axes))
    return powers / sum(powers, axis=axes, keepdims=True)


@word
def log_softmax(x: ArrayLike, /, axis: Axes = -1) -> Node:
    """log(softmax(x)), exact where softmax would round to 0; axes and dtype as there."""
    node = to_float(x)
    axes = to_axes(axis, node.ndim, "log_softmax")
    below = node - finite_max(node, axes)
    return below - say("log", sum(say("exp", below), axis=axes, keepdims=True))
