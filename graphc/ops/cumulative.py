"""Running results along an axis: sums, products, extremes, and the recurrence they derive from.

An element follows from the one before it, so that an axis is walked once. float16 and bfloat16 are
added up and multiplied in float32. Derivatives of all of them are linear recurrences, and so are
derivatives of those; they divide by nothing, so that zeros among factors do no harm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size, product
from graphc.ir.kernel_writer import KernelWriter
from graphc.ir.node import Node, apply, say
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import INEXACT, NUMBERS, REAL_NUMBERS, TensorType
from graphc.lang.creation import full, zeros_like
from graphc.lang.loops import scan
from graphc.lang.movement import moveaxis
from graphc.ops.complex_formulas import multiply
from graphc.ops.complex_parts import Pair, PartByPart, joined, parts
from graphc.ops.kinds import Shifted
from graphc.ops.procedure import Procedure
from graphc.ops.rules import accumulator, check_axis, check_kind, widen


class Running(Procedure, Shifted):
    """Along an axis, each element from the one before it and the operands' elements there.

    With `reverse` the last element comes first. A subclass says what the first element is
    and what follows from it.
    """

    accepts: ClassVar[tuple[str, ...]] = REAL_NUMBERS

    def infer(self, x: TensorType, *others: TensorType, axis: int, reverse: bool) -> TensorType:
        """The operand's type."""
        check_kind(x.dtype, self.accepts)
        check_axis(axis, x.rank)
        return x

    def first(self, *values: Scalar) -> Scalar:
        """The first element, from the operands' elements."""
        return values[-1]

    def following(self, before: Scalar, *values: Scalar) -> Scalar:
        """An element from the one before it and the operands' elements."""
        raise NotImplementedError(f"{type(self).__name__}.following")

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """A serial loop along the axis for every place on the other axes."""
        axis, shape, wide = node.attrs["axis"], node.shape, accumulator(node.dtype)
        outer, count, inner = product(shape[:axis]), shape[axis], product(shape[axis + 1 :])
        flat = [array.reshape(outer, count, inner) for array in kernel.operands]
        result = kernel.results[0].reshape(outer, count, inner)
        with kernel.nest("parallel", (outer, inner)) as (i, j):
            before = kernel.accumulator("last", wide)
            with kernel.loop("serial", count) as step:
                k = count - 1 - step if node.attrs["reverse"] else step
                values = [kernel.let(scalar.cast(array[i, k, j], wide)) for array in flat]
                start = kernel.let(scalar.call("equal", scalar.index(step), 0))
                new = scalar.where(
                    start, self.first(*values), self.following(before.value, *values)
                )
                before.accumulate(new)
                result[i, k, j] = scalar.cast(before.value, node.dtype)

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The axis behind the batch axis."""
        return {**attrs, "axis": attrs["axis"] + 1}

    def reference(self, *arrays: Any, axis: int, reverse: bool) -> Any:
        """NumPy along the axis, which is turned around before and after if need be."""
        turned = [np.flip(array, axis) if reverse else array for array in arrays]
        result = self.forward(*map(widen, turned), axis=axis)
        result = np.flip(result, axis) if reverse else result
        return np.ascontiguousarray(result).astype(arrays[0].dtype)

    def forward(self, *arrays: Any, axis: int) -> Any:
        """The result in plain NumPy from the first element on."""
        raise NotImplementedError(f"{type(self).__name__}.forward")


@register
class CumulativeSum(PartByPart, Running):
    """The sums of the elements up to each one."""

    name = "cumulative_sum"
    accepts = NUMBERS

    def following(self, before: Scalar, *values: Scalar) -> Scalar:
        """The sum so far and one more."""
        return before + values[0]

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """For each element the sum of the gradients from it on."""
        return [apply(self.name, gradient, **turned(node))]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The sums of the tangents."""
        return None if tangents[0] is None else apply(self.name, tangents[0], **node.attrs)

    def forward(self, *arrays: Any, axis: int) -> Any:
        """numpy.cumsum."""
        return np.cumsum(arrays[0], axis, arrays[0].dtype)


