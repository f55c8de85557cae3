"""Parts of arrays and arrays from parts: slice, pad and concat."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import (
    Size,
    floor_divide,
    is_nonnegative,
    lower_bound,
    upper_bound,
)
from graphc.ir.node import Node, apply
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.size_proof import advice
from graphc.ir.types import TensorType, show_shape
from graphc.lang.creation import zeros_like
from graphc.ops.complex_parts import PartByPart
from graphc.ops.kinds import Linear, Shifted
from graphc.ops.rules import check_axis, without

Sizes = tuple[Size, ...]
Steps = tuple[int, ...]


@register
class Slice(Linear):
    """Along each axis the elements at start, start + step, ...: `sizes` of them."""

    name = "slice"
    depends_on_sizes = True

    def infer(self, x: TensorType, *, starts: Sizes, sizes: Sizes, steps: Steps) -> TensorType:
        """The operand's dtype with the given sizes; what is static must lie inside."""
        if not x.rank == len(starts) == len(sizes) == len(steps) or 0 in steps:
            raise TypeRuleError(f"needs a start, a size and a step other than 0 for {x.rank} axes")
        for window in zip(range(x.rank), x.shape, starts, sizes, steps, strict=True):
            check_window(*window)
        return TensorType(x.dtype, sizes)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element at start + index * step."""
        windows = zip(node.attrs["starts"], index, node.attrs["steps"], strict=True)
        return read(0, [start + i * step for start, i, step in windows])

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient at the elements it came from, among zeros."""
        steps: Steps = node.attrs["steps"]
        backward = tuple(axis for axis, step in enumerate(steps) if step < 0)
        forward = apply("flip", gradient, axes=backward) if backward else gradient
        low, high = margins(node)
        interior = tuple(abs(step) - 1 for step in steps)
        return [apply("pad", forward, low=low, high=high, interior=interior)]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The windows, and all of the batch."""
        starts, sizes, steps = (attrs[name] for name in ("starts", "sizes", "steps"))
        return {"starts": (0, *starts), "sizes": (size, *sizes), "steps": (1, *steps)}

    def reference(self, x: Any, *, starts: Steps, sizes: Steps, steps: Steps) -> Any:
        """NumPy's indexing with the list of indices of each axis."""
        windows = zip(starts, sizes, steps, strict=True)
        return x[np.ix_(*(start + step * np.arange(size) for start, size, step in windows))]


def check_window(axis: int, size: Size, start: Size, count: Size, step: int) -> None:
    """TypeRuleError where an element that is taken surely lies outside its axis."""
    if not isinstance(count, int) or not isinstance(start, int) or not isinstance(size, int):
        return
    last = start + (count - 1) * step
    if count < 0 or (count > 0 and not (0 <= start < size and 0 <= last < size)):
        taken = f"element {start}" if count == 1 else f"{count} elements from {start} by {step}"
        raise TypeRuleError(f"takes {taken} along axis {axis}, which has {size}")


def margins(node: Node) -> tuple[Sizes, Sizes]:
    """For each axis of a slice, how many elements lie before and after those it takes."""
    low, high = [], []
    attrs = node.attrs
    windows = zip(attrs["starts"], attrs["sizes"], attrs["steps"], strict=True)
    for size, (start, count, step) in zip(node.inputs[0].shape, windows, strict=True):
        first, last = start, start + (count - 1) * step
        if step < 0:
            first, last = last, first
        low.append(first)
        high.append(size - 1 - last)
    return tuple(low), tuple(high)


