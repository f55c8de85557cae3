"""Remove stop_gradient: it speaks to differentiation, which comes before all passes."""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.ir.node import Node


def remove_stop_gradient(graph: Graph) -> Graph:
    """Replace each stop_gradient by its operand, so that other passes see through it."""
    return graph.rewrite(operand_of_stop)


def operand_of_stop(node: Node) -> Node:
    """The operand of a stop_gradient; any other node as it is."""
    return node.inputs[0] if node.op.name == "stop_gradient" else node
