"""Convolution: sums of products of a kernel with the windows that it slides over."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Dim, Size, floor_divide, is_nonnegative, remainder
from graphc.ir.node import Node, apply
from graphc.ir.op import Op, Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import REAL_NUMBERS, TensorType, show_shape
from graphc.lang.movement import flip, moveaxis, permute_dims, reshape
from graphc.ops.rules import accumulator, check_kind, widen
from graphc.ops.windows import (
    Sliding,
    between,
    guarded,
    lay_out,
    number,
    on_elements,
    seen_by,
    tap_loops,
    tap_slices,
    windows_of,
)

Sizes: TypeAlias = tuple[Size, ...]
Steps: TypeAlias = tuple[int, ...]


@register
class Convolution(Op):
    """x [N, C, *sizes] with a kernel w [K, C / groups, *taps]: [N, K, *counts].

    result[n, k, o] is the sum over c and t of w[k, c, t] * x[n, c, o * stride + t * w_dilation -
    low] (the kernel is not flipped). Elements of x stand x_dilation apart, and a tap that looks
    between them adds nothing. Around them are zeros: `low` and `high` count them on both sides, and
    negative ones cut elements off. A tap that sees such a zero adds nothing, or zero times w, which
    is the same unless w is infinite or NaN. Group g of the K kernels sees group g of the channels
    alone. float16 and bfloat16 are added up in float32. The sizes are those of Dumoulin and Visin,
    A guide to convolution arithmetic for deep learning (2016), with dilation of both operands, so
    that the gradients are convolutions too.
    """

    name = "convolution"
    depends_on_sizes = True

    def infer(self, x: TensorType, w: TensorType, **attrs: Any) -> TensorType:
        """[N, K, *counts] in the common dtype: how many windows fit along each spatial axis."""
        check_operands(x, w, attrs["groups"])
        windows = slide(x.shape, w.shape, attrs)
        return TensorType(x.dtype, (x.shape[0], w.shape[0], *(v.count for v in windows)))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The sum over the channels of the kernel's group and over its taps."""
        (x, w), groups = node.inputs, node.attrs["groups"]
        n, k, *place = index
        windows = slide(x.shape, w.shape, node.attrs)
        c: Size = 0 if w.shape[1] == 1 else read.variable(w.shape[1])
        taps = tap_loops(windows, read)
        group = 0 if groups == 1 or w.shape[0] == 0 else floor_divide(k, share(w.shape[0], groups))
        seen, guard = seen_by(windows, place, taps)
        dtype = accumulator(node.dtype)
        left = scalar.cast(read(0, [n, group * w.shape[1] + c, *seen], guard), dtype)
        gaps = between(windows, place, taps)
        right = scalar.cast(read(1, [k, c, *taps], gaps), dtype)
        if isinstance(c, Dim):  # a tap is left out for all channels
            body = guarded(guard, left * right, 0)
        else:  # the product stays one that can be added up in one step
            body = guarded(guard, left, 0) * guarded(gaps, right, 0)
        loops = tuple(loop for loop in (c, *taps) if isinstance(loop, Dim))
        total = scalar.Reduce(dtype, "sum", loops, body) if loops else body
        return scalar.cast(total, node.dtype)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """To x the gradient spread by the flipped kernel, to w its products with what taps saw."""
        (x, w), groups = node.inputs, node.attrs["groups"]
        windows = slide(x.shape, w.shape, node.attrs)
        return [
            convolve(gradient, transposed(w, groups), [v.backward() for v in windows], groups),
            convolve(
                exchanged(x, w.shape[1], groups), permute_dims(gradient, exchange(gradient.ndim)),
                [v.exchanged() for v in windows], groups, swapped=True,
            ),
        ]  # fmt: skip

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """Each tangent with the other operand, added."""
        (x, w), (dx, dw) = node.inputs, tangents
        parts = [] if dx is None else [apply("convolution", dx, w, **node.attrs)]
        parts += [] if dw is None else [apply("convolution", x, dw, **node.attrs)]
        return functools.reduce(operator.add, parts) if parts else None

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """One convolution: of more examples, with more kernels, or in more groups."""
        (x, w), (left, right) = operands, batched
        if not right:
            return of_examples(x, w, node.attrs)
        return in_groups(x, w, node.attrs) if left else with_kernels(x, w, node.attrs)

    def reference(self, x: Any, w: Any, **attrs: Any) -> Any:
        """One product of matrices for each tap, with all that it sees."""
        windows, groups = slide(x.shape, w.shape, attrs), attrs["groups"]
        counts = tuple(number(window.count) for window in windows)
        laid = lay_out(widen(x), (*whole(x.shape[:2]), *windows), 0)
        left = laid.reshape(x.shape[0], groups, w.shape[1], *laid.shape[2:])
        right = widen(w).reshape(groups, number(share(w.shape[0], groups)), *w.shape[1:])
        total = np.zeros((x.shape[0], *right.shape[:2], *counts), left.dtype)
        for tap in np.ndindex(*w.shape[2:]):
            seen = left[(..., *tap_slices(windows, tap))]
            product = np.einsum("ngc...,gkc->ngk...", seen, right[(..., *tap)])
            total += np.where(on_elements(windows, tap), product, 0)
        return total.reshape(x.shape[0], w.shape[0], *counts).astype(x.dtype)


