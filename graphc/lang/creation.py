"""Where graphs begin: inputs, variables, constants, and arrays made from a rule.

Where a dtype is left out it is NumPy's: int64 for integers, float64 for the rest.
"""

from __future__ import annotations

import itertools
import math
from types import MappingProxyType
from typing import Any

from graphc.errors import GraphError
from graphc.ir.dim import Dim, Size, floor_divide, maximum
from graphc.ir.node import Node, apply, describe, place, say, word
from graphc.ir.op import OPS
from graphc.ir.placement import spread_copy
from graphc.ir.size_proof import simplify
from graphc.ir.state import State, Variable
from graphc.ir.types import DType, DTypeLike, TensorType, float64, int64
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    broadcast_node,
    constant,
    literal,
    to_dtype,
    to_node_dtype,
)
from graphc.lang.sizes import (
    ShapeLike,
    SizeLike,
    is_integer,
    size_value,
    to_name,
    to_offset,
    to_shape,
    to_size,
)

word(constant)
numbers = itertools.count()


@word
def input(name: str, shape: ShapeLike, dtype: DTypeLike) -> Node:
    """An argument that each call gives: an array of this shape and dtype.

    A size is an integer, or a name for one that each call decides: `("batch", 784)`. The same
    name means the same size everywhere. GraphError for a name that is not an identifier.
    """
    tensor = TensorType(to_dtype(dtype), to_shape(shape, "input"))
    return apply("input", name=to_name(name, "input: the name"), type=tensor)


@word
def asarray(x: ArrayLike, /, dtype: DTypeLike | None = None) -> Node:
    """A node as it is; numbers, lists and arrays as a constant; converted to a dtype if given."""
    node = x if isinstance(x, Node) else constant(x, dtype)
    return node if dtype is None else to_node_dtype(node, to_dtype(dtype))


@word
def variable(value: Any, name: str | None = None, dtype: DTypeLike | None = None) -> Variable:
    """State that lives across calls, beginning with a copy of an array.

    Read or assign it with `.value`; a compiled step changes it through `updates`. dtype defaults
    to the array's. Without a name it is called variable_0, variable_1 and so on.
    """
    if isinstance(value, Node):
        raise GraphError("variable: the first value must be an array, not a node")
    first = literal(value, dtype)
    chosen = f"variable_{next(numbers)}" if name is None else name
    for part in chosen.split(".") if isinstance(chosen, str) else [chosen]:
        to_name(part, "variable: the name (or its part)")
    attrs = {"name": chosen, "type": first.type, "state": State(spread_copy(first.array))}
    return Variable(OPS["variable"], (), MappingProxyType(attrs), first.type, place())


@word
def full(shape: ShapeLike, fill_value: ArrayLike, dtype: DTypeLike | None = None) -> Node:
    """An array of one value, a number or a node without axes; dtype defaults to the value's."""
    kind = None if dtype is None else to_dtype(dtype)
    value = fill_value if isinstance(fill_value, Node) else constant(fill_value, kind)
    if value.shape:
        raise GraphError(f"full: the fill value must have no axes, this is {value.type}")
    typed = value if kind is None else to_node_dtype(value, kind)
    return broadcast_node(typed, to_shape(shape, "full"))


@word
def zeros(shape: ShapeLike, dtype: DTypeLike = float64) -> Node:
    """An array of zeros."""
    return full(shape, 0, dtype)


@word
def empty(shape: ShapeLike, dtype: DTypeLike = float64) -> Node:
    """An array whose values do not matter: zeros, since nothing here is uninitialised."""
    return zeros(shape, dtype)


@word
def ones(shape: ShapeLike, dtype: DTypeLike = float64) -> Node:
    """An array of ones."""
    return full(shape, 1, dtype)


@word
def full_like(x: ArrayLike, /, fill_value: ArrayLike, dtype: DTypeLike | None = None) -> Node:
    """One value in the shape of x, and in its dtype unless another is given."""
    node = as_node(x)
    return full(node.shape, fill_value, node.dtype if dtype is None else dtype)


@word
def zeros_like(x: ArrayLike, /, dtype: DTypeLike | None = None) -> Node:
    """Zeros in the shape of x, and in its dtype unless another is given."""
    return full_like(x, 0, dtype)


@word
def empty_like(x: ArrayLike, /, dtype: DTypeLike | None = None) -> Node:
    """An array in the shape of x whose values do not matter: zeros."""
    return zeros_like(x, dtype)


@word
def ones_like(x: ArrayLike, /, dtype: DTypeLike | None = None) -> Node:
    """Ones in the shape of x, and in its dtype unless another is given."""
    return full_like(x, 1, dtype)


