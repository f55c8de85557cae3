"""sink_reshapes: what is done with each element of a tall product is done before it is a stack.

A stack of matrices times one matrix is one tall product, and a view of it as a stack: a layer of a
transformer over (batch, length, features). A bias, an activation or a residual behind the view
cannot stand in the product's kernel, whose loops are those of two axes. Before the view it can:

    f(reshape(x @ w), y) -> reshape(f(x @ w, reshape(y)))

where the other operands lie in memory so that a view of two axes costs nothing.
"""

from __future__ import annotations

from graphc.ir.dim import Size
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply, build
from graphc.ir.program import Decision
from graphc.lang.operands import reshape_node
from graphc.ops.kept_products import CONTRACTIONS
from graphc.ops.kinds import Elementwise
from graphc.passes.decisions import lines, record
from graphc.passes.splat import fill, repeated

# What lies in memory in the order of its axes, or is computed for any of its elements alike.
IN_ORDER = ("input", "variable", "constant", "sum", "prod", "max", "min", *CONTRACTIONS)


def sink_reshapes(graph: Graph) -> Graph:
    """Move views of tall products as stacks behind what is done with each element."""
    if not any(node.op.name in CONTRACTIONS for node in graph.walk()):
        return graph
    return graph.rewrite(Sinking().sunk)


class Sinking:
    """Which nodes can make up a product's kernel, and which lie in order; operands come first."""

    def __init__(self) -> None:
        self.tall: set[Node] = set()
        self.ordered: set[Node] = set()

    def sunk(self, node: Node) -> Node:
        """A node behind a view of what it does with each element; as it is where that can't be."""
        found = self.behind_view(node)
        self.note(node if found is None else found)
        return node if found is None else found

    def behind_view(self, node: Node) -> Node | None:
        """The view of an elementwise operator that has a tall product's view among its operands."""
        if not isinstance(node.op, Elementwise):
            return None
        shape = next((x.inputs[0].shape for x in node.inputs if self.is_view(x)), None)
        if shape is None:
            return None
        flat = [self.flattened(operand, shape) for operand in node.inputs]
        operands = [operand for operand in flat if operand is not None]
        if len(operands) < len(flat):
            return None
        record(Decision(
            "sink_reshapes", "before the view", repr(node),
            "so it can be computed where the product is", where=lines([node]),
        ))  # fmt: skip
        before = build(node.op, operands, node.attrs)
        for each in (*operands, before):
            self.note(each)
        return reshape_node(before, node.shape)

    def is_view(self, node: Node) -> bool:
        """Whether a node is a tall product, and what was done with it, as a stack of matrices."""
        if node.op.name != "reshape" or node.inputs[0] not in self.tall:
            return False
        return node.ndim > 2 and node.shape[-1] == node.inputs[0].shape[-1]

    def flattened(self, operand: Node, shape: tuple[Size, ...]) -> Node | None:
        """An operand in two axes, if it then is read as easily; None if not."""
        element = repeated(operand)
        if element is not None:
            return fill(element, shape)
        if operand.op.name == "reshape" and operand.inputs[0].shape == shape:
            return operand.inputs[0]
        if operand.op.name == "broadcast":
            along_rows = operand.attrs["axes"] == (operand.ndim - 1,)
            (row,) = operand.inputs
            return apply("broadcast", row, shape=shape, axes=(1,)) if along_rows else None
        return reshape_node(operand, shape) if operand in self.ordered else None

    def note(self, node: Node) -> None:
        """Note what a node is whose operands are noted."""
        simple = isinstance(node.op, Elementwise)
        head = node.op.name in CONTRACTIONS or (simple and not self.tall.isdisjoint(node.inputs))
        if head and node.ndim == 2:
            self.tall.add(node)
        follows = simple or node.op.name in ("reshape", "broadcast")
        if node.op.name in IN_ORDER or (follows and all(map(self.is_ordered, node.inputs))):
            self.ordered.add(node)

    def is_ordered(self, node: Node) -> bool:
        """Whether a node lies in order, or is made by repeating what does."""
        return node in self.ordered or repeated(node) is not None
