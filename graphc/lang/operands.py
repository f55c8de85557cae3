"""What operands become before an operator sees them: nodes of one dtype and one shape."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphError, TypeRuleError, cause, shown
from graphc.ir.dim import Size, product
from graphc.ir.literal import Literal
from graphc.ir.node import Node, apply, describe
from graphc.ir.size_proof import advice, are_equal
from graphc.ir.types import (
    DType,
    DTypeLike,
    as_dtype,
    bool_,
    complex64,
    complex128,
    float64,
    int64,
    promote,
    show_shape,
)

ArrayLike: TypeAlias = Any  # a Node, a NumPy array, nested lists, or a Python number
Scalars = (builtins.bool, int, float, complex)


def to_dtype(value: DTypeLike) -> DType:
    """The DType for a user's word for it; GraphError where there is none."""
    try:
        return as_dtype(value)
    except TypeRuleError as error:
        raise GraphError(str(error)) from None


def constant(value: Any, dtype: DTypeLike | None = None) -> Node:
    """A constant array as a node (dtype defaults to NumPy's choice for the value)."""
    return apply("constant", value=literal(value, dtype))


def literal(value: Any, dtype: DTypeLike | None = None) -> Literal:
    """An array-like as a value; GraphError where it is none, or does not become the dtype."""
    try:
        return Literal(value, None if dtype is None else to_dtype(dtype))
    except TypeRuleError:
        raise GraphError(f"{shown(value)} cannot be a constant: it does not hold numbers") from None
    except (ValueError, OverflowError) as error:
        raise GraphError(f"{shown(value)} cannot be a constant: {cause(error)}") from None


def as_node(value: ArrayLike, dtype: DType | None = None) -> Node:
    """A node as it is; anything else as a constant, a Python number in the given dtype."""
    if isinstance(value, Node):
        return value
    if isinstance(value, Scalars) and dtype is not None:
        return constant(value, dtype)
    return constant(value)


def weak_dtype(number: complex, dtype: DType) -> DType:
    """The dtype a Python number takes beside an operand: the operand's, if it can hold its kind.

    An int beside bool becomes int64, a float beside an integer or bool float64, a complex number
    beside a float the complex dtype that holds it, beside others complex128 (as in NumPy).
    """
    if isinstance(number, complex):
        return promote(dtype, complex64) if dtype.is_inexact else complex128
    if isinstance(number, builtins.bool) or dtype.is_inexact:
        return dtype
    if isinstance(number, float):
        return float64
    return int64 if dtype == bool_ else dtype


def same_dtype(*values: ArrayLike) -> tuple[Node, ...]:
    """Operands as nodes of their promoted dtype; Python numbers are weak."""
    strong = [v if isinstance(v, Node) else constant(v) for v in values
              if not isinstance(v, Scalars)]  # fmt: skip
    if not strong:
        strong = [constant(values[0])]
    dtype = strong[0].dtype
    for node in strong[1:]:
        dtype = promote(dtype, node.dtype)
    for value in values:
        if isinstance(value, Scalars):
            dtype = promote(dtype, weak_dtype(value, dtype))
    kept = iter(strong if any(not isinstance(v, Scalars) for v in values) else ())
    nodes = [as_node(v, dtype) if isinstance(v, Scalars) else next(kept) for v in values]
    return tuple(to_node_dtype(node, dtype) for node in nodes)


def to_node_dtype(node: Node, dtype: DType) -> Node:
    """The node converted to a dtype."""
    return node if node.dtype == dtype else apply("cast", node, dtype=dtype)


def to_float(value: ArrayLike) -> Node:
    """A node of a floating-point dtype, real or complex: others become float64, as in NumPy."""
    node = as_node(value)
    return node if node.dtype.is_inexact else to_node_dtype(node, float64)


