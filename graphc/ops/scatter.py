"""Scatter: updates combined into a table at places that integers choose, in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size, minimum, product
from graphc.ir.index_layout import Axes, Layout
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.node import Node, apply
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import NUMBERS, REAL_NUMBERS, TensorType, show_shape
from graphc.lang.scattering import KINDS
from graphc.ops.batching import repeated
from graphc.ops.complex_parts import PartByPart
from graphc.ops.fusion import size_of_batch
from graphc.ops.indexing import check_indices, counted, is_inside, layout_of, numpy_key
from graphc.ops.procedure import Procedure
from graphc.ops.rules import accumulator, check_kind, widen
from graphc.ops.scatter_derivatives import RULES, Parts
from graphc.ops.slicing import conjunction

BLOCK = 256
"""Elements of a row that one thread walks through all updates with."""
LANES = 16

NUMPY = {"add": np.add, "multiply": np.multiply, "max": np.maximum, "min": np.minimum}


@register
class Scatter(PartByPart, Procedure):
    """A table, or one number in a shape, with updates combined at the places that integers choose.

    The layout is that of `gather`, and updates have the shape of what it would take. Updates of one
    place are combined in their row-major order: "set" keeps the last, "add", "multiply", "max" and
    "min" start from the table's element. One out of range is dropped. The gradient of "set" goes
    to the last update alone; that of "max" and "min" is shared equally among those that tie, the
    table's element included. float16 and bfloat16 are combined in float32.
    """

    name = "scatter"

    def infer(
        self,
        x: TensorType,
        updates: TensorType,
        *indices: TensorType,
        kind: str,
        shape: tuple[Size, ...],
        axes: Axes,
        along: Axes,
        spans: tuple[Axes, ...],
    ) -> TensorType:
        """The table's dtype in the shape; updates must have the layout's."""
        if kind not in ("set", *KINDS):
            raise TypeRuleError(f"kind is one of set, {', '.join(KINDS)}, not {kind!r}")
        if kind != "set":
            check_kind(x.dtype, NUMBERS if kind == "add" else REAL_NUMBERS)
        check_indices(indices)
        if x.shape not in ((), shape):
            raise TypeRuleError(f"the table {x} is neither one number nor {show_shape(shape)}")
        taken = Layout(axes, along, spans).shape(shape, [index.shape for index in indices])
        if updates != TensorType(x.dtype, taken):
            raise TypeRuleError(f"updates must be {TensorType(x.dtype, taken)}, not {updates}")
        return TensorType(x.dtype, shape)

    def scratch(self, node: Node) -> Sequence[TensorType]:
        """For the short floats the whole in the dtype that they are combined in."""
        wide = accumulator(node.dtype)
        return () if wide == node.dtype else (TensorType(wide, node.shape),)

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Copy the table, then combine, then round where that was done in a wider dtype."""
        (result,), source = kernel.results, kernel.operands[0]
        total = kernel.scratch[0] if kernel.scratch else result
        flat, whole = total.reshape(node.size), source.reshape(product(source.shape))
        with kernel.loop("parallel", node.size) as i:
            flat[i] = scalar.cast(whole[i if source.shape else 0], total.dtype)
        write_updates(node, kernel, total)
        if kernel.scratch:
            rounded = result.reshape(node.size)
            with kernel.loop("parallel", node.size) as i:
                rounded[i] = scalar.cast(flat[i], result.dtype)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The parts of the table and of the updates, as the kind's rule says."""
        parts = Parts.of(node, layout_of(node))
        table, updates = RULES[node.attrs["kind"]].vjp(parts, gradient)
        if node.inputs[0].shape != node.shape:
            table = apply("sum", table, axes=tuple(range(table.ndim)))
        return [table, updates, *(None for _ in parts.indices)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The result's tangent, as the kind's rule says."""
        if tangents[0] is None and tangents[1] is None:
            return None
        parts = Parts.of(node, layout_of(node))
        return RULES[node.attrs["kind"]].jvp(parts, *parts.wide_tangents(tangents))

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """The same beside the batch: table and updates have it, one number may go without."""
        size = size_of_batch(operands, batched)
        shape = (size, *node.shape)
        table, updates, *indices = operands
        if batched[0]:  # one number for each example
            axes = tuple(range(table.ndim))
            table = apply("broadcast", table, shape=shape, axes=axes)
        elif table.shape:
            table = repeated(table, size)
        updates = updates if batched[1] else repeated(updates, size)
        layout = layout_of(node).beside_batch(True, batched[2:])
        kind = node.attrs["kind"]
        return apply("scatter", table, updates, *indices, kind=kind, shape=shape, **layout.attrs)

    def reference(
        self,
        x: Any,
        updates: Any,
        *indices: Any,
        kind: str,
        shape: tuple[int, ...],
        axes: Axes,
        along: Axes,
        spans: tuple[Axes, ...],
    ) -> Any:
        """NumPy's assignment, or the ufunc's `at`, for the updates in range."""
        key, valid, _ = numpy_key(shape, indices, Layout(axes, along, spans))
        result = np.array(np.broadcast_to(widen(x), shape))
        if result.size and valid.any():
            places, new = tuple(part[valid] for part in key), widen(updates)[valid]
            if kind == "set":
                result[places] = new
            else:
                NUMPY[kind].at(result, places, new)
        return result.astype(x.dtype)


# --- loops ---------------------------------------------------------------------------------------


def write_updates(node: Node, kernel: KernelWriter, total: Array) -> None:
    """Combine all updates into the total, on threads where they cannot meet.

    They meet along axes that only indices lie along; those are walked in order. What lies along
    the table's own axes is independent: other rows, and blocks of the rows that both end in.
    """
    layout, updates = layout_of(node), kernel.operands[1]
    depth = depth_of_rows(layout, len(updates.shape))
    rank = len(updates.shape) - depth
    lead, last = updates.shape[:rank], updates.shape[rank:]
    width = product(last)
    table = total.reshape(*total.shape[: len(total.shape) - depth], width)
    rows = updates.reshape(*lead, width)
    apart = [axis for axis in layout.along if axis < rank]
    with (
        kernel.nest("parallel", [lead[axis] for axis in apart]) as own,
        kernel.loop("parallel", (width + BLOCK - 1) // BLOCK) as block,
        kernel.nest("serial", [lead[axis] for axis in layout.repeated]) as order,
    ):
        at = dict(zip((*apart, *layout.repeated), (*own, *order), strict=True))
        index = [at[axis] for axis in range(rank)]
        places, inside = bound_places(node, kernel, index)
        row = layout.in_table([*index, *(0 for _ in last)], places)[: len(table.shape) - 1]
        with kernel.when(inside):
            combine_row(node.attrs["kind"], kernel, table, row, rows, index, block * BLOCK)


def depth_of_rows(layout: Layout, rank: int) -> int:
    """How many of the last axes of table and elements are the same, and without indices."""
    depth, table = 0, len(layout.axes) + len(layout.along)
    other = dict(zip(layout.others, layout.along, strict=True))
    while (
        other.get(table - depth - 1) == rank - depth - 1 and rank - depth - 1 not in layout.indexed
    ):
        depth += 1
    return depth


def bound_places(
    node: Node, kernel: KernelWriter, index: Sequence[Size]
) -> tuple[list[Size], Scalar]:
    """The places that the indices hold for an update, and whether all are in range."""
    layout = layout_of(node)
    places: list[Size] = []
    conditions: list[Scalar] = []
    pairs = zip(layout.axes, layout.spans, kernel.operands[2:], strict=True)
    for axis, span, indices in pairs:
        given = indices[tuple(index[a] for a in span)]
        places.append(kernel.bind(counted(given, node.shape[axis])))
        conditions.append(is_inside(places[-1], node.shape[axis]))
    inside = conjunction(conditions)
    assert inside is not None
    return places, inside


def combine_row(
    kind: str,
    kernel: KernelWriter,
    table: Array,
    row: Sequence[Size],
    updates: Array,
    index: Sequence[Size],
    start: Size,
) -> None:
    """Combine the block of a row of updates that begins at a start into a row of the table."""
    width = table.shape[-1]
    one = width == 1
    with (
        nullcontext(0) if one else kernel.loop("vector", minimum(BLOCK, width - start), LANES)
    ) as step:
        column = start + step
        new = scalar.cast(updates[*index, column], table.dtype)
        if kind != "set":
            new = scalar.call(KINDS[kind], table[*row, column], new)
        table[*row, column] = new
