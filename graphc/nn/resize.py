"""Images of another size, and images sampled at given places.

Where an element of the result lies in the operand is computed in whole numbers, so that it is exact
for every size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node, describe, say
from graphc.ir.types import DType, int64, show_shape
from graphc.lang.arithmetic import clip
from graphc.lang.creation import linspace, ones
from graphc.lang.indexing import take_along_axis
from graphc.lang.linear_algebra import matmul
from graphc.lang.movement import (
    broadcast_to,
    concat,
    expand_dims,
    matrix_transpose,
    repeat,
    reshape,
)
from graphc.lang.operands import ArrayLike, as_node, constant, same_dtype, to_float, to_node_dtype
from graphc.lang.reduction import widen
from graphc.nn.arguments import Numbers, channel_axis, per_axis, spatial_axes

Array: TypeAlias = np.ndarray[Any, Any]
Taps: TypeAlias = list[tuple[Array, Array | None]]
"""For each tap the element that each element of the result takes, and its weight (None: 1)."""

CUBIC = -0.75
"""The slope of the cubic kernel at 1, the a of Keys's formula, as image libraries have it."""


def resize(
    x: ArrayLike, /, sizes: Numbers | None = None, *, scale: float | Sequence[float] | None = None,
    mode: str = "nearest", align_corners: bool = False, layout: str | None = None,
) -> Node:  # fmt: skip
    """x [N, C, *old] as [N, C, *sizes], or of sizes floor(old * scale), which must be known.

    Element i of m lies at (i + 1/2) * old / m - 1/2, or with align_corners at i * (old - 1) /
    (m - 1). mode "nearest" takes the element floor(i * old / m), "nearest_exact" the one whose
    middle is nearest, "linear" weighs the two neighbours along each axis (bilinear, trilinear), and
    "cubic" four with Keys's kernel of a = -0.75; beyond the border stands the last element. The
    layout is as for `conv`. Keys, Cubic convolution interpolation for digital image processing
    (1981).
    """
    given = as_node(x)
    if mode not in MODES:
        raise GraphError(f"resize: mode is one of {', '.join(MODES)}, not {mode!r}")
    if align_corners and mode.startswith("nearest"):
        raise GraphError(f"resize: align_corners has no meaning for mode {mode!r}")
    node = given if mode.startswith("nearest") else to_float(given)
    axes = spatial_axes(node, channel_axis(layout, node, "resize"))
    old = known_sizes(node, axes)
    for axis, before, after in zip(axes, old, new_sizes(old, sizes, scale), strict=True):
        node = resize_axis(node, axis, before, after, mode, align_corners)
    return node


