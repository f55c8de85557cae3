"""Images sampled at given places, such as those that an affine map makes of a grid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeAlias

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size, product
from graphc.ir.node import Node, describe, say
from graphc.ir.types import DType, int64, show_shape
from graphc.lang.arithmetic import abs, clip, remainder
from graphc.lang.creation import linspace, ones
from graphc.lang.indexing import take_along_axis
from graphc.lang.linear_algebra import matmul
from graphc.lang.movement import broadcast_to, concat, expand_dims, matrix_transpose, reshape
from graphc.lang.operands import (
    ArrayLike,
    along_axis,
    constant,
    same_dtype,
    to_float,
    to_node_dtype,
)
from graphc.lang.selection import where
from graphc.nn.arguments import as_items, per_axis
from graphc.nn.resize import keys_far, keys_near, known_sizes

Taps: TypeAlias = list[tuple[Node, Node]]
"""Whole places along one axis, and their weights."""

MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")


def affine_grid(theta: ArrayLike, /, sizes: Sequence[Size], *, align_corners: bool = False) -> Node:
    """The places [N, H, W, 2] that affine maps theta [N, 2, 3] send an image of sizes (H, W) to.

    With theta [N, 3, 4] and sizes (D, H, W) they are [N, D, H, W, 3]. A place is (x, y) or (x, y,
    z), -1 and 1 being the borders of the image, or with align_corners the middles of the first and
    last elements. Jaderberg et al., Spatial transformer networks (2015).
    """
    maps, wanted = to_float(theta), as_items(sizes)
    rank = len(wanted)
    if not wanted:
        raise GraphError(f"affine_grid: sizes must be two or three integers, not {shown(sizes)}")
    if rank not in (2, 3) or maps.shape[1:] != (rank, rank + 1):
        raise GraphError(
            f"affine_grid: theta of shape {show_shape(maps.shape)} must be (N, 2, 3) for two sizes "
            f"and (N, 3, 4) for three, not {rank}{describe([maps])}"
        )
    shape = per_axis(wanted, rank, "affine_grid: sizes")
    coordinates = [
        broadcast_to(along_axis(middles(size, align_corners, maps.dtype), axis, rank), shape)
        for axis, size in enumerate(shape)
    ]
    parts = [*coordinates[::-1], ones(shape, maps.dtype)]
    points = reshape(concat([expand_dims(part, rank) for part in parts], rank), (-1, rank + 1))
    flat = broadcast_to(points, (maps.shape[0], *points.shape))
    return reshape(matmul(flat, matrix_transpose(maps)), (maps.shape[0], *shape, rank))


def middles(size: int, align_corners: bool, dtype: DType) -> Node:
    """Where the elements of an axis lie between -1 and 1."""
    if size == 1:
        return constant([0.0], dtype)
    end = 1.0 if align_corners else 1 - 1 / size
    return to_node_dtype(linspace(-end, end, size), dtype)


def grid_sample(
    x: ArrayLike, grid: ArrayLike, /, *, mode: str = "linear", padding: str = "zeros",
    align_corners: bool = False,
) -> Node:  # fmt: skip
    """x [N, C, H, W] at the places grid [N, P, Q, 2]: [N, C, P, Q]; likewise volumes at (x, y, z).

    A place is (x, y), as `affine_grid` makes them. mode "linear" weighs the elements around a
    place, "cubic" (for images) sixteen with Keys's kernel as `resize` does, "nearest" takes the
    nearest one (the even one of two, as rounding goes), which has no gradient by the grid. Beyond
    the image stand zeros, or with padding "border" its last elements, with "reflection" its mirror
    image. Jaderberg et al., Spatial transformer networks (2015).
    """
    image, places = same_dtype(to_float(x), to_float(grid))
    check_sampling(image, places, mode, padding)
    rank = image.ndim - 2
    axes = [
        Axis(size, padding, align_corners, places[..., rank - 1 - axis])
        for axis, size in enumerate(known_sizes(image, range(2, rank + 2), "grid_sample"))
    ]
    if mode == "nearest":
        return pick(image, [say("round", axis.padded(axis.place)) for axis in axes])
    taps = [axis.cubic() if mode == "cubic" else axis.linear() for axis in axes]
    total: Node | None = None
    for corner in itertools.product(*taps):
        weight = corner[0][1]
        for _, factor in corner[1:]:
            weight = weight * factor
        part = pick(image, [place for place, _ in corner]) * expand_dims(weight, 1)
        total = part if total is None else total + part
    assert total is not None
    return total


class Axis:
    """One spatial axis of an image, and places along it as numbers of elements."""

    def __init__(self, size: int, padding: str, align_corners: bool, place: Node) -> None:
        """Make from places between -1 and 1."""
        self.size, self.padding, self.align_corners = size, padding, align_corners
        wide = (place + 1) * (size - 1) if align_corners else (place + 1) * size - 1
        self.place = wide / 2

    def padded(self, place: Node) -> Node:
        """Where a place beyond the image is looked up."""
        last = self.size - 1
        if self.padding == "zeros":
            return place
        return clip(self.mirrored(place) if self.padding == "reflection" else place, 0, last)

    def mirrored(self, place: Node) -> Node:
        """A place reflected at the borders, or with align_corners at the outer elements."""
        low, span = (0.0, self.size - 1) if self.align_corners else (-0.5, self.size)
        if not span:
            return 0 * place
        beyond = remainder(abs(place - low), 2 * span)
        return low + where(beyond > span, 2 * span - beyond, beyond)

    def linear(self) -> Taps:
        """The elements on both sides, weighed by how near they are."""
        place = self.padded(self.place)
        below = say("floor", place)
        rest = place - below
        return [(below, 1 - rest), (below + 1, rest)]

    def cubic(self) -> Taps:
        """Two elements on each side, weighed by Keys's kernel."""
        below = say("floor", self.place)
        rest = self.place - below
        weights = keys_far(rest + 1), keys_near(rest), keys_near(1 - rest), keys_far(2 - rest)
        return [(self.padded(below + (tap - 1)), w) for tap, w in enumerate(weights)]


