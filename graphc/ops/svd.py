"""Singular values and vectors by one-sided Jacobi rotations.

Rows are turned in pairs until all are orthogonal; their lengths then are the singular values, small
ones as exact as large ones (Demmel and Veselic, Jacobi's method is more accurate than QR, 1992).
The rows are those of the matrix or of its transpose, whichever has fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir import scalar
from graphc.ir.dim import Size, maximum, minimum
from graphc.ir.graph import items_of
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.node import Node
from graphc.ir.op import register
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType, TupleType, int64
from graphc.ops.jacobi import complete, normalise, orthogonalise
from graphc.ops.matrices import Factorization, batch_of, check_matrices, identity, stacked, turned
from graphc.ops.spectra import largest_of, scale_of, sort_places
from graphc.ops.svd_derivatives import pull_back_svd, push_forward_svd


@register
class Svd(Factorization):
    """U, the singular values in falling order, and V^T, whose product is the operand (..., m, n).

    U has min(m, n) orthonormal columns and V^T as many rows; with `full_matrices` both are square.
    Matrices that are not finite give NaN, and so would one whose rows were not orthogonal after 30
    sweeps.
    """

    name = "svd"

    def infer(self, x: TensorType, *, full_matrices: bool) -> TupleType:
        """The types of U, of the singular values and of V^T."""
        check_matrices(x)
        *batch, m, n = x.shape
        count = minimum(m, n)
        rows, columns = (n, m) if full_matrices else (count, count)
        shapes = ((*batch, m, columns), (*batch, count), (*batch, rows, n))
        return TupleType(tuple(TensorType(x.dtype, shape) for shape in shapes))

    def scratch(self, node: Node) -> Sequence[TensorType]:
        """The rows, the rotations, the lengths of rows, how much is in columns, and the order."""
        x = node.inputs[0].tensor
        count, length = minimum(*x.shape[-2:]), maximum(*x.shape[-2:])
        rows, batch = length if node.attrs["full_matrices"] else count, batch_of(node)
        shapes = ((rows, length), (count, count), (rows,), (length,))
        floats = [TensorType(x.dtype, (batch, *shape)) for shape in shapes]
        return [*floats, TensorType(int64, (batch, rows))]

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Scale, turn rows until they are orthogonal, complete them, sort."""
        (x,) = map(stacked, kernel.operands)
        w, turns, lengths, filled, places = kernel.scratch
        (_, m, n), (_, count, _) = x.shape, turns.shape
        with kernel.loop("parallel", batch_of(node)) as b:
            tall = kernel.bind(scalar.cast(scalar.index(m) >= scalar.index(n), int64))
            largest = largest_of(kernel, x, b)
            scale = scale_of(kernel, largest)
            cells = x.reshape(x.shape[0], m * n)
            with kernel.nest("parallel", (count, w.shape[-1])) as (p, i):
                place = tall * (i * n + p) + (1 - tall) * (p * n + i)
                w[b, p, i] = cells[b, place] / scale
            identity(kernel, turns, b)
            done = orthogonalise(kernel, w, turns, b)
            good = kernel.let(done & (largest < float("inf")))
            normalise(kernel, w, lengths, (b, count), good)
            complete(kernel, w, lengths, filled, b)
            sort_places(kernel, lengths, places, b, lambda one, other: one > other)
            write_results(kernel, (tall, count), b, good, scale)

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """See `pull_back_svd`."""
        u, values, vt = items_of(node)
        by_u, by_values, by_vt = gradients
        by_v = None if by_vt is None else turned(by_vt)
        return [pull_back_svd(u, values, turned(vt), (by_u, by_values, by_v))]

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """See `push_forward_svd`."""
        if tangents[0] is None:
            return [None, None, None]
        u, values, vt = items_of(node)
        by_u, by_values, by_v = push_forward_svd(u, values, turned(vt), tangents[0])
        return [by_u, by_values, turned(by_v)]

    def reference(self, x: Any, *, full_matrices: bool) -> Any:
        """numpy.linalg.svd."""
        finite = np.isfinite(x).all((-2, -1))
        clean = np.where(finite[..., None, None], x, 0)
        u, values, vt = np.linalg.svd(clean, full_matrices)
        whole = finite[..., None, None]
        return (
            np.where(whole, u, np.nan),
            np.where(finite[..., None], values, np.nan),
            np.where(whole, vt, np.nan),
        )


def write_results(
    kernel: KernelWriter, shape: tuple[Size, Size], b: Size, good: Scalar, scale: Scalar
) -> None:
    """Rows to where their lengths say: those of w to the one side, the rotations to the other."""
    tall, count = shape
    w, turns, lengths, _, places = kernel.scratch
    u, vt, values = *map(stacked, kernel.results[::2]), stacked(kernel.results[1], 1)
    with kernel.loop("parallel", count) as p:
        at = kernel.bind(places[b, p])
        values[b, at] = scalar.where(good, lengths[b, p] * scale, float("nan"))
    with kernel.loop("serial", tall):
        write_vectors(kernel, u, (w, places), b, good, as_columns=True)
        write_vectors(kernel, vt, (turns, places), b, good, as_columns=False)
    with kernel.loop("serial", 1 - tall):
        write_vectors(kernel, u, (turns, places), b, good, as_columns=True)
        write_vectors(kernel, vt, (w, places), b, good, as_columns=False)


def write_vectors(
    kernel: KernelWriter,
    result: Array,
    given: tuple[Array, Array],
    b: Size,
    good: Scalar,
    as_columns: bool,
) -> None:
    """Rows as rows or columns of a result in the order of their places; NaN unless good."""
    x, places = given
    with kernel.loop("serial", x.shape[1]) as p:
        at = kernel.bind(places[b, p])
        with kernel.loop("parallel", x.shape[2]) as i:
            index = (b, i, at) if as_columns else (b, at, i)
            result[index] = scalar.where(good, x[b, p, i], float("nan"))
