"""Powers, exponentials and long products of matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from graphc.errors import GraphError, shown
from graphc.ir.node import Node, describe
from graphc.ir.types import float32
from graphc.lang.arithmetic import abs, clip, power
from graphc.lang.creation import eye
from graphc.lang.exponential import log2
from graphc.lang.linear_algebra import matmul
from graphc.lang.loops import fori_loop
from graphc.lang.movement import expand_dims
from graphc.lang.operands import ArrayLike, as_node, broadcast_node, same_dtype
from graphc.lang.reduction import max, sum
from graphc.lang.rounding import ceil
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import is_integer
from graphc.linalg.arguments import square
from graphc.linalg.solvers import inv, solve

Range: TypeAlias = tuple[int, int]
"""The first and the last of some factors."""

TYPICAL = 64  # a symbolic size counts as

PADE = {
    7: (17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1),
    13: (64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800,
         129060195264000, 10559470521600, 670442572800, 33522128640, 1323241920, 40840800,
         960960, 16380, 182, 1),
}  # fmt: skip
"""Coefficients of the numerators of Padé's approximants of exp, by degree."""
LARGEST = {7: 3.925724783138660, 13: 5.371920351148152}
"""The norm up to which an approximant is as exact as its dtype: float32, float64."""
SQUARINGS = 16


def matrix_power(x: ArrayLike, n: int, /) -> Node:
    """The n-th powers of matrices (..., m, m), by repeated squaring; of the inverses if n < 0.

    The dtype stays, but negative powers of integers are float64. GraphError unless x is square
    and n an integer.
    """
    if not is_integer(n):
        raise GraphError(f"matrix_power: n must be an integer, not {shown(n)}")
    node = as_node(x)
    if node.ndim < 2 or node.shape[-1] != node.shape[-2]:
        raise GraphError(
            f"matrix_power: takes square matrices (..., n, n), this is {node.type}"
            f"{describe([node])}"
        )
    if n < 0:
        return matrix_power(inv(node), -n)
    result: Node | None = None
    while n:
        if n & 1:
            result = node if result is None else matmul(result, node)
        n >>= 1
        node = matmul(node, node) if n else node
    unit = eye(node.shape[-1], dtype=node.dtype)
    return broadcast_node(unit, node.shape) if result is None else result


def expm(a: ArrayLike, /) -> Node:
    """The exponentials of matrices (..., n, n).

    Each is scaled by a power of 2 until Padé's approximant of degree 7 (float32) or 13 (float64) is
    exact, and squared as often: Higham, The scaling and squaring method revisited (2005). Matrices
    whose norm is above 2**16 times 4 or 5 give what 16 squarings make of them; one that is not
    finite gives NaN. GraphError unless a is square.
    """
    x = square(a, "expm")
    degree = 7 if x.dtype == float32 else 13
    times = squarings(x, LARGEST[degree])
    scaled = x * expand_dims(power(2.0, -times), (-2, -1))
    first = approximant(scaled, PADE[degree])
    start = expand_dims(SQUARINGS - times, (-2, -1))
    # The first steps do nothing, not the last: what is not yet squared cannot overflow.

    def squared(k: Node, r: Node) -> Node:
        return where(start <= k, matmul(r, r), r)

    found: Node = fori_loop(0, SQUARINGS, squared, first)
    return found


def squarings(x: Node, largest: float) -> Node:
    """How often each matrix must be halved to have a 1-norm that is not too large, at most 16."""
    if x.shape[-1] == 0:
        return sum(x, axis=(-2, -1))
    norm = stop_gradient(max(sum(abs(x), axis=-2), axis=-1))
    times = ceil(log2(where(norm > largest, norm, largest) / largest))
    return clip(where(norm == norm, times, 0), 0, SQUARINGS)  # noqa: PLR0124 (NaN differs)


def approximant(x: Node, coefficients: Sequence[int]) -> Node:
    """Padé's approximant (V - U)^-1 (V + U), of even powers V and odd ones U."""
    unit = eye(x.shape[-1], dtype=x.dtype)
    squared = matmul(x, x)
    even, odd = coefficients[-2] * unit, coefficients[-1] * unit
    for k in range(len(coefficients) - 4, -1, -2):
        even = matmul(squared, even) + float(coefficients[k]) * unit
        odd = matmul(squared, odd) + float(coefficients[k + 1]) * unit
    u = matmul(x, odd)
    return solve(even - u, even + u)


def multi_dot(arrays: Sequence[ArrayLike], /) -> Node:
    """The product of two or more matrices in the order of the fewest multiplications.

    The first may be a row (n,) and the last a column. Symbolic sizes count as a few dozen.
    GraphError where one is no matrix.
    """
    given = list(arrays)
    if len(given) < 2:
        raise GraphError(f"multi_dot: needs two or more matrices, not {len(given)}")
    nodes = same_dtype(*given)
    for place, node in enumerate(nodes):
        if node.ndim != 2 and not (node.ndim == 1 and place in (0, len(nodes) - 1)):
            raise GraphError(
                f"multi_dot: takes matrices, the first and the last may be vectors{describe(nodes)}"
            )
    return product(nodes, best_splits(dimensions(nodes)))


def dimensions(nodes: Sequence[Node]) -> list[int]:
    """The rows of each factor, and the columns of the last; a vector has one of either."""
    rows = [1 if node is nodes[0] and node.ndim == 1 else node.shape[0] for node in nodes]
    sizes = [*rows, nodes[-1].shape[1] if nodes[-1].ndim == 2 else 1]
    return [size if isinstance(size, int) else TYPICAL for size in sizes]


def best_splits(sizes: Sequence[int]) -> dict[Range, int]:
    """For each range of factors the one after which to split it (Cormen et al., section 15.2)."""
    count = len(sizes) - 1
    costs = {(k, k): 0 for k in range(count)}
    splits: dict[Range, int] = {}
    for length in range(1, count):
        for low in range(count - length):
            high = low + length
            options = {
                k: costs[low, k] + costs[k + 1, high] + sizes[low] * sizes[k + 1] * sizes[high + 1]
                for k in range(low, high)
            }
            splits[low, high] = min(options, key=lambda k: options[k])
            costs[low, high] = options[splits[low, high]]
    return splits


def product(nodes: Sequence[Node], splits: Mapping[Range, int]) -> Node:
    """The product of all factors, split as is said for each range of them."""
    whole = (0, len(nodes) - 1)
    needed: list[Range] = []
    pending = [whole]
    while pending:
        low, high = pending.pop()
        if low < high:
            needed.append((low, high))
            split = splits[low, high]
            pending += [(low, split), (split + 1, high)]
    done = {(k, k): node for k, node in enumerate(nodes)}
    for low, high in reversed(needed):
        split = splits[low, high]
        done[low, high] = matmul(done[low, split], done[split + 1, high])
    return done[whole]
