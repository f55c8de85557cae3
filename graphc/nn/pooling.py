"""Pooling: the maximum or the mean of windows, of the whole image, or of equal parts of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from graphc.errors import GraphError
from graphc.ir.dim import Size, is_nonnegative, maximum
from graphc.ir.node import Node, apply, describe
from graphc.lang.creation import ones
from graphc.lang.movement import broadcast_to, concat
from graphc.lang.operands import ArrayLike, as_node, to_float, to_node_dtype
from graphc.lang.reduction import max, mean, widen
from graphc.nn.arguments import (
    Numbers,
    Padding,
    channel_axis,
    check_fit,
    margins,
    per_axis,
    spatial_axes,
)
from graphc.ops.pooling import attributes
from graphc.ops.windows import Sliding


def max_pool(
    x: ArrayLike, /, window: Numbers, *, stride: Numbers | None = None, padding: Padding = "valid",
    dilation: Numbers = 1, ceil_mode: bool = False, layout: str | None = None,
) -> Node:  # fmt: skip
    """The largest element of each window of x [N, C, *sizes], or in a layout such as "NHWC".

    count = (size + low + high - dilation * (window - 1) - 1) // stride + 1 along each spatial axis,
    or rounded up with ceil_mode as long as the last window begins before the padding at the end.
    With it a window may be longer than the padded axis. The stride is the window unless given.
    Padding (as for `conv`), less than what a window spans, is never chosen. NaN is larger
    than every number. The gradient goes to the first of several largest elements, in row-major
    order. Scherer et al., Evaluation of pooling operations (2010).
    """
    node = as_node(x)
    what = "max_pool"
    axes, windows, given = pooled(node, window, stride, padding, dilation, ceil_mode, layout, what)
    check_padding(windows, given, node, what)
    attrs = attributes(over(node.shape, axes, windows))
    del attrs["x_dilation"]
    return apply("window_max", node, **attrs)


def average_pool(
    x: ArrayLike, /, window: Numbers, *, stride: Numbers | None = None, padding: Padding = "valid",
    dilation: Numbers = 1, ceil_mode: bool = False, count_include_pad: bool = True,
    layout: str | None = None,
) -> Node:  # fmt: skip
    """The mean of each window of x [N, C, *sizes], or in a layout such as "NHWC".

    Sizes are those of `max_pool`. Padding is zeros, which count as elements unless
    count_include_pad is false; then it is less than what a window spans. Integers give float64;
    float16 and bfloat16 are added up in float32.
    """
    node = to_float(x)
    wide = widen(node)
    axes, windows, given = pooled(
        node, window, stride, padding, dilation, ceil_mode, layout, "average_pool"
    )
    if not count_include_pad:
        check_padding(windows, given, node, "average_pool")
    total = apply("window_sum", wide, **attributes(over(node.shape, axes, windows)))
    inner = [windows_on_padding(w, p) for w, p in zip(windows, given, strict=True)]
    counted = inner if count_include_pad else windows
    shape = tuple(counted[axes.index(a)].size if a in axes else 1 for a in range(node.ndim))
    known = ones(shape, wide.dtype)
    number = apply("window_sum", known, **attributes(over(shape, axes, counted)))
    return to_node_dtype(total / broadcast_to(number, total.shape), node.dtype)


def check_padding(
    windows: Sequence[Sliding], given: Sequence[tuple[Size, Size]], node: Node, what: str
) -> None:
    """GraphError where a window surely lies in the padding alone."""
    for taps, pair in zip(windows, given, strict=True):
        if any(is_nonnegative(margin - taps.span) for margin in pair):
            raise GraphError(
                f"{what}: padding by {pair[0]} and {pair[1]} must be less than the {taps.span} "
                f"elements that a window spans, or it would see nothing else{describe([node])}"
            )


def pooled(
    node: Node, window: Numbers, stride: Numbers | None, padding: Padding, dilation: Numbers,
    ceil_mode: bool, layout: str | None, what: str,
) -> tuple[tuple[int, ...], list[Sliding], list[tuple[Size, Size]]]:  # fmt: skip
    """The spatial axes, the window along each, and the padding that was asked for."""
    axes = spatial_axes(node, channel_axis(layout, node, what))
    taps = per_axis(window, len(axes), f"{what}: window")
    steps = per_axis(taps if stride is None else stride, len(axes), f"{what}: stride")
    gaps = per_axis(dilation, len(axes), f"{what}: dilation")
    parts = zip([node.shape[a] for a in axes], taps, steps, gaps, strict=True)
    bare = [Sliding(size, tap, step, 0, 0, gap) for size, tap, step, gap in parts]
    given = margins(padding, bare, what)
    pairs = zip(bare, given, strict=True)
    windows = [replace(part, low=low, high=high) for part, (low, high) in pairs]
    if ceil_mode:
        windows = [rounded_up(part, what) for part in windows]
    check_fit(windows, [node], what)
    return axes, windows, given


def rounded_up(window: Sliding, what: str) -> Sliding:
    """Enough padding at the end for a last, partial window, if it begins before the padding."""
    if not isinstance(window.size, int) or not isinstance(window.high, int):
        raise GraphError(f"{what}: ceil_mode needs a size that is known, not {window.size}")
    more = replace(window, high=window.high + window.stride - 1)
    begins = (more.count - 1) * window.stride - window.low
    no_room = isinstance(more.count, int) and more.count < 1
    if no_room or (isinstance(begins, int) and begins >= window.size):
        return window
    needed = (more.count - 1) * window.stride + window.span - window.size - window.low
    return replace(window, high=maximum(needed, window.high))


def windows_on_padding(window: Sliding, padding: tuple[Size, Size]) -> Sliding:
    """The same windows where the padding that was asked for counts as elements."""
    low, high = padding
    return replace(window, size=window.size + low + high, low=0, high=window.high - high)


def over(shape: Sequence[Size], axes: Sequence[int], windows: Sequence[Sliding]) -> list[Sliding]:
    """A window for each axis: the given ones, and one of 1 along the others."""
    chosen = dict(zip(axes, windows, strict=True))
    return [chosen.get(axis, Sliding(size, 1, 1, 0, 0)) for axis, size in enumerate(shape)]


def global_max_pool(x: ArrayLike, /, *, keepdims: bool = True, layout: str | None = None) -> Node:
    """The largest element of each channel: x [N, C, *sizes] gives [N, C, 1, ...].

    Without keepdims the result is [N, C]. The gradient is shared among elements that tie.
    """
    node = as_node(x)
    axes = spatial_axes(node, channel_axis(layout, node, "global_max_pool"))
    return max(node, axis=axes, keepdims=keepdims)


def global_average_pool(
    x: ArrayLike, /, *, keepdims: bool = True, layout: str | None = None
) -> Node:
    """The mean of each channel: x [N, C, *sizes] gives [N, C, 1, ...], or [N, C] without keepdims.

    Lin et al., Network in network (2014).
    """
    node = as_node(x)
    axes = spatial_axes(node, channel_axis(layout, node, "global_average_pool"))
    return mean(node, axis=axes, keepdims=keepdims)


def adaptive_max_pool(x: ArrayLike, /, sizes: Numbers, *, layout: str | None = None) -> Node:
    """The largest element of each of `sizes` parts along every spatial axis, whose sizes are known.

    Part i of m goes from floor(i * size / m) up to ceil((i + 1) * size / m); parts overlap where
    m does not divide the size.
    """
    return adaptive(as_node(x), sizes, layout, "adaptive_max_pool", max_pool)


def adaptive_average_pool(x: ArrayLike, /, sizes: Numbers, *, layout: str | None = None) -> Node:
    """The mean of each of `sizes` parts along every spatial axis, as in `adaptive_max_pool`."""
    return adaptive(to_float(x), sizes, layout, "adaptive_average_pool", average_pool)


def adaptive(
    node: Node, sizes: Numbers, layout: str | None, what: str, pool: Callable[..., Node]
) -> Node:
    """Each part pooled, one spatial axis after the other."""
    axes = spatial_axes(node, channel_axis(layout, node, what))
    wanted = per_axis(sizes, len(axes), f"{what}: sizes")
    for axis in axes:
        if not isinstance(node.shape[axis], int) or node.shape[axis] == 0:
            raise GraphError(
                f"{what}: axis {axis} of {node.type} must have a size that is known and not 0"
                f"{describe([node])}"
            )
    for place in reversed(range(len(axes))):
        node = pool_parts(node, axes, place, wanted[place], layout, pool)
    return node


def pool_parts(
    node: Node, axes: Sequence[int], place: int, parts: int, layout: str | None, pool: Any
) -> Node:
    """The parts along one spatial axis pooled; windows of equal size where the parts are equal."""
    axis = axes[place]
    size = node.shape[axis]
    assert isinstance(size, int)
    if size % parts == 0:
        return window_along(node, axes, place, size // parts, layout, pool)
    pieces = []
    for part in range(parts):
        first, last = part * size // parts, -(-(part + 1) * size // parts)
        piece = node[(*(slice(None),) * axis, slice(first, last))]
        pieces.append(window_along(piece, axes, place, last - first, layout, pool))
    return concat(pieces, axis)


def window_along(
    node: Node, axes: Sequence[int], place: int, taps: int, layout: str | None, pool: Any
) -> Node:
    """Windows of so many taps along one spatial axis and of 1 along the others."""
    if taps == 1:
        return node
    window = tuple(taps if here == place else 1 for here in range(len(axes)))
    result: Node = pool(node, window, layout=layout)
    return result
