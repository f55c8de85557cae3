"""Random bools and integers."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node
from graphc.ir.types import DType, DTypeLike, float32, int32, uint64
from graphc.lang.comparison import isfinite
from graphc.lang.movement import moveaxis
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    broadcast_shapes,
    to_axis,
    to_dtype,
    to_float,
    to_node_dtype,
)
from graphc.lang.reduction import argmax, max
from graphc.lang.selection import where
from graphc.lang.sizes import ShapeLike, is_integer, to_shape
from graphc.random.bits import bits_of, fraction, inner_dtype, parameter, to_integer_dtype
from graphc.random.continuous import gumbel
from graphc.random.keys import key_words
from graphc.random.threefry import words_for

WIDEST_SPAN = 2**32


def bernoulli(key: ArrayLike, p: ArrayLike = 0.5, shape: ShapeLike | None = None) -> Node:
    """True with probability p (a multiple of 2**-24, rounded up), else false.

    The shape defaults to that of p; p = 0 never gives true and p = 1 always.
    """
    node = as_node(p, float32)
    dtype = inner_dtype(node.dtype) if node.dtype.is_float else float32
    sizes = node.shape if shape is None else to_shape(shape, "bernoulli")
    limit = parameter(node, dtype, sizes, "bernoulli")
    return fraction(key, sizes, dtype, "bernoulli") < limit


def rademacher(key: ArrayLike, shape: ShapeLike = (), dtype: DTypeLike = float32) -> Node:
    """-1 or 1, equally likely; GraphError for a dtype without negative numbers."""
    kind = to_dtype(dtype)
    if not kind.is_inexact and kind.limits[0] == 0:
        raise GraphError(f"rademacher: {kind.name} has no -1")
    word = bits_of(key, to_shape(shape, "rademacher"), 32, "rademacher")
    return to_node_dtype(where((word & 1) == 0, 1.0, -1.0), kind)


def categorical(
    key: ArrayLike, logits: ArrayLike, axis: int = -1, shape: ShapeLike | None = None
) -> Node:
    """Class numbers, int64, with probabilities softmax(logits) along an axis.

    The class with the largest sum of logit and Gumbel number is taken. The shape defaults to that
    of the logits without the axis, and must broadcast from it. Classes of logit -inf never occur.
    """
    node = to_float(logits)
    scores = moveaxis(node, to_axis(axis, node.ndim, "categorical"), -1)
    batch, classes = scores.shape[:-1], scores.shape[-1]
    sizes = batch if shape is None else to_shape(shape, "categorical")
    if broadcast_shapes([batch, sizes], [node]) != sizes:
        raise GraphError(f"categorical: logits {node.type} do not broadcast to the shape {sizes}")
    noise = gumbel(key, (*sizes, classes), inner_dtype(scores.dtype))
    return argmax(below_largest(to_node_dtype(scores, noise.dtype)) + noise, axis=-1)


def below_largest(scores: Node) -> Node:
    """Scores less the largest along the last axis, near which noise is not rounded away."""
    if scores.shape[-1] == 0:
        return scores
    largest = max(scores, axis=-1, keepdims=True)
    return scores - where(isfinite(largest), largest, 0.0)


def randint(
    key: ArrayLike, shape: ShapeLike, low: ArrayLike, high: ArrayLike, dtype: DTypeLike = int32
) -> Node:
    """Integers equally likely from low to below high, numbers or nodes without axes.

    64 random bits times the span, divided by 2**64 (Lemire: Fast random integer generation in an
    interval, 2019, without the rejection): a probability is wrong by less than 2**-64. The span
    can be 2**32 at most. For nodes of which high is not above low, or is outside of what the dtype
    holds, the result is unspecified.
    """
    kind, sizes = to_integer_dtype(dtype, "randint"), to_shape(shape, "randint")
    upper, lower = (to_node_dtype(w, uint64) for w in words_for(key_words(key, "randint"), sizes))
    width = span(low, high, kind)
    offset = (upper * width + ((lower * width) >> 32)) >> 32
    return to_node_dtype(offset, kind) + to_node_dtype(bound(low), kind)


def span(low: ArrayLike, high: ArrayLike, dtype: DType) -> Node:
    """How many integers there are to choose from, as uint64; GraphError for numbers not fitting."""
    if is_integer(low) and is_integer(high) and not 0 < high - low <= WIDEST_SPAN:
        raise GraphError(f"randint: high - low must be from 1 to 2**32, not {high - low}")
    lowest, highest = dtype.limits
    if is_integer(low) and not lowest <= low <= highest:
        raise GraphError(f"randint: numbers from {low} on do not fit {dtype.name}")
    if is_integer(high) and not lowest <= high - 1 <= highest:
        raise GraphError(f"randint: numbers up to {high - 1} do not fit {dtype.name}")
    return bound(high) - bound(low)


def bound(value: ArrayLike) -> Node:
    """A bound modulo 2**64, as uint64; GraphError unless it is an integer without axes."""
    node = as_node(int(value) % 2**64, uint64) if is_integer(value) else as_node(value)
    if not node.dtype.is_integer or node.shape:
        raise GraphError(f"randint: a bound must be an integer without axes, this is {node.type}")
    return to_node_dtype(node, uint64)
