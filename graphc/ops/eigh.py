"""Eigenvalues and eigenvectors of symmetric matrices.

A matrix becomes tridiagonal by reflections from both sides, and diagonal by implicit QL steps
with Wilkinson's shift (Parlett, The symmetric eigenvalue problem, chapter 8; LAPACK's steqr).
Eigenvectors are rows while they are turned, so that a rotation of two walks memory evenly.
Derivatives: Giles, Collected matrix derivative results (2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.dim import Size, maximum
from graphc.ir.graph import items_of
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.node import Node, say
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType, TupleType, int64
from graphc.ops.matrices import (
    Factorization,
    added,
    batch_of,
    check_square,
    identity,
    stacked,
    symmetric,
    turned,
)
from graphc.ops.reflections import reflector
from graphc.ops.spectra import inverse_differences, largest_of, scale_of, sort_places
from graphc.ops.tridiagonal import solve_tridiagonal


@register
class Eigh(Factorization):
    """The eigenvalues of the operand's symmetric part in rising order, and its eigenvectors.

    Eigenvectors are orthonormal columns, and the largest element of each is positive. Matrices
    that are not finite give NaN, and so would one whose eigenvalues were not found within 30
    steps each.
    """

    name = "eigh"

    def infer(self, x: TensorType) -> TupleType:
        """Types (..., n) and (..., n, n) for matrices (..., n, n)."""
        check_square(x)
        return TupleType((TensorType(x.dtype, x.shape[:-1]), x))

    def scratch(self, node: Node) -> Sequence[TensorType]:
        """The matrix, reflectors and eigenvectors as rows; factors, products and diagonals."""
        x = node.inputs[0].tensor
        n, batch = x.shape[-1], batch_of(node)
        matrix, vector = (TensorType(x.dtype, shape) for shape in ((batch, n, n), (batch, n)))
        places = TensorType(int64, (batch, n))
        return [matrix, matrix, matrix, vector, vector, vector, vector, places]

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Scale, make tridiagonal, iterate, sort."""
        (x,) = map(stacked, kernel.operands)
        values, vectors = stacked(kernel.results[0], 1), stacked(kernel.results[1])
        a, v, z, factors, products, d, e, places = kernel.scratch
        n = a.shape[-1]
        with kernel.loop("parallel", batch_of(node)) as b:
            with kernel.nest("parallel", (n, n)) as (i, j):
                a[b, i, j] = 0.5 * x[b, i, j] + 0.5 * x[b, j, i]
            largest = largest_of(kernel, a, b)
            scale = scale_of(kernel, largest)
            with kernel.nest("parallel", (n, n)) as (i, j):
                a[b, i, j] = a[b, i, j] / scale
            make_tridiagonal(kernel, (a, v, factors, products), (d, e), b)
            accumulate(kernel, z, v, factors, b)
            found = solve_tridiagonal(kernel, d, e, z, b)
            good = kernel.let(found & (largest < float("inf")))
            with kernel.loop("parallel", n) as p:
                d[b, p] = scalar.where(good, d[b, p], 0.0)
            sort_places(kernel, d, places, b, lambda one, other: one < other)
            with kernel.loop("parallel", n) as p:
                at = kernel.bind(places[b, p])
                values[b, at] = scalar.where(good, d[b, p] * scale, float("nan"))
                write_column(kernel, z, vectors, (b, p), at, good)

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """V (diag(gradient of values) + F * (V^T gradient of V)) V^T, its symmetric part.

        F is 1 / (value j - value i), and 0 where rounding may have made the difference: then
        eigenvectors have no derivatives, and what depends on their space alone has the right one.
        """
        values, vectors = items_of(node)
        by_values, by_vectors = gradients
        parts = []
        if by_values is not None:
            parts.append(say("expand_dims", by_values, -1) * say("matrix_transpose", vectors))
        if by_vectors is not None:
            inner = inverse_differences(values) * say("matmul", turned(vectors), by_vectors)
            parts.append(say("matmul", inner, turned(vectors)))
        return [symmetric(say("matmul", vectors, added(parts)))]

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """The diagonal of M = V^T tangent V, and V (F * M); F as for reverse mode."""
        if tangents[0] is None:
            return [None, None]
        values, vectors = items_of(node)
        inner = say("matmul", turned(vectors), symmetric(tangents[0]))
        inner = say("matmul", inner, vectors)
        return [say("diagonal", inner), say("matmul", vectors, inverse_differences(values) * inner)]

    def reference(self, x: Any) -> Any:
        """numpy.linalg.eigh of the symmetric part."""
        finite = np.isfinite(x).all((-2, -1))
        clean = np.where(finite[..., None, None], x, 0)
        values, vectors = np.linalg.eigh(clean / 2 + np.swapaxes(clean, -1, -2) / 2)
        if x.shape[-1]:
            largest = np.argmax(np.abs(vectors), axis=-2)[..., None, :]
            vectors = vectors * np.sign(np.take_along_axis(vectors, largest, axis=-2))
        return (
            np.where(finite[..., None], values, np.nan),
            np.where(finite[..., None, None], vectors, np.nan),
        )


