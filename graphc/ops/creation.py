"""Arrays made from nothing but their type: iota, and a symbolic size as a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import REAL_NUMBERS, DType, TensorType
from graphc.ops.rules import check_axis, check_kind
from graphc.ops.structure import Leaf


@register
class Iota(Leaf):
    """Each element is its own index along one axis: 0, 1, 2..."""

    name = "iota"

    def infer(self, *, shape: tuple[Size, ...], axis: int, dtype: DType) -> TensorType:
        """The given shape and dtype; the axis must be one of the shape's."""
        check_axis(axis, len(shape))
        check_kind(dtype, REAL_NUMBERS)
        return TensorType(dtype, shape)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The index along the axis."""
        return scalar.cast(scalar.index(index[node.attrs["axis"]]), node.dtype)

    def reference(self, *, shape: tuple[int, ...], axis: int, dtype: DType) -> Any:
        """numpy.arange along the axis."""
        column = (-1,) + (1,) * (len(shape) - axis - 1)
        return np.broadcast_to(np.arange(shape[axis]).astype(dtype.numpy).reshape(column), shape)


@register
class SizeValue(Leaf):
    """A size as a number that formulas can use; it is known when the program runs."""

    name = "size"

    def infer(self, *, value: Size, dtype: DType) -> TensorType:
        """One element of the dtype."""
        check_kind(dtype, REAL_NUMBERS)
        return TensorType(dtype, ())

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The size, converted."""
        return scalar.cast(scalar.index(node.attrs["value"]), node.dtype)

    def reference(self, *, value: int, dtype: DType) -> Any:
        """The number."""
        return np.asarray(value).astype(dtype.numpy)
