"""Polynomials by their coefficients, the highest power first."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node, describe, word
from graphc.lang.creation import ones_like, zeros_like
from graphc.lang.cumulative import cumulative_prod
from graphc.lang.movement import concat, expand_dims, flip
from graphc.lang.operands import ArrayLike, as_node, broadcast_node, same_dtype
from graphc.lang.sizes import SizeLike, to_size


@word
def polyval(p: ArrayLike, x: ArrayLike, /) -> Node:
    """The polynomial with coefficients p, the highest power first, at each x, by Horner's rule.

    GraphError unless p is a vector whose length is a number.
    """
    coefficients, node = same_dtype(p, x)
    if coefficients.ndim != 1 or not isinstance(coefficients.shape[0], int):
        raise GraphError(f"polyval: p must be a vector of known length{describe([coefficients])}")
    value = zeros_like(node)
    for coefficient in coefficients:
        value = value * node + coefficient
    return value


@word
def vander(x: ArrayLike, /, n: SizeLike | None = None, increasing: bool = False) -> Node:
    """The matrix whose columns are the powers of a vector from n - 1 down to 0, or upwards.

    n defaults to the vector's length. GraphError for an array that is not a vector.
    """
    node = as_node(x)
    if node.ndim != 1:
        raise GraphError(f"vander: takes a vector{describe([node])}")
    count = node.shape[0] if n is None else to_size(n, "vander: n")
    column = expand_dims(node, 1)
    factors = broadcast_node(column, (node.shape[0], count))
    first = ones_like(factors[:, :1])
    factors = concat([first, factors[:, 1:]], axis=1)
    powers = cumulative_prod(factors, axis=1, dtype=factors.dtype)
    return powers if increasing else flip(powers, axis=1)