def make_tridiagonal(
    kernel: KernelWriter,
    arrays: tuple[Array, Array, Array, Array],
    diagonals: tuple[Array, Array],
    b: Size,
) -> None:
    """Reflections from both sides until only the diagonal and its neighbours are left.

    What is right of and below element c is A - v w^T - w v^T, with w = p - (factor/2 v.p) v and
    p = factor A v.
    """
    (a, v, factors, p), (d, e) = arrays, diagonals
    n = a.shape[-1]
    with kernel.loop("serial", maximum(n - 1, 0)) as c:
        first, length = c + 1, n - 1 - c
        with kernel.loop("parallel", length) as i:
            v[b, c, first + i] = a[b, c, first + i]
        d[b, c] = a[b, c, c]
        e[b, c] = reflector(kernel, v, factors, (b, c), first)
        factor = kernel.let(factors[b, c])
        with kernel.loop("parallel", length) as j:
            total = kernel.accumulator("sum", a.dtype)
            with kernel.loop("serial", length) as i:
                total.accumulate(v[b, c, first + i] * a[b, first + i, first + j])
            p[b, first + j] = total.value * factor
        along = kernel.accumulator("sum", a.dtype)
        with kernel.loop("serial", length) as i:
            along.accumulate(v[b, c, first + i] * p[b, first + i])
        half = kernel.let(-0.5 * factor * along.value)
        with kernel.loop("parallel", length) as i:
            p[b, first + i] = scalar.call("fma", half, v[b, c, first + i], p[b, first + i])
        with kernel.nest("parallel", (length, length)) as (i, j):
            at = (b, first + i, first + j)
            once = scalar.call("fma", -v[b, c, first + i], p[b, first + j], a[at])
            a[at] = scalar.call("fma", -p[b, first + i], v[b, c, first + j], once)
    with kernel.loop("serial", n - maximum(n - 1, 0)) as last:
        d[b, n - 1 + last] = a[b, n - 1 + last, n - 1 + last]


def accumulate(kernel: KernelWriter, z: Array, v: Array, factors: Array, b: Size) -> None:
    """The product of all reflections, the last one first, as z."""
    n = z.shape[-1]
    identity(kernel, z, b)
    with kernel.loop("serial", maximum(n - 1, 0)) as step:
        c = n - 2 - step
        first, length = c + 1, n - 1 - c
        factor = kernel.let(factors[b, c])
        with kernel.loop("parallel", length) as i:
            total = kernel.accumulator("sum", z.dtype)
            with kernel.loop("serial", length) as j:
                total.accumulate(z[b, first + i, first + j] * v[b, c, first + j])
            product = kernel.let(-factor * total.value)
            with kernel.loop("parallel", length) as j:
                at = (b, first + i, first + j)
                z[at] = scalar.call("fma", product, v[b, c, first + j], z[at])


def write_column(
    kernel: KernelWriter,
    z: Array,
    vectors: Array,
    row: tuple[Size, Size],
    column: Size,
    good: Scalar,
) -> None:
    """A row of z as a column of the result, its largest element positive; NaN unless good."""
    largest = kernel.accumulator("argmax", z.dtype)
    n = z.shape[-1]
    with kernel.loop("serial", n) as j:
        largest.accumulate(scalar.call("abs", z[*row, j]), j)
    at = kernel.bind(scalar.index(largest.index))
    sign = kernel.let(scalar.call("copysign", scalar.const(z.dtype, 1.0), z[*row, at]))
    with kernel.loop("parallel", n) as j:
        vectors[row[0], j, column] = scalar.where(good, z[*row, j] * sign, float("nan"))
