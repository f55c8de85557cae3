"""How a scatter changes with its table and its updates: a rule for each kind.

A rule is written with gathers and scatters, so that it has derivatives of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from graphc.ir.dim import Size, product
from graphc.ir.index_layout import Layout
from graphc.ir.node import Node, apply, say
from graphc.ir.types import int64
from graphc.lang.creation import zeros_like
from graphc.lang.operands import broadcast_node, constant, to_node_dtype
from graphc.lang.scattering import gathered, scattered
from graphc.ops.scatter_products import products_of_others


@dataclass(frozen=True, slots=True)
class Parts:
    """A scatter taken apart; the table in its whole shape."""

    node: Node
    table: Node
    updates: Node
    indices: tuple[Node, ...]
    layout: Layout

    @classmethod
    def of(cls, node: Node, layout: Layout) -> Parts:
        """The parts of a node."""
        table, updates, *indices = node.inputs
        return cls(node, broadcast_node(table, node.shape), updates, tuple(indices), layout)

    def taken(self, table: Node) -> Node:
        """What a table of this shape holds for each update; 0 for those that were dropped."""
        return gathered(table, self.indices, self.layout, "zero")

    def added(self, updates: Node) -> Node:
        """The sums of some updates in a table of zeros."""
        zero = constant(0, updates.dtype)
        return scattered("add", zero, updates, self.indices, self.layout, self.node.shape)

    def wide_tangents(self, tangents: Sequence[Node | None]) -> tuple[Node, Node]:
        """The tangents of table and updates in their whole shapes, zeros for None."""
        table, updates = tangents[:2]
        return (
            zeros_like(self.table) if table is None else broadcast_node(table, self.node.shape),
            zeros_like(self.updates) if updates is None else updates,
        )


class Backward(Protocol):
    """The gradients by the table and by the updates."""

    def __call__(self, parts: Parts, gradient: Node) -> tuple[Node, Node]: ...


class Forward(Protocol):
    """The result's tangent, from those of the table and of the updates."""

    def __call__(self, parts: Parts, table: Node, updates: Node) -> Node: ...


class Rule(NamedTuple):
    """The two derivatives of a kind."""

    vjp: Backward
    jvp: Forward


# --- add -----------------------------------------------------------------------------------------


def add_backward(parts: Parts, gradient: Node) -> tuple[Node, Node]:
    """The gradient itself, and what it is where each update went."""
    return gradient, parts.taken(gradient)


def again(parts: Parts, table: Node, updates: Node) -> Node:
    """The same scatter of the tangents: it is linear."""
    kind = parts.node.attrs["kind"]
    return scattered(kind, table, updates, parts.indices, parts.layout)


# --- set -----------------------------------------------------------------------------------------


def set_backward(parts: Parts, gradient: Node) -> tuple[Node, Node]:
    """What nobody overwrote counts for the table, what an update wrote last for that update."""
    written, last = last_writers(parts)
    return (
        say("where", written, 0, gradient),
        say("where", last, parts.taken(gradient), 0),
    )


def last_writers(parts: Parts) -> tuple[Node, Node]:
    """Which elements of the table are written, and which updates are the last of their place.

    Updates are numbered, and the numbers scattered as the updates are; slices need not be.
    """
    layout, kept, stay = parts.layout.without_slices()
    table = tuple(parts.table.shape[axis] for axis in kept)
    shape = tuple(parts.updates.shape[axis] for axis in stay)
    numbers = numbered(shape)
    winners = scattered("set", constant(-1, int64), numbers, parts.indices, layout, table)
    last = gathered(winners, parts.indices, layout) == numbers
    return (
        apply("broadcast", winners >= 0, shape=parts.table.shape, axes=kept),
        apply("broadcast", last, shape=parts.updates.shape, axes=stay),
    )


def numbered(shape: tuple[Size, ...]) -> Node:
    """A number of its own for each element of a shape, from 0 on."""
    count = product(shape)
    return say("reshape", apply("iota", shape=(count,), axis=0, dtype=int64), shape)


# --- max and min ---------------------------------------------------------------------------------


def extreme_backward(parts: Parts, gradient: Node) -> tuple[Node, Node]:
    """An equal share to each element and each update that is the extreme."""
    kept, chosen, ties = extremes(parts)
    share = gradient / ties
    return say("where", kept, share, 0), say("where", chosen, parts.taken(share), 0)


def extreme_forward(parts: Parts, table: Node, updates: Node) -> Node:
    """The mean of the tangents of those that are the extreme."""
    kept, chosen, ties = extremes(parts)
    total = say("where", kept, table, 0) + parts.added(say("where", chosen, updates, 0))
    return total / ties


def extremes(parts: Parts) -> tuple[Node, Node, Node]:
    """Which elements of the table are the extreme, which updates, and how many there are of each.

    Where NaN is the result none is; that counts as one.
    """
    kept, chosen = parts.table == parts.node, parts.updates == parts.taken(parts.node)
    dtype = parts.node.dtype
    ties = to_node_dtype(kept, dtype) + parts.added(to_node_dtype(chosen, dtype))
    return kept, chosen, say("maximum", ties, 1)


# --- multiply ------------------------------------------------------------------------------------


def multiply_backward(parts: Parts, gradient: Node) -> tuple[Node, Node]:
    """The gradient times all other factors of its place."""
    return gradient * factors(parts), parts.taken(gradient * parts.table) * others(parts)


def multiply_forward(parts: Parts, table: Node, updates: Node) -> Node:
    """The sum of each tangent times the other factors of its place."""
    return table * factors(parts) + parts.table * parts.added(updates * others(parts))


def factors(parts: Parts) -> Node:
    """The product of the updates of each place."""
    one = constant(1, parts.updates.dtype)
    return scattered("multiply", one, parts.updates, parts.indices, parts.layout, parts.node.shape)


def others(parts: Parts) -> Node:
    """For each update the product of the other updates of its place."""
    return products_of_others(parts.updates, parts.indices, parts.layout, parts.table.shape)


RULES = {
    "set": Rule(set_backward, again),
    "add": Rule(add_backward, again),
    "multiply": Rule(multiply_backward, multiply_forward),
    "max": Rule(extreme_backward, extreme_forward),
    "min": Rule(extreme_backward, extreme_forward),
}
