"""What several type rules ask: whether axes and dtypes fit, and how wide a sum is added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.scalar import Scalar
from graphc.ir.types import DType, as_dtype, float32


def check_axes(axes: Sequence[int], rank: int) -> None:
    """TypeRuleError unless the axes are distinct, in order, and those of `rank` axes."""
    if list(axes) != sorted(set(axes)) or not set(axes) <= set(range(rank)):
        raise TypeRuleError(f"axes {tuple(axes)} must rise and be below the rank {rank}")


def check_axis(axis: int, rank: int) -> None:
    """TypeRuleError unless 0 <= axis < rank."""
    if not 0 <= axis < rank:
        raise TypeRuleError(f"axis {axis} is out of range for {rank} axes")


def check_kind(dtype: DType, accepts: Sequence[str]) -> None:
    """TypeRuleError unless the dtype is of one of the kinds ("bool", "int", "uint", "float")."""
    if dtype.kind not in accepts:
        raise TypeRuleError(f"takes {' or '.join(accepts)}, not {dtype.name}")


def accumulator(dtype: DType) -> DType:
    """The dtype that sums and products are added up in: float32 for 16-bit floats."""
    return float32 if dtype.is_float and dtype.bits == 16 else dtype


def widened(value: Scalar) -> Scalar:
    """A value in the dtype of its accumulator."""
    return scalar.cast(value, accumulator(value.dtype))


def widen(array: Any) -> Any:
    """A NumPy array in the dtype of its accumulator."""
    return np.asarray(array).astype(accumulator(as_dtype(array.dtype)).numpy, copy=False)


def without(shape: tuple[Size, ...], axis: int) -> tuple[Size, ...]:
    """A shape without one axis."""
    return shape[:axis] + shape[axis + 1 :]