@register
class LinearRecurrence(Running):
    """y[k] = factor[k] * y[k - 1] + term[k], where y before the first element is 0."""

    name = "linear_recurrence"
    accepts = INEXACT

    def infer(self, x: TensorType, *others: TensorType, axis: int, reverse: bool) -> TensorType:
        """The type that the factors and terms have in common."""
        if others != (x,):
            raise TypeRuleError(f"factors are {x}, terms {', '.join(map(str, others))}")
        return super().infer(x, axis=axis, reverse=reverse)

    def split(self, node: Node) -> Node:
        """The recurrence step by step along the axis, as no procedure works on pairs."""
        axis = node.attrs["axis"]
        rows = tuple(tuple(moveaxis(p, axis, 0) for p in parts(x)) for x in node.inputs)
        zero = full(rows[0][0].shape[1:], 0, rows[0][0].dtype)

        def step(before: Pair, row: tuple[Pair, Pair]) -> tuple[Pair, Pair]:
            (real, imaginary), term = multiply(row[0], before), row[1]
            new = (real + term[0], imaginary + term[1])
            return new, new

        _, found = scan(step, (zero, zero), rows, reverse=node.attrs["reverse"])
        return joined((moveaxis(found[0], 0, axis), moveaxis(found[1], 0, axis)))

    def following(self, before: Scalar, *values: Scalar) -> Scalar:
        """Multiply and add, rounded once."""
        return scalar.call("fma", values[0], before, values[1])

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The recurrence that runs back: what follows an element counts times its factor."""
        factor, axis, reverse = node.inputs[0], node.attrs["axis"], node.attrs["reverse"]
        after = shifted(factor, axis, not reverse)
        total = apply(self.name, after, gradient, **turned(node))
        return [total * shifted(node, axis, reverse), total]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The same recurrence over the tangents, and what changes of the factors adds."""
        factor, term = tangents
        along = None if factor is None else factor * shifted(node, **node.attrs)
        terms = [part for part in (along, term) if part is not None]
        if not terms:
            return None
        return apply(self.name, node.inputs[0], sum(terms[1:], terms[0]), **node.attrs)

    def forward(self, *arrays: Any, axis: int) -> Any:
        """A loop in Python."""
        factor, term = (np.moveaxis(array, axis, 0) for array in arrays)
        result, before = np.empty_like(term), np.zeros_like(term[:1])
        for k in range(len(term)):
            before = factor[k : k + 1] * before + term[k : k + 1] if k else term[:1]
            result[k : k + 1] = before
        return np.moveaxis(result, 0, axis)


class Recurrent(Running):
    """A running result whose derivative is a linear recurrence: of its own factors and slopes."""

    def slopes(self, node: Node) -> tuple[Node, Node]:
        """How an element changes with the one before it, and with the operand's element."""
        raise NotImplementedError(f"{type(self).__name__}.slopes")

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The derivative of the recurrence, by its terms, times the operand's slope."""
        factor, slope = self.slopes(node)
        after = shifted(factor, node.attrs["axis"], not node.attrs["reverse"])
        return [slope * apply("linear_recurrence", after, gradient, **turned(node))]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """The recurrence over the tangents times their slopes."""
        if tangents[0] is None:
            return None
        factor, slope = self.slopes(node)
        return apply("linear_recurrence", factor, slope * tangents[0], **node.attrs)


