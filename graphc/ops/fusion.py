"""A fused group as one node, and the projection of a node with several results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import TypeRuleError
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.op import Op, register
from graphc.ir.types import TensorType, TupleType, Type


@register
class Fusion(Op):
    """A group of operators that becomes one kernel; `body` is their graph.

    The body's inputs stand for the operands, in order. With one output the result is that
    output, with several a tuple of them. Fusion comes after differentiation, so a fusion has no
    derivative; `inline_fusions` takes it apart again.
    """

    name = "fusion"

    def infer(self, *types: Any, body: Graph) -> Type:
        """The type of the body's output, or the tuple of their types."""
        declared = tuple(node.type for node in body.inputs)
        if types != declared:
            raise TypeRuleError(f"operands are {show(types)}, the body takes {show(declared)}")
        results = tuple(node.tensor for node in body.outputs)
        return results[0] if len(results) == 1 else TupleType(results)


@register
class Item(Op):
    """One of several results."""

    name = "item"

    def infer(self, *types: Any, index: int) -> TensorType:
        """The type of that result."""
        (source,) = types
        if not isinstance(source, TupleType):
            raise TypeRuleError(f"takes a node with several results, not {source}")
        if not 0 <= index < len(source.items):
            raise TypeRuleError(f"has {len(source.items)} results, there is none at {index}")
        return source.items[index]

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """Nothing: the operator below gets the gradients of all its items at once."""
        return [None]

    def reference(self, *arrays: Any, index: int) -> Any:
        """The element of a tuple."""
        return arrays[0][index]


def show(types: Sequence[Type]) -> str:
    """Types, separated by commas."""
    return ", ".join(map(str, types)) or "none"


def results_of(fusion: Node) -> tuple[TensorType, ...]:
    """The types of a fusion's results, one or several."""
    return fusion.type.items if isinstance(fusion.type, TupleType) else (fusion.tensor,)
