"""The float next to each element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import int16, int32, int64
from graphc.ops.primitive import FloatPrimitive

INTEGERS = {16: int16, 32: int32, 64: int64}


@register
class NextAfter(FloatPrimitive):
    """The float next to the first element on the way to the second, that itself where equal."""

    name = "nextafter"
    steep = False
    arity = 2

    def formula(self, *values: Scalar) -> Scalar:
        """The bits one higher or lower: those of a magnitude are in order, as integers are.

        The least magnitude has the bits 1, so that from 0 it is the second's sign and those.
        """
        x, y = values
        bits = scalar.bitcast(x, INTEGERS[x.dtype.bits])
        larger = scalar.call("equal", x < y, x > 0.0)
        moved = scalar.bitcast(scalar.where(larger, bits + 1, bits - 1), x.dtype)
        least = scalar.bitcast(scalar.const(bits.dtype, 1), x.dtype)
        away = scalar.where(scalar.call("equal", x, 0.0), scalar.call("copysign", least, y), moved)
        same = scalar.where(scalar.call("equal", x, y), y, away)
        known = scalar.call("equal", x, x) & scalar.call("equal", y, y)
        return scalar.where(known, same, x + y)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient, to the first: the distance is constant but for its jumps."""
        return [gradient, None]

    def reference(self, *arrays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """np.nextafter, which gives the second of equal zeros, but the first of float16."""
        x, y = arrays
        return np.where(x == y, y, np.nextafter(x, y))
