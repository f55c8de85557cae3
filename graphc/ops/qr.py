"""A = Q R by Householder's reflections.

Derivatives: Walter and Lehmann, Algorithmic differentiation of linear algebra functions (2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir import scalar
from graphc.ir.dim import is_nonnegative, minimum
from graphc.ir.graph import items_of
from graphc.ir.kernel_writer import KernelWriter
from graphc.ir.node import Node, made_at, say
from graphc.ir.op import register
from graphc.ir.types import TensorType, TupleType
from graphc.ops.matrices import (
    Factorization,
    added,
    batch_of,
    check_matrices,
    identity,
    solve_triangle,
    stacked,
    turned,
)
from graphc.ops.reflections import reflect, reflector


@register
class Qr(Factorization):
    """Q with orthonormal columns and an upper triangular R with Q R = the operand, (..., m, n).

    R has min(m, n) rows; with `complete` Q is square and R has m. The signs are those of the
    reflections, as in LAPACK: elements on the diagonal of R may be negative.
    """

    name = "qr"

    def infer(self, x: TensorType, *, complete: bool) -> TupleType:
        """The types of Q and R."""
        check_matrices(x)
        *batch, m, n = x.shape
        inner = m if complete else minimum(m, n)
        return TupleType(
            (TensorType(x.dtype, (*batch, m, inner)), TensorType(x.dtype, (*batch, inner, n)))
        )

    def scratch(self, node: Node) -> Sequence[TensorType]:
        """The matrix that becomes R, the reflectors as rows, their factors, and products."""
        *_, m, n = node.inputs[0].shape
        batch, dtype, count = batch_of(node), node.inputs[0].dtype, minimum(m, n)
        shapes = ((batch, m, n), (batch, count, m), (batch, count), (batch, m + n))
        return [TensorType(dtype, shape) for shape in shapes]

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """A reflection for each column; then Q, from the last reflection to the first."""
        (x,), (q, r) = map(stacked, kernel.operands), map(stacked, kernel.results)
        w, v, factors, products = kernel.scratch
        _, m, n = w.shape
        count = v.shape[1]
        with kernel.loop("parallel", batch_of(node)) as b:
            with kernel.nest("parallel", (m, n)) as (i, j):
                w[b, i, j] = x[b, i, j]
            with kernel.loop("serial", count) as c:
                with kernel.loop("parallel", m - c) as i:
                    v[b, c, c + i] = w[b, c + i, c]
                w[b, c, c] = reflector(kernel, v, factors, (b, c), c)
                reflect(kernel, w, v, factors, products, (b, c), (c, c + 1))
            with kernel.nest("parallel", r.shape[1:]) as (i, j):
                upper = scalar.call("less_equal", scalar.index(i), scalar.index(j))
                r[b, i, j] = scalar.where(upper, w.where(upper, (b, i, j)), 0.0)
            identity(kernel, q, b)
            with kernel.loop("serial", count) as step:
                last = count - 1 - step
                reflect(kernel, q, v, factors, products, (b, last), (last, last))

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """The gradient of Q plus Q S, times R^-T.

        S is symmetric, with the lower triangle of R gradient of R^T - gradient of Q^T Q. GraphError
        unless m >= n and Q has n columns.
        """
        check_differentiable(node)
        (q, r), (by_q, by_r) = items_of(node), gradients
        parts = []
        if by_r is not None:
            parts.append(say("matmul", r, turned(by_r)))
        if by_q is not None:
            parts.append(-say("matmul", turned(by_q), q))
        inner = added(parts)
        both = say("tril", inner) + turned(say("tril", inner, k=-1))
        total = say("matmul", q, both)
        total = total if by_q is None else by_q + total
        return [turned(solve_triangle(r, turned(total), lower=False))]

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """Q W + (1 - Q Q^T) tangent R^-1, and (C - W) R, with C = Q^T tangent R^-1.

        W is antisymmetric, with the lower triangle of C. GraphError as for reverse mode.
        """
        if tangents[0] is None:
            return [None, None]
        check_differentiable(node)
        q, r = items_of(node)
        outward = turned(solve_triangle(r, turned(tangents[0]), lower=False, transpose=True))
        inner = say("matmul", turned(q), outward)
        lower = say("tril", inner, k=-1)
        turning = lower - turned(lower)
        by_q = outward + say("matmul", q, turning - inner)
        return [by_q, say("matmul", inner - turning, r)]

    def reference(self, x: Any, *, complete: bool) -> Any:
        """numpy.linalg.qr."""
        return tuple(np.linalg.qr(x, "complete" if complete else "reduced"))


def check_differentiable(node: Node) -> None:
    """GraphError unless Q is as large as the operand, which then has no more columns than rows."""
    x = node.inputs[0]
    m, n = x.shape[-2:]
    square = m == n
    if not (is_nonnegative(m - n) and (square or not node.attrs["complete"])):
        raise GraphError(
            "qr: derivatives need as many rows as columns or more, and without `complete` if "
            f"more; this is {x.type}{made_at(x)}"
        )