@word
def arange(
    start: float | SizeLike,
    stop: float | SizeLike | None = None,
    step: float = 1,
    dtype: DTypeLike | None = None,
) -> Node:
    """start, start + step, ... below stop (above it for a negative step), from 0 if one is given.

    dtype defaults to int64 for integers and symbolic sizes, else to float64. GraphError for a
    step of 0, and for numbers that are not finite.
    """
    check_numbers("arange", start, stop, step)
    ends = (0, start) if stop is None else (start, stop)
    first, end = (to_size(value, "arange") if isinstance(value, str) else value for value in ends)
    whole = all(isinstance(value, Dim) or is_integer(value) for value in (first, end, step))
    if isinstance(step, Dim) or step == 0:
        raise GraphError(f"arange: the step must be a number other than 0, not {step}")
    if not whole and any(isinstance(value, Dim) for value in (first, end)):
        raise GraphError("arange: with symbolic sizes every number must be an integer")
    if not all(isinstance(value, Dim) or math.isfinite(value) for value in (first, end, step)):
        raise GraphError(f"arange: {first}, {end} and {step} must be finite numbers")
    count = steps_between(first, end, step)
    base = int64 if whole else float64
    return to_node_dtype(line(first, step, count, base), base if dtype is None else to_dtype(dtype))


def check_numbers(what: str, *values: Any) -> None:
    """GraphError where a value is a node."""
    for value in values:
        if isinstance(value, Node):
            raise GraphError(
                f"{what}: takes numbers, not a node, whose values are known only when the program "
                f"runs{describe([value])}"
            )


def steps_between(start: Any, stop: Any, step: Any) -> Size:
    """How many of start, start + step, ... come before stop."""
    if not all(isinstance(value, Dim) or is_integer(value) for value in (start, stop, step)):
        count: int = math.ceil((stop - start) / step)
        return max(0, count)
    span, stride = (stop - start, step) if step > 0 else (start - stop, -step)
    return simplify(maximum(floor_divide(span + stride - 1, stride), 0))


def line(start: Any, step: Any, count: Size, dtype: DType) -> Node:
    """start + step * i for each i below count."""
    index = apply("iota", shape=(count,), axis=0, dtype=dtype)
    scaled = index if not isinstance(step, Node) and step == 1 else index * step
    if isinstance(start, Dim):
        return scaled + size_value(start, dtype)
    return scaled if start == 0 else scaled + start


def positions(shape: ShapeLike, dtype: DType = int64) -> list[Node]:
    """For each axis of a shape the index of every element along it."""
    sizes = to_shape(shape, "positions")
    return [apply("iota", shape=sizes, axis=a, dtype=dtype) for a in range(len(sizes))]


@word
def linspace(
    start: float, stop: float, num: SizeLike, dtype: DTypeLike | None = None, endpoint: bool = True
) -> Node:
    """num numbers at equal distances from start to stop, which is left out without endpoint.

    The dtype defaults to float64. num may be symbolic.
    """
    check_numbers("linspace", start, stop)
    count = to_size(num, "linspace")
    gaps = maximum(count - 1 if endpoint else count, 1)
    span = float(stop) - float(start)
    step = span / (gaps if isinstance(gaps, int) else size_value(gaps, float64))
    points = line(float(start), step, count, float64)
    if endpoint and count not in (0, 1):  # the last one exactly, not to a rounding
        last = apply("iota", shape=(count,), axis=0, dtype=int64) == size_value(gaps, int64)
        points = say("where", last, float(stop), points)
    return to_node_dtype(points, float64 if dtype is None else to_dtype(dtype))


@word
def logspace(
    start: float,
    stop: float,
    num: SizeLike = 50,
    endpoint: bool = True,
    base: float = 10.0,
    dtype: DTypeLike | None = None,
) -> Node:
    """base to the powers that `linspace` gives: num numbers at equal ratios, float64 by default."""
    powers = say("power", float(base), linspace(start, stop, num, endpoint=endpoint))
    return to_node_dtype(powers, float64 if dtype is None else to_dtype(dtype))


@word
def geomspace(
    start: float, stop: float, num: SizeLike = 50, endpoint: bool = True,
    dtype: DTypeLike | None = None,
) -> Node:  # fmt: skip
    """num numbers at equal ratios from start to stop, which have one sign; float64 by default.

    GraphError where one is 0 or their signs differ.
    """
    check_numbers("geomspace", start, stop)
    if not start * stop > 0:
        raise GraphError(f"geomspace: {start} and {stop} must have one sign, and not be 0")
    sign = math.copysign(1.0, start)
    ends = (math.log(abs(start)), math.log(abs(stop)))
    points = sign * say("exp", linspace(*ends, num, endpoint=endpoint))
    place = apply("iota", shape=points.shape, axis=0, dtype=int64)
    points = say("where", place == 0, float(start), points)  # the ends exactly, not to a rounding
    if endpoint and points.shape[0] not in (0, 1):
        last = place == size_value(points.shape[0] - 1, int64)
        points = say("where", last, float(stop), points)
    return to_node_dtype(points, float64 if dtype is None else to_dtype(dtype))


@word
def eye(
    n_rows: SizeLike, n_cols: SizeLike | None = None, k: int = 0, dtype: DTypeLike = float64
) -> Node:
    """A matrix with ones on its k-th diagonal above the main one, else zeros; square by default."""
    rows = to_size(n_rows, "eye")
    shape = (rows, rows if n_cols is None else to_size(n_cols, "eye"))
    row, column = positions(shape)
    right = to_offset(k, "eye")
    return to_node_dtype(column == (row + right if right else row), to_dtype(dtype))
