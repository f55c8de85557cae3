"""The triangular root of positive definite matrices.

Derivatives: Murray, Differentiation of the Cholesky decomposition (2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.node import Node, say
from graphc.ir.op import register
from graphc.ir.types import TensorType, bool_
from graphc.ops.matrices import (
    OfMatrices,
    Part,
    batch_of,
    check_square,
    each_block,
    solve_triangle,
    stacked,
    subtract_product,
    symmetric,
    turned,
)


@register
class Cholesky(OfMatrices):
    """The upper triangular U with a positive diagonal whose U^T U is the operand's symmetric part.

    All of it is NaN where there is none: where a matrix is not positive definite or not finite.
    """

    name = "cholesky"

    def infer(self, x: TensorType) -> TensorType:
        """The operand's type; it holds square matrices."""
        check_square(x)
        return x

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Block after block of rows: less the product of what is known, then row by row."""
        (x,), (u,) = map(stacked, kernel.operands), map(stacked, kernel.results)
        n = x.shape[-1]
        with kernel.loop("parallel", batch_of(node)) as b:
            with kernel.nest("parallel", (n, n)) as (i, j):
                u[b, i, j] = 0.5 * (x[b, i, j] + x[b, j, i])
            each_block(kernel, n, lambda first, height: write_block(kernel, u, b, first, height))
            finish(kernel, u, b)

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The symmetric part of L^-T P(L^T gradient of L) L^-1, where L = U^T.

        P is the lower triangle with half of the diagonal.
        """
        inner = halved(say("matmul", node, turned(gradient)), "tril")
        left = solve_triangle(node, inner, lower=False)
        return [symmetric(turned(solve_triangle(node, turned(left), lower=False)))]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """P(U^-T tangent U^-1) U, P the upper triangle with half its diagonal."""
        if tangents[0] is None:
            return None
        left = solve_triangle(node, symmetric(tangents[0]), lower=False, transpose=True)
        both = solve_triangle(node, turned(left), lower=False, transpose=True)
        return say("matmul", halved(both, "triu"), node)

    def reference(self, x: Any) -> Any:
        """numpy.linalg.cholesky of each matrix."""
        result = np.full_like(x, np.nan)
        for place in np.ndindex(x.shape[:-2]):
            try:
                lower = np.linalg.cholesky((x[place] + x[place].T) / 2)
            except np.linalg.LinAlgError:
                continue
            if np.isfinite(lower).all():
                result[place] = lower.T
        return result


def write_block(kernel: KernelWriter, u: Array, b: Size, first: Size, height: int) -> None:
    """Some rows of U from those above, which are known."""
    columns = u.shape[-1] - first
    subtract_product(
        kernel,
        (height, first, columns),
        Part(u, lambda i, j: (b, first + i, first + j)),
        Part(u, lambda i, k: (b, k, first + i)),
        Part(u, lambda k, j: (b, k, first + j)),
    )
    with kernel.loop("serial", height) as r:
        row = first + r
        subtract_product(
            kernel,
            (1, r, columns - r),
            Part(u, lambda i, j: (b, row + i, row + j)),
            Part(u, lambda i, k: (b, first + k, row + i)),
            Part(u, lambda k, j: (b, first + k, row + j)),
        )
        root = kernel.let(scalar.call("sqrt", u[b, row, row]))
        with kernel.loop("parallel", columns - r) as j:
            u[b, row, row + j] = u[b, row, row + j] / root


def finish(kernel: KernelWriter, u: Array, b: Size) -> None:
    """Zeros below the diagonal; NaN everywhere unless each element on it is positive and finite."""
    n = u.shape[-1]
    positive = kernel.accumulator("all", bool_)
    with kernel.loop("serial", n) as k:
        positive.accumulate((u[b, k, k] > 0.0) & (u[b, k, k] < float("inf")))
    good = kernel.let(positive.value)
    with kernel.nest("parallel", (n, n)) as (i, j):
        upper = scalar.call("less_equal", scalar.index(i), scalar.index(j))
        kept = scalar.where(upper, u[b, i, j], 0.0)
        u[b, i, j] = scalar.where(good, kept, float("nan"))


# --- derivatives ---------------------------------------------------------------------------------


def halved(x: Node, triangle: str) -> Node:
    """A triangle of each matrix, "tril" or "triu", with half of the diagonal."""
    inner = {"tril": -1, "triu": 1}[triangle]
    return 0.5 * (say(triangle, x) + say(triangle, x, k=inner))
