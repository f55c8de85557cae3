"""Normalisation: numbers made to have mean 0 and variance 1 over some axes, then scaled.

Names and options are PyTorch's. float16 and bfloat16 are computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size, is_nonnegative
from graphc.ir.node import Node, describe
from graphc.ir.types import DType, show_shape
from graphc.lang.arithmetic import maximum, power, rsqrt, square
from graphc.lang.movement import moveaxis, pad, reshape
from graphc.lang.operands import ArrayLike, along_axis, as_node, size_of, to_float, to_node_dtype
from graphc.lang.reduction import mean, widen
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import ShapeLike, is_integer, size_value, to_shape
from graphc.nn.arguments import channel_axis
from graphc.nn.options import real_or_node


class BatchNorm(NamedTuple):
    """What batch_norm gives: the result, and the statistics for the next call."""

    output: Node
    running_mean: Node
    running_var: Node


def batch_norm(  # noqa: PLR0913, PLR0917 (PyTorch's arguments, and the layout)
    x: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    layout: str | None = None,
) -> BatchNorm:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel.

    x is (batch, channels, ...), or in a layout such as "NHWC" has the channels last; weight, bias
    and the statistics are (channels,). In training the mean and the variance are x's own, and the
    running ones move towards them by `momentum` (the variance as that of a sample, over n - 1),
    and stay where there are no examples; pass these on through `updates`. They carry no gradient.
    Else the running ones are used and given back. Ioffe, Szegedy: Batch normalization (2015).
    """
    node, channels = channels_second(x, layout, "batch_norm")
    wide = widen(node)
    given = [as_node(value) for value in (running_mean, running_var)]
    check_channels("batch_norm", node, [*given, weight, bias])
    old_mean, old_var = (to_node_dtype(value, wide.dtype) for value in given)
    if not training:
        centred = wide - along_axis(old_mean, 1, wide.ndim)
        scaled = centred * rsqrt(along_axis(old_var, 1, wide.ndim) + eps)
        return BatchNorm(moveaxis(affine(scaled, weight, bias, 1, node.dtype), 1, channels), *given)
    axes = tuple(a for a in range(wide.ndim) if a != 1)
    pace = real_or_node(momentum, "batch_norm: momentum")
    average, variance, scaled = normalized(wide, axes, eps)
    size = size_of(wide, axes)
    count = size_value(size, wide.dtype)
    sample = variance * (count / maximum(count - 1, 1))
    found = [reshape(value, old_mean.shape) for value in (average, sample)]
    if not is_nonnegative(size - 1):  # there may be none
        pairs = zip(found, (old_mean, old_var), strict=True)
        found = [where(count > 0, new, old) for new, old in pairs]
    next_mean = moved(old_mean, found[0], pace, given[0].dtype)
    next_var = moved(old_var, found[1], pace, given[1].dtype)
    result = moveaxis(affine(scaled, weight, bias, 1, node.dtype), 1, channels)
    return BatchNorm(result, next_mean, next_var)


def moved(old: Node, new: Node, momentum: float, dtype: DType) -> Node:
    """A statistic moved towards a new value, without gradient."""
    return to_node_dtype(stop_gradient((1 - momentum) * old + momentum * new), dtype)


def normalized(x: Node, axes: tuple[int, ...], eps: float) -> tuple[Node, Node, Node]:
    """The mean and the variance over axes, kept with size 1, and what they make of x."""
    average = mean(x, axes, keepdims=True)
    centred = x - average
    variance = mean(square(centred), axes, keepdims=True)
    return average, variance, centred * rsqrt(variance + eps)