def check_sampling(image: Node, places: Node, mode: str, padding: str) -> None:
    """GraphError unless the image, the grid and the options fit."""
    for name, word, words in (("mode", mode, MODES), ("padding", padding, PADDINGS)):
        if word not in words:
            raise GraphError(f"grid_sample: {name} is one of {', '.join(words)}, not {word!r}")
    rank = image.ndim - 2
    fits = rank in (2, 3) and places.ndim == image.ndim and places.shape[-1] == rank
    if not fits or places.shape[0] != image.shape[0]:
        raise GraphError(
            f"grid_sample: x of shape {show_shape(image.shape)} and a grid of shape "
            f"{show_shape(places.shape)} must be (N, C, H, W) and (N, P, Q, 2), or (N, C, D, H, W) "
            f"and (N, P, Q, R, 3){describe([image, places])}"
        )
    if mode == "cubic" and rank != 2:
        raise GraphError(f"grid_sample: cubic is for images, this is {image.type}")


def pick(image: Node, places: Sequence[Node]) -> Node:
    """image [N, C, *sizes] at whole places [N, *P] along each axis: [N, C, *P]; zeros outside."""
    count, channels, *sizes = image.shape
    inside, flat = element_of(places[0], sizes[0])
    for place, size in zip(places[1:], sizes[1:], strict=True):
        fits, element = element_of(place, size)
        inside, flat = inside & fits, flat * size + element
    index = reshape(flat, (count, 1, product(flat.shape[1:])))
    pixels = reshape(image, (count, channels, product(sizes)))
    taken = reshape(take_along_axis(pixels, index, 2), (count, channels, *flat.shape[1:]))
    return where(expand_dims(inside, 1), taken, 0)


def element_of(place: Node, size: Size) -> tuple[Node, Node]:
    """Whether a place is one of an axis of known size, and it as an integer (0 where it is not)."""
    assert isinstance(size, int)
    inside = (place >= 0) & (place <= size - 1)
    return inside, to_node_dtype(where(inside, place, 0), int64)
