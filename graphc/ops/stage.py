"""The identity that puts a value into memory as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType
from graphc.ops.kinds import Linear


@register
class Stage(Linear):
    """The operand itself, which a kernel that reads its elements many times finds in memory.

    Movements below it are done once, by whoever fills that memory; those above it only say where a
    reader looks.
    """

    name = "stage"

    def infer(self, x: TensorType) -> TensorType:
        """The operand's type."""
        return x

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The element itself."""
        return read(0, index)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient."""
        return [gradient]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The same: it names no axis."""
        return attrs

    def reference(self, x: Any) -> Any:
        """The array."""
        return x
