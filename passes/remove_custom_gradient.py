"""Remove custom_gradient: its rules speak to differentiation, which comes before all passes."""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.ir.node import Node


def remove_custom_gradient(graph: Graph) -> Graph:
    """Replace each custom_gradient by the value that it stands for."""
    return graph.rewrite(value_of)


def value_of(node: Node) -> Node:
    """The value behind a custom_gradient; any other node as it is."""
    return node.inputs[node.attrs["index"]] if node.op.name == "custom_gradient" else node
