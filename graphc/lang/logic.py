"""Words for logic, on bools alone, and for bits, on integers and bools."""

from __future__ import annotations

from graphc.ir.node import Node, apply, word
from graphc.lang.operands import ArrayLike, as_node, together


@word
def logical_and(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether both are true; GraphError unless both are bool."""
    return apply("logical_and", *together(x1, x2))


@word
def logical_or(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether either is true; GraphError unless both are bool."""
    return apply("logical_or", *together(x1, x2))


@word
def logical_xor(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Whether exactly one is true; GraphError unless both are bool."""
    return apply("logical_xor", *together(x1, x2))


@word
def logical_not(x: ArrayLike, /) -> Node:
    """Whether it is false; GraphError unless it is bool."""
    return apply("logical_not", as_node(x))


@word
def bitwise_and(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The bits set in both."""
    return apply("bitwise_and", *together(x1, x2))


@word
def bitwise_or(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The bits set in either."""
    return apply("bitwise_or", *together(x1, x2))


@word
def bitwise_xor(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The bits set in exactly one."""
    return apply("bitwise_xor", *together(x1, x2))


@word
def bitwise_invert(x: ArrayLike, /) -> Node:
    """The bits not set."""
    return apply("bitwise_invert", as_node(x))


@word
def bitwise_left_shift(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The bits of x1 moved up by x2; 0 where x2 is negative or not below the width."""
    return apply("bitwise_left_shift", *together(x1, x2))


@word
def bitwise_right_shift(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The bits of x1 moved down by x2, copies of the sign moving in."""
    return apply("bitwise_right_shift", *together(x1, x2))
