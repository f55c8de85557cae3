"""Remove duplicates: what is written in two ways but computed alike becomes one node.

Nodes that are equal are one object from the start, constants included, and a graph has no nodes
but those its roots need. What is left to do is to write equal things equally.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply, build
from graphc.passes.rule import COMMUTATIVE
from graphc.passes.splat import splat


def remove_duplicates(graph: Graph) -> Graph:
    """Put the operands of commutative operators and comparisons into one order.

    So x + y meets y + x, and x < y meets y > x. The order is that of the walk, which depends on
    the graph alone, with constants last.
    """
    places: dict[Node, int] = {}

    def change(node: Node) -> Node:
        new = put_in_order(node, places)
        places.setdefault(new, len(places))
        return new

    return graph.rewrite(change)


def put_in_order(node: Node, places: Mapping[Node, int]) -> Node:
    """The node with its two operands in rising order of their places, if they may change them."""
    name = node.op.name
    if name not in COMMUTATIVE and name not in MIRRORED:
        return node
    x, y = node.inputs
    if order_of(x, places) <= order_of(y, places):
        return node
    return apply(MIRRORED[name], y, x) if name in MIRRORED else build(node.op, (y, x), node.attrs)


def order_of(node: Node, places: Mapping[Node, int]) -> tuple[bool, int]:
    """What operands are ordered by: constants after others, then the place."""
    return (splat(node) is not None, places[node])


MIRRORED = {
    "less": "greater",
    "greater": "less",
    "less_equal": "greater_equal",
    "greater_equal": "less_equal",
}
"""For each comparison, the one that says the same of the operands exchanged."""
