"""Reductions: one element from all elements along some axes.

axis is an integer, a tuple of them, or None for all; keepdims leaves the axes with size 1.
"""

from __future__ import annotations

import builtins
import math

from graphc.ir.dim import Size
from graphc.ir.node import Axes, Node, apply, say, word
from graphc.ir.types import DType, DTypeLike, float32, int8, int64, uint64
from graphc.lang.movement import reshape
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    reshape_node,
    size_of,
    to_axes,
    to_axis,
    to_dtype,
    to_float,
    to_node_dtype,
)
from graphc.lang.sizes import size_value


def reduce(name: str, node: Node, axis: Axes, keepdims: bool) -> Node:
    """The operator of that name over the axes that the user means."""
    axes = to_axes(axis, node.ndim, name)
    if not axes:
        return node
    result = apply(name, node, axes=axes)
    return reshape_node(result, ones_at(node, axes)) if keepdims else result


def ones_at(node: Node, axes: tuple[int, ...]) -> tuple[Size, ...]:
    """The shape of a node with size 1 at some axes."""
    return tuple(1 if axis in axes else size for axis, size in enumerate(node.shape))


@word
def sum(
    x: ArrayLike, /, axis: Axes = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Node:
    """The sum of the elements; 0 for none.

    The result has the given dtype, else x's, except that small integers and bool become int64 and
    unsigned ones uint64. float16 and bfloat16 are added up in float32.
    """
    return reduce("sum", to_total(as_node(x), dtype), axis, keepdims)


@word
def prod(
    x: ArrayLike, /, axis: Axes = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Node:
    """The product of the elements; 1 for none; the dtype is as for `sum`."""
    return reduce("prod", to_total(as_node(x), dtype), axis, keepdims)


def to_total(node: Node, dtype: DTypeLike | None) -> Node:
    """The node in the dtype that its sum or product has."""
    return to_node_dtype(node, total_dtype(node.dtype) if dtype is None else to_dtype(dtype))


def total_dtype(dtype: DType) -> DType:
    """The dtype of a sum of a dtype: integers become the widest of their kind."""
    if dtype.is_inexact:
        return dtype
    return uint64 if dtype.kind == "uint" else int64


@word
def max(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """The largest element, NaN if there is one; GraphError where there is surely none.

    Its gradient is shared equally among the elements that tie.
    """
    return reduce("max", as_node(x), axis, keepdims)


@word
def min(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """The smallest element, NaN if there is one; GraphError where there is surely none.

    Its gradient is shared equally among the elements that tie.
    """
    return reduce("min", as_node(x), axis, keepdims)


@word
def any(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """Whether any element is true (not 0); false for none."""
    return reduce("any", to_bool(x), axis, keepdims)


@word
def all(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """Whether all elements are true (not 0); true for none."""
    return reduce("all", to_bool(x), axis, keepdims)


def to_bool(x: ArrayLike) -> Node:
    """A node of bool: numbers are compared with 0."""
    node = as_node(x)
    return node if node.dtype.kind == "bool" else node != 0


@word
def argmax(x: ArrayLike, /, axis: int | None = None, keepdims: bool = False) -> Node:
    """Where the largest element stands, int64: the first NaN if there is one, else the first.

    Without an axis the place counts in row-major order.
    """
    return find("argmax", as_node(x), axis, keepdims)


@word
def argmin(x: ArrayLike, /, axis: int | None = None, keepdims: bool = False) -> Node:
    """Where the smallest element stands, int64: the first NaN if there is one, else the first.

    Without an axis the place counts in row-major order.
    """
    return find("argmin", as_node(x), axis, keepdims)


def find(name: str, node: Node, axis: int | None, keepdims: bool) -> Node:
    """The operator of that name over one axis, or over the flattened node."""
    typed = to_node_dtype(node, int8) if node.dtype.kind == "bool" else node
    flat = reshape(typed, (typed.size,)) if axis is None else typed
    at = to_axis(0 if axis is None else axis, flat.ndim, name)
    result = apply(name, flat, axis=at)
    axes = to_axes(axis, node.ndim, name)
    return reshape_node(result, ones_at(node, axes)) if keepdims else result


@word
def mean(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """The mean of the elements, NaN for none; integers and bool give float64.

    float16 and bfloat16 are computed in float32.
    """
    node = to_float(x)
    wide = widen(node)
    count = size_of(wide, to_axes(axis, wide.ndim, "mean"))
    total = sum(wide, axis=axis, keepdims=keepdims)
    return to_node_dtype(total / size_value(count, wide.dtype), node.dtype)


def widen(node: Node) -> Node:
    """The node in a dtype in which means are computed."""
    return to_node_dtype(node, float32) if node.dtype.bits == 16 else node


@word
def var(x: ArrayLike, /, axis: Axes = None, correction: float = 0, keepdims: bool = False) -> Node:
    """The variance: squared deviations from the mean, added up, over their number - correction.

    The dtype is as for `mean`; complex deviations count by their distance from 0, which is real.
    """
    node = to_float(x)
    wide = widen(node)
    count = size_of(wide, to_axes(axis, wide.ndim, "var"))
    deviation = wide - mean(wide, axis, keepdims=True)
    total = sum(squared_size(deviation), axis=axis, keepdims=keepdims)
    return to_node_dtype(total / degrees(count, correction, total.dtype), node.dtype.part)


def squared_size(node: Node) -> Node:
    """The square of each element's distance from 0; real."""
    if not node.dtype.is_complex:
        return node * node
    real, imaginary = say("real", node), say("imag", node)
    return real * real + imaginary * imaginary


def degrees(count: Size, correction: float, dtype: DType) -> Node:
    """How many deviations are free: the number less a correction, never below 0."""
    if isinstance(count, int):
        return as_node(builtins.max(count - correction, 0), dtype)
    value = size_value(count, dtype)
    return say("maximum", value - correction, 0) if correction else value


@word
def std(x: ArrayLike, /, axis: Axes = None, correction: float = 0, keepdims: bool = False) -> Node:
    """The standard deviation: the square root of `var`."""
    return say("sqrt", var(x, axis, correction, keepdims))


@word
def logsumexp(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """log(sum(exp(x))) without overflow; integers give float64.

    Its gradient is softmax(x), and 0 where all elements are -infinity.
    """
    node = to_float(x)
    axes = to_axes(axis, node.ndim, "logsumexp")
    top = finite_max(node, axes)
    count = sum(say("exp", node - top), axis=axes, keepdims=True)
    # The condition is for the gradient: where all are -infinity none of them counts.
    total = say("where", count == 0, -math.inf, say("log", count)) + top
    return total if keepdims else reshape_node(total, reduced(node, axes))


def reduced(node: Node, axes: tuple[int, ...]) -> tuple[Size, ...]:
    """The shape of a node without some axes."""
    return tuple(size for axis, size in enumerate(node.shape) if axis not in axes)


def finite_max(node: Node, axes: tuple[int, ...]) -> Node:
    """The maximum over axes, kept with size 1, as a number to subtract: 0 where it is not finite.

    It may be any number as far as the result goes, so it has no gradient.
    """
    top = say("stop_gradient", max(node, axes, keepdims=True))
    return say("where", say("isfinite", top), top, 0)
