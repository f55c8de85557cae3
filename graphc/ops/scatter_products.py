"""For each of many factors the product of the others that share its place, exact among zeros."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.dim import Size, product
from graphc.ir.index_layout import Axes, Layout
from graphc.ir.node import Node, apply, say
from graphc.ir.types import int64
from graphc.lang.movement import permute_dims, reshape
from graphc.lang.operands import constant
from graphc.lang.scattering import counted_from_start
from graphc.lang.sizes import size_value


def products_of_others(
    updates: Node, indices: Sequence[Node], layout: Layout, table: tuple[Size, ...]
) -> Node:
    """For each update the product of all others that are scattered to its place.

    It compares all with all: dividing the whole product by the update would be faster, but wrong
    where one is zero, and a correction for zeros has wrong derivatives of its own.
    """
    rank, many = updates.ndim, layout.repeated
    order = (*(axis for axis in range(rank) if axis not in many), *many)
    count = product(updates.shape[axis] for axis in many)
    shape = tuple(updates.shape[axis] for axis in order[: rank - len(many)])
    rows = reshape(permute_dims(updates, order), (*shape, count))
    pairs = (*shape, count, count)
    numbers = reshape(
        permute_dims(cell_numbers(updates, indices, layout, table), order), rows.shape
    )
    own, other = (along(numbers, pairs, axis) for axis in (rows.ndim - 1, rows.ndim))
    first, second = (
        apply("iota", shape=pairs, axis=axis, dtype=int64) for axis in (rows.ndim - 1, rows.ndim)
    )
    meets = say("logical_and", say("logical_and", own == other, own >= 0), first != second)
    factors = say("where", meets, along(rows, pairs, rows.ndim), 1)
    found = apply("prod", factors, axes=(rows.ndim,))
    moved = reshape(found, tuple(updates.shape[axis] for axis in order))
    return permute_dims(moved, tuple(order.index(axis) for axis in range(rank)))


def along(rows: Node, pairs: tuple[Size, ...], last: int) -> Node:
    """Rows repeated over pairs of their elements, of which they are the first or the second."""
    axes = (*range(rows.ndim - 1), last)
    return apply("broadcast", rows, shape=pairs, axes=axes)


def cell_numbers(
    updates: Node, indices: Sequence[Node], layout: Layout, table: tuple[Size, ...]
) -> Node:
    """For each update the number of its place among the axes with indices; -1 out of range."""
    number, valid = constant(0, int64), constant(True)
    total = apply("broadcast", number, shape=updates.shape, axes=())
    inside = apply("broadcast", valid, shape=updates.shape, axes=())
    for axis, span, chosen in zip(layout.axes, layout.spans, indices, strict=True):
        size = size_value(table[axis], int64)
        place = wide(counted_from_start(chosen, table[axis]), span, updates)
        inside = say("logical_and", inside, say("logical_and", place >= 0, place < size))
        total = total * size + place
    return say("where", inside, total, -1)


def wide(node: Node, span: Axes, like: Node) -> Node:
    """A node along some axes of another, repeated along the rest."""
    return apply("broadcast", node, shape=like.shape, axes=span)
