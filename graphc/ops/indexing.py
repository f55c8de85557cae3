"""Elements chosen by indices that are known only when the program runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.index_layout import Axes, Layout
from graphc.ir.node import Node
from graphc.ir.op import Read, register
from graphc.ir.scalar import Number, Scalar
from graphc.ir.types import INTEGERS, DType, TensorType, int64
from graphc.lang.operands import constant
from graphc.lang.scattering import gathered, scattered
from graphc.ops.complex_parts import PartByPart
from graphc.ops.rules import check_kind
from graphc.ops.slicing import conjunction

ABSENT = ("nan", "zero")


@register
class Gather(PartByPart):
    """The elements of a table that integers choose; which axes have indices, a `Layout` says.

    Negative indices count from the end. An index out of range gives NaN (0 for integers, false
    for bool, and 0 for floats too where `absent` is "zero"), and no gradient flows through it.
    """

    name = "gather"

    def infer(
        self,
        x: TensorType,
        *indices: TensorType,
        axes: Axes,
        along: Axes,
        spans: tuple[Axes, ...],
        absent: str,
    ) -> TensorType:
        """The table's dtype in the shape of the elements; sizes of axes that meet must agree."""
        if absent not in ABSENT:
            raise TypeRuleError(f"absent is one of {', '.join(ABSENT)}, not {absent!r}")
        check_indices(indices)
        shapes = [index.shape for index in indices]
        return TensorType(x.dtype, Layout(axes, along, spans).shape(x.shape, shapes))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The table's element at the places that the indices hold here."""
        layout, x = layout_of(node), node.inputs[0]
        places, conditions = [], []
        for number, (axis, span) in enumerate(zip(layout.axes, layout.spans, strict=True)):
            given = read(number + 1, [index[a] for a in span])
            places.append(read.bind(counted(given, x.shape[axis])))
            conditions.append(is_inside(places[-1], x.shape[axis]))
        guard = conjunction(conditions)
        assert guard is not None
        element = read(0, layout.in_table(index, places), guard)
        return scalar.where(guard, element, missing(node.dtype, node.attrs["absent"]))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """At each element of the table the gradients of all that took it, added in order."""
        x, *indices = node.inputs
        zero = constant(0, x.dtype)
        total = scattered("add", zero, gradient, indices, layout_of(node), x.shape)
        return [total, *(None for _ in indices)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The tangents of the elements taken; 0 out of range."""
        if tangents[0] is None:
            return None
        return gathered(tangents[0], node.inputs[1:], layout_of(node), "zero")

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The same with the batch axis among those of what has it; nothing is repeated."""
        layout = layout_of(node).beside_batch(batched[0], batched[1:])
        return gathered(operands[0], operands[1:], layout, node.attrs["absent"])

    def reference(
        self,
        x: Any,
        *indices: Any,
        axes: Axes,
        along: Axes,
        spans: tuple[Axes, ...],
        absent: str,
    ) -> Any:
        """NumPy's indexing by arrays, with the elements out of range filled in."""
        return numpy_gather(x, indices, Layout(axes, along, spans), absent)


def layout_of(node: Node) -> Layout:
    """The layout that a node's attributes say."""
    return Layout(*(node.attrs[name] for name in ("axes", "along", "spans")))


def check_indices(indices: Sequence[TensorType]) -> None:
    """TypeRuleError unless all are of integers."""
    for index in indices:
        check_kind(index.dtype, INTEGERS)


def counted(given: Scalar, size: Size) -> Scalar:
    """An index as int64, counted from the start where it is negative.

    One too large for int64 is out of range as the size is.
    """
    place, end = scalar.cast(given, int64), scalar.index(size)
    if given.dtype.kind == "uint":
        return place if given.dtype.bits < 64 else scalar.where(place < 0, end, place)
    return scalar.where(place < 0, place + end, place)


def is_inside(place: Size, size: Size) -> Scalar:
    """Whether a place is one of an axis."""
    return (scalar.index(place) >= 0) & (scalar.index(place) < scalar.index(size))


def missing(dtype: DType, absent: str) -> Number:
    """What stands for an element that is not there."""
    return math.nan if dtype.is_float and absent == "nan" else 0


def missing_value(dtype: Any, absent: str) -> complex:
    """The same for a NumPy dtype; both parts of a complex number are missing."""
    kind = np.dtype(dtype).kind
    if kind not in "cfV" or absent != "nan":
        return 0
    return complex(math.nan, math.nan) if kind == "c" else math.nan


def numpy_gather(x: Any, indices: Sequence[Any], layout: Layout, absent: str = "nan") -> Any:
    """The elements of an array of NumPy's that indices choose, with what stands for the absent."""
    key, valid, shape = numpy_key(x.shape, indices, layout)
    result = np.full(shape, missing_value(x.dtype, absent), x.dtype)
    if x.size:
        np.copyto(result, x[key], where=valid)
    return result


def numpy_key(
    table: tuple[int, ...], indices: Sequence[Any], layout: Layout
) -> tuple[tuple[Any, ...], Any, tuple[int, ...]]:
    """For NumPy a key into the table, which elements are in range (0 where not), their shape."""
    found = layout.shape(table, [index.shape for index in indices])
    shape = tuple(dim.evaluate(size, {}) for size in found)
    key: list[Any] = [None] * len(table)
    valid = np.ones(shape, np.bool_)
    for other, axis in zip(layout.others, layout.along, strict=True):
        key[other] = spread(np.arange(table[other]), (axis,), shape)
    for axis, span, index in zip(layout.axes, layout.spans, indices, strict=True):
        size = table[axis]
        inside = (index < size) & (index >= -size)
        key[axis] = spread(np.where(inside, index, 0).astype(np.int64), span, shape)
        valid = valid & spread(inside, span, shape)
    return tuple(key), valid, shape


def spread(array: Any, span: Axes, shape: tuple[int, ...]) -> Any:
    """An array along some axes of a shape, repeated along the others."""
    wide = tuple(size if axis in span else 1 for axis, size in enumerate(shape))
    return np.broadcast_to(np.reshape(array, wide), shape)
