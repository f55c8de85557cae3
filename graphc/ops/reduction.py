"""One element from all elements along some axes: sum, prod, max, min, any, all, argmax, argmin.

The result does not have the reduced axes. Sums and products of float16 and bfloat16 are added up
in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Dim, Size
from graphc.ir.node import Node, apply, say
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import NUMBERS, REAL_NUMBERS, TensorType, as_dtype, int64
from graphc.lang.creation import full, zeros_like
from graphc.lang.loops import scan
from graphc.lang.movement import broadcast_to, permute_dims, reshape
from graphc.lang.operands import size_of, to_node_dtype
from graphc.ops.batching import shifted
from graphc.ops.complex_formulas import multiply
from graphc.ops.complex_parts import PartByPart, joined, parts
from graphc.ops.kinds import Shifted
from graphc.ops.movement import inverse
from graphc.ops.rules import accumulator, check_axes, check_axis, check_kind, widen, without

Axes = tuple[int, ...]


class Reduction(Shifted):
    """A reduction over rising `axes`; its name is the kind of its `scalar.Reduce`."""

    accepts: ClassVar[tuple[str, ...]] = REAL_NUMBERS
    #: The operator that fits the dtypes this one refuses.
    instead: ClassVar[str] = "use any or all"

    def infer(self, x: TensorType, *, axes: Axes) -> TensorType:
        """The operand's dtype with the sizes of the axes that stay."""
        if x.dtype.kind not in self.accepts:
            advice = "complex numbers have no order" if x.dtype.is_complex else self.instead
            raise TypeRuleError(f"takes {' or '.join(self.accepts)}, not {x.dtype.name}: {advice}")
        check_axes(axes, x.rank)
        if not axes:
            raise TypeRuleError("needs at least one axis")
        return TensorType(x.dtype, tuple(x.shape[a] for a in kept(x.rank, axes)))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The reduction over a loop variable for each reduced axis."""
        source, axes = node.inputs[0], node.attrs["axes"]
        loops = {axis: read.variable(source.shape[axis]) for axis in axes}
        dtype = accumulator(node.dtype)
        body = scalar.cast(read(0, place(source.ndim, loops, index)), dtype)
        total = scalar.Reduce(dtype, self.name, tuple(loops.values()), body)
        return scalar.cast(total, node.dtype)

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The axes behind the batch axis."""
        return {"axes": shifted(attrs["axes"])}


def kept(rank: int, axes: Sequence[int]) -> Axes:
    """The axes that a reduction leaves."""
    return tuple(axis for axis in range(rank) if axis not in axes)


def place(rank: int, loops: dict[int, Dim], index: Sequence[Size]) -> list[Size]:
    """The operand's index: a loop variable along each reduced axis, the result's along others."""
    rest = iter(index)
    return [loops[axis] if axis in loops else next(rest) for axis in range(rank)]


def spread(reduced: Node, like: Node, axes: Axes) -> Node:
    """What was reduced, repeated along the reduced axes of an operand."""
    return apply("broadcast", reduced, shape=like.shape, axes=kept(like.ndim, axes))


@register
class Sum(PartByPart, Reduction):
    """The sum of the elements; 0 for none."""

    name = "sum"
    accepts = NUMBERS

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient, to each element."""
        return [spread(gradient, node.inputs[0], node.attrs["axes"])]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The sum of the tangents."""
        return None if tangents[0] is None else apply("sum", tangents[0], **node.attrs)

    def reference(self, x: Any, *, axes: Axes) -> Any:
        """numpy.sum in the accumulator's dtype."""
        wide = widen(x)
        return np.asarray(np.sum(wide, axis=axes, dtype=wide.dtype)).astype(x.dtype)


@register
class Prod(Reduction):
    """The product of the elements; 1 for none."""

    name = "prod"
    accepts = NUMBERS

    def split(self, node: Node) -> Node:
        """The product step by step along the axes, as no reduction works on pairs."""
        (x,), axes = node.inputs, node.attrs["axes"]
        order = axes + kept(x.ndim, axes)
        shape = (size_of(x, axes), *node.shape)
        rows = [reshape(permute_dims(part, order), shape) for part in parts(x)]
        one = full(node.shape, 1, rows[0].dtype)
        first = (one, zeros_like(one))
        return joined(scan(lambda so_far, row: (multiply(so_far, row), ()), first, tuple(rows))[0])

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient times the product of the other elements, to each."""
        (x,), axes = node.inputs, node.attrs["axes"]
        return [spread(gradient, x, axes) * product_of_others(x, axes)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The sum of each tangent times the product of the other elements."""
        if tangents[0] is None:
            return None
        axes = node.attrs["axes"]
        return apply("sum", tangents[0] * product_of_others(node.inputs[0], axes), axes=axes)

    def reference(self, x: Any, *, axes: Axes) -> Any:
        """numpy.prod in the accumulator's dtype."""
        wide = widen(x)
        return np.asarray(np.prod(wide, axis=axes, dtype=wide.dtype)).astype(x.dtype)


