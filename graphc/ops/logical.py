"""Logic of each element, on bools alone."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from graphc.ir import scalar
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ops.kinds import Elementwise
from graphc.ops.primitive import Flat


class Logical(Flat, Elementwise):
    """A function of bools: the bitwise one, of one bit."""

    arity = 2
    accepts = ("bool",)
    bitwise: ClassVar[str]

    def formula(self, *values: Scalar) -> Scalar:
        """The bitwise function of the same meaning."""
        return scalar.call(self.bitwise, *values)


@register
class LogicalAnd(Logical):
    """Whether both elements are true."""

    name = "logical_and"
    bitwise = "bitwise_and"
    reference = staticmethod(np.logical_and)


@register
class LogicalOr(Logical):
    """Whether either element is true."""

    name = "logical_or"
    bitwise = "bitwise_or"
    reference = staticmethod(np.logical_or)


@register
class LogicalXor(Logical):
    """Whether exactly one element is true."""

    name = "logical_xor"
    bitwise = "bitwise_xor"
    reference = staticmethod(np.logical_xor)


@register
class LogicalNot(Logical):
    """Whether the element is false."""

    name = "logical_not"
    arity = 1
    bitwise = "bitwise_invert"
    reference = staticmethod(np.logical_not)
