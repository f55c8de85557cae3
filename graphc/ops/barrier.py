"""The identity that nothing is moved across."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.errors import TypeRuleError
from graphc.ir.dim import Size
from graphc.ir.node import Node, build
from graphc.ir.op import Op, Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType
from graphc.ops.batching import repeated
from graphc.ops.complex_parts import halves, joined, parts


@register
class Barrier(Op):
    """The first operand, as soon as all the others have been computed.

    What is computed from it is computed again, even if the same has been computed from the operand
    itself: that is how memory is saved by computing twice.
    """

    name = "barrier"

    def infer(self, *types: TensorType) -> TensorType:
        """The type of the first operand."""
        if not types:
            raise TypeRuleError("needs at least one operand")
        return types[0]

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The element itself."""
        return read(0, index)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient, to the first operand; the others only have to be there."""
        return [gradient, *[None] * (len(node.inputs) - 1)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The tangent of the first operand."""
        return tangents[0]

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The first operand for the whole batch, as soon as all the others are there."""
        pairs = zip(operands, batched, strict=True)
        size = next(operand.shape[0] for operand, flag in pairs if flag)
        first = operands[0] if batched[0] else repeated(operands[0], size)
        return build(node.op, (first, *operands[1:]), node.attrs)

    def split(self, node: Node) -> Node:
        """The parts of the first operand, as soon as those of all others have been computed."""
        first, *others = node.inputs
        waiting = halves(others)
        if not first.dtype.is_complex:
            return build(node.op, (first, *waiting), node.attrs)
        real, imaginary = (build(node.op, (part, *waiting), node.attrs) for part in parts(first))
        return joined((real, imaginary))

    def reference(self, *arrays: Any) -> Any:
        """The first array."""
        return arrays[0]