def check_operands(x: TensorType, w: TensorType, groups: Size) -> None:
    """TypeRuleError unless the operands' dtypes, ranks and channels fit."""
    check_kind(x.dtype, REAL_NUMBERS)
    if x.dtype != w.dtype:
        raise TypeRuleError(f"operands differ in dtype: {x.dtype} and {w.dtype}")
    shapes = f"shapes {show_shape(x.shape)} and {show_shape(w.shape)}"
    if x.rank != w.rank or x.rank < 3:
        raise TypeRuleError(f"{shapes} must both have two axes and the same number of spatial ones")
    if not divides(groups, w.shape[0]):
        raise TypeRuleError(f"{w.shape[0]} kernels cannot stand in {groups} equal groups")
    if w.shape[1] * groups != x.shape[1]:
        raise TypeRuleError(
            f"{shapes} do not fit: {x.shape[1]} channels, and kernels of {w.shape[1]} "
            f"in {groups} groups, must be equally many"
        )


def divides(groups: Size, kernels: Size) -> bool:
    """Whether the kernels can stand in so many equal groups; none are for an empty batch."""
    if groups == 0:
        return kernels == 0
    return is_nonnegative(groups) and remainder(kernels, groups) == 0


def share(kernels: Size, groups: Size) -> Size:
    """How many kernels are in a group; where there is no group, any number would do."""
    return 1 if groups == 0 else floor_divide(kernels, groups)


def slide(x: Sizes, w: Sizes, attrs: Mapping[str, Any]) -> tuple[Sliding, ...]:
    """The kernel's window along each spatial axis, for the shapes of both operands."""
    names = ("strides", "low", "high", "w_dilation", "x_dilation")
    return windows_of(x[2:], w[2:], *(attrs[name] for name in names))


def whole(sizes: Sequence[Size]) -> list[Sliding]:
    """Windows of one tap: each element by itself."""
    return [Sliding(size, 1, 1, 0, 0) for size in sizes]


def convolve(
    x: Node, w: Node, windows: Sequence[Sliding], groups: Size, swapped: bool = False
) -> Node:
    """The convolution with given windows; `swapped` exchanges the first two axes of the result."""
    result = apply("convolution", x, w, groups=groups, **attributes(windows))
    return permute_dims(result, exchange(result.ndim)) if swapped else result


def attributes(windows: Sequence[Sliding]) -> dict[str, Any]:
    """The operator's attributes for the windows along each axis."""
    return {
        "strides": tuple(window.stride for window in windows),
        "low": tuple(window.low for window in windows),
        "high": tuple(window.high for window in windows),
        "x_dilation": tuple(window.spacing for window in windows),
        "w_dilation": tuple(window.dilation for window in windows),
    }


def exchange(rank: int) -> Steps:
    """The order of axes in which the first two have changed places."""
    return (1, 0, *range(2, rank))


def transposed(w: Node, groups: Size) -> Node:
    """The kernel that takes results back to channels: flipped, inputs and outputs exchanged."""
    turned = flip(w, tuple(range(2, w.ndim)))
    if groups == 1:
        return permute_dims(turned, exchange(w.ndim))
    kernels, channels, *taps = w.shape
    each = share(kernels, groups)
    apart = reshape(turned, (groups, each, channels, *taps))
    swapped = permute_dims(apart, (0, 2, 1, *range(3, apart.ndim)))
    return reshape(swapped, (groups * channels, each, *taps))


def exchanged(x: Node, each: Size, groups: Size) -> Node:
    """x [N, groups * each, ...] as [each, groups * N, ...]: examples and a group's channels."""
    if groups == 1:
        return permute_dims(x, exchange(x.ndim))
    count, _, *sizes = x.shape
    apart = reshape(x, (count, groups, each, *sizes))
    swapped = permute_dims(apart, (2, 1, 0, *range(3, apart.ndim)))
    return reshape(swapped, (each, groups * count, *sizes))


# --- batches: each makes one convolution of B, whose results it puts along a new axis in front ----


def of_examples(x: Node, w: Node, attrs: Mapping[str, Any]) -> Node:
    """x [B, N, C, ...] with one kernel: the examples of all stand in one row."""
    size, count, *rest = x.shape
    result = apply("convolution", reshape(x, (size * count, *rest)), w, **attrs)
    return reshape(result, (size, count, *result.shape[1:]))


def with_kernels(x: Node, w: Node, attrs: Mapping[str, Any]) -> Node:
    """One x with w [B, K, C, ...]: each group has its kernels of all."""
    (size, kernels, *rest), groups = w.shape, attrs["groups"]
    each = share(kernels, groups)
    apart = moveaxis(reshape(w, (size, groups, each, *rest)), 0, 1)
    result = apply("convolution", x, reshape(apart, (size * kernels, *rest)), **attrs)
    count, _, *places = result.shape
    split = moveaxis(reshape(result, (count, groups, size, each, *places)), 2, 0)
    return reshape(split, (size, count, kernels, *places))


def in_groups(x: Node, w: Node, attrs: Mapping[str, Any]) -> Node:
    """x [B, N, C, ...] with w [B, K, ...]: each pair has its own groups."""
    (size, count, channels, *sizes), (_, kernels, *rest) = x.shape, w.shape
    side = reshape(moveaxis(x, 0, 1), (count, size * channels, *sizes))
    more = {**attrs, "groups": size * attrs["groups"]}
    result = apply("convolution", side, reshape(w, (size * kernels, *rest)), **more)
    return moveaxis(reshape(result, (count, size, kernels, *result.shape[2:])), 1, 0)
