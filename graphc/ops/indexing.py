"""Elements chosen by indices that are known only when the program runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply, say
from graphc.ir.op import Read, register
from graphc.ir.scalar import Number, Scalar
from graphc.ir.types import DType, TensorType, int64, show_shape
from graphc.lang.movement import expand_dims, squeeze
from graphc.lang.operands import broadcast_node, to_node_dtype
from graphc.lang.sizes import size_value
from graphc.ops.kinds import Linear
from graphc.ops.rules import check_axis, check_kind, without


@register
class TakeAlongAxis(Linear):
    """The operand's element at an index along an axis, for each index.

    Negative indices count from the end. An index out of range gives NaN (0 for integers, false
    for bool), and no gradient flows through it.
    """

    name = "take_along_axis"

    def infer(self, x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
        """The operand's dtype in the shape of the indices; sizes off the axis must be equal."""
        check_axis(axis, x.rank)
        check_kind(indices.dtype, ("int", "uint"))
        if without(x.shape, axis) != without(indices.shape, axis) or x.rank != indices.rank:
            raise TypeRuleError(
                f"shapes {show_shape(x.shape)} and {show_shape(indices.shape)} of the indices "
                f"must agree in every axis but {axis}"
            )
        return TensorType(x.dtype, indices.shape)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element at the index that the second operand holds here."""
        axis = node.attrs["axis"]
        size = scalar.index(node.inputs[0].shape[axis])
        given = read(1, index)
        place = scalar.cast(given, int64)
        if given.dtype.kind == "int":
            place = scalar.where(place < 0, place + size, place)
        k = read.bind(place)
        guard = (scalar.index(k) >= 0) & (scalar.index(k) < size)
        element = read(0, [*index[:axis], k, *index[axis + 1 :]], guard)
        return scalar.where(guard, element, missing(node.dtype))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """At each element the gradients of all results that took it, added in a fixed order.

        It compares every index with every position, so that nothing is scattered.
        """
        (x, indices), axis = node.inputs, node.attrs["axis"]
        places = expand_dims(counted_from_start(indices, x.shape[axis]), axis)
        table = (*x.shape[: axis + 1], *indices.shape[axis:])
        positions = apply("iota", shape=table, axis=axis, dtype=int64)
        taken = broadcast_node(places, table) == positions
        parts = say("where", taken, broadcast_node(expand_dims(gradient, axis), table), 0)
        if indices.shape[axis] == 1:
            return [squeeze(parts, axis + 1), None]
        return [apply("sum", parts, axes=(axis + 1,)), None]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The axis behind the batch axis."""
        return {"axis": attrs["axis"] + 1}

    def reference(self, x: Any, indices: Any, *, axis: int) -> Any:
        """numpy.take_along_axis, with the indices out of range filled in."""
        size = x.shape[axis]
        valid = (indices < size) & (indices >= -size)
        result = np.full(indices.shape, missing_value(x.dtype), x.dtype)
        if size:
            found = np.take_along_axis(x, np.where(valid, indices, 0).astype(np.int64), axis)
            np.copyto(result, found, where=valid)
        return result


def missing(dtype: DType) -> Number:
    """What stands for an element that is not there."""
    return math.nan if dtype.is_float else 0


def missing_value(dtype: Any) -> complex:
    """The same for a NumPy dtype; both parts of a complex number are missing."""
    kind = np.dtype(dtype).kind
    return complex(math.nan, math.nan) if kind == "c" else math.nan if kind in "fV" else 0


def counted_from_start(indices: Node, size: Size) -> Node:
    """Indices as int64 where negative ones have been counted from the end."""
    places = to_node_dtype(indices, int64)
    if indices.dtype.kind == "uint":
        return places
    return say("where", places < 0, places + size_value(size, int64), places)