def broadcast_shapes(shapes: Iterable[Sequence[Size]], nodes: Sequence[Node]) -> tuple[Size, ...]:
    """The shape that all shapes stretch to (sizes equal or 1), as NumPy's rule says."""
    given = [tuple(shape) for shape in shapes]
    rank = max((len(shape) for shape in given), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in given]
    result: list[Size] = []
    for axis, sizes in enumerate(zip(*padded, strict=True)):
        large = sorted({size for size in sizes if size != 1}, key=shortest_first)
        if not all(are_equal(large[0], size) for size in large[1:]):
            hint = advice(large[0], large[1])
            raise GraphError(
                f"shapes {' and '.join(map(show_shape, given))} do not broadcast: axis "
                f"{axis - rank} is {' in one and '.join(map(str, large))} "
                f"in the other; sizes must be equal or 1{hint}{describe(nodes)}"
            )
        result.append(large[0] if large else 1)
    return tuple(result)


def shortest_first(size: Size) -> tuple[int, str]:
    """The order in which one of several ways to write a size is chosen."""
    return (len(str(size)), str(size))


def broadcast_node(node: Node, shape: Sequence[Size]) -> Node:
    """The node stretched to a shape that its own broadcasts to."""
    shape = tuple(shape)
    offset = len(shape) - node.ndim
    node = agreeing(node, shape[offset:])
    if node.shape == shape:
        return node
    kept = [a for a, size in enumerate(node.shape) if size == shape[offset + a]]
    squeezed = reshape_node(node, tuple(node.shape[a] for a in kept))
    return apply("broadcast", squeezed, shape=shape, axes=tuple(offset + a for a in kept))


def agreeing(node: Node, shape: Sequence[Size]) -> Node:
    """The node with sizes written as in a shape of as many axes, where they are proved equal."""
    if len(shape) != node.ndim:
        return node
    pairs = zip(node.shape, shape, strict=True)
    target = tuple(new if are_equal(own, new) else own for own, new in pairs)
    return node if target == node.shape else apply("ensure_shape", node, shape=target)


def reshape_node(node: Node, shape: tuple[Size, ...]) -> Node:
    """The node with the same elements in another shape of the same size."""
    return node if node.shape == shape else apply("reshape", node, shape=shape)


def together(*values: ArrayLike) -> tuple[Node, ...]:
    """Operands as nodes of one dtype and one shape: promoted and broadcast."""
    nodes = same_dtype(*values)
    named = [v if isinstance(v, Node) else node for v, node in zip(values, nodes, strict=True)]
    shape = broadcast_shapes([node.shape for node in nodes], named)
    return tuple(broadcast_node(node, shape) for node in nodes)


def together_as_floats(*values: ArrayLike) -> tuple[Node, ...]:
    """Operands as nodes of one floating-point dtype and one shape; integers become float64."""
    return same_shape(*map(to_float, same_dtype(*values)))


def same_shape(*nodes: Node) -> tuple[Node, ...]:
    """Nodes stretched to their common shape."""
    shape = broadcast_shapes([node.shape for node in nodes], nodes)
    return tuple(broadcast_node(node, shape) for node in nodes)


def to_axis(axis: int, rank: int, what: str) -> int:
    """An axis counted from 0; GraphError unless -rank <= axis < rank."""
    if not isinstance(axis, int | np.integer) or isinstance(axis, builtins.bool):
        raise GraphError(f"{what}: axis must be an integer, not {axis!r}")
    if not -rank <= axis < rank:
        raise GraphError(f"{what}: axis {axis} is out of range for {rank} axes")
    return int(axis) % rank


def to_axes(axis: int | Sequence[int] | None, rank: int, what: str) -> tuple[int, ...]:
    """Axes counted from 0, sorted; None means all; GraphError for a repeated one."""
    if axis is None:
        return tuple(range(rank))
    given = axis if isinstance(axis, Sequence) else (axis,)
    axes = tuple(sorted(to_axis(a, rank, what) for a in given))
    if len(set(axes)) != len(axes):
        raise GraphError(f"{what}: axis {tuple(given)} names an axis twice")
    return axes


def along_axis(vector: Node, axis: int, rank: int) -> Node:
    """A vector as an array that broadcasts along one of `rank` axes, counted from 0."""
    return reshape_node(vector, (vector.size, *(1,) * (rank - axis - 1)))


def size_of(node: Node, axes: Sequence[int]) -> Size:
    """The number of elements along some axes."""
    return product(node.shape[a] for a in axes)