def product_of_others(x: Node, axes: Axes) -> Node:
    """For each element, the product of all others along the axes.

    It multiplies n elements for each of n: dividing the product by the element would be faster,
    but wrong where one is zero, and a correction for zeros has wrong derivatives of its own.
    """
    order = kept(x.ndim, axes) + axes
    rows = permute_dims(x, order)
    outer, count = rows.shape[: x.ndim - len(axes)], size_of(x, axes)
    table = broadcast_to(reshape(rows, (*outer, 1, count)), (*outer, count, count))
    own, other = (
        apply("iota", shape=table.shape, axis=axis, dtype=int64)
        for axis in (table.ndim - 2, table.ndim - 1)
    )
    products = apply("prod", say("where", own == other, 1, table), axes=(table.ndim - 1,))
    return permute_dims(reshape(products, rows.shape), inverse(order))


class Extreme(Reduction):
    """The largest or smallest element; NaN if there is one.

    Its gradient is shared equally among elements that tie.
    """

    def infer(self, x: TensorType, *, axes: Axes) -> TensorType:
        """As every reduction, but an axis that is surely empty has no extreme element."""
        result = super().infer(x, axes=axes)
        check_not_empty(x, axes)
        return result

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """An equal share of the gradient to each element that is the extreme, else 0."""
        (x,), axes = node.inputs, node.attrs["axes"]
        share = gradient / ties(node)
        return [say("where", is_extreme(node), spread(share, x, axes), 0)]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The mean of the tangents of the elements that are the extreme."""
        if tangents[0] is None:
            return None
        chosen = say("where", is_extreme(node), tangents[0], 0)
        return apply("sum", chosen, **node.attrs) / ties(node)


def check_not_empty(x: TensorType, axes: Sequence[int]) -> None:
    """TypeRuleError if there is surely no element to choose from."""
    empty = [axis for axis in axes if x.shape[axis] == 0]
    if empty:
        raise TypeRuleError(f"axis {empty[0]} of {x} is empty: there is no element to choose")


def is_extreme(node: Node) -> Node:
    """Which elements of the operand equal the extreme that was found."""
    x = node.inputs[0]
    return x == spread(node, x, node.attrs["axes"])


def ties(node: Node) -> Node:
    """How many elements equal the extreme."""
    return apply("sum", to_node_dtype(is_extreme(node), node.dtype), **node.attrs)


@register
class Max(Extreme):
    """The largest element; the lowest number of the dtype where a symbolic axis is empty."""

    name = "max"

    def reference(self, x: Any, *, axes: Axes) -> Any:
        """numpy.max, starting from the lowest number."""
        lowest, _ = as_dtype(x.dtype).limits
        return np.asarray(np.max(widen(x), axis=axes, initial=lowest)).astype(x.dtype)


@register
class Min(Extreme):
    """The smallest element; the highest number of the dtype where a symbolic axis is empty."""

    name = "min"

    def reference(self, x: Any, *, axes: Axes) -> Any:
        """numpy.min, starting from the highest number."""
        _, highest = as_dtype(x.dtype).limits
        return np.asarray(np.min(widen(x), axis=axes, initial=highest)).astype(x.dtype)


class Quantifier(Reduction):
    """Whether elements are true; it has no derivative."""

    accepts = ("bool",)
    instead = "compare with 0 first"

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """Nothing: truth does not change by degrees."""
        return [None]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """Zero, for the same reason."""
        return None


@register
class AnyTrue(Quantifier):
    """Whether any element is true; false for none."""

    name = "any"

    def reference(self, x: Any, *, axes: Axes) -> Any:
        """numpy.any."""
        return np.any(x, axis=axes)


@register
class AllTrue(Quantifier):
    """Whether all elements are true; true for none."""

    name = "all"

    def reference(self, x: Any, *, axes: Axes) -> Any:
        """numpy.all."""
        return np.all(x, axis=axes)


class Position(Shifted):
    """Where the extreme element stands along one axis, as int64: the first NaN, else the first.

    A symbolic axis that is empty gives 0. There is no derivative.
    """

    def infer(self, x: TensorType, *, axis: int) -> TensorType:
        """int64 with the sizes of the other axes."""
        check_kind(x.dtype, REAL_NUMBERS)
        check_axis(axis, x.rank)
        check_not_empty(x, (axis,))
        return TensorType(int64, without(x.shape, axis))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The reduction over the axis's loop variable, which has no position if it is empty."""
        source, axis = node.inputs[0], node.attrs["axis"]
        size = source.shape[axis]
        loops = {axis: read.variable(size)}
        body = read(0, place(source.ndim, loops, index))
        found: Scalar = scalar.Reduce(int64, self.name, tuple(loops.values()), body)
        return found if isinstance(size, int) else scalar.where(scalar.index(size) > 0, found, 0)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """Nothing: a position does not change by degrees."""
        return [None]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """Zero, for the same reason."""
        return None

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The axis behind the batch axis."""
        return {"axis": attrs["axis"] + 1}

    def reference(self, x: Any, *, axis: int) -> Any:
        """numpy.argmax or numpy.argmin."""
        if x.shape[axis] == 0:
            return np.zeros(without(x.shape, axis), np.int64)
        return getattr(np, self.name)(widen(x), axis=axis)


@register
class ArgMax(Position):
    """The position of the largest element."""

    name = "argmax"


@register
class ArgMin(Position):
    """The position of the smallest element."""

    name = "argmin"
