"""Words that put elements into bins, whose number is known when the graph is built."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node, describe, word
from graphc.ir.types import float64, int64
from graphc.lang.creation import arange, linspace
from graphc.lang.movement import concat, diff, expand_dims
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    reshape_node,
    to_float,
    to_node_dtype,
)
from graphc.lang.reduction import max, min, sum, to_total
from graphc.lang.searching import searchsorted
from graphc.lang.segments import segment_sum
from graphc.lang.selection import where
from graphc.lang.sizes import SizeLike, is_integer, to_size
from graphc.lang.sorting import sort


@word
def digitize(x: ArrayLike, bins: ArrayLike, /, right: bool = False) -> Node:
    """The number of the bin that each element falls in, int64: how many rising bounds it passed.

    A bound belongs to the bin above it, or with `right` to the one below. GraphError where the
    bounds are no vector or are known not to rise; NumPy takes falling ones, too.
    """
    return searchsorted(rising(bins, "digitize: the bins"), x, side="left" if right else "right")


@word
def bincount(x: ArrayLike, weights: ArrayLike | None = None, /, *, length: SizeLike) -> Node:
    """How often each of the integers below `length` occurs in a vector, int64, or their weights.

    Other integers count nowhere. NumPy makes the result as long as its values demand; here it has
    the given length. Weights are added up in their order.
    GraphError unless x is a vector of integers and the weights fit it.
    """
    node, count = as_node(x), to_size(length, "bincount: length")
    if node.ndim != 1 or not node.dtype.is_integer:
        raise GraphError(f"bincount: takes a vector of integers{describe([node])}")
    if weights is not None:
        return sums_in_bins(node, weights, count, "bincount")
    bounds = arange(count + 1)
    return diff(searchsorted(sort(to_node_dtype(node, int64)), bounds))


def sums_in_bins(places: Node, weights: ArrayLike, count: Size, what: str) -> Node:
    """For each bin the sum of the weights whose place it is."""
    heavy = as_node(weights)
    if heavy.shape != places.shape:
        raise GraphError(f"{what}: a weight for each element{describe([places, heavy])}")
    return segment_sum(to_total(heavy, None), places, count)


@word
def histogram(
    x: ArrayLike,
    /,
    bins: ArrayLike = 10,
    range: tuple[Any, Any] | None = None,
    weights: ArrayLike | None = None,
    density: bool = False,
) -> tuple[Node, Node]:
    """How many of all elements fall into each bin, int64, or their weights; and the bins' edges.

    bins is a number of bins of equal width in the range, which defaults to the smallest and the
    largest element, or a rising vector of edges. An edge belongs to the bin above it, the last one
    to the last bin; elements outside count nowhere. With `density` the bins' areas add up to 1.
    GraphError where edges or a range are known not to rise, or a weight is missing.
    """
    node = as_node(x)
    flat = reshape_node(node, (node.size,))
    if is_integer(bins):
        edges = equal_edges(flat, int(bins), range)
    else:
        edges = rising(bins, "histogram: the edges")
    if weights is None:
        found = counts_between(flat, edges)
    else:
        heavy = as_node(weights)
        heavy = reshape_node(heavy, (heavy.size,))
        found = sums_in_bins(bin_of(flat, edges), heavy, edges.size - 1, "histogram")
    return (found / sum(found) / diff(edges) if density else found), edges


def counts_between(flat: Node, edges: Node) -> Node:
    """How many elements lie between neighbouring edges: differences of places in sorted order."""
    ordered = sort(flat)
    first, last = searchsorted(ordered, edges[:-1]), searchsorted(ordered, edges[-1:], side="right")
    return diff(concat([first, last]))


def bin_of(flat: Node, edges: Node) -> Node:
    """The bin of each element, -1 or a number too high where there is none."""
    above = searchsorted(edges, flat, side="right") - 1
    return where(flat == edges[-1], edges.size - 2, above)


def equal_edges(flat: Node, count: int, range: tuple[Any, Any] | None) -> Node:
    """The edges of so many bins of equal width, in the elements' dtype or float64."""
    if count < 1:
        raise GraphError(f"histogram: there must be a bin, not {count}")
    dtype = to_float(flat).dtype
    low, high = (min(flat), max(flat)) if range is None else range
    if not isinstance(low, Node) and not isinstance(high, Node) and not low <= high:
        raise GraphError(f"histogram: the range must rise, not from {low} to {high}")
    bottom, top = (to_node_dtype(as_node(end), float64) for end in (low, high))
    margin = where(bottom == top, 0.5, 0.0)
    bottom, top = bottom - margin, top + margin
    points = bottom + (top - bottom) * linspace(0, 1, count + 1)
    return to_node_dtype(concat([points[:-1], expand_dims(top)]), dtype)


def rising(values: ArrayLike, what: str) -> Node:
    """A vector as a node; GraphError for another shape, or where it is known not to rise."""
    node = as_node(values)
    if node.ndim != 1:
        raise GraphError(f"{what} must be a vector{describe([node])}")
    if not isinstance(values, Node) and not np.all(np.diff(np.asarray(values)) >= 0):
        raise GraphError(f"{what} must rise, not {values}")
    return node
