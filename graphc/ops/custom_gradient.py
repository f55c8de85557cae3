"""Values whose derivatives are not those of the graph that computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import GraphError, TypeRuleError
from graphc.ir.dim import Size
from graphc.ir.node import Node, build
from graphc.ir.op import Op, Read, register
from graphc.ir.rules import Rules
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType
from graphc.lang.creation import zeros_like
from graphc.ops.batching import all_batched


@register
class CustomGradient(Op):
    """The operand at `index` of the first ones, which are a function of the others.

    The first `outputs` operands are the results of the function, the others its inputs. The
    derivatives are what `rules` say, and nothing flows through the results themselves. It is
    removed before anything is computed.
    """

    name = "custom_gradient"

    def infer(self, *types: TensorType, rules: Any, outputs: int, index: int) -> TensorType:
        """The type of the result at the index."""
        if not 0 <= index < outputs <= len(types):
            raise TypeRuleError(f"has no result {index} among {outputs} of {len(types)} operands")
        return types[index]

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The element of that result."""
        return read(node.attrs["index"], index)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """What the rules say of the gradient of this result, where the others have none."""
        count = node.attrs["outputs"]
        gradients = [direction(value) for value in node.inputs[:count]]
        gradients[node.attrs["index"]] = gradient
        parts = rules_of(node).vjp(node.inputs[count:], results_of(node), gradients)
        return [None] * count + list(parts)

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """What the rules say of the tangents of the inputs."""
        count, inputs = node.attrs["outputs"], node.inputs[node.attrs["outputs"] :]
        if all(tangent is None for tangent in tangents[count:]):
            return None
        given = [direction(value) if tangent is None else tangent
                 for value, tangent in zip(inputs, tangents[count:], strict=True)]  # fmt: skip
        parts = rules_of(node).jvp(inputs, results_of(node), given)
        index: int = node.attrs["index"]
        return parts[index]

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The same with the rules for a batch of inputs, of which each has its own."""
        attrs = {**node.attrs, "rules": rules_of(node).batched()}
        return build(node.op, all_batched(operands, batched), attrs)

    def split(self, node: Node) -> Node:
        """The result itself: derivatives are taken before."""
        index: int = node.attrs["index"]
        return node.inputs[index]

    def reference(self, *arrays: Any, rules: Any, outputs: int, index: int) -> Any:
        """The result at the index."""
        return arrays[index]


def rules_of(node: Node) -> Rules:
    """The rules of a node; GraphError where the node comes from a text, which only names them."""
    rules = node.attrs["rules"]
    if not isinstance(rules, Rules):
        raise GraphError(f"the rules {rules!r} of a custom gradient are not part of a text")
    return rules


def direction(node: Node) -> Node | None:
    """No change: zeros, or None for what has no derivative."""
    return zeros_like(node) if node.dtype.is_inexact else None


def results_of(node: Node) -> list[Node]:
    """All results of the function that a node is one result of."""
    count = node.attrs["outputs"]
    return [build(node.op, node.inputs, {**node.attrs, "index": i}) for i in range(count)]
