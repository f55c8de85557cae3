"""Determinants and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from graphc.ir.node import Node, apply
from graphc.ir.rules import Parts, Rules
from graphc.ir.types import int64
from graphc.lang.arithmetic import abs, sign
from graphc.lang.creation import eye
from graphc.lang.exponential import log
from graphc.lang.movement import expand_dims, matrix_transpose
from graphc.lang.operands import ArrayLike, broadcast_node, to_node_dtype
from graphc.lang.reduction import max, prod, sum
from graphc.lang.selection import stop_gradient, where
from graphc.lang.triangles import diagonal
from graphc.linalg.arguments import matrices, results, square
from graphc.linalg.least_squares import cutoff
from graphc.linalg.solvers import factors, inverse, substituted
from graphc.linalg.spectral import svdvals


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its absolute value."""

    sign: Node
    logabsdet: Node


def det(x: ArrayLike, /) -> Node:
    """The determinants of matrices (..., n, n); 1 of empty ones.

    The gradient, the matrix of cofactors, is right of singular matrices too: a pivot of 0 counts
    as a rounding error there. Second derivatives are those of matrices that are not singular.
    """
    a = square(x, "det")
    packed, pivots, _, _ = results("lu", a)
    pivot = stop_gradient(diagonal(packed))
    value = parity(pivots, a) * prod(pivot, axis=-1)
    return apply("custom_gradient", value, a, rules=DETERMINANT, outputs=1, index=0)


def slogdet(x: ArrayLike, /) -> SlogdetResult:
    """The signs of determinants and the logarithms of their absolute values.

    Of a singular matrix they are 0 and -inf. The gradient of the logarithm is the transposed
    inverse; the sign has none.
    """
    a = square(x, "slogdet")
    packed, pivots, _, _ = results("lu", a)
    pivot = stop_gradient(diagonal(packed))
    signs = parity(pivots, a) * prod(sign(pivot), axis=-1)
    size = sum(log(abs(pivot)), axis=-1)
    return SlogdetResult(
        signs, apply("custom_gradient", size, a, rules=LOGARITHM, outputs=1, index=0)
    )


def matrix_rank(x: ArrayLike, /, *, rtol: ArrayLike | None = None) -> Node:
    """How many singular values are above rtol times the largest one, as int64.

    rtol is max(m, n) times the spacing of floats at 1 unless it is given, one for all or (...).
    """
    a = matrices(x, "matrix_rank")
    values = svdvals(a)
    return sum(to_node_dtype(values > cutoff(a, values, rtol), int64), axis=-1)


def parity(pivots: Node, a: Node) -> Node:
    """1 or -1: whether the exchanges of rows are even or odd in number."""
    own = apply("iota", shape=pivots.shape[-1:], axis=0, dtype=int64)
    return prod(1 - 2 * to_node_dtype(pivots != own, a.dtype), axis=-1)


# --- derivatives ---------------------------------------------------------------------------------


def cofactors(a: Node) -> Node:
    """det A times A^-T, the gradient of the determinant, of singular matrices too.

    Where a pivot is 0 it is taken for the rounding error that it might have been, which changes
    the result by as little.
    """
    packed, rows, places = factors(a)
    pivots = results("lu", a)[1]
    pivot = diagonal(packed)
    size = max(abs(pivot), axis=-1, keepdims=True) if a.shape[-1] != 0 else pivot
    least = a.dtype.epsilon * where(size == 0, 1, size)
    nonzero = where(pivot == 0, least, pivot)
    unit = eye(a.shape[-1], dtype=a.dtype)
    mended = packed + unit * expand_dims(nonzero - pivot, -1)
    right = broadcast_node(unit, a.shape)
    turned = substituted([mended, rows, places], right, transpose=True)
    size = parity(pivots, a) * prod(nonzero, axis=-1)
    value = spread(size) * turned
    return apply("custom_gradient", stop_gradient(value), a, rules=COFACTORS, outputs=1, index=0)


def spread(x: Node) -> Node:
    """A number for each matrix as a factor of its elements."""
    return expand_dims(x, (-2, -1))


def weighted(x: Node, y: Node) -> Node:
    """The sum of the products of the elements of matrices."""
    return sum(x * y, axis=(-2, -1))


def inverse_transposed(a: Node) -> Node:
    """A^-T."""
    return matrix_transpose(inverse(a, factors(a)))


def pull_det(inputs: Sequence[Node], outputs: Sequence[Node], gradients: Parts) -> Parts:
    """The gradient times the cofactors."""
    (gradient,) = gradients
    assert gradient is not None
    return [spread(gradient) * cofactors(inputs[0])]


def push_det(inputs: Sequence[Node], outputs: Sequence[Node], tangents: Parts) -> Parts:
    """The tangent weighted by the cofactors."""
    (tangent,) = tangents
    assert tangent is not None
    return [weighted(cofactors(inputs[0]), tangent)]


def pull_logarithm(inputs: Sequence[Node], outputs: Sequence[Node], gradients: Parts) -> Parts:
    """The gradient times A^-T."""
    (gradient,) = gradients
    assert gradient is not None
    return [spread(gradient) * inverse_transposed(inputs[0])]


def push_logarithm(inputs: Sequence[Node], outputs: Sequence[Node], tangents: Parts) -> Parts:
    """The tangent weighted by A^-T."""
    (tangent,) = tangents
    assert tangent is not None
    return [weighted(inverse_transposed(inputs[0]), tangent)]


def pull_cofactors(inputs: Sequence[Node], outputs: Sequence[Node], gradients: Parts) -> Parts:
    """With C = det A W and W = A^-T: W times the gradient's part in C, less W gradient^T C."""
    (cofactor,), (gradient,) = outputs, gradients
    assert gradient is not None
    w = inverse_transposed(inputs[0])
    product = matrix_transpose(gradient) @ cofactor
    return [spread(weighted(gradient, cofactor)) * w - w @ product]


def push_cofactors(inputs: Sequence[Node], outputs: Sequence[Node], tangents: Parts) -> Parts:
    """C times the tangent's part in W, less C tangent^T W."""
    (cofactor,), (tangent,) = outputs, tangents
    assert tangent is not None
    w = inverse_transposed(inputs[0])
    product = matrix_transpose(tangent) @ w
    return [spread(weighted(w, tangent)) * cofactor - cofactor @ product]


DETERMINANT: Rules = Rules("det", pull_det, push_det, lambda: DETERMINANT)
LOGARITHM: Rules = Rules("logabsdet", pull_logarithm, push_logarithm, lambda: LOGARITHM)
COFACTORS: Rules = Rules("cofactors", pull_cofactors, push_cofactors, lambda: COFACTORS)