def known_sizes(node: Node, axes: Sequence[int]) -> list[int]:
    """The sizes along some axes; GraphError where one is symbolic or 0."""
    sizes = [size for size in (node.shape[a] for a in axes) if isinstance(size, int) and size > 0]
    if len(sizes) < len(axes):
        raise GraphError(
            f"resize: the spatial sizes of {node.type} must be known and not 0{describe([node])}"
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
    factors = [scale] * len(old) if isinstance(scale, int | float) else list(scale or ())
    if len(factors) != len(old) or not all(factor > 0 for factor in factors):
        raise GraphError(
            f"resize: scale is a number > 0 for each of {len(old)} axes, not {scale!r}"
        )
    result = tuple(int(size * factor) for size, factor in zip(old, factors, strict=True))
    return per_axis(result, len(old), "resize: scaled sizes")


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
        part = take(wide, np.clip(places, 0, old - 1), axis)
        if weights is not None:
            part = part * along(constant(weights, wide.dtype), axis, node.ndim)
        total = part if total is None else total + part
    assert total is not None
    return to_node_dtype(total, node.dtype)


def take(node: Node, places: Array, axis: int) -> Node:
    """The elements at places along an axis."""
    return say("take", node, constant(places.astype(np.int64)), axis=axis)


def along(row: Node, axis: int, rank: int) -> Node:
    """A row of numbers as an array of so many axes, along one of them."""
    return reshape(row, tuple(row.size if a == axis else 1 for a in range(rank)))


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
    d, a = np.abs(distance), CUBIC
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


MODES: dict[str, Callable[[int, int, bool], Taps]] = {
    "nearest": nearest,
    "nearest_exact": nearest_exact,
    "linear": linear,
    "cubic": cubic,
}


# --- sampling at given places --------------------------------------------------------------------


def affine_grid(theta: ArrayLike, /, sizes: Sequence[Size], *, align_corners: bool = False) -> Node:
    """The places [N, H, W, 2] that affine maps theta [N, 2, 3] send an image of sizes (H, W) to.

    A place is (x, y), -1 and 1 being the borders of the image, or with align_corners the middles of
    the first and last elements. Jaderberg et al., Spatial transformer networks (2015).
    """
    maps = to_float(theta)
    if maps.shape[1:] != (2, 3):
        raise GraphError(
            f"affine_grid: theta of shape {show_shape(maps.shape)} must be (N, 2, 3)"
            f"{describe([maps])}"
        )
    height, width = per_axis(tuple(sizes), 2, "affine_grid: sizes")
    rows, columns = (middles(size, align_corners, maps.dtype) for size in (height, width))
    shape = (height, width)
    parts = [broadcast_to(columns, shape), broadcast_to(expand_dims(rows, 1), shape)]
    points = concat([expand_dims(part, 2) for part in (*parts, ones(shape, maps.dtype))], 2)
    flat = broadcast_to(reshape(points, (height * width, 3)), (maps.shape[0], height * width, 3))
    return reshape(matmul(flat, matrix_transpose(maps)), (maps.shape[0], height, width, 2))


def middles(size: int, align_corners: bool, dtype: DType) -> Node:
    """Where the elements of an axis lie between -1 and 1."""
    if size == 1:
        return constant(np.zeros(1), dtype)
    end = 1.0 if align_corners else 1 - 1 / size
    return to_node_dtype(linspace(-end, end, size), dtype)


def grid_sample(
    x: ArrayLike, grid: ArrayLike, /, *, mode: str = "linear", padding: str = "zeros",
    align_corners: bool = False,
) -> Node:  # fmt: skip
    """x [N, C, H, W] at the places grid [N, P, Q, 2]: [N, C, P, Q].

    A place is (x, y), as `affine_grid` makes them. mode "linear" weighs the four elements around a
    place, "nearest" takes the nearest one (the even one of two, as rounding goes), which has no
    gradient by the grid. Beyond the image stand zeros, or with padding "border" its last elements.
    Jaderberg et al., Spatial transformer networks (2015).
    """
    image, places = same_dtype(to_float(x), to_float(grid))
    check_sampling(image, places, mode, padding)
    height, width = known_sizes(image, (2, 3))
    columns, rows = (
        unscaled(places[..., part], size, padding, align_corners)
        for part, size in ((0, width), (1, height))
    )
    if mode == "nearest":
        return pick(image, say("round", rows), say("round", columns))
    top, left = say("floor", rows), say("floor", columns)
    below, right = rows - top, columns - left
    corners = ((0, 1 - below), (1, below)), ((0, 1 - right), (1, right))
    parts = [
        pick(image, top + i, left + j) * expand_dims(down * across, 1)
        for i, down in corners[0]
        for j, across in corners[1]
    ]
    return (parts[0] + parts[1]) + (parts[2] + parts[3])


def check_sampling(image: Node, places: Node, mode: str, padding: str) -> None:
    """GraphError unless the image, the grid and the options fit."""
    if mode not in ("linear", "nearest") or padding not in ("zeros", "border"):
        raise GraphError(
            f'grid_sample: mode is "linear" or "nearest" and padding "zeros" or "border", '
            f"not {mode!r} and {padding!r}"
        )
    fits = image.ndim == places.ndim == 4 and places.shape[-1] == 2
    if not fits or places.shape[0] != image.shape[0]:
        raise GraphError(
            f"grid_sample: x of shape {show_shape(image.shape)} and a grid of shape "
            f"{show_shape(places.shape)} must be (N, C, H, W) and (N, P, Q, 2)"
            f"{describe([image, places])}"
        )


def unscaled(places: Node, size: int, padding: str, align_corners: bool) -> Node:
    """Places between -1 and 1 as numbers of elements."""
    found = (places + 1) * ((size - 1) / 2) if align_corners else ((places + 1) * size - 1) / 2
    return clip(found, 0, size - 1) if padding == "border" else found


def pick(image: Node, rows: Node, columns: Node) -> Node:
    """image [N, C, H, W] at whole rows and columns [N, P, Q]: [N, C, P, Q]; zeros outside."""
    count, channels, height, width = image.shape
    inside = (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
    flat = say("where", inside, rows * width + columns, 0)
    index = reshape(to_node_dtype(flat, int64), (count, 1, flat.shape[1] * flat.shape[2]))
    pixels = reshape(image, (count, channels, height * width))
    taken = reshape(take_along_axis(pixels, index, 2), (count, channels, *flat.shape[1:]))
    return say("where", expand_dims(inside, 1), taken, 0)
