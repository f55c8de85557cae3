"""Words for choice, for conversion, and for stopping gradients."""

from __future__ import annotations

from graphc.ir.node import Node, apply, word
from graphc.ir.types import DTypeLike
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    same_dtype,
    same_shape,
    to_dtype,
    to_node_dtype,
)


@word
def where(condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """x1 where the bool condition holds, else x2; neither NaN nor gradient of the other passes."""
    return apply("where", *same_shape(as_node(condition), *same_dtype(x1, x2)))


@word
def cast(x: ArrayLike, dtype: DTypeLike, /) -> Node:
    """The array converted to a dtype; differentiable between floats."""
    return to_node_dtype(as_node(x), to_dtype(dtype))


@word
def astype(x: ArrayLike, dtype: DTypeLike, /) -> Node:
    """The Array API's name of `cast`."""
    return cast(x, dtype)


@word
def stop_gradient(x: ArrayLike, /) -> Node:
    """The array as it is, which differentiation takes for a constant."""
    return apply("stop_gradient", as_node(x))
