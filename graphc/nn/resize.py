"""Images of another size, by interpolation or by moving channels into space.

Where an element of the result lies in the operand is computed in whole numbers, so that it is exact
for every size.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphError, shown
from graphc.ir.node import Node, describe
from graphc.lang.indexing import take
from graphc.lang.movement import broadcast_to, moveaxis, permute_dims, repeat, reshape
from graphc.lang.operands import ArrayLike, along_axis, as_node, constant, to_float, to_node_dtype
from graphc.lang.reduction import widen
from graphc.lang.sizes import is_integer
from graphc.nn.arguments import Numbers, as_items, channel_axis, per_axis, spatial_axes

Array: TypeAlias = np.ndarray[Any, Any]
Taps: TypeAlias = list[tuple[Array, Array | None]]
"""For each tap the element that each element of the result takes, and its weight (None: 1)."""

CUBIC = -0.75
"""The slope of the cubic kernel at 1, the a of Keys's formula, as image libraries have it."""


def resize(
    x: ArrayLike, /, sizes: Numbers | None = None, *, scale: float | Sequence[float] | None = None,
    mode: str = "nearest", align_corners: bool = False, layout: str | None = None,
) -> Node:  # fmt: skip
    """x [N, C, *old] as [N, C, *sizes], or of sizes floor(old * scale).

    Element i of m lies at (i + 1/2) * old / m - 1/2, or with align_corners at i * (old - 1) /
    (m - 1). mode "nearest" takes the element floor(i * old / m), "nearest_exact" the one whose
    middle is nearest, "linear" weighs the two neighbours along each axis (bilinear, trilinear), and
    "cubic" four with Keys's kernel of a = -0.75; beyond the border stands the last element. Sizes
    may be symbolic where each element is repeated: in a nearest mode with a scale that is an
    integer. The layout is as for `conv`. Keys, Cubic convolution interpolation for digital image
    processing (1981). GraphError unless scales are finite numbers above 0 and sizes integers.
    """
    given = as_node(x)
    if mode not in MODES:
        raise GraphError(f"resize: mode is one of {', '.join(MODES)}, not {mode!r}")
    if align_corners and mode.startswith("nearest"):
        raise GraphError(f"resize: align_corners has no meaning for mode {mode!r}")
    node = given if mode.startswith("nearest") else to_float(given)
    axes = spatial_axes(node, channel_axis(layout, node, "resize"))
    if mode.startswith("nearest") and sizes is None and repetitions(scale):
        for axis in axes:
            node = repeat(node, repetitions(scale), axis)
        return node
    old = known_sizes(node, axes, "resize", ", but for a nearest mode with an integer scale")
    for axis, before, after in zip(axes, old, new_sizes(old, sizes, scale), strict=True):
        node = resize_axis(node, axis, before, after, mode, align_corners)
    return node


def repetitions(scale: Any) -> int:
    """How often a scale repeats each element: a whole number, or 0 for another scale."""
    return int(scale) if isinstance(scale, int | np.integer) and scale > 0 else 0


def known_sizes(node: Node, axes: Sequence[int], what: str, but: str = "") -> list[int]:
    """The sizes along some axes; GraphError where one is symbolic or 0, but for what is said."""
    sizes = [size for size in (node.shape[a] for a in axes) if isinstance(size, int) and size > 0]
    if len(sizes) < len(axes):
        raise GraphError(
            f"{what}: the spatial sizes of {node.type} must be known and not 0"
            f"{but}{describe([node])}"
        )
    return sizes


def new_sizes(
    old: Sequence[int], sizes: Numbers | None, scale: float | Sequence[float] | None
) -> tuple[int, ...]:
    """The sizes that are given, or those that scales give."""
    if (sizes is None) == (scale is None):
        raise GraphError("resize: give either sizes or scale")
    if sizes is not None:
        return per_axis(sizes, len(old), "resize: sizes")
    factors = (scale,) * len(old) if isinstance(scale, numbers.Real) else as_items(scale)
    if len(factors) != len(old) or not all(map(is_factor, factors)):
        raise GraphError(
            f"resize: scale is a finite number > 0, or one for each of {len(old)} axes, "
            f"not {shown(scale)}"
        )
    result = tuple(int(size * float(f)) for size, f in zip(old, factors, strict=True))
    return per_axis(result, len(old), "resize: scaled sizes")


def is_factor(value: Any) -> bool:
    """Whether a value is a finite number above 0."""
    return isinstance(value, numbers.Real) and 0 < float(value) < math.inf


