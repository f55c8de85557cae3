"""Noise against overfitting: numbers left out at random, of activations or of weights.

Each function takes a key of its own (see `graphc.random`); outside training it does nothing.
"""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node, describe
from graphc.ir.types import float32
from graphc.lang.operands import ArrayLike, as_node, broadcast_node, to_float
from graphc.lang.selection import stop_gradient, where
from graphc.random.bits import fraction


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
    check_probability(p, "dilution")
    if not training or p == 0:
        return node
    return where(kept(key, p, node.shape, "dilution"), node, stop_gradient(node))


def rescaled(
    key: ArrayLike, x: Node, p: float, training: bool, shape: tuple[Size, ...], what: str
) -> Node:
    """x / (1 - p) where a mask of a shape keeps it, else 0."""
    check_probability(p, what)
    if not training or p == 0:
        return x
    mask = broadcast_node(kept(key, p, shape, what), x.shape)
    return where(mask, x * (1 / (1 - p) if p < 1 else 0.0), 0)


def kept(key: ArrayLike, p: float, shape: tuple[Size, ...], what: str) -> Node:
    """A mask that is true with probability 1 - p."""
    return fraction(key, shape, float32, what) >= as_node(p, float32)


def check_probability(p: float, what: str) -> None:
    """GraphError unless p is a number from 0 to 1."""
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise GraphError(f"{what}: p must be a number from 0 to 1, not {p!r}")
