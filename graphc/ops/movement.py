"""The same elements in another place: reshape, permute_dims, broadcast and flip.

`ensure_shape` leaves them where they are, and says that sizes are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir.dim import Size, floor_divide, product, remainder
from graphc.ir.node import Node, apply
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.size_proof import advice, differ, may_be_equal
from graphc.ir.types import TensorType, row_major_strides, show_shape
from graphc.ops.batching import shifted
from graphc.ops.kinds import Linear
from graphc.ops.rules import check_axes

MOVEMENTS = ("reshape", "ensure_shape", "permute_dims", "broadcast", "flip", "slice")
"""Operators each of whose elements is one of their operand, and that say nothing but which."""


@register
class Reshape(Linear):
    """The same elements in row-major order, in another shape."""

    name = "reshape"

    def infer(self, x: TensorType, *, shape: tuple[Size, ...]) -> TensorType:
        """The operand's dtype in the new shape, which must have as many elements.

        Where that depends on the values of symbols, each call checks it.
        """
        if not may_be_equal(product(shape), x.size):
            raise TypeRuleError(
                f"shape {show_shape(x.shape)} has {x.size} elements and cannot become "
                f"{show_shape(shape)}, which has {product(shape)}{advice(product(shape), x.size)}"
            )
        return TensorType(x.dtype, shape)

    def equalities(self, node: Node) -> Sequence[tuple[Size, Size]]:
        """The numbers of elements."""
        return [(product(node.shape), node.inputs[0].size)]

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element at the same place in row-major order."""
        return read(0, reshaped_index(index, node.shape, node.inputs[0].shape))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient in the operand's shape."""
        return [apply("reshape", gradient, shape=node.inputs[0].shape)]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The shape with the batch axis in front."""
        return {"shape": (size, *attrs["shape"])}

    def reference(self, x: Any, *, shape: tuple[int, ...]) -> Any:
        """numpy.reshape."""
        return np.reshape(x, shape)


def reshaped_index(
    index: Sequence[Size], shape: Sequence[Size], into: Sequence[Size]
) -> list[Size]:
    """The index in one shape of the element that stands at an index of another.

    Runs of axes that hold the same elements in both shapes are converted on their own, so that
    an axis that stays costs no division.
    """
    result: list[Size] = []
    for here, there in runs(shape, into):
        strides = row_major_strides(tuple(shape[here]))
        linear: Size = 0
        for position, stride in zip(index[here], strides, strict=True):
            linear = linear + position * stride
        result += split(linear, tuple(into[there]))
    return result


def runs(left: Sequence[Size], right: Sequence[Size]) -> list[tuple[slice, slice]]:
    """The two shapes cut where the sizes so far have the same product in both, and at the end."""
    ends, others = ends_by_product(left), ends_by_product(right)
    cuts = [(0, 0)] + [(ends[size], others[size]) for size in ends if size in others]
    cuts += [(len(left), len(right))] if cuts[-1] != (len(left), len(right)) else []
    return [(slice(a, b), slice(c, d)) for (a, c), (b, d) in pairwise(cuts)]


def ends_by_product(shape: Sequence[Size]) -> dict[Size, int]:
    """For each product of leading sizes, how many axes it takes (the most)."""
    return {product(shape[:end]): end for end in range(len(shape) + 1)}


def split(linear: Size, shape: tuple[Size, ...]) -> list[Size]:
    """The index of the element at a place in row-major order."""
    result: list[Size] = []
    for axis, stride in enumerate(row_major_strides(shape)):
        # `or 1`: an empty array has no elements, but its formula must not divide by zero.
        place = floor_divide(linear, stride or 1)
        first = product(shape[:axis]) == 1
        result.append(place if first else remainder(place, shape[axis] or 1))
    return [0 if size == 1 else part for size, part in zip(shape, result, strict=True)]


@register
class EnsureShape(Linear):
    """The operand under other names for its sizes, which each call checks to be equal."""

    name = "ensure_shape"

    def infer(self, x: TensorType, *, shape: tuple[Size, ...]) -> TensorType:
        """The operand's dtype in the given shape, of which no size may surely differ."""
        if len(shape) != x.rank:
            raise TypeRuleError(f"{show_shape(shape)} must have the {x.rank} axes of the operand")
        for axis, (size, other) in enumerate(zip(x.shape, shape, strict=True)):
            if differ(size, other):
                raise TypeRuleError(f"axis {axis} is {size}, which is never {other}")
        return TensorType(x.dtype, shape)

    def equalities(self, node: Node) -> Sequence[tuple[Size, Size]]:
        """The sizes of each axis."""
        return list(zip(node.shape, node.inputs[0].shape, strict=True))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element at the same index."""
        return read(0, index)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient in the operand's shape."""
        return [apply("ensure_shape", gradient, shape=node.inputs[0].shape)]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The shape with the batch axis in front."""
        return {"shape": (size, *attrs["shape"])}

    def reference(self, x: Any, *, shape: tuple[int, ...]) -> Any:
        """The operand as it is."""
        return np.reshape(x, shape)


@register
class PermuteDims(Linear):
    """The axes in another order: axis i of the result is axis axes[i] of the operand."""

    name = "permute_dims"

    def infer(self, x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
        """The operand's sizes in the new order; axes must name each axis once."""
        if sorted(axes) != list(range(x.rank)):
            raise TypeRuleError(f"axes {axes} must name each of the {x.rank} axes once")
        return TensorType(x.dtype, tuple(x.shape[axis] for axis in axes))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element at the index with the axes put back."""
        return read(0, [index[place] for place in inverse(node.attrs["axes"])])

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient with the axes put back."""
        return [apply("permute_dims", gradient, axes=inverse(node.attrs["axes"]))]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The order, with the batch axis left in front."""
        return {"axes": (0, *shifted(attrs["axes"]))}

    def reference(self, x: Any, *, axes: tuple[int, ...]) -> Any:
        """numpy.transpose."""
        return np.transpose(x, axes)


def inverse(axes: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes one."""
    return tuple(sorted(range(len(axes)), key=lambda place: axes[place]))


