"""Words for rounding to integers: the dtype stays, integers stay as they are, derivatives are 0."""

from __future__ import annotations

from graphc.ir.node import Node, apply, word
from graphc.lang.operands import ArrayLike, as_node


def round_by(name: str, x: ArrayLike) -> Node:
    """A rounding operator applied; an integer is its own result."""
    node = as_node(x)
    return node if node.dtype.is_integer else apply(name, node)


@word
def floor(x: ArrayLike, /) -> Node:
    """The largest integer not above each element; derivative 0."""
    return round_by("floor", x)


@word
def ceil(x: ArrayLike, /) -> Node:
    """The smallest integer not below each element; derivative 0."""
    return round_by("ceil", x)


@word
def round(x: ArrayLike, /) -> Node:
    """The nearest integer to each element, the even one of two equally near; derivative 0."""
    return round_by("round", x)


@word
def trunc(x: ArrayLike, /) -> Node:
    """The nearest integer to each element towards 0; derivative 0."""
    return round_by("trunc", x)
