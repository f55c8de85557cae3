"""Nodes that repeat one element everywhere: how passes see a constant of any shape."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.dim import Size
from graphc.ir.literal import Literal
from graphc.ir.node import Node
from graphc.ir.types import TensorType
from graphc.lang.operands import broadcast_node


def repeated(node: Node) -> Node | None:
    """The node without axes that a node repeats everywhere (itself, if it has none), or None."""
    if not isinstance(node.type, TensorType):
        return None
    if not node.type.shape:
        return node
    if node.op.name == "broadcast" and not node.inputs[0].shape:
        return node.inputs[0]
    return None


def splat(node: Node) -> Literal | None:
    """The number that a node is everywhere, as a literal without axes; None if not known."""
    inner = repeated(node)
    if inner is None or inner.op.name != "constant":
        return None
    value: Literal = inner.attrs["value"]
    return value


def fill(element: Node, shape: Sequence[Size]) -> Node:
    """The node that repeats a node without axes over a shape."""
    return broadcast_node(element, shape)
