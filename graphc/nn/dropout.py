"""Noise in networks: numbers left out at random, of activations or of weights, and random choices.

Each function takes a key of its own (see `graphc.random`); outside training it does nothing.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply, describe
from graphc.ir.types import float32, int64
from graphc.lang.normalization import softmax
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    broadcast_node,
    to_axis,
    to_float,
    to_node_dtype,
)
from graphc.lang.reduction import argmax
from graphc.lang.selection import stop_gradient, where
from graphc.nn.activations import SELU_ALPHA, SELU_SCALE, leaky_relu
from graphc.nn.options import real
from graphc.random.bits import fraction
from graphc.random.continuous import gumbel


def dropout(key: ArrayLike, x: ArrayLike, p: float = 0.5, training: bool = True) -> Node:
    """x / (1 - p) with each number set to 0 with probability p.

    Srivastava et al.: Dropout (2014), in the form that leaves nothing to do after training.
    """
    node = to_float(x)
    return rescaled(key, node, p, training, node.shape, "dropout")


def feature_dropout(key: ArrayLike, x: ArrayLike, p: float = 0.5, training: bool = True) -> Node:
    """Dropout of whole channels: x is (batch, channels, ...), each of its maps stays or goes.

    PyTorch's dropout1d, dropout2d and dropout3d. Tompson et al.: Efficient object localization
    (2015).
    """
    node = to_float(x)
    if node.ndim < 2:
        raise GraphError(f"feature_dropout: x must be (batch, channels, ...){describe([node])}")
    shape = (*node.shape[:2], *(1,) * (node.ndim - 2))
    return rescaled(key, node, p, training, shape, "feature_dropout")


def dilution(
    key: ArrayLike, weights: ArrayLike, p: float = 0.5, training: bool = True, frozen: bool = False
) -> Node:
    """Weights of which each is left out with probability p: 0, and without gradient.

    The others are divided by 1 - p, so that the expected sum stays. With `frozen` all weights keep
    their values and those chosen are merely not updated. Hertz, Krogh, Palmer: Introduction to the
    theory of neural computation (1991); Wan et al.: DropConnect (2013).
    """
    node = to_float(weights)
    if not frozen:
        return rescaled(key, node, p, training, node.shape, "dilution")
    p = probability(p, "dilution")
    if not training or p == 0:
        return node
    return where(kept(key, p, node.shape, "dilution"), node, stop_gradient(node))


def alpha_dropout(key: ArrayLike, x: ArrayLike, p: float = 0.5, training: bool = True) -> Node:
    """Dropout beside `selu`: what is left out takes its least value, and then all are rescaled.

    Mean 0 and variance 1 stay. Klambauer et al.: Self-normalizing neural networks (2017).
    GraphError unless p is from 0 to below 1.
    """
    node = to_float(x)
    p = probability(p, "alpha_dropout")
    if not training or p == 0:
        return node
    if p == 1:
        raise GraphError("alpha_dropout: p must be below 1: nothing would be left to rescale")
    least = -SELU_SCALE * SELU_ALPHA
    scale = 1 / math.sqrt((1 - p) * (1 + p * least * least))
    chosen = where(kept(key, p, node.shape, "alpha_dropout"), node, least)
    return scale * (chosen - least * p)


def rrelu(
    key: ArrayLike, x: ArrayLike, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = True
) -> Node:
    """x above 0, else x times a slope drawn from [lower, upper) for each number.

    Outside training the slope is the middle. Xu et al.: Empirical evaluation of rectified
    activations (2015). GraphError unless lower is at most upper.
    """
    lower, upper = real(lower, "rrelu: lower"), real(upper, "rrelu: upper")
    if not lower <= upper:
        raise GraphError(f"rrelu: lower {lower} must be at most upper {upper}")
    node = to_float(x)
    if not training or lower == upper:
        return leaky_relu(node, (lower + upper) / 2)
    slope = lower + (upper - lower) * fraction(key, node.shape, float32, "rrelu")
    return where(node > 0, node, to_node_dtype(slope, node.dtype) * node)


def gumbel_softmax(
    key: ArrayLike, logits: ArrayLike, tau: float = 1.0, hard: bool = False, axis: int = -1
) -> Node:
    """A sample of classes that gradients pass through: softmax((logits + Gumbel numbers) / tau).

    The smaller tau, the nearer to a class. With `hard` the value is that of the largest alone, 1
    there and 0 elsewhere, and the gradient that of the soft one. Jang, Gu, Poole: Categorical
    reparameterization (2017). GraphError unless tau > 0.
    """
    tau = real(tau, "gumbel_softmax: tau")
    if not tau > 0:
        raise GraphError(f"gumbel_softmax: tau must be positive, not {tau}")
    node = to_float(logits)
    soft = softmax((node + gumbel(key, node.shape, node.dtype)) / tau, axis)
    if not hard:
        return soft
    at = to_axis(axis, node.ndim, "gumbel_softmax")
    places = apply("iota", shape=node.shape, axis=at, dtype=int64)
    largest = to_node_dtype(places == argmax(soft, axis=at, keepdims=True), soft.dtype)
    return soft + stop_gradient(largest - soft)


def rescaled(
    key: ArrayLike, x: Node, p: float, training: bool, shape: tuple[Size, ...], what: str
) -> Node:
    """x / (1 - p) where a mask of a shape keeps it, else 0."""
    p = probability(p, what)
    if not training or p == 0:
        return x
    mask = broadcast_node(kept(key, p, shape, what), x.shape)
    return where(mask, x * (1 / (1 - p) if p < 1 else 0.0), 0)


def kept(key: ArrayLike, p: float, shape: tuple[Size, ...], what: str) -> Node:
    """A mask that is true with probability 1 - p."""
    return fraction(key, shape, float32, what) >= as_node(p, float32)


def probability(p: Any, what: str) -> float:
    """p as a float; GraphError unless it is a number from 0 to 1."""
    if not isinstance(p, numbers.Real) or not 0 <= float(p) <= 1:
        raise GraphError(f"{what}: p must be a number from 0 to 1, not {shown(p)}")
    return float(p)
