"""Decompositions into triangular and orthogonal matrices."""

from __future__ import annotations

from typing import NamedTuple

from graphc.errors import GraphError
from graphc.ir.dim import minimum
from graphc.ir.node import Node, apply
from graphc.ir.types import int64
from graphc.lang.creation import eye
from graphc.lang.movement import concat, matrix_transpose
from graphc.lang.operands import ArrayLike, to_node_dtype
from graphc.lang.triangles import tril, triu
from graphc.linalg.arguments import matrices, results, square
from graphc.ops.spectra import columns


class QRResult(NamedTuple):
    """Q with orthonormal columns, and the upper triangular R."""

    Q: Node
    R: Node


def cholesky(x: ArrayLike, /, *, upper: bool = False) -> Node:
    """The lower triangular L with x = L L^T and a positive diagonal, or U = L^T if `upper`.

    x is (..., n, n) and symmetric; of one that is not, the symmetric part (x + x^T) / 2 is meant,
    in the gradient too. A matrix that is not positive definite or not finite gives NaN in all of
    L. GraphError unless x is square.
    """
    root = apply("cholesky", square(x, "cholesky"))
    return root if upper else matrix_transpose(root)


def qr(x: ArrayLike, /, *, mode: str = "reduced") -> QRResult:
    """Q with orthonormal columns and upper triangular R, with x = Q R; x is (..., m, n).

    Q is (..., m, k) and R (..., k, n): k is min(m, n) in mode "reduced" and m in mode "complete".
    Signs are as in LAPACK: the diagonal of R may be negative. There are derivatives where the first
    k columns of x are independent; not of "complete" where m > n, nor where the order of symbolic
    sizes is not known (GraphError).
    """
    node = matrices(x, "qr")
    if mode not in ("reduced", "complete"):
        raise GraphError(f"qr: mode is 'reduced' or 'complete', not {mode!r}")
    m, n = node.shape[-2:]
    if minimum(m, n) != m or m == n:
        return QRResult(*results("qr", node, complete=mode == "complete"))
    # The columns beyond the square ones change R alone, so that derivatives are those of squares.
    q, first = results("qr", node[..., :m], complete=False)
    rest = apply("matmul", matrix_transpose(q), node[..., m:])
    return QRResult(q, concat([first, rest], axis=-1))


def lu(x: ArrayLike, /) -> tuple[Node, Node, Node]:
    """P, L and U with x = P L U: a permutation, unit lower and upper triangular; x is (..., m, n).

    L is (..., m, k) and U (..., k, n) with k = min(m, n). In each column the largest element is
    the pivot, so that no element of L is above 1. There are derivatives of square matrices that
    are not singular (GraphError for others than square ones).
    """
    node = matrices(x, "lu")
    packed, _, _, places = results("lu", node)
    m, n = node.shape[-2:]
    count = minimum(m, n)
    lower = tril(columns(packed, 0, count), k=-1) + eye(m, count, dtype=node.dtype)
    upper = matrix_transpose(columns(matrix_transpose(packed), 0, count))
    column = apply("iota", shape=(m, m), axis=1, dtype=int64)
    permutation = to_node_dtype(places[..., None] == column, node.dtype)
    return permutation, lower, triu(upper)


def lu_factor(x: ArrayLike, /) -> tuple[Node, Node]:
    """L and U in one matrix without the ones of L, and pivots: as `lu`, packed as in LAPACK.

    The pivots (..., k) say for each row in turn with which one it changed places.
    """
    packed, pivots, _, _ = results("lu", matrices(x, "lu_factor"))
    return packed, pivots
