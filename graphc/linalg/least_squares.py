"""Pseudo-inverses, and systems that have no solution or many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from graphc.errors import GraphError
from graphc.ir.dim import maximum
from graphc.ir.node import Node, apply, describe
from graphc.ir.rules import Parts, Rules
from graphc.ir.types import int64
from graphc.lang.arithmetic import square
from graphc.lang.movement import expand_dims, matrix_transpose, squeeze
from graphc.lang.operands import ArrayLike, as_node, to_node_dtype
from graphc.lang.reduction import max, sum
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import size_value
from graphc.linalg.arguments import matrices, results, system


class LstsqResult(NamedTuple):
    """Solutions, sums of squares of what is left, ranks, and singular values."""

    x: Node
    residuals: Node
    rank: Node
    singular_values: Node


def pinv(x: ArrayLike, /, *, rtol: ArrayLike | None = None) -> Node:
    """The pseudo-inverses (..., n, m) of matrices (..., m, n), by singular values.

    Values up to rtol times the largest count as 0; rtol is max(m, n) times the spacing of floats
    at 1 unless it is given, one for all or (...). The derivative is that of matrices near by of
    the same rank (Golub and Pereyra, 1973).
    """
    a = matrices(x, "pinv")
    u, values, vh = (stop_gradient(part) for part in results("svd", a, full_matrices=False))
    large = values > cutoff(a, values, rtol)
    inverse = where(large, 1 / where(large, values, 1), 0)
    value = matrix_transpose(expand_dims(inverse, -1) * vh) @ matrix_transpose(u)
    return apply("custom_gradient", value, a, rules=PSEUDO_INVERSE, outputs=1, index=0)


def lstsq(a: ArrayLike, b: ArrayLike, /, *, rcond: ArrayLike | None = None) -> LstsqResult:
    """The shortest x that makes |a x - b| least, with the rest: squares, rank, singular values.

    a is (..., m, n), b is (m,) or (..., m, k), and leading axes broadcast. rcond is as rtol of
    `pinv`, of which the solution is the product. `residuals` holds for each column the sum of
    squares of a x - b, of any rank. GraphError where shapes do not fit.
    """
    left, right = system(a, b, "lstsq")
    columns = expand_dims(right, -1) if right.ndim == 1 else right
    solution = pinv(left, rtol=rcond) @ columns
    rest = sum(square(left @ solution - columns), axis=-2)
    values = results("svd", left, full_matrices=False)[1]
    rank = sum(to_node_dtype(values > cutoff(left, values, rcond), int64), axis=-1)
    if right.ndim == 1:
        solution, rest = squeeze(solution, -1), squeeze(rest, -1)
    return LstsqResult(solution, rest, rank, values)


def cutoff(x: Node, values: Node, rtol: ArrayLike | None) -> Node:
    """For each matrix the singular value up to which they count as 0, with an axis of size 1."""
    if rtol is None:
        size = size_value(maximum(*x.shape[-2:]), values.dtype)
        relative = size * values.dtype.epsilon
    else:
        relative = to_node_dtype(as_node(rtol, values.dtype), values.dtype)
        if relative.ndim > values.ndim - 1:
            raise GraphError(f"rtol must be a number, or one for each matrix{describe([relative])}")
        relative = expand_dims(relative, -1) if relative.ndim else relative
    if values.shape[-1] == 0:
        return relative
    return stop_gradient(relative * max(values, axis=-1, keepdims=True))


# --- derivatives ---------------------------------------------------------------------------------


def pull_back(inputs: Sequence[Node], outputs: Sequence[Node], gradients: Parts) -> Parts:
    """-P^T G P^T + (1 - A P) G^T P P^T + P^T P G^T (1 - P A)."""
    (a,), (p,), (gradient,) = inputs, outputs, gradients
    assert gradient is not None
    turned, g = matrix_transpose(p), matrix_transpose(gradient)
    left = g @ (p @ turned)
    right = (turned @ p) @ g
    rows, columns = left - a @ (p @ left), right - (right @ p) @ a
    return [rows + columns - turned @ gradient @ turned]


def push_forward(inputs: Sequence[Node], outputs: Sequence[Node], tangents: Parts) -> Parts:
    """-P D P + P P^T D^T (1 - A P) + (1 - P A) D^T P^T P."""
    (a,), (p,), (tangent,) = inputs, outputs, tangents
    assert tangent is not None
    turned, d = matrix_transpose(p), matrix_transpose(tangent)
    left = (p @ turned) @ d
    right = d @ (turned @ p)
    rows, columns = left - (left @ a) @ p, right - p @ (a @ right)
    return [rows + columns - p @ tangent @ p]


PSEUDO_INVERSE: Rules = Rules("pinv", pull_back, push_forward, lambda: PSEUDO_INVERSE)