@register
class Broadcast(Linear):
    """The operand repeated along new axes: its axis i becomes axis axes[i] of the result."""

    name = "broadcast"

    def infer(self, x: TensorType, *, shape: tuple[Size, ...], axes: tuple[int, ...]) -> TensorType:
        """The given shape, which must have the operand's sizes at the given, rising axes."""
        check_axes(axes, len(shape))
        if tuple(shape[axis] for axis in axes) != x.shape:
            raise TypeRuleError(
                f"shape {show_shape(x.shape)} does not stand at axes {axes} of "
                f"{show_shape(shape)}: the sizes must be equal"
            )
        return TensorType(x.dtype, shape)

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element at the index without the new axes."""
        return read(0, [index[axis] for axis in node.attrs["axes"]])

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient summed over the new axes."""
        new = tuple(a for a in range(gradient.ndim) if a not in node.attrs["axes"])
        return [apply("sum", gradient, axes=new) if new else gradient]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The shape with the batch axis in front, which is the operand's first."""
        return {"shape": (size, *attrs["shape"]), "axes": (0, *shifted(attrs["axes"]))}

    def reference(self, x: Any, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
        """numpy.broadcast_to of the operand with the new axes of size 1."""
        aligned = [size if axis in axes else 1 for axis, size in enumerate(shape)]
        return np.broadcast_to(np.reshape(x, aligned), shape)


@register
class Flip(Linear):
    """The elements in reverse order along some axes."""

    name = "flip"

    def infer(self, x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
        """The operand's type; the axes must be its own, rising."""
        check_axes(axes, x.rank)
        return x

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The operand's element as far from the other end."""
        axes, shape = node.attrs["axes"], node.shape
        return read(0, [shape[a] - 1 - i if a in axes else i for a, i in enumerate(index)])

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient in reverse order."""
        return [apply("flip", gradient, **node.attrs)]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The axes behind the batch axis."""
        return {"axes": shifted(attrs["axes"])}

    def reference(self, x: Any, *, axes: tuple[int, ...]) -> Any:
        """numpy.flip."""
        return np.flip(x, axes)
