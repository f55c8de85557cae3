"""Functions that are known at points: between them, their slope, their integral, their phase."""

from __future__ import annotations

import math

from graphc.errors import GraphError
from graphc.ir.dim import maximum
from graphc.ir.node import Axes, Node, describe, word
from graphc.ir.types import int64
from graphc.lang.arithmetic import abs, clip
from graphc.lang.comparison import isnan
from graphc.lang.complex_numbers import real
from graphc.lang.cumulative import cumulative_sum
from graphc.lang.indexing import take
from graphc.lang.movement import concat, diff, part_along
from graphc.lang.operands import (
    ArrayLike,
    along_axis,
    as_node,
    same_dtype,
    to_axes,
    to_axis,
    to_float,
)
from graphc.lang.reduction import sum
from graphc.lang.searching import searchsorted
from graphc.lang.selection import where
from graphc.lang.sizes import size_value
from graphc.lang.sorting import argsort


@word
def interp(
    x: ArrayLike,
    xp: ArrayLike,
    fp: ArrayLike,
    /,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    period: float | None = None,
) -> Node:
    """The function with values fp at rising points xp, and linear between them, at each x.

    Below the first and above the last point it is `left` and `right`, by default the values there;
    with a period the points may be in any order and there is no end. Integers become float64.
    Gradients flow to all three. GraphError unless xp and fp are vectors of one length.
    """
    pairs = [as_node(xp), as_node(fp)]
    if pairs[0].ndim != 1 or pairs[0].shape != pairs[1].shape:
        raise GraphError(f"interp: xp and fp must be vectors of one length{describe(pairs)}")
    node, points, _ = same_dtype(*map(to_float, (x, pairs[0], real(pairs[1]))))
    values = same_dtype(to_float(pairs[1]), points)[0]
    if period is None:
        found = between(node, points, values)
        found = found if left is None else where(node < points[0], left, found)
        return found if right is None else where(node > points[-1], right, found)
    order = argsort(points % period)
    points, values = take(points % period, order), take(values, order)
    around = [points[-1:] - period, points, points[:1] + period]
    return between(node % period, concat(around), concat([values[-1:], values, values[:1]]))


def between(node: Node, points: Node, values: Node) -> Node:
    """The values at the elements of a node, linear between neighbouring points."""
    places = searchsorted(points, node, side="right")
    last = size_value(points.shape[0] - 1, int64)
    low, high = clip(places - 1, 0, last), clip(places, 0, last)
    (start, below), (end, above) = (
        [take(array, at) for array in (points, values)] for at in (low, high)
    )
    inside = where(start == end, below, below + (above - below) / (end - start) * (node - start))
    return where(isnan(node), node, inside)


@word
def trapezoid(
    y: ArrayLike, /, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1
) -> Node:
    """The integral along an axis by the trapezoidal rule, of points at x or dx apart.

    x is a vector along the axis, or has the shape of y.
    """
    node = to_float(y)
    at = to_axis(axis, node.ndim, "trapezoid")
    step = as_node(dx, node.dtype)
    if x is not None:
        points = to_float(x)
        step = diff(points, axis=at if points.ndim == node.ndim else -1)
        step = along_axis(step, at, node.ndim) if step.ndim == 1 else step
    count = maximum(node.shape[at] - 1, 0)
    middle = (part_along(node, at, 1, count) + part_along(node, at, 0, count)) / 2.0
    return sum(step * middle, axis=at)


@word
def gradient(
    f: ArrayLike, *spacing: ArrayLike, axis: Axes = None, edge_order: int = 1
) -> Node | list[Node]:
    """The slope along an axis by central differences, one-sided at the ends; a list for several.

    spacing is the distance of points: none for 1, one number for all axes, or one for each.
    edge_order 1 or 2 is the order of the differences at the ends. GraphError where there are surely
    not edge_order + 1 points, or where a spacing is not a number; for derivatives of programs see
    `graphc.grad`.
    """
    node = to_float(f)
    axes = to_axes(axis, node.ndim, "gradient")
    steps = spacing * len(axes) if len(spacing) == 1 else spacing or (1.0,) * len(axes)
    if len(steps) != len(axes):
        raise GraphError(f"gradient: {len(steps)} spacings for {len(axes)} axes")
    if edge_order not in (1, 2):
        raise GraphError(f"gradient: edge_order is 1 or 2, not {edge_order!r}")
    found = [
        slope_along(node, at, as_node(step, node.dtype), edge_order)
        for at, step in zip(axes, steps, strict=True)
    ]
    return found[0] if len(found) == 1 else found


def slope_along(node: Node, axis: int, step: Node, edge_order: int) -> Node:
    """The slope along one axis."""
    size = node.shape[axis]
    if step.shape:
        raise GraphError(f"gradient: a spacing is one number{describe([step])}")
    if isinstance(size, int) and size <= edge_order:
        raise GraphError(
            f"gradient: needs {edge_order + 1} points along axis {axis}{describe([node])}"
        )
    inner = part_along(node, axis, 2, size - 2) - part_along(node, axis, 0, size - 2)
    first, second, third = (part_along(node, axis, k, 1) for k in (0, 1, min(2, edge_order)))
    last, before, earlier = (part_along(node, axis, size - k, 1) for k in (1, 2, 1 + edge_order))
    if edge_order == 1:
        ends = second - first, last - before
    else:
        ends = 2.0 * second - 1.5 * first - 0.5 * third, 1.5 * last - 2.0 * before + 0.5 * earlier
    return concat([ends[0], inner / 2.0, ends[1]], axis=axis) / step


@word
def unwrap(
    p: ArrayLike, /, discont: float | None = None, axis: int = -1, period: float = 2 * math.pi
) -> Node:
    """Angles along an axis without jumps of more than discont, by multiples of the period.

    discont defaults to half the period, and is not less. Integers become float64.
    """
    node = to_float(p)
    at = to_axis(axis, node.ndim, "unwrap")
    step = diff(node, axis=at)
    half = period / 2
    inside = (step + half) % period - half
    inside = where((inside == -half) & (step > 0), half, inside)
    jump = where(abs(step) < max(half, discont or half), 0, inside - step)
    first = part_along(node, at, 0, 1)
    rest = part_along(node, at, 1, step.shape[at])
    total = cumulative_sum(jump, axis=at)
    return concat([first, rest + total], axis=at)
