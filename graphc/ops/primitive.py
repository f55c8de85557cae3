"""Elementwise operators that the scalar language has a function for, under the same name."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir import scalar
from graphc.ir.node import Node
from graphc.ir.scalar import Scalar
from graphc.ir.types import INEXACT
from graphc.ops.kinds import Elementwise


class Primitive(Elementwise):
    """An elementwise operator whose formula is the scalar function of its own name."""

    def formula(self, *values: Scalar) -> Scalar:
        """The scalar function applied."""
        return scalar.call(self.name, *values)


class FloatPrimitive(Primitive):
    """A primitive of real numbers; the language makes floats of integers before."""

    accepts = ("float",)


class InexactPrimitive(Primitive):
    """A primitive of real and complex numbers; the language makes floats of integers before."""

    accepts = INEXACT


class Flat:
    """Mixed into operators whose result is constant between its jumps, or is not a float."""

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """Nothing to any operand: the derivative is zero wherever there is one."""
        return [None] * len(node.inputs)
