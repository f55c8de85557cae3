"""Elements of a table chosen by indices, and put there: what words and derivatives share."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.dim import Size
from graphc.ir.index_layout import Layout
from graphc.ir.node import Node, apply, say
from graphc.ir.types import int64
from graphc.lang.operands import broadcast_node, reshape_node, to_node_dtype
from graphc.lang.sizes import size_value

KINDS = {"add": "add", "multiply": "multiply", "max": "maximum", "min": "minimum"}
"""The kinds of update but "set", and the words that combine an element with one."""


def combined(kind: str, old: Node, new: Node) -> Node:
    """An element after one update."""
    return new if kind == "set" else say(KINDS[kind], old, new)


def gathered(table: Node, indices: Sequence[Node], layout: Layout, absent: str = "nan") -> Node:
    """The elements that indices choose; absent says what stands for one out of range."""
    return apply("gather", table, *indices, absent=absent, **layout.attrs)


def scattered(
    kind: str,
    table: Node,
    updates: Node,
    indices: Sequence[Node],
    layout: Layout,
    shape: tuple[Size, ...] | None = None,
) -> Node:
    """The table, or one number in a shape, with updates combined at the places indices choose.

    Where each element meets one update at most that is a choice, which fuses; else a scatter.
    """
    whole = table.shape if shape is None else shape
    if all(updates.shape[axis] == 1 for axis in layout.repeated):
        return met_once(kind, broadcast_node(table, whole), updates, indices, layout)
    return apply("scatter", table, updates, *indices, kind=kind, shape=whole, **layout.attrs)


def met_once(
    kind: str, table: Node, updates: Node, indices: Sequence[Node], layout: Layout
) -> Node:
    """A scatter of one update for each place on the axes that go along, by comparing positions."""
    other = dict(zip(layout.along, layout.others, strict=True))
    here: Node | None = None
    for axis, span, chosen in zip(layout.axes, layout.spans, indices, strict=True):
        along = tuple(other[a] for a in span if a in other)
        flat = reshape_node(chosen, tuple(table.shape[a] for a in along))
        place = counted_from_start(flat, table.shape[axis])
        position = apply("iota", shape=table.shape, axis=axis, dtype=int64)
        same = apply("broadcast", place, shape=table.shape, axes=along) == position
        here = same if here is None else say("logical_and", here, same)
    flat = reshape_node(updates, tuple(table.shape[a] for a in layout.others))
    new = apply("broadcast", flat, shape=table.shape, axes=layout.others)
    return say("where", here, combined(kind, table, new), table)


def counted_from_start(indices: Node, size: Size) -> Node:
    """Indices as int64 where negative ones have been counted from the end.

    One too large for int64 is out of range as the size is.
    """
    places, end = to_node_dtype(indices, int64), size_value(size, int64)
    if indices.dtype.kind == "uint":
        return places if indices.dtype.bits < 64 else say("where", places < 0, end, places)
    return say("where", places < 0, places + end, places)