def pixel_shuffle(x: ArrayLike, /, factor: int, *, layout: str | None = None) -> Node:
    """Channels laid out in space: x [N, C * factor**2, H, W] as [N, C, H * factor, W * factor].

    Likewise with one or three spatial axes; channel k holds the elements at place k, in row-major
    order, of blocks of `factor` along each. Shi et al., Real-time single image super-resolution
    (2016). GraphError unless the channels can be divided so.
    """
    node, channels = as_node(x), channel_axis(layout, as_node(x), "pixel_shuffle")
    inside = moveaxis(node, channels, 1)
    rank, depth = inside.ndim - 2, inside.shape[1]
    block = to_block(factor, rank, "pixel_shuffle")
    if not isinstance(depth, int) or depth % block:
        raise GraphError(
            f"pixel_shuffle: the channels of {node.type} must be a multiple of {block}"
            f"{describe([node])}"
        )
    apart = reshape(inside, (inside.shape[0], depth // block, *(factor,) * rank, *inside.shape[2:]))
    order = [axis for pair in zip(range(2 + rank, 2 + 2 * rank), range(2, 2 + rank), strict=True)
             for axis in pair]  # fmt: skip
    sizes = (size * factor for size in inside.shape[2:])
    together = permute_dims(apart, (0, 1, *order))
    return moveaxis(reshape(together, (inside.shape[0], depth // block, *sizes)), 1, channels)


def pixel_unshuffle(x: ArrayLike, /, factor: int, *, layout: str | None = None) -> Node:
    """The inverse of `pixel_shuffle`: blocks of `factor` along each spatial axis become channels.

    GraphError unless the spatial sizes are known multiples of the factor.
    """
    node, channels = as_node(x), channel_axis(layout, as_node(x), "pixel_unshuffle")
    inside = moveaxis(node, channels, 1)
    rank = inside.ndim - 2
    block = to_block(factor, rank, "pixel_unshuffle")
    sizes = known_sizes(inside, range(2, 2 + rank), "pixel_unshuffle")
    if any(size % factor for size in sizes):
        raise GraphError(
            f"pixel_unshuffle: the spatial sizes of {node.type} must be multiples of {factor}"
            f"{describe([node])}"
        )
    apart = [part for size in sizes for part in (size // factor, factor)]
    blocks = reshape(inside, (*inside.shape[:2], *apart))
    order = (*range(3, 3 + 2 * rank, 2), *range(2, 2 + 2 * rank, 2))
    together = permute_dims(blocks, (0, 1, *order))
    counts = (size // factor for size in sizes)
    return moveaxis(
        reshape(together, (inside.shape[0], inside.shape[1] * block, *counts)), 1, channels
    )


def to_block(factor: int, rank: int, what: str) -> int:
    """The elements of a block; GraphError unless its edge is an integer above 0."""
    if not is_integer(factor) or factor < 1:
        raise GraphError(f"{what}: factor must be an integer above 0, not {factor!r}")
    return int(factor**rank)


def resize_axis(node: Node, axis: int, old: int, new: int, mode: str, align_corners: bool) -> Node:
    """One axis of the operand resized: the weighted sum of its taps."""
    if old == new:
        return node
    if mode.startswith("nearest") and new % old == 0:
        return repeat(node, new // old, axis)
    if old == 1:
        return broadcast_to(node, (*node.shape[:axis], new, *node.shape[axis + 1 :]))
    wide = node if mode.startswith("nearest") else widen(node)
    total: Node | None = None
    for places, weights in MODES[mode](old, new, align_corners):
        part = take(wide, np.clip(places, 0, old - 1), axis=axis)
        if weights is not None:
            part = part * along_axis(constant(weights, wide.dtype), axis, node.ndim)
        total = part if total is None else total + part
    assert total is not None
    return to_node_dtype(total, node.dtype)


def sources(old: int, new: int, align_corners: bool) -> list[Fraction]:
    """Where each element of the result lies among those of the operand."""
    if align_corners:
        return [Fraction(i * (old - 1), max(new - 1, 1)) for i in range(new)]
    return [Fraction((2 * i + 1) * old - new, 2 * new) for i in range(new)]


def nearest(old: int, new: int, align_corners: bool) -> Taps:
    """The element at or before the same part of the axis."""
    return [(np.arange(new) * old // new, None)]


def nearest_exact(old: int, new: int, align_corners: bool) -> Taps:
    """The element whose middle is nearest."""
    return [((2 * np.arange(new) + 1) * old // (2 * new), None)]


def linear(old: int, new: int, align_corners: bool) -> Taps:
    """The neighbours on both sides, weighed by how near they are."""
    places = [max(place, Fraction(0)) for place in sources(old, new, align_corners)]
    below = np.array([place.numerator // place.denominator for place in places])
    rest = np.array([float(place % 1) for place in places])
    return [(below, 1 - rest), (below + 1, rest)]


def cubic(old: int, new: int, align_corners: bool) -> Taps:
    """Four neighbours, weighed by Keys's kernel."""
    places = sources(old, new, align_corners)
    below = np.array([place.numerator // place.denominator for place in places])
    rest = np.array([float(place % 1) for place in places])
    return [(below + tap, keys_kernel(rest - tap)) for tap in (-1, 0, 1, 2)]


def keys_kernel(distance: Array) -> Array:
    """The weight of an element at a distance: two cubics, 0 from 2 on."""
    d = np.abs(distance)
    return np.where(d <= 1, keys_near(d), np.where(d < 2, keys_far(d), 0))


def keys_near(d: Any) -> Any:
    """Keys's kernel at distances up to 1, of arrays or nodes."""
    return ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1


def keys_far(d: Any) -> Any:
    """Keys's kernel at distances from 1 to 2."""
    return CUBIC * (((d - 5) * d + 8) * d - 4)


MODES: dict[str, Callable[[int, int, bool], Taps]] = {
    "nearest": nearest,
    "nearest_exact": nearest_exact,
    "linear": linear,
    "cubic": cubic,
}
