"""Windows of an array that begin where integers say when the program runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.index_layout import Layout
from graphc.ir.node import Node, apply, say
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType, int64, show_shape
from graphc.lang.creation import zeros_like
from graphc.lang.operands import constant
from graphc.lang.scattering import counted_from_start, gathered, scattered
from graphc.lang.sizes import size_value
from graphc.ops.batching import repeated
from graphc.ops.complex_parts import PartByPart
from graphc.ops.fusion import size_of_batch
from graphc.ops.indexing import (
    ABSENT,
    check_indices,
    counted,
    is_inside,
    missing,
    missing_value,
)
from graphc.ops.slicing import conjunction

Sizes = tuple[Size, ...]


@register
class DynamicSlice(PartByPart):
    """The elements in a window: `sizes` of them along each axis, from a start on.

    A negative start counts from the end. An element beyond the array is NaN (0 for integers, false
    for bool, and 0 for floats too where `absent` is "zero"), and no gradient flows through it.
    """

    name = "dynamic_slice"

    def infer(self, x: TensorType, *starts: TensorType, sizes: Sizes, absent: str) -> TensorType:
        """The operand's dtype with the given sizes."""
        if absent not in ABSENT:
            raise TypeRuleError(f"absent is one of {', '.join(ABSENT)}, not {absent!r}")
        check_starts(x, starts)
        if len(sizes) != x.rank:
            raise TypeRuleError(f"needs a size for each of {x.rank} axes, not {len(sizes)}")
        check_window(x, sizes)
        return TensorType(x.dtype, sizes)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element so far from the starts."""
        shape = node.inputs[0].shape
        starts = bound_starts(shape, read, 1)
        places = tuple(start + i for start, i in zip(starts, index, strict=True))
        guard = all_inside(places, shape)
        element = read(0, places, guard)
        if guard is None:
            return element
        return scalar.where(guard, element, missing(node.dtype, node.attrs["absent"]))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient in a window of zeros."""
        x, *starts = node.inputs
        zeros = zeros_like(x, gradient.dtype)
        part = apply("dynamic_update_slice", zeros, gradient, *starts)
        return [part, *(None for _ in starts)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The same window of the tangent; 0 beyond it."""
        if tangents[0] is None:
            return None
        return windowed(tangents[0], node.inputs[1:], node.shape)

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """A window of the whole batch where all begin alike, else a gather."""
        x, *starts = operands
        size, absent = size_of_batch(operands, batched), node.attrs["absent"]
        if not any(batched[1:]):
            whole = [constant(0), *starts]
            return apply("dynamic_slice", x, *whole, sizes=(size, *node.shape), absent=absent)
        layout = window_layout(node.ndim).beside_batch(batched[0], batched[1:])
        indices = places(starts, node.inputs[0].shape, node.shape)
        return gathered(x, indices, layout, absent)

    def reference(self, x: Any, *starts: Any, sizes: tuple[int, ...], absent: str) -> Any:
        """The part of the window that is inside, among what stands for the rest."""
        result = np.full(sizes, missing_value(x.dtype, absent), x.dtype)
        there, here = numpy_windows(x.shape, starts, sizes)
        result[here] = x[there]
        return result


@register
class DynamicUpdateSlice(PartByPart):
    """An array with another one in a window of it, from a start along each axis on.

    A negative start counts from the end; what reaches beyond the array is dropped.
    """

    name = "dynamic_update_slice"

    def infer(self, x: TensorType, update: TensorType, *starts: TensorType) -> TensorType:
        """The operand's type; the window has its dtype and rank and is no larger."""
        if update.dtype != x.dtype or update.rank != x.rank:
            raise TypeRuleError(f"the update {update} must have dtype and rank of {x}")
        check_starts(x, starts)
        check_window(x, update.shape)
        return x

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The window's element where it lies, else the operand's."""
        x, update = node.inputs[:2]
        starts = bound_starts(x.shape, read, 2)
        places = tuple(i - start for start, i in zip(starts, index, strict=True))
        guard = all_inside(places, update.shape)
        element = read(1, places, guard)
        return element if guard is None else scalar.where(guard, element, read(0, index))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient but for the window, and the window of it."""
        _, update, *starts = node.inputs
        return [
            apply("dynamic_update_slice", gradient, zeros_like(update), *starts),
            windowed(gradient, starts, update.shape),
            *(None for _ in starts),
        ]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The window's tangent in the operand's."""
        if tangents[0] is None and tangents[1] is None:
            return None
        pairs = zip(node.inputs[:2], tangents, strict=False)
        parts = [zeros_like(part) if tangent is None else tangent for part, tangent in pairs]
        return apply("dynamic_update_slice", *parts, *node.inputs[2:])

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """A window of the whole batch where all begin alike, else a scatter."""
        size = size_of_batch(operands, batched)
        pairs = zip(operands[:2], batched, strict=False)
        x, update = (part if flag else repeated(part, size) for part, flag in pairs)
        starts = operands[2:]
        if not any(batched[2:]):
            return apply("dynamic_update_slice", x, update, constant(0), *starts)
        layout = window_layout(node.ndim).beside_batch(True, batched[2:])
        indices = places(starts, node.shape, node.inputs[1].shape)
        return scattered("set", x, update, indices, layout)

    def reference(self, x: Any, update: Any, *starts: Any) -> Any:
        """An assignment of the part that is inside."""
        result = np.array(x)
        there, here = numpy_windows(x.shape, starts, np.shape(update))
        result[there] = np.asarray(update)[here]
        return result


def check_starts(x: TensorType, starts: Sequence[TensorType]) -> None:
    """TypeRuleError unless there is an integer for each axis."""
    check_indices(starts)
    if len(starts) != x.rank or any(start.rank for start in starts):
        raise TypeRuleError(f"needs one integer as a start for each of {x.rank} axes")


def check_window(x: TensorType, sizes: Sizes) -> None:
    """TypeRuleError where a window is surely larger than the array."""
    for size, most in zip(sizes, x.shape, strict=True):
        if isinstance(size, int) and isinstance(most, int) and size > most:
            raise TypeRuleError(
                f"a window of shape {show_shape(sizes)} does not fit into {show_shape(x.shape)}"
            )


def bound_starts(shape: Sizes, read: Read, first: int) -> list[Size]:
    """The starts, counted from the beginning, as sizes; first is the operand with the first."""
    return [read.bind(counted(read(first + k, ()), size)) for k, size in enumerate(shape)]


def all_inside(places: Sizes, sizes: Sizes) -> Scalar | None:
    """Whether a place along each axis is one of the axis; None for no axes."""
    return conjunction([is_inside(*pair) for pair in zip(places, sizes, strict=True)])


def windowed(x: Node, starts: Sequence[Node], sizes: Sizes) -> Node:
    """A window with zeros beyond the array."""
    return apply("dynamic_slice", x, *starts, sizes=sizes, absent="zero")


def window_layout(rank: int) -> Layout:
    """A window as a gather with indices for each axis."""
    return Layout(tuple(range(rank)), (), tuple((axis,) for axis in range(rank)))


def places(starts: Sequence[Node], shape: Sizes, sizes: Sizes) -> list[Node]:
    """The places in a window along each axis, for each start of a batch if it has one."""
    found = []
    for start, size, count in zip(starts, shape, sizes, strict=True):
        first = say("expand_dims", counted_from_start(start, size), -1)
        place = first + apply("iota", shape=(count,), axis=0, dtype=int64)
        found.append(say("where", place < 0, size_value(size, int64), place))  # still outside
    return found


def numpy_windows(
    shape: tuple[int, ...], starts: Sequence[Any], sizes: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """For NumPy the part of a window that is inside, in the array and in the window."""
    there, here = [], []
    for size, given, count in zip(shape, starts, sizes, strict=True):
        start = int(given) + (size if int(given) < 0 else 0)
        low, high = min(max(start, 0), size), max(min(start + count, size), 0)
        span = max(high - low, 0)
        there.append(slice(low, low + span))
        here.append(slice(low - start, low - start + span) if span else slice(0, 0))
    return tuple(there), tuple(here)
