"""The error function of each element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.lang.exponential import exp
from graphc.ops.primitive import FloatPrimitive


@register
class Erf(FloatPrimitive):
    """2 / sqrt(pi) times the integral of exp(-t*t) from 0 to each element."""

    name = "erf"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """g * 2 / sqrt(pi) * exp(-x*x)."""
        (x,) = node.inputs
        return [gradient * (2 / math.sqrt(math.pi)) * exp(-x * x)]

    def reference(self, *arrays: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Python's, element by element: NumPy has none."""
        (x,) = arrays
        return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x)).astype(x.dtype)
