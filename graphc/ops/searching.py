"""Searching in sorted rows by halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size, product
from graphc.ir.kernel_writer import KernelWriter
from graphc.ir.node import Node, apply, say
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import ANY_REAL, TensorType, int64
from graphc.ops.kinds import Shifted
from graphc.ops.procedure import Procedure
from graphc.ops.rules import check_kind, widen

MOST_BITS = 62
"""More than the length of a row can have."""


@register
class SearchSorted(Procedure, Shifted):
    """For each wanted value how many elements of a sorted row come before it.

    Of elements that equal it none does on the left side, all do on the right one. NaN comes after
    every number.
    """

    name = "searchsorted"

    def infer(self, ordered: TensorType, wanted: TensorType, *, side: str) -> TensorType:
        """int64 in the shape of the wanted values; all axes but the last are equal, and dtypes."""
        check_kind(ordered.dtype, ANY_REAL)
        if side not in ("left", "right"):
            raise TypeRuleError(f"side is 'left' or 'right', not {side!r}")
        if ordered.dtype != wanted.dtype:
            raise TypeRuleError(f"dtypes {ordered.dtype.name} and {wanted.dtype.name} differ")
        if not ordered.rank or not wanted.rank or ordered.shape[:-1] != wanted.shape[:-1]:
            raise TypeRuleError(f"{ordered} and {wanted} must agree in every axis but the last")
        return TensorType(int64, wanted.shape)

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Each wanted value takes the steps of a binary search, the widest first.

        After a step of width w the answer is known but for less than w; steps beyond the end of
        the row are not taken. All values take equally many, so that they may go side by side.
        """
        (*batch, count), queries = node.inputs[0].shape, node.shape[-1]
        rows = product(batch)
        ordered = kernel.operands[0].reshape(rows, count)
        wanted, result = (
            array.reshape(rows, queries) for array in (kernel.operands[1], kernel.results[0])
        )
        steps = count.bit_length() if isinstance(count, int) else bit_length(kernel, count)
        with kernel.nest("parallel", (rows, queries)) as (row, query):
            value = kernel.let(wanted[row, query])
            found = kernel.accumulator("last", int64)
            with kernel.loop("serial", steps) as step:
                width = scalar.const(int64, 1) << scalar.index(steps - 1 - step)
                place = kernel.bind(found.value + width)
                inside = kernel.let(scalar.index(place) <= scalar.index(count))
                element = ordered.where(inside, (row, place - 1))
                before = inside & comes_before(element, value, node.attrs["side"])
                found.accumulate(scalar.where(before, scalar.index(place), found.value))
            result[row, query] = found.value

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """None: positions move in jumps."""
        return [None, None]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """None: positions move in jumps."""
        return None

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The same: only the last axis is searched."""
        return attrs

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The operator itself; what is wanted from one row for all is wanted at once."""
        if batched[0]:
            return super().batch(node, operands, batched)
        ordered, wanted = operands
        apart = say("moveaxis", wanted, 0, -2)
        shape = (*apart.shape[:-2], apart.shape[-2] * apart.shape[-1])
        found = apply(self.name, ordered, apart.reshape(shape), **node.attrs)
        return say("moveaxis", found.reshape(apart.shape), -2, 0)

    def reference(self, ordered: Any, wanted: Any, *, side: Any) -> Any:
        """numpy.searchsorted for each row."""
        result = np.empty(wanted.shape, np.int64)
        for row in np.ndindex(wanted.shape[:-1]):
            result[row] = np.searchsorted(widen(ordered[row]), widen(wanted[row]), side)
        return result


def bit_length(kernel: KernelWriter, size: Size) -> Size:
    """How many bits a size has, counted when the program runs."""
    bits = kernel.accumulator("sum", int64)
    with kernel.loop("serial", MOST_BITS) as place:
        bits.accumulate(scalar.cast(scalar.index(size) >> scalar.index(place) > 0, int64))
    return kernel.bind(bits.value)


def comes_before(element: Scalar, value: Scalar, side: str) -> Scalar:
    """Whether an element comes before the place of a value."""
    if side == "right":
        return ~comes_before(value, element, "left")
    less = scalar.call("less", element, value)
    if not value.dtype.is_float:
        return less
    is_number = scalar.call("equal", element, element)
    return less | (is_number & scalar.call("not_equal", value, value))
