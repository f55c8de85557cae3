"""inline_fusions: take fusions apart again, into the operators they hold."""

from __future__ import annotations

from graphc.ir.graph import Graph, rewrite
from graphc.ir.node import Node, build, standing_at


def inline_fusions(graph: Graph) -> Graph:
    """Replace each fusion by its body, so that the graph has plain operators only."""
    results: dict[Node, list[Node]] = {}
    done: dict[Node, Node] = {}
    for node in graph.walk():
        operands = [done[operand] for operand in node.inputs]
        if node.op.name == "fusion":
            results[node] = inlined(node, operands)
            done[node] = results[node][0]
        elif node.op.name == "item" and node.inputs[0] in results:
            done[node] = results[node.inputs[0]][node.attrs["index"]]
        else:
            done[node] = over(node, operands)
    return graph.replace_roots(done)


def over(node: Node, operands: list[Node]) -> Node:
    """A node over other operands, with the fusions inside of it taken apart too."""
    if not operands:
        return node
    attrs = {k: inline_fusions(v) if isinstance(v, Graph) else v for k, v in node.attrs.items()}
    with standing_at(node.where):
        return build(node.op, operands, attrs)


def inlined(fusion: Node, operands: list[Node]) -> list[Node]:
    """The outputs of a fusion's body over its operands."""
    body: Graph = fusion.attrs["body"]
    values = dict(zip(body.inputs, operands, strict=True))
    done = rewrite(body.outputs, lambda node: values.get(node, node))
    return [done[output] for output in body.outputs]
