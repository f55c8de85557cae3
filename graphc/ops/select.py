"""Choice between elements, conversion of them, and the identity that stops gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import ANY, DType, TensorType, bool_
from graphc.lang import selection
from graphc.lang.complex_numbers import real
from graphc.lang.creation import zeros_like
from graphc.ops.complex_parts import PartByPart, joined, parts
from graphc.ops.kinds import Elementwise
from graphc.ops.primitive import Flat


@register
class Where(PartByPart, Elementwise):
    """The second element where the condition holds, else the third."""

    name = "where"
    steep = False
    arity = 3
    accepts = ANY
    reference = staticmethod(np.where)

    def infer(self, *types: Any, **attrs: Any) -> TensorType:
        """The common type of the choices, under a condition of the same shape."""
        if len(types) != self.arity:
            raise TypeRuleError(f"takes 3 operands, not {len(types)}")
        condition, yes, no = types
        if condition.dtype != bool_:
            raise TypeRuleError(f"the condition must be bool, not {condition.dtype.name}")
        if yes != no or condition.shape != yes.shape:
            raise TypeRuleError(f"operands differ in type: {condition}, {yes} and {no}")
        return TensorType(yes.dtype, yes.shape)

    def formula(self, *values: Scalar) -> Scalar:
        """The scalar function, which lets nothing of the other choice through."""
        return scalar.where(*values)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To each choice where it was taken, else 0: a selection, since 0 * NaN is NaN."""
        condition = node.inputs[0]
        return [
            None,
            selection.where(condition, gradient, 0),
            selection.where(condition, 0, gradient),
        ]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The tangent of the choice taken."""
        yes, no = (0 if tangent is None else tangent for tangent in tangents[1:])
        if not isinstance(yes, Node) and not isinstance(no, Node):
            return None
        return selection.where(node.inputs[0], yes, no)


@register
class Cast(Elementwise):
    """Each element converted to another dtype, as NumPy's astype converts.

    A float beyond an integer dtype becomes its nearest limit and NaN becomes 0, where NumPy's
    result depends on the machine. A complex number does not become a real one.
    """

    name = "cast"
    steep = False
    accepts = ANY

    def infer(self, *types: Any, **attrs: Any) -> TensorType:
        """The operand's shape with the dtype asked for."""
        operand = super().infer(*types)
        if operand.dtype.is_complex and not attrs["dtype"].is_complex:
            raise TypeRuleError(
                f"{operand.dtype.name} does not become {attrs['dtype'].name}: take its real part "
                "or its absolute value, or compare it with 0"
            )
        return TensorType(attrs["dtype"], operand.shape)

    def split(self, node: Node) -> Node:
        """Each part converted; that of a real number has no imaginary part."""
        (x,), dtype = node.inputs, node.dtype.part
        if x.dtype.is_complex:
            return joined((selection.cast(parts(x)[0], dtype), selection.cast(parts(x)[1], dtype)))
        only = selection.cast(x, dtype)
        return joined((only, zeros_like(only)))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The element, converted."""
        return scalar.cast(read(0, index), node.dtype)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient cast back, between floats; nothing from or to another kind."""
        (x,) = node.inputs
        if not x.dtype.is_inexact or not node.dtype.is_inexact:
            return [None]
        return [selection.cast(gradient if x.dtype.is_complex else real(gradient), x.dtype)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The tangent cast as the value is, between floats."""
        tangent = tangents[0]
        if tangent is None or not node.dtype.is_inexact:
            return None
        return selection.cast(tangent, node.dtype)

    def reference(self, *arrays: np.ndarray[Any, Any], dtype: DType) -> np.ndarray[Any, Any]:
        """astype, which for floats beyond an integer dtype says nothing: those saturate here."""
        (x,) = arrays
        if dtype.is_integer and x.dtype.kind in "fV":
            return saturated(x, dtype)
        return x.astype(dtype.numpy)


def saturated(x: np.ndarray[Any, Any], dtype: DType) -> np.ndarray[Any, Any]:
    """Floats as integers, the nearest limit where they do not fit, NaN as 0."""
    limits = np.iinfo(dtype.numpy)
    wide = x.astype(np.float64)
    inside = (wide > limits.min - 1.0) & (wide < limits.max + 1.0)
    low, high = wide <= limits.min, wide >= limits.max
    whole = np.where(inside & ~low & ~high, wide, 0).astype(dtype.numpy)
    return np.where(low, limits.min, np.where(high, limits.max, whole)).astype(dtype.numpy)


@register
class StopGradient(PartByPart, Flat, Elementwise):
    """Each element as it is, taken for a constant by differentiation."""

    name = "stop_gradient"
    steep = False
    accepts = ANY

    def formula(self, *values: Scalar) -> Scalar:
        """x."""
        return values[0]

    def reference(self, *arrays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """x."""
        return arrays[0]
