"""Comparisons of each element; the result is bool. NaN is unequal to everything, itself too."""

from __future__ import annotations

import math

import numpy as np

from graphc.ir import scalar
from graphc.ir.node import Node, apply
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import ANY, INEXACT, DType, bool_
from graphc.lang.logic import logical_and, logical_or
from graphc.ops.complex_parts import parts
from graphc.ops.primitive import Flat, Primitive


class Comparison(Flat, Primitive):
    """A relation of two elements."""

    arity = 2

    def result(self, dtype: DType) -> DType:
        """bool."""
        return bool_


@register
class Equal(Comparison):
    """Whether two elements are equal; bools too."""

    name = "equal"
    accepts = ANY
    reference = staticmethod(np.equal)

    def split(self, node: Node) -> Node:
        """Whether both parts are equal."""
        return logical_and(*of_each_part(node))


@register
class NotEqual(Comparison):
    """Whether two elements differ; bools too."""

    name = "not_equal"
    accepts = ANY
    reference = staticmethod(np.not_equal)

    def split(self, node: Node) -> Node:
        """Whether a part differs."""
        return logical_or(*of_each_part(node))


def of_each_part(node: Node) -> list[Node]:
    """The operator on the real parts of its operands, and on the imaginary ones."""
    pairs = zip(*map(parts, node.inputs), strict=True)
    return [apply(node.op.name, *operands) for operands in pairs]


@register
class Less(Comparison):
    """Whether the first element is below the second."""

    name = "less"
    reference = staticmethod(np.less)


@register
class LessEqual(Comparison):
    """Whether the first element is at most the second."""

    name = "less_equal"
    reference = staticmethod(np.less_equal)


@register
class Greater(Comparison):
    """Whether the first element is above the second."""

    name = "greater"
    reference = staticmethod(np.greater)


@register
class GreaterEqual(Comparison):
    """Whether the first element is at least the second."""

    name = "greater_equal"
    reference = staticmethod(np.greater_equal)


class Classification(Comparison):
    """A property of one floating-point element; of a complex one that of any part."""

    arity = 1
    accepts = INEXACT

    def split(self, node: Node) -> Node:
        """Whether a part has it."""
        return logical_or(*of_each_part(node))


@register
class IsNan(Classification):
    """Whether each element is NaN."""

    name = "isnan"
    reference = staticmethod(np.isnan)

    def formula(self, *values: Scalar) -> Scalar:
        """x != x."""
        return scalar.call("not_equal", values[0], values[0])


@register
class IsInf(Classification):
    """Whether each element is infinite."""

    name = "isinf"
    reference = staticmethod(np.isinf)

    def formula(self, *values: Scalar) -> Scalar:
        """|x| == infinity."""
        return scalar.call("equal", scalar.call("abs", values[0]), math.inf)


@register
class IsFinite(Classification):
    """Whether each element is neither infinite nor NaN."""

    name = "isfinite"
    reference = staticmethod(np.isfinite)

    def formula(self, *values: Scalar) -> Scalar:
        """|x| < infinity."""
        return scalar.call("abs", values[0]) < math.inf

    def split(self, node: Node) -> Node:
        """Whether both parts are."""
        return logical_and(*of_each_part(node))
