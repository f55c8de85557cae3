"""Where values come from: inputs, variables and constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.literal import Literal
from graphc.ir.node import Node, apply
from graphc.ir.op import Op, Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.state import State
from graphc.ir.types import TensorType
from graphc.ops.complex_parts import joined


class Leaf(Op):
    """An operator without operands, whose value is given from outside."""

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """Nothing: there are no operands."""
        return []

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """Zero: it does not change."""
        return None

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The node itself: without operands, nothing makes it differ along a batch."""
        return node


@register
class Input(Leaf):
    """An argument of each call."""

    name = "input"
    interned = False

    def infer(self, *types: Any, name: str, type: TensorType) -> TensorType:
        """The declared type."""
        return type


@register
class VariableOp(Leaf):
    """State that lives across calls."""

    name = "variable"
    interned = False

    def infer(self, *types: Any, name: str, type: TensorType, state: State) -> TensorType:
        """The type of the state."""
        return type


@register
class Constant(Leaf):
    """An array known when the graph is built."""

    name = "constant"

    def infer(self, *types: Any, value: Literal) -> TensorType:
        """The type of the value."""
        return value.type

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The number itself; only a constant without axes has a formula."""
        value: Literal = node.attrs["value"]
        return scalar.const(value.dtype, value.array.item())

    def split(self, node: Node) -> Node:
        """A constant for each part."""
        array = node.attrs["value"].array
        real, imaginary = (
            apply("constant", value=Literal(part)) for part in (array.real, array.imag)
        )
        return joined((real, imaginary))

    def reference(self, *arrays: Any, value: Literal) -> Any:
        """The array."""
        return value.array
