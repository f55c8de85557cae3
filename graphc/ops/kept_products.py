"""Products that a loop keeps for its gradient, since computing them again takes most of a step.

All else is computed again from the carries. A product's result is kept where a step then keeps no
more than a few times what the backward loop reads anyway, and so not of loops that are compact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.ir.closure import depending_on
from graphc.ir.dim import Size, is_nonnegative
from graphc.ir.graph import Graph, walk
from graphc.ir.node import Node
from graphc.ir.scan_parts import Scan
from graphc.ops.kinds import Elementwise

CONTRACTIONS = ("matmul", "convolution")
# What a step may keep of products, in elements for each that the loop reads or keeps anyway.
MOST_KEPT = 2


def kept_products(scan: Scan, backward: Sequence[Node]) -> list[Node]:
    """The values of the body to keep: products that depend on carries, for a backward step.

    Of element-wise operators after a product that nothing else needs, the last is kept.
    """
    if scan.node.attrs["compact"]:
        return []
    order = scan.body.walk()
    moving = depending_on(scan.carried, order)
    needed = set(order).intersection(walk(backward))
    users = Graph(scan.body.inputs, (*scan.body.outputs, *backward)).users()
    found = [node for node in order if node.op.name in CONTRACTIONS and node in moving & needed]
    ends = [follow(node, users, needed) for node in found]
    return [node for node in dict.fromkeys(ends) if pays(scan, node)]


def follow(node: Node, users: Mapping[Node, Sequence[Node]], needed: set[Node]) -> Node:
    """The last of a chain of element-wise operators that nothing else needs the values of."""
    while len(set(users[node])) == 1:
        (user,) = set(users[node])
        same = user.type == node.type and user in needed
        if not isinstance(user.op, Elementwise) or not same:
            break
        node = user
    return node


def pays(scan: Scan, node: Node) -> bool:
    """Whether a value is not much larger than what the backward step reads anyway."""
    read: Size = 0
    for inside in (*scan.carried, *scan.elements):
        read = read + inside.size
    return is_nonnegative(read * MOST_KEPT - node.size)
