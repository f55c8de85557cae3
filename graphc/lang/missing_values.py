"""Words that take NaN for a value that is missing."""

from __future__ import annotations

import math

from graphc.ir.node import Axes, Node, word
from graphc.ir.types import DTypeLike
from graphc.lang.arithmetic import sqrt
from graphc.lang.comparison import isnan
from graphc.lang.complex_numbers import complex, imag, real
from graphc.lang.dtypes import finfo
from graphc.lang.operands import ArrayLike, as_node, to_float, to_node_dtype
from graphc.lang.reduction import all, max, min, prod, squared_size, sum, widen
from graphc.lang.selection import where


@word
def nan_to_num(
    x: ArrayLike, /, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Node:
    """The array with numbers in place of NaN and infinities, by default 0 and the dtype's limits.

    No gradient passes where a number was put in. Parts of complex numbers are replaced one by one.
    """
    node = as_node(x)
    if node.dtype.is_complex:
        halves = (nan_to_num(part, nan, posinf, neginf) for part in (real(node), imag(node)))
        return complex(*halves)
    if not node.dtype.is_float:
        return node
    limits = finfo(node.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    finite = where(node == math.inf, high, where(node == -math.inf, low, node))
    return where(isnan(node), nan, finite)


@word
def nansum(
    x: ArrayLike, /, axis: Axes = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Node:
    """The `sum` of the elements that are numbers; 0 for none."""
    return sum(filled(as_node(x), 0), axis, dtype, keepdims)


@word
def nanprod(
    x: ArrayLike, /, axis: Axes = None, dtype: DTypeLike | None = None, keepdims: bool = False
) -> Node:
    """The `prod` of the elements that are numbers; 1 for none."""
    return prod(filled(as_node(x), 1), axis, dtype, keepdims)


@word
def nanmax(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """The `max` of the elements that are numbers; NaN where none is."""
    node = as_node(x)
    if not node.dtype.is_float:
        return max(node, axis, keepdims)
    found = max(filled(node, -math.inf), axis, keepdims)
    return where(all(isnan(node), axis, keepdims), math.nan, found)


@word
def nanmin(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """The `min` of the elements that are numbers; NaN where none is."""
    node = as_node(x)
    if not node.dtype.is_float:
        return min(node, axis, keepdims)
    found = min(filled(node, math.inf), axis, keepdims)
    return where(all(isnan(node), axis, keepdims), math.nan, found)


@word
def nanmean(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """The `mean` of the elements that are numbers; NaN where none is."""
    node = to_float(x)
    wide = widen(node)
    total = nansum(wide, axis, keepdims=keepdims)
    return to_node_dtype(total / numbers(wide, axis, keepdims), node.dtype)


@word
def nanvar(
    x: ArrayLike, /, axis: Axes = None, correction: float = 0, keepdims: bool = False
) -> Node:
    """The `var` of the elements that are numbers; NaN where they are no more than `correction`."""
    node = to_float(x)
    wide = widen(node)
    deviation = filled(wide - nanmean(wide, axis, keepdims=True), 0)
    free = numbers(wide, axis, keepdims) - correction
    total = sum(squared_size(deviation), axis, keepdims=keepdims)
    return to_node_dtype(where(free > 0, total / free, math.nan), node.dtype.part)


@word
def nanstd(
    x: ArrayLike, /, axis: Axes = None, correction: float = 0, keepdims: bool = False
) -> Node:
    """The standard deviation: the square root of `nanvar`."""
    return sqrt(nanvar(x, axis, correction, keepdims))


def filled(node: Node, number: float) -> Node:
    """The node with a number in place of NaN."""
    return where(isnan(node), number, node) if node.dtype.is_inexact else node


def numbers(node: Node, axis: Axes, keepdims: bool) -> Node:
    """How many elements are numbers, in the dtype of the elements."""
    return sum(to_node_dtype(~isnan(node), node.dtype.part), axis, keepdims=keepdims)
