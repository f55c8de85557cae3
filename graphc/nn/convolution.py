"""Convolution along one to three spatial axes, and its transpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.errors import GraphError
from graphc.ir.dim import Size, remainder
from graphc.ir.node import Node, apply, describe
from graphc.ir.types import show_shape
from graphc.lang.movement import moveaxis
from graphc.lang.operands import ArrayLike, along_axis, as_node, same_dtype
from graphc.nn.arguments import (
    NAMES,
    Numbers,
    Padding,
    channel_axis,
    check_fit,
    margins,
    per_axis,
)
from graphc.ops.convolution import attributes, transposed
from graphc.ops.windows import Sliding


def conv(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, /, *, stride: Numbers = 1,
    padding: Padding = "valid", dilation: Numbers = 1, groups: int = 1, layout: str | None = None,
) -> Node:  # fmt: skip
    """The convolution of x [N, C, *sizes] with kernels w [K, C / groups, *taps] (not flipped).

    The result is [N, K, *counts], count = (size + low + high - dilation * (taps - 1) - 1) // stride
    + 1. Numbers are one for all spatial axes or one each. padding is "valid" (none), "same" (count
    is size / stride rounded up), "full" (each window sees an element), a number, or numbers or
    pairs (before, after) by axis. With groups = C each channel is by itself (depthwise). bias is
    [K]. A layout such as "NHWC" has the channels last, in x and in the result, not in w. LeCun et
    al., Gradient-based learning applied to document recognition (1998); for the sizes see Dumoulin
    and Visin, A guide to convolution arithmetic for deep learning (2016).
    """
    what = "conv"
    image, kernel, channels = operands(x, w, layout, what)
    inside, rank = image.shape[2:], image.ndim - 2
    if kernel.shape[1] * check_groups(groups, kernel.shape[0], what) != image.shape[1]:
        raise channel_error(image, kernel, groups)
    steps = zip(per_axis(stride, rank, f"{what}: stride"),
                per_axis(dilation, rank, f"{what}: dilation"), strict=True)  # fmt: skip
    bare = [
        Sliding(size, taps, step, 0, 0, gap)
        for size, taps, (step, gap) in zip(inside, kernel.shape[2:], steps, strict=True)
    ]
    windows = padded(bare, margins(padding, bare, what))
    check_fit(windows, [image, kernel], what)
    result = apply("convolution", image, kernel, groups=groups, **attributes(windows))
    return moveaxis(with_bias(result, bias, what), 1, channels)


def padded(windows: Sequence[Sliding], padding: Sequence[tuple[Size, Size]]) -> list[Sliding]:
    """Windows over axes with padding before and after."""
    pairs = zip(windows, padding, strict=True)
    return [replace(window, low=low, high=high) for window, (low, high) in pairs]


def operands(x: ArrayLike, w: ArrayLike, layout: str | None, what: str) -> tuple[Node, Node, int]:
    """Image and kernels of one dtype, channels at axis 1, and the axis that they had."""
    image, kernel = same_dtype(as_node(x), as_node(w))
    channels = channel_axis(layout, image, what)
    if kernel.ndim != image.ndim:
        raise GraphError(
            f"{what}: x of shape {show_shape(image.shape)} and kernels of shape "
            f"{show_shape(kernel.shape)} must have equally many axes{describe([image, kernel])}"
        )
    return moveaxis(image, channels, 1), kernel, channels


def check_groups(groups: int, kernels: Size, what: str) -> int:
    """The number of groups; GraphError unless so many equal groups of kernels can be made."""
    if not isinstance(groups, int) or groups < 1 or remainder(kernels, groups) != 0:
        raise GraphError(
            f"{what}: groups must be an integer >= 1 that divides {kernels}, not {groups!r}"
        )
    return groups


def channel_error(image: Node, kernel: Node, groups: int) -> GraphError:
    """What is wrong with the channels of a convolution."""
    channels = image.shape[1]
    right = "groups that divide the channels"
    if remainder(channels, groups) == 0:
        right = f"kernels of shape ({kernel.shape[0]}, {channels // groups}, ...)"
    return GraphError(
        f"conv: x of shape {show_shape(image.shape)} has {channels} channels, and kernels of shape "
        f"{show_shape(kernel.shape)} in {groups} groups take {kernel.shape[1] * groups}: they need "
        f"{right}{describe([image, kernel])}"
    )


def with_bias(result: Node, bias: ArrayLike | None, what: str) -> Node:
    """The result [N, K, ...] with a number added to each of the K."""
    if bias is None:
        return result
    added = as_node(bias)
    if added.shape != result.shape[1:2]:
        raise GraphError(
            f"{what}: bias of shape {show_shape(added.shape)} does not fit a result of shape "
            f"{show_shape(result.shape)}: it must be ({result.shape[1]},){describe([added])}"
        )
    return result + along_axis(added, 1, result.ndim)


def conv1d(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, /, *, stride: Numbers = 1,
    padding: Padding = "valid", dilation: Numbers = 1, groups: int = 1, layout: str = "NCW",
) -> Node:  # fmt: skip
    """`conv` of x [N, C, W] with w [K, C / groups, taps]: [N, K, count]; or in layout "NWC"."""
    return conv(
        of_rank(x, 1, "conv1d"), w, bias, stride=stride, padding=padding, dilation=dilation,
        groups=groups, layout=layout,
    )  # fmt: skip


def conv2d(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, /, *, stride: Numbers = 1,
    padding: Padding = "valid", dilation: Numbers = 1, groups: int = 1, layout: str = "NCHW",
) -> Node:  # fmt: skip
    """`conv` of x [N, C, H, W] with w [K, C / groups, taps, taps]; or in layout "NHWC"."""
    return conv(
        of_rank(x, 2, "conv2d"), w, bias, stride=stride, padding=padding, dilation=dilation,
        groups=groups, layout=layout,
    )  # fmt: skip


def conv3d(
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, /, *, stride: Numbers = 1,
    padding: Padding = "valid", dilation: Numbers = 1, groups: int = 1, layout: str = "NCDHW",
) -> Node:  # fmt: skip
    """`conv` of x [N, C, D, H, W] with w [K, C / groups, taps, taps, taps]; or in "NDHWC"."""
    return conv(
        of_rank(x, 3, "conv3d"), w, bias, stride=stride, padding=padding, dilation=dilation,
        groups=groups, layout=layout,
    )  # fmt: skip


def of_rank(x: ArrayLike, rank: int, what: str) -> Node:
    """x as a node; GraphError unless it has that many spatial axes."""
    node = as_node(x)
    if node.ndim != rank + 2:
        raise GraphError(
            f"{what}: x must have {rank + 2} axes, N, C and {', '.join(NAMES[rank])}, this is "
            f"{node.type}{describe([node])}"
        )
    return node


def conv_transpose(  # noqa: PLR0913 (the options of a convolution, and one of its own)
    x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, /, *, stride: Numbers = 1,
    padding: Padding = "valid", output_padding: Numbers = 0, dilation: Numbers = 1,
    groups: int = 1, layout: str | None = None,
) -> Node:  # fmt: skip
    """The transpose of `conv`: x [N, C, *counts] and w [C, K / groups, *taps] give [N, K, *sizes].

    It is the gradient by its input of the convolution with the same w and options, whose result
    has the shape of x. size = (count - 1) * stride + dilation * (taps - 1) + 1 - low - high +
    output_padding, where low and high are that convolution's padding and output_padding (less than
    the stride) tells apart the sizes that give the same count. "same" makes size = count * stride.
    bias is [K]. Zeiler et al., Deconvolutional networks (2010).
    """
    what = "conv_transpose"
    image, kernel, channels = operands(x, w, layout, what)
    check_groups(groups, kernel.shape[0], what)
    if kernel.shape[0] != image.shape[1]:
        raise GraphError(
            f"{what}: x of shape {show_shape(image.shape)} has {image.shape[1]} channels, and "
            f"kernels of shape {show_shape(kernel.shape)} take {kernel.shape[0]}: they must be "
            f"({image.shape[1]}, out channels / groups, ...){describe([image, kernel])}"
        )
    rank = image.ndim - 2
    numbers = zip(
        image.shape[2:], kernel.shape[2:], per_axis(stride, rank, f"{what}: stride"),
        per_axis(dilation, rank, f"{what}: dilation"), strict=True,
    )  # fmt: skip
    bare = [Sliding(count, taps, 1, 0, 0, gap, step) for count, taps, step, gap in numbers]
    extra = per_axis(output_padding, rank, f"{what}: output_padding", least=0)
    windows = uncut(bare, transposed_margins(padding, bare, what), extra)
    check_extra(windows, extra, what)
    check_fit(windows, [image, kernel], what)
    turned = transposed(kernel, groups)
    result = apply("convolution", image, turned, groups=groups, **attributes(windows))
    return moveaxis(with_bias(result, bias, what), 1, channels)


def transposed_margins(
    padding: Padding, windows: Sequence[Sliding], what: str
) -> list[tuple[Size, Size]]:
    """The padding of the convolution that a transposed one undoes, by axis."""
    if padding != "same":
        return list(margins(padding, windows, what))
    total = [window.span - window.spacing for window in windows]
    return [(t // 2, t - t // 2) for t in total]


def uncut(
    windows: Sequence[Sliding], padding: Sequence[tuple[Size, Size]], extra: Sequence[int]
) -> list[Sliding]:
    """The windows of a transposed convolution: what padding added is cut off."""
    rest = [window.span - 1 for window in windows]
    pairs = zip(rest, padding, extra, strict=True)
    return padded(windows, [(r - low, r - high + more) for r, (low, high), more in pairs])


def check_extra(windows: Sequence[Sliding], extra: Sequence[int], what: str) -> None:
    """GraphError where output_padding would make room for another window."""
    for window, more in zip(windows, extra, strict=True):
        if more >= max(window.spacing, window.dilation):
            raise GraphError(
                f"{what}: output_padding must be less than the stride {window.spacing} or the "
                f"dilation {window.dilation}, not {more}"
            )