def layer_norm(
    x: ArrayLike,
    normalized_shape: ShapeLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
) -> Node:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes of x.

    normalized_shape is the shape of these axes, and of weight and bias. Ba, Kiros, Hinton: Layer
    normalization (2016). GraphError where the shapes do not fit.
    """
    node = to_float(x)
    axes = last_axes("layer_norm", node, to_shape(normalized_shape, "layer_norm"), [weight, bias])
    return affine(normalized(widen(node), axes, eps)[2], weight, bias, None, node.dtype)


def rms_norm(
    x: ArrayLike,
    normalized_shape: ShapeLike,
    weight: ArrayLike | None = None,
    eps: float | None = None,
) -> Node:
    """x / sqrt(mean(x*x) + eps) * weight over the last axes of x, of which the shape is given.

    eps defaults to the distance from 1 to the next number of x's dtype. Zhang, Sennrich: Root mean
    square layer normalization (2019). GraphError where the shapes do not fit.
    """
    node = to_float(x)
    axes = last_axes("rms_norm", node, to_shape(normalized_shape, "rms_norm"), [weight])
    wide = widen(node)
    least = node.dtype.epsilon if eps is None else eps
    scaled = wide * rsqrt(mean(square(wide), axes, keepdims=True) + least)
    return affine(scaled, weight, None, None, node.dtype)


def group_norm(
    x: ArrayLike,
    num_groups: int,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    layout: str | None = None,
) -> Node:
    """Normalisation of each example over groups of channels: x is (batch, channels, ...).

    In a layout such as "NHWC" the channels are last. weight and bias are (channels,). Wu, He: Group
    normalization (2018). GraphError unless the groups divide the channels.
    """
    node, axis = channels_second(x, layout, "group_norm")
    check_channels("group_norm", node, [weight, bias])
    channels = node.shape[1]
    if not isinstance(channels, int) or not divides(num_groups, channels):
        raise GraphError(
            f"group_norm: {shown(num_groups)} groups do not divide {channels} channels"
            f"{describe([node])}"
        )
    apart = (node.shape[0], num_groups, channels // num_groups, *node.shape[2:])
    grouped = reshape(widen(node), apart)
    scaled = normalized(grouped, tuple(range(2, grouped.ndim)), eps)[2]
    return moveaxis(affine(reshape(scaled, node.shape), weight, bias, 1, node.dtype), 1, axis)


def divides(number: Any, whole: int) -> bool:
    """Whether an integer of at least 1 divides another."""
    return is_integer(number) and number >= 1 and whole % number == 0


def instance_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-5,
    layout: str | None = None,
) -> Node:
    """Normalisation of each channel of each example: x is (batch, channels, ...).

    In a layout such as "NHWC" the channels are last. weight and bias are (channels,). Ulyanov,
    Vedaldi, Lempitsky: Instance normalization (2016).
    """
    node, axis = channels_second(x, layout, "instance_norm")
    check_channels("instance_norm", node, [weight, bias])
    if node.ndim < 3:
        raise GraphError(f"instance_norm: needs axes after the channels{describe([node])}")
    scaled = normalized(widen(node), tuple(range(2, node.ndim)), eps)[2]
    return moveaxis(affine(scaled, weight, bias, 1, node.dtype), 1, axis)


def local_response_norm(
    x: ArrayLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0,
    layout: str | None = None,
) -> Node:  # fmt: skip
    """x / (k + alpha * m)**beta, m the mean of squares of `size` neighbouring channels.

    They stand along axis 1, or last in a layout such as "NHWC". Channels beyond the ends count as
    0. Krizhevsky, Sutskever, Hinton: ImageNet classification (2012).
    """
    node, axis = channels_second(x, layout, "local_response_norm")
    if not is_integer(size) or size < 1 or node.ndim < 2:
        raise GraphError(
            f"local_response_norm: needs size >= 1 and axis 1, not {shown(size)}{describe([node])}"
        )
    wide = widen(node)
    last = moveaxis(square(wide), 1, -1)
    margins = [(0, 0)] * (node.ndim - 1) + [(size // 2, (size - 1) // 2)]
    padded, channels = pad(last, margins), node.shape[1]
    total = padded[..., :channels]
    for start in range(1, size):
        total = total + padded[..., start : start + channels]
    divisor = power(k + alpha / size * moveaxis(total, -1, 1), beta)
    return moveaxis(to_node_dtype(wide / divisor, node.dtype), 1, axis)


def channels_second(x: ArrayLike, layout: str | None, what: str) -> tuple[Node, int]:
    """x with its channels at axis 1, and where the layout has them."""
    node = to_float(x)
    axis = 1 if layout is None else channel_axis(layout, node, what)
    return (node, 1) if axis == 1 else (moveaxis(node, axis, 1), axis)


def affine(
    x: Node, weight: ArrayLike | None, bias: ArrayLike | None, axis: int | None, dtype: DType
) -> Node:
    """x * weight + bias, which stand along an axis or else at the last axes, in a dtype."""
    if weight is not None:
        x = x * aligned(weight, x, axis)
    if bias is not None:
        x = x + aligned(bias, x, axis)
    return to_node_dtype(x, dtype)


def aligned(value: ArrayLike, x: Node, axis: int | None) -> Node:
    """A weight in x's dtype, along one axis of it or its last ones."""
    node = to_node_dtype(as_node(value), x.dtype)
    return node if axis is None else along_axis(node, axis, x.ndim)


def check_channels(what: str, x: Node, values: Sequence[ArrayLike | None]) -> None:
    """GraphError unless each value has one number for each channel, an index of axis 1."""
    if x.ndim < 2:
        raise GraphError(f"{what}: x must be (batch, channels, ...){describe([x])}")
    check_shapes(what, (x.shape[1],), values)


def check_shapes(what: str, shape: tuple[Size, ...], values: Sequence[ArrayLike | None]) -> None:
    """GraphError unless each value that is given has a shape."""
    for value in values:
        node = None if value is None else as_node(value)
        if node is not None and node.shape != shape:
            raise GraphError(
                f"{what}: statistics, weight and bias must have shape {show_shape(shape)}, "
                f"not {show_shape(node.shape)}{describe([node])}"
            )


def last_axes(
    what: str, x: Node, shape: tuple[Size, ...], values: Sequence[ArrayLike | None]
) -> tuple[int, ...]:
    """The last axes of x, which must have a shape that each value that is given has too."""
    if not shape or x.shape[-len(shape) :] != shape:
        raise GraphError(
            f"{what}: the last axes of x must have the shape {show_shape(shape)}{describe([x])}"
        )
    check_shapes(what, shape, values)
    return tuple(range(x.ndim - len(shape), x.ndim))
