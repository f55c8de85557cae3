"""Words for common divisors and multiples of integers."""

from __future__ import annotations

import math

from graphc.errors import GraphError
from graphc.ir.node import Node, describe, word
from graphc.lang.arithmetic import abs, floor_divide, multiply, remainder
from graphc.lang.loops import fori_loop
from graphc.lang.operands import ArrayLike, as_node, together
from graphc.lang.selection import where


@word
def gcd(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The greatest common divisor of two integers, that of 0 and 0 being 0; GraphError for others.

    Euclid's algorithm, with as many steps as the dtype can need.
    """
    first, second = integers("gcd", x1, x2)
    # Neighbouring Fibonacci numbers need most steps; a further one is for a first one that is less.
    steps = 2 + math.ceil(first.dtype.bits * math.log(2, (1 + math.sqrt(5)) / 2))

    def step(_: Node, pair: tuple[Node, Node]) -> tuple[Node, Node]:
        larger, smaller = pair
        ended = smaller == 0
        return where(ended, larger, smaller), where(ended, 0, remainder(larger, smaller))

    return abs(fori_loop(0, steps, step, (first, second))[0])


@word
def lcm(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The least common multiple of two integers, 0 if either is 0; GraphError for others."""
    first, second = integers("lcm", x1, x2)
    return abs(multiply(floor_divide(first, gcd(first, second)), second))


def integers(what: str, x1: ArrayLike, x2: ArrayLike) -> tuple[Node, Node]:
    """Two operands promoted and broadcast; GraphError unless that makes integers of them."""
    first, second = together(x1, x2)
    if not first.dtype.is_integer:
        given = describe([as_node(x1), as_node(x2)])
        raise GraphError(f"{what}: takes integers, not {first.dtype.name}{given}")
    return first, second