@register
class CumulativeProd(Recurrent):
    """The products of the elements up to each one."""

    name = "cumulative_prod"
    accepts = NUMBERS

    def split(self, node: Node) -> Node:
        """The products step by step along the axis, as no procedure works on pairs."""
        (x,), axis = node.inputs, node.attrs["axis"]
        rows = tuple(moveaxis(part, axis, 0) for part in parts(x))
        one = full(rows[0].shape[1:], 1, rows[0].dtype)

        def step(so_far: Pair, row: Pair) -> tuple[Pair, Pair]:
            new = multiply(so_far, row)
            return new, new

        first = (one, zeros_like(one))
        _, found = scan(step, first, rows, reverse=node.attrs["reverse"])
        return joined((moveaxis(found[0], 0, axis), moveaxis(found[1], 0, axis)))

    def following(self, before: Scalar, *values: Scalar) -> Scalar:
        """The product so far times one more."""
        return before * values[0]

    def slopes(self, node: Node) -> tuple[Node, Node]:
        """The element itself, and the product before it."""
        return node.inputs[0], shifted(node, **node.attrs, fill=1)

    def forward(self, *arrays: Any, axis: int) -> Any:
        """numpy.cumprod."""
        return np.cumprod(arrays[0], axis, arrays[0].dtype)


class RunningExtreme(Recurrent):
    """The largest or smallest element up to each one; NaN from the first NaN on.

    Among elements that tie, the gradient goes to the latest.
    """

    function: ClassVar[str]

    def following(self, before: Scalar, *values: Scalar) -> Scalar:
        """The better of the best so far and one more."""
        return scalar.call(self.function, before, values[0])

    def slopes(self, node: Node) -> tuple[Node, Node]:
        """All of the element where it is the extreme, else all of the one before."""
        (x,) = node.inputs
        here = say("astype", say("logical_or", x == node, x != x), node.dtype)  # noqa: PLR0124
        return 1 - here, here

    def forward(self, *arrays: Any, axis: int) -> Any:
        """numpy.ufunc.accumulate."""
        found: Any = getattr(np, self.function).accumulate(arrays[0], axis)
        return found


@register
class CumulativeMax(RunningExtreme):
    """The largest element up to each one."""

    name = "cumulative_max"
    function = "maximum"


@register
class CumulativeMin(RunningExtreme):
    """The smallest element up to each one."""

    name = "cumulative_min"
    function = "minimum"


@register
class CumulativeLogSumExp(Recurrent):
    """The logarithms of the sums of the exponentials of the elements up to each one.

    The larger of the two that are joined is taken out, so that nothing overflows.
    """

    name = "cumulative_logsumexp"
    accepts = ("float",)

    def following(self, before: Scalar, *values: Scalar) -> Scalar:
        """log(exp(before) + exp(value)) = larger + log1p(exp(smaller - larger))."""
        (value,) = values
        larger, smaller = (scalar.call(name, before, value) for name in ("maximum", "minimum"))
        rest = scalar.call("log1p", scalar.call("exp", smaller - larger))
        same = scalar.call("equal", smaller, larger)  # also of infinities, whose difference is NaN
        infinite = scalar.call("equal", scalar.call("abs", larger), float("inf"))
        return scalar.where(infinite & same, larger, larger + rest)

    def slopes(self, node: Node) -> tuple[Node, Node]:
        """The parts that the sum before and the element have in the sum; 0 of a sum of nothing."""
        before = shifted(node, **node.attrs, fill=-np.inf)
        empty = node == -np.inf
        return (
            say("where", empty, 0, say("exp", before - node)),
            say("where", empty, 0, say("exp", node.inputs[0] - node)),
        )

    def forward(self, *arrays: Any, axis: int) -> Any:
        """numpy.logaddexp.accumulate."""
        return np.logaddexp.accumulate(arrays[0], axis, arrays[0].dtype)


def turned(node: Node) -> Mapping[str, Any]:
    """The attributes of the same walk in the other direction."""
    return {**node.attrs, "reverse": not node.attrs["reverse"]}


def shifted(node: Node, axis: int, reverse: bool, fill: float = 0) -> Node:
    """What stood before each element on a walk; the fill before the first one."""
    size = node.shape[axis]
    edge = say("full", tuple(1 if k == axis else s for k, s in enumerate(node.shape)), fill,
               dtype=node.dtype)  # fmt: skip
    longer = say("concat", (node, edge) if reverse else (edge, node), axis=axis)
    part = slice(1, size + 1) if reverse else slice(0, size)
    return longer[(slice(None),) * axis + (part,)]
