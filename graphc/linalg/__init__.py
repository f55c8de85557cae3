"""Linear algebra: the Array API's extension, and what SciPy's users look for besides.

Everything works on the last two axes, for each place on the axes in front, in float32 and float64;
integers become float64. Nothing raises while a step runs: what has no value is NaN or infinite, as
each word says. Complex matrices are refused; there is no `eig` of matrices that are not symmetric.
"""

from graphc.lang.linear_algebra import (
    cross,
    kron,
    matmul,
    matrix_norm,
    outer,
    tensordot,
    vecdot,
    vector_norm,
)
from graphc.lang.movement import matrix_transpose
from graphc.lang.triangles import diagonal, trace
from graphc.linalg.determinants import det, matrix_rank, slogdet
from graphc.linalg.factorizations import cholesky, lu, lu_factor, qr
from graphc.linalg.functions import expm, matrix_power, multi_dot
from graphc.linalg.least_squares import lstsq, pinv
from graphc.linalg.solvers import cho_solve, inv, solve, solve_triangular
from graphc.linalg.spectral import eigh, eigvalsh, svd, svdvals

__all__ = [
    "cho_solve", "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "expm", "inv", "kron",
    "lstsq", "lu", "lu_factor", "matmul", "matrix_norm", "matrix_power", "matrix_rank",
    "matrix_transpose", "multi_dot", "outer", "pinv", "qr", "slogdet", "solve",
    "solve_triangular", "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip
