"""What users write for options: real numbers of Python or NumPy."""

from __future__ import annotations

import math
import numbers
from typing import Any

from graphc.errors import GraphError, shown
from graphc.ir.node import Node
from graphc.ir.types import DType
from graphc.lang.operands import literal


def real(value: Any, what: str) -> float:
    """A real number as a float, which takes the dtype of what it meets; GraphError for others."""
    if not isinstance(value, numbers.Real):
        raise GraphError(f"{what} must be a real number, not {shown(value)}")
    return float(value)


def real_or_node(value: Any, what: str) -> Any:
    """A real number as a float, or a node, such as a schedule's, as it is."""
    return value if isinstance(value, Node) else real(value, what)


def is_infinite(number: float, dtype: DType) -> bool:
    """Whether a number is infinite once it has a dtype."""
    return math.isinf(literal(number, dtype).array)