@register
class Pad(Linear):
    """Zeros (or false) around the operand, `low` before and `high` after, and between elements.

    `interior` counts the zeros between neighbours. A margin may be negative only where there is
    no element, so that padding undoes every slice.
    """

    name = "pad"

    def infer(self, x: TensorType, *, low: Sizes, high: Sizes, interior: Steps) -> TensorType:
        """The operand's dtype, with each size grown by its margins."""
        if not x.rank == len(low) == len(high) == len(interior) or min(interior, default=0) < 0:
            raise TypeRuleError(f"needs low, high and interior >= 0 for each of {x.rank} axes")
        shape = tuple(
            before + extent(size, gap) + after
            for size, before, after, gap in zip(x.shape, low, high, interior, strict=True)
        )
        for axis, (size, *both) in enumerate(zip(x.shape, low, high, strict=True)):
            cuts = size != 0 and any(isinstance(m, int) and m < 0 for m in both)
            total = shape[axis]
            if (isinstance(size, int) and cuts) or (isinstance(total, int) and total < 0):
                raise TypeRuleError(f"margins {tuple(both)} of axis {axis} must not be negative")
        return TensorType(x.dtype, shape)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element that stands here, or zero."""
        position: list[Size] = []
        conditions: list[Scalar] = []
        margins = zip(index, node.inputs[0].shape, node.attrs["low"], strict=True)
        for (i, size, low), gap in zip(margins, node.attrs["interior"], strict=True):
            conditions += within(i - low, extent(size, gap))
            if gap:
                conditions.append(scalar.call("equal", scalar.index((i - low) % (gap + 1)), 0))
            position.append(floor_divide(i - low, gap + 1))
        guard = conjunction(conditions)
        element = read(0, position, guard)
        return element if guard is None else scalar.where(guard, element, 0)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient at the elements that are not padding."""
        x, (low, gaps) = node.inputs[0], (node.attrs["low"], node.attrs["interior"])
        steps = tuple(gap + 1 for gap in gaps)
        return [apply("slice", gradient, starts=low, sizes=x.shape, steps=steps)]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The margins, and none around the batch."""
        return {name: (0, *margins) for name, margins in attrs.items()}

    def reference(self, x: Any, *, low: Steps, high: Steps, interior: Steps) -> Any:
        """The operand assigned into a slice of zeros."""
        spans = [extent(size, gap) for size, gap in zip(x.shape, interior, strict=True)]
        shape = [sum(parts) for parts in zip(low, spans, high, strict=True)]
        result = np.zeros(shape, x.dtype)
        if x.size:
            windows = zip(low, spans, interior, strict=True)
            result[tuple(slice(a, a + span, gap + 1) for a, span, gap in windows)] = x
        return result


def extent(size: Any, interior: int) -> Any:
    """The room that elements take with zeros between them; below 1 where there are none."""
    return (size - 1) * (interior + 1) + 1


def within(place: Size, size: Size) -> Iterator[Scalar]:
    """The conditions for 0 <= place < size that are not sure to hold."""
    low, high = lower_bound(place), upper_bound(place)
    if low is None or not is_nonnegative(low):
        yield scalar.index(place) >= 0
    if high is None or not is_nonnegative(size - 1 - high):
        yield scalar.index(place) < scalar.index(size)


def conjunction(conditions: Sequence[Scalar]) -> Scalar | None:
    """All conditions in one; None for none."""
    return functools.reduce(operator.and_, conditions) if conditions else None


@register
class Concat(PartByPart, Shifted):
    """The operands one after another along an axis."""

    name = "concat"

    def infer(self, *parts: TensorType, axis: int) -> TensorType:
        """The sizes along the axis added up; dtypes and the other sizes must agree."""
        if not parts:
            raise TypeRuleError("needs at least one operand")
        first = parts[0]
        check_axis(axis, first.rank)
        for part in parts[1:]:
            if part.dtype != first.dtype:
                raise TypeRuleError(f"operands differ in dtype: {first.dtype} and {part.dtype}")
            if part.rank != first.rank or without(part.shape, axis) != without(first.shape, axis):
                raise TypeRuleError(
                    f"shapes {show_shape(first.shape)} and {show_shape(part.shape)} "
                    f"must agree in every axis but {axis}{disagreement(part, first, axis)}"
                )
        total = sum((part.shape[axis] for part in parts[1:]), first.shape[axis])
        return TensorType(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :]))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The element of the operand that reaches here."""
        axis = node.attrs["axis"]
        result: Scalar | None = None
        for position, start in reversed(list(enumerate(starts_of(node)))):
            place = index[axis] - start
            guard = conjunction(list(within(place, node.inputs[position].shape[axis])))
            element = read(position, [*index[:axis], place, *index[axis + 1 :]], guard)
            if guard is None:
                return element
            result = element if result is None else scalar.where(guard, element, result)
        assert result is not None
        return result

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To each operand its part of the gradient."""
        axis, steps = node.attrs["axis"], (1,) * node.ndim
        origins = (
            tuple(start if a == axis else 0 for a in range(node.ndim)) for start in starts_of(node)
        )
        return [
            apply("slice", gradient, starts=starts, sizes=part.shape, steps=steps)
            for part, starts in zip(node.inputs, origins, strict=True)
        ]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The tangents one after another."""
        if all(tangent is None for tangent in tangents):
            return None
        pairs = zip(node.inputs, tangents, strict=True)
        parts = [zeros_like(part) if tangent is None else tangent for part, tangent in pairs]
        return apply("concat", *parts, **node.attrs)

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The axis behind the batch axis."""
        return {"axis": attrs["axis"] + 1}

    def reference(self, *parts: Any, axis: int) -> Any:
        """numpy.concatenate."""
        return np.concatenate(parts, axis)


def disagreement(part: TensorType, first: TensorType, axis: int) -> str:
    """What to do about the first two sizes that do not agree, where they are symbolic."""
    pairs = zip(without(part.shape, axis), without(first.shape, axis), strict=False)
    return next((advice(*pair) for pair in pairs if pair[0] != pair[1]), "")


def starts_of(node: Node) -> list[Size]:
    """Where each operand of a concat begins along its axis."""
    result: list[Size] = [0]
    for part in node.inputs[:-1]:
        result.append(result[-1] + part.shape[node.attrs["axis"]])
    return result
