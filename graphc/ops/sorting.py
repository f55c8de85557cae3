"""Sorting along an axis, and permuting along it, which is what sorting is to a derivative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import dim, scalar
from graphc.ir.dim import Size, product
from graphc.ir.index_layout import Layout
from graphc.ir.kernel_writer import KernelWriter
from graphc.ir.node import Node, apply
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import ANY_REAL, INTEGERS, DType, TensorType, int64
from graphc.ops.indexing import counted, is_inside, missing, numpy_gather
from graphc.ops.kinds import Linear, Shifted
from graphc.ops.procedure import Procedure
from graphc.ops.radix_sort import LANES, Row, key_dtype, order_key, room
from graphc.ops.rules import check_axis, check_kind, widen

GROUPS = 32
"""Rows are dealt to so many groups, which run on threads, each with memory of its own."""


class AlongAxis(Procedure, Shifted):
    """A procedure over the rows along an axis."""

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The axis behind the batch axis."""
        return {**attrs, "axis": attrs["axis"] + 1}


def split_shape(shape: Sequence[Size], axis: int) -> tuple[Size, Size, Size]:
    """How many elements there are before an axis, along it, and behind it."""
    return product(shape[:axis]), shape[axis], product(shape[axis + 1 :])


class Sorting(AlongAxis):
    """Rows in rising or falling order, stable, with NaN last in both."""

    def infer(self, x: TensorType, *, axis: int, descending: bool) -> TensorType:
        """The operand's shape, with the dtype that `result` says."""
        check_kind(x.dtype, ANY_REAL)
        check_axis(axis, x.rank)
        return TensorType(self.result(x.dtype), x.shape)

    def result(self, dtype: DType) -> DType:
        """The dtype of the result."""
        raise NotImplementedError(f"{type(self).__name__}.result")

    def brought(self, x: Scalar, place: Size) -> Scalar:
        """What the key of an element brings along from its place in the row."""
        raise NotImplementedError(f"{type(self).__name__}.brought")

    def scratch(self, node: Node) -> Sequence[TensorType]:
        """Room for each group of rows."""
        x = node.inputs[0].tensor
        outer, count, inner = split_shape(x.shape, node.attrs["axis"])
        groups = dim.minimum(outer * inner, GROUPS)
        return room(groups, count, key_dtype(x.dtype), node.dtype)

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Each group sorts its rows one after another."""
        outer, _, inner = split_shape(node.shape, node.attrs["axis"])
        rows = outer * inner
        with (
            kernel.loop("parallel", dim.minimum(rows, GROUPS)) as group,
            kernel.loop("serial", (rows - group + GROUPS - 1) // GROUPS) as number,
        ):
            line = group + GROUPS * number
            across = 1 if inner == 0 else inner  # without an element there is no row to find
            self.write_row(node, kernel, group, line // across, line % across)

    def write_row(self, node: Node, kernel: KernelWriter, group: Size, i: Size, j: Size) -> None:
        """Sort a row: its keys, and what they bring along."""
        shape = split_shape(node.shape, node.attrs["axis"])
        x, result = kernel.operands[0].reshape(*shape), kernel.results[0].reshape(*shape)
        keys, values, counters = kernel.scratch

        def put(k: Size, value: Scalar) -> None:
            result[i, k, j] = value

        with kernel.loop("vector", shape[1], LANES) as k:
            element = kernel.let(x[i, k, j])
            keys[group, 0, k] = order_key(element, node.attrs["descending"])
            values[group, 0, k] = self.brought(element, k)
        Row(kernel, group, shape[1], (keys, values), counters, put).sort()


@register
class Sort(Sorting):
    """The elements along an axis in order."""

    name = "sort"

    def result(self, dtype: DType) -> DType:
        """The operand's."""
        return dtype

    def brought(self, x: Scalar, place: Size) -> Scalar:
        """The element."""
        return x

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """Each gradient back to where its element came from."""
        order = apply("argsort", node.inputs[0], **node.attrs)
        return [permute(gradient, inverse_of(order, node.attrs["axis"]), node.attrs["axis"])]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The tangents in the order of the elements."""
        order = apply("argsort", node.inputs[0], **node.attrs)
        return None if tangents[0] is None else permute(tangents[0], order, node.attrs["axis"])

    def reference(self, x: Any, *, axis: int, descending: bool) -> Any:
        """The elements at the sorted positions."""
        return np.take_along_axis(x, positions(x, axis, descending), axis)


@register
class Argsort(Sorting):
    """The positions along an axis of its elements in order."""

    name = "argsort"

    def result(self, dtype: DType) -> DType:
        """int64."""
        return int64

    def brought(self, x: Scalar, place: Size) -> Scalar:
        """The position."""
        return scalar.index(place)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """None: positions move in jumps."""
        return [None]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """None: positions move in jumps."""
        return None

    def reference(self, x: Any, *, axis: int, descending: bool) -> Any:
        """See `positions`."""
        return positions(x, axis, descending)


def positions(x: Any, axis: int, descending: bool) -> Any:
    """numpy.argsort, also from the largest to the smallest, with NaN last."""
    x = widen(x)  # NumPy does not know that bfloat16 has a NaN
    if not descending:
        return np.argsort(x, axis, kind="stable")
    # From the end a stable order has the last of equal elements first: turn round before and after.
    rising = np.argsort(np.flip(x, axis), axis, kind="stable")
    falling = x.shape[axis] - 1 - np.flip(rising, axis)
    is_nan = np.take_along_axis(x != x, falling, axis)  # noqa: PLR0124
    return np.take_along_axis(falling, np.argsort(is_nan, axis, kind="stable"), axis)


def permute(x: Node, order: Node, axis: int) -> Node:
    """The elements along an axis in an order."""
    return apply("permute_along_axis", x, order, axis=axis)


def inverse_of(order: Node, axis: int) -> Node:
    """The inverse of permutations along an axis."""
    if order.op.name == "inverse_permutation":
        return order.inputs[0]
    return apply("inverse_permutation", order, axis=axis)


@register
class PermuteAlongAxis(Linear):
    """The elements along an axis in the order of their positions, each of which occurs once.

    A position out of range gives what `gather` gives.
    """

    name = "permute_along_axis"

    def infer(self, x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
        """The operand's type; there is a position for each element."""
        check_axis(axis, x.rank)
        check_kind(indices.dtype, INTEGERS)
        if x.shape != indices.shape:
            raise TypeRuleError(f"{x} and {indices} of the positions differ in shape")
        return x

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element at the position that stands here."""
        axis, size = node.attrs["axis"], node.shape[node.attrs["axis"]]
        place = read.bind(counted(read(1, index), size))
        guard = is_inside(place, size)
        element = read(0, [*index[:axis], place, *index[axis + 1 :]], guard)
        return scalar.where(guard, element, missing(node.dtype, "nan"))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradients permuted back: nothing is added up."""
        order, axis = node.inputs[1], node.attrs["axis"]
        return [permute(gradient, inverse_of(order, axis), axis), None]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The axis behind the batch axis."""
        return {"axis": attrs["axis"] + 1}

    def reference(self, x: Any, indices: Any, *, axis: int) -> Any:
        """numpy.take_along_axis, with the positions out of range filled in."""
        every = tuple(range(x.ndim))
        layout = Layout((axis,), every[:axis] + every[axis + 1 :], (every,))
        return numpy_gather(x, (indices,), layout)


@register
class InversePermutation(AlongAxis):
    """For each position along an axis, where it stands among the operand's elements.

    Where it occurs several times that is the last place, and 0 where it does not occur.
    """

    name = "inverse_permutation"

    def infer(self, x: TensorType, *, axis: int) -> TensorType:
        """int64 in the operand's shape."""
        check_axis(axis, x.rank)
        check_kind(x.dtype, INTEGERS)
        return TensorType(int64, x.shape)

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Each element's place is put where the element says."""
        shape = split_shape(node.shape, node.attrs["axis"])
        x, result = kernel.operands[0].reshape(*shape), kernel.results[0].reshape(*shape)
        outer, count, inner = shape
        with kernel.nest("parallel", (outer, inner)) as (i, j):
            with kernel.loop("vector", count, LANES) as k:
                result[i, k, j] = scalar.const(int64, 0)
            with kernel.loop("serial", count) as k:
                place = kernel.bind(scalar.cast(x[i, k, j], int64))
                with kernel.when(is_inside(place, count)):
                    result[i, place, j] = scalar.index(k)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """None: positions move in jumps."""
        return [None]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """None: positions move in jumps."""
        return None

    def reference(self, x: Any, *, axis: int) -> Any:
        """An assignment for each place along the axis."""
        rows = np.moveaxis(x, axis, -1)
        result = np.zeros_like(rows, np.int64)
        for row in np.ndindex(rows.shape[:-1]):
            for place, at in enumerate(rows[row]):
                if 0 <= at < len(rows[row]):
                    result[row][at] = place
        return np.moveaxis(result, -1, axis)
