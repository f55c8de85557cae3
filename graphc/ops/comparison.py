"""Comparisons of each element; the result is bool. NaN is unequal to everything, itself too."""

from __future__ import annotations

import math

import numpy as np

from graphc.ir import scalar
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import DType, bool_
from graphc.ops.primitive import ANY, FLOAT, Flat, Primitive


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


@register
class NotEqual(Comparison):
    """Whether two elements differ; bools too."""

    name = "not_equal"
    accepts = ANY
    reference = staticmethod(np.not_equal)


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
    """A property of one floating-point element."""

    arity = 1
    accepts = FLOAT


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
