"""Reductions of segments: elements that share an integer are reduced together."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.index_layout import Layout
from graphc.ir.node import Node, describe, say, word
from graphc.ir.types import int64
from graphc.lang.creation import full, ones_like
from graphc.lang.indexing import to_integers
from graphc.lang.operands import ArrayLike, as_node, constant, to_float, to_node_dtype
from graphc.lang.scattering import scattered
from graphc.lang.sizes import SizeLike, size_value, to_size


@word
def segment_sum(data: ArrayLike, segment_ids: ArrayLike, /, num_segments: SizeLike) -> Node:
    """The sum of the elements of each segment; 0 for none.

    segment_ids number the elements along the leading axes of data, which they replace by one of
    size num_segments. They need no order; ids below 0 and from num_segments on are dropped.
    """
    return segmented("add", as_node(data), 0, segment_ids, num_segments, "segment_sum")


@word
def segment_prod(data: ArrayLike, segment_ids: ArrayLike, /, num_segments: SizeLike) -> Node:
    """The product of the elements of each segment, 1 for none; ids are as for `segment_sum`."""
    return segmented("multiply", as_node(data), 1, segment_ids, num_segments, "segment_prod")


@word
def segment_max(data: ArrayLike, segment_ids: ArrayLike, /, num_segments: SizeLike) -> Node:
    """The largest element of each segment; ids are as for `segment_sum`.

    Of no elements it is -inf, or the lowest integer. Those that tie share the gradient.
    """
    node = as_node(data)
    return segmented("max", node, node.dtype.limits[0], segment_ids, num_segments, "segment_max")


@word
def segment_min(data: ArrayLike, segment_ids: ArrayLike, /, num_segments: SizeLike) -> Node:
    """The smallest element of each segment; ids are as for `segment_sum`.

    Of no elements it is inf, or the highest integer. Those that tie share the gradient.
    """
    node = as_node(data)
    return segmented("min", node, node.dtype.limits[1], segment_ids, num_segments, "segment_min")


@word
def segment_mean(data: ArrayLike, segment_ids: ArrayLike, /, num_segments: SizeLike) -> Node:
    """The mean of the elements of each segment, 0 for none; ids are as for `segment_sum`."""
    node, ids = to_float(data), as_node(segment_ids)
    total = segment_sum(node, ids, num_segments)
    counts = segment_sum(ones_like(ids, int64), ids, num_segments)
    rows = (*counts.shape, *(1,) * (total.ndim - counts.ndim))
    return total / to_node_dtype(say("maximum", counts, 1), node.dtype).reshape(rows)


def segmented(
    kind: str, data: Node, start: float, ids: ArrayLike, count: SizeLike, what: str
) -> Node:
    """The data combined by their ids into what begins as one number everywhere."""
    chosen, size = to_integers(as_node(ids), what), to_size(count, what)
    if not chosen.ndim or data.shape[: chosen.ndim] != chosen.shape:
        raise GraphError(
            f"{what}: the ids must have the leading axes of the data{describe([data, chosen])}"
        )
    span, rest = tuple(range(chosen.ndim)), tuple(range(chosen.ndim, data.ndim))
    layout = Layout((0,), rest, (span,))
    shape = (size, *data.shape[chosen.ndim :])
    table = constant(start, data.dtype)
    return scattered(kind, table, data, (not_negative(chosen, size),), layout, shape)


def not_negative(ids: Node, size: Size) -> Node:
    """Ids that do not count from the end: negative ones are out of range on the other side."""
    if ids.dtype.kind == "uint":
        return ids
    wide = to_node_dtype(ids, int64)
    return say("where", wide < 0, full(wide.shape, size_value(size, int64)), wide)
