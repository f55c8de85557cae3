"""Eigenvalues of symmetric matrices, and singular values."""

from __future__ import annotations

from typing import NamedTuple

from graphc.ir.node import Node
from graphc.lang.operands import ArrayLike
from graphc.linalg.arguments import matrices, results, square


class EighResult(NamedTuple):
    """Eigenvalues in rising order, and eigenvectors as columns."""

    eigenvalues: Node
    eigenvectors: Node


class SVDResult(NamedTuple):
    """Left singular vectors as columns, values in falling order, right vectors as rows."""

    U: Node
    S: Node
    Vh: Node


def eigh(x: ArrayLike, /) -> EighResult:
    """Eigenvalues in rising order and orthonormal eigenvectors of symmetric matrices (..., n, n).

    Of a matrix that is not symmetric, the symmetric part (x + x^T) / 2 is meant, in gradients too.
    The largest element of each eigenvector is positive. A matrix that is not finite gives NaN.

    Eigenvectors of equal eigenvalues are any basis of their space: they have no derivatives, and
    what is passed back through their differences is 0. What depends on the space alone, and
    symmetric functions of eigenvalues, have the right gradients; not so matrices that are made of
    both, such as V exp(W) V^T, where eigenvalues are equal. GraphError unless x is square.
    """
    return EighResult(*results("eigh", square(x, "eigh")))


def eigvalsh(x: ArrayLike, /) -> Node:
    """The eigenvalues (..., n) of symmetric matrices in rising order; see `eigh`."""
    return results("eigh", square(x, "eigvalsh"))[0]


def svd(x: ArrayLike, /, *, full_matrices: bool = True) -> SVDResult:
    """U, S and Vh with x = U diag(S) Vh: orthonormal columns, falling values, orthonormal rows.

    x is (..., m, n). With `full_matrices` U and Vh are square, else U has min(m, n) columns and Vh
    as many rows. Small values are as exact as large ones, where scaling of rows or columns does
    not make them so ill-conditioned. A matrix that is not finite gives NaN.

    Vectors of equal values have no derivatives, see `eigh`; what depends on their spaces alone,
    such as U Vh, has the right gradient. The same holds of values that are 0, whose vectors count
    as constant, and of the columns that only make U or Vh square.
    """
    return SVDResult(*results("svd", matrices(x, "svd"), full_matrices=full_matrices))


def svdvals(x: ArrayLike, /) -> Node:
    """The singular values (..., min(m, n)) of matrices in falling order; see `svd`."""
    return results("svd", matrices(x, "svdvals"), full_matrices=False)[1]
