"""Medians and quantiles: elements of a sorted row, and points between two of them."""

from __future__ import annotations

import numpy as np

from graphc.errors import GraphError
from graphc.ir.node import Axes, Node, word
from graphc.ir.types import float64, int64
from graphc.lang.arithmetic import clip
from graphc.lang.comparison import isfinite, isnan
from graphc.lang.indexing import take
from graphc.lang.movement import moveaxis, permute_dims
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    reshape_node,
    size_of,
    to_axes,
    to_float,
    to_node_dtype,
)
from graphc.lang.reduction import ones_at, reduced, widen
from graphc.lang.rounding import ceil, floor, round
from graphc.lang.selection import where
from graphc.lang.sizes import size_value
from graphc.lang.sorting import sort

# Where a quantile q of n elements lies, by Hyndman and Fan (Sample quantiles in statistical
# packages, 1996): at the index q*(n + 1 - a - b) + a - 1 for these a and b.
PLOTTING_POSITIONS = {
    "interpolated_inverted_cdf": (0, 1),
    "hazen": (0.5, 0.5),
    "weibull": (0, 0),
    "linear": (1, 1),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
ROUNDED = ("lower", "higher", "midpoint", "nearest")
METHODS = (*PLOTTING_POSITIONS, *ROUNDED)


@word
def median(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """The middle element along some axes, or half-way between the middle two; see `quantile`."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


@word
def percentile(
    x: ArrayLike, q: ArrayLike, /, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> Node:
    """The `quantile` for q / 100."""
    level = to_node_dtype(as_node(q), float64) if isinstance(q, Node) else np.asarray(q)
    return quantile(x, level / 100, axis, method, keepdims)


@word
def quantile(
    x: ArrayLike, q: ArrayLike, /, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> Node:
    """What a part q, from 0 to 1, of the elements along some axes does not exceed.

    The axes of q come first. Integers give float64; with a NaN among the elements, or without an
    element, it is NaN. `method` says what it is between two elements, under NumPy's names: "linear"
    and five more that interpolate, "lower", "higher", "midpoint" and "nearest". Gradients go to the
    elements that it is made of. GraphError where q is known and outside of [0, 1].
    """
    if method not in METHODS:
        raise GraphError(f"quantile: method is one of {', '.join(METHODS)}, not {method!r}")
    levels = levels_of(q)
    node = to_float(x)
    axes = to_axes(axis, node.ndim, "quantile")
    ordered = sort(rows_along(widen(node), axes))
    count = size_value(ordered.shape[-1], float64)
    index = clip(place_between(reshape_node(levels, (levels.size,)), count, method), 0, count - 1)
    found = between(ordered, index, method)
    found = where(isnan(take(ordered, [-1], axis=-1)), np.nan, found)
    kept = ones_at(node, axes) if keepdims else reduced(node, axes)
    shape = (*levels.shape, *kept)
    return to_node_dtype(reshape_node(moveaxis(found, -1, 0), shape), node.dtype)


def levels_of(q: ArrayLike) -> Node:
    """Levels as float64; GraphError where one is known not to be a part."""
    if not isinstance(q, Node) and not np.all((np.asarray(q) >= 0) & (np.asarray(q) <= 1)):
        raise GraphError(f"quantile: q must be from 0 to 1, not {q}")
    return to_node_dtype(as_node(q), float64)


def rows_along(node: Node, axes: tuple[int, ...]) -> Node:
    """The elements along some axes as one last axis."""
    kept = [axis for axis in range(node.ndim) if axis not in axes]
    shape = (*(node.shape[axis] for axis in kept), size_of(node, axes))
    return reshape_node(permute_dims(node, (*kept, *axes)), shape)


def place_between(levels: Node, count: Node, method: str) -> Node:
    """The index, not an integer in general, of each quantile in a sorted row."""
    first, last = PLOTTING_POSITIONS.get(method, (1, 1))
    index = levels * (count + (1 - first - last)) + (first - 1)
    return round(index) if method == "nearest" else index


def between(ordered: Node, index: Node, method: str) -> Node:
    """The elements at indices along the last axis, or between the two beside an index."""
    low, high = floor(index), ceil(index)
    lower, upper = (take(ordered, to_node_dtype(at, int64), axis=-1) for at in (low, high))
    if method in ("lower", "higher"):
        return lower if method == "lower" else upper
    weight = to_node_dtype(index - low, ordered.dtype) if method != "midpoint" else 0.5
    # From the nearer end, as NumPy does; infinities that are equal have no difference.
    near_lower = lower + (upper - lower) * weight
    near_upper = upper - (upper - lower) * (1 - weight)
    inside = where(weight < 0.5, near_lower, near_upper)
    # Between a number and an infinity all is infinite.
    finite = isfinite(lower) & isfinite(upper)
    return where(lower == upper, lower, where(finite, inside, lower + upper))
