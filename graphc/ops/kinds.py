"""The kinds of operator: elementwise, linear ones such as movements, and those of whole batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from graphc.errors import TypeRuleError
from graphc.ir.dim import Size
from graphc.ir.node import Node, build
from graphc.ir.op import Op, Read
from graphc.ir.scalar import Scalar
from graphc.ir.types import REAL_NUMBERS, DType, TensorType
from graphc.ops.batching import all_batched
from graphc.ops.complex_parts import Pair, PartByPart, joined, parts


class Shifted(Op):
    """An operator that serves a whole batch as it is, once its attributes count axes anew."""

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The operator itself over all operands with the batch axis in front."""
        whole = all_batched(operands, batched)
        return build(node.op, whole, self.beside_batch(node.attrs, whole[0].shape[0]))

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The attributes that mean the same beside a batch axis of that size in front."""
        raise NotImplementedError(f"{type(self).__name__}.beside_batch")


def unanswered(*operands: Pair) -> Pair:
    """The complex formula of an operator that has none."""
    raise NotImplementedError("complex_formula")


class Elementwise(Shifted):
    """One element of the result from the elements at the same index of the operands.

    Operands have equal types (the language promotes and broadcasts them before). A subclass
    gives `formula`, `vjp` and `reference`, and says which kinds of dtype it accepts.
    """

    arity: ClassVar[int] = 1
    accepts: ClassVar[tuple[str, ...]] = REAL_NUMBERS
    #: Whether the derivative may be infinite or undefined, so that 0 times it would be NaN.
    steep: ClassVar[bool] = True
    #: For complex operands the parts of the result from theirs, as a function over nodes.
    complex_formula: ClassVar[Callable[..., Pair]] = unanswered

    def infer(self, *types: Any, **attrs: Any) -> TensorType:
        """The operands' common type, with the dtype that `result` says."""
        if attrs:
            raise TypeRuleError(f"takes no attribute {next(iter(attrs))!r}")
        if len(types) != self.arity:
            many = "operand" if self.arity == 1 else "operands"
            raise TypeRuleError(f"takes {self.arity} {many}, not {len(types)}")
        for other in types[1:]:
            if other != types[0]:
                raise TypeRuleError(f"operands differ in type: {types[0]} and {other}")
        first: TensorType = types[0]
        if first.dtype.kind not in self.accepts:
            raise TypeRuleError(f"takes {' or '.join(self.accepts)}, not {first.dtype.name}")
        return TensorType(self.result(first.dtype), first.shape)

    def result(self, dtype: DType) -> DType:
        """The dtype of the result; that of the operands unless a subclass says otherwise."""
        return dtype

    def formula(self, *values: Scalar) -> Scalar:
        """The element from the operands' elements."""
        raise NotImplementedError(f"{type(self).__name__}.formula")

    def split(self, node: Node) -> Node:
        """The complex formula over the operands' parts."""
        return joined(type(self).complex_formula(*map(parts, node.inputs)))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The formula over the operands' elements at the same index."""
        return self.formula(*(read(position, index) for position in range(len(node.inputs))))

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The sum of the parts by operand: the Jacobian is diagonal, so its transpose is itself."""
        total: Node | None = None
        for position, tangent in enumerate(tangents):
            part = None if tangent is None else self.vjp(node, tangent)[position]
            if part is not None:
                total = part if total is None else total + part
        return total

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The same: they name no axis."""
        return attrs


class Linear(PartByPart, Shifted):
    """An operator that is linear in its first operand, its only differentiable one."""

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The operator itself, applied to the tangent."""
        if tangents[0] is None:
            return None
        return build(node.op, (tangents[0], *node.inputs[1:]), node.attrs)
