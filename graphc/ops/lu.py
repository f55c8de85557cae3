"""Elimination with exchanges of rows: P A = L U."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir import scalar
from graphc.ir.dim import Size, minimum
from graphc.ir.graph import items_of
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.node import Node, apply, made_at, say
from graphc.ir.op import register
from graphc.ir.types import TensorType, TupleType, int64
from graphc.ops.matrices import (
    Factorization,
    Part,
    batch_of,
    check_matrices,
    each_block,
    solve_triangle,
    stacked,
    subtract_product,
    turned,
)

WIDTH = 16
"""Columns that are eliminated before the rest of the matrix hears of them."""


@register
class Lu(Factorization):
    """Elimination with partial pivoting of matrices (..., m, n).

    Results are L and U in one matrix (L without the ones on its diagonal); for each of the
    min(m, n) steps the row that its pivot came from; which row of the operand each row is; and
    where each row of the operand is. The pivot is the largest element of its column, the first one
    where several are. A column of zeros is left as it is: U has a 0 on its diagonal.
    """

    name = "lu"

    def infer(self, x: TensorType) -> TupleType:
        """The operand's type, then int64 (..., min(m, n)), and (..., m) twice."""
        check_matrices(x)
        *batch, m, n = x.shape
        pivots = TensorType(int64, (*batch, minimum(m, n)))
        rows = TensorType(int64, (*batch, m))
        return TupleType((x, pivots, rows, rows))

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Some columns, then what they change of the rest: right-looking, in blocks."""
        (x,) = map(stacked, kernel.operands)
        w = stacked(kernel.results[0])
        pivots, rows, places = (stacked(array, 1) for array in kernel.results[1:])
        _, m, n = x.shape
        with kernel.loop("parallel", batch_of(node)) as b:
            with kernel.nest("parallel", (m, n)) as (i, j):
                w[b, i, j] = x[b, i, j]
            with kernel.loop("parallel", m) as i:
                rows[b, i] = scalar.index(i)

            def write_block(first: Size, width: int) -> None:
                with kernel.loop("serial", width) as c:
                    exchange(kernel, (w, pivots, rows), b, first + c)
                    eliminate(kernel, w, b, (first, width, c))
                update(kernel, w, b, (first, width))

            each_block(kernel, minimum(m, n), write_block, WIDTH)
            with kernel.loop("parallel", m) as i:
                places[b, kernel.bind(rows[b, i])] = scalar.index(i)

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """P^T L^-T (tril(L^T gradient of L, -1) + triu(gradient of U U^T)) U^-T.

        For square matrices; GraphError for others.
        """
        if gradients[0] is None:
            return [None]
        check_differentiable(node)
        packed, _, rows, places = items_of(node)
        lower, upper = unpacked(packed)
        below = say("tril", gradients[0], k=-1)
        above = say("triu", gradients[0])
        inner = say("tril", say("matmul", turned(lower), below), k=-1)
        inner = inner + say("triu", say("matmul", above, turned(upper)))
        left = solve_triangle(packed, inner, lower=True, transpose=True, unit_diagonal=True)
        both = turned(solve_triangle(packed, turned(left), lower=False))
        return [apply("permute_rows", both, places, rows)]

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """L tril(M, -1) + triu(M) U with M = L^-1 P tangent U^-1, for square matrices."""
        if tangents[0] is None:
            return [None] * 4
        check_differentiable(node)
        packed, _, rows, places = items_of(node)
        lower, upper = unpacked(packed)
        moved = apply("permute_rows", tangents[0], rows, places)
        left = solve_triangle(packed, moved, lower=True, unit_diagonal=True)
        both = turned(solve_triangle(packed, turned(left), lower=False, transpose=True))
        parts = (
            say("matmul", lower, say("tril", both, k=-1)),
            say("matmul", say("triu", both), upper),
        )
        return [parts[0] + parts[1], None, None, None]

    def reference(self, x: Any) -> Any:
        """Gauss's elimination, a column at a time."""
        m, n = x.shape[-2:]
        w = np.array(x)
        pivots = np.zeros((*x.shape[:-2], min(m, n)), np.int64)
        rows = np.broadcast_to(np.arange(m), x.shape[:-1]).copy()
        for place in np.ndindex(x.shape[:-2]):
            for c in range(min(m, n)):
                at = c + int(np.argmax(np.abs(w[place][c:, c])))
                pivots[(*place, c)] = at
                w[place][[c, at]] = w[place][[at, c]]
                rows[place][[c, at]] = rows[place][[at, c]]
                if w[place][c, c] != 0:
                    w[place][c + 1 :, c] /= w[place][c, c]
                w[place][c + 1 :, c + 1 :] -= np.outer(w[place][c + 1 :, c], w[place][c, c + 1 :])
        return w, pivots, rows, np.argsort(rows, axis=-1)


# --- loops ---------------------------------------------------------------------------------------


def exchange(
    kernel: KernelWriter, arrays: tuple[Array, Array, Array], b: Size, column: Size
) -> None:
    """Find the largest element of a column, and bring its row up."""
    w, pivots, rows = arrays
    _, m, n = w.shape
    largest = kernel.accumulator("argmax", w.dtype)
    with kernel.loop("serial", m - column) as i:
        largest.accumulate(scalar.call("abs", w[b, column + i, column]), i)
    at = kernel.bind(scalar.index(column + largest.index))
    pivots[b, column] = scalar.index(at)
    with kernel.loop("parallel", n) as j:
        above = kernel.let(w[b, column, j])
        w[b, column, j] = w[b, at, j]
        w[b, at, j] = above
    here = kernel.let(rows[b, column])
    rows[b, column] = rows[b, at]
    rows[b, at] = here


def eliminate(kernel: KernelWriter, w: Array, b: Size, block: tuple[Size, int, Size]) -> None:
    """Divide the column below the pivot, and subtract its multiples from the block's others."""
    first, width, c = block
    column = first + c
    pivot = kernel.let(w[b, column, column])
    is_zero = kernel.let(scalar.call("equal", pivot, 0.0))
    with kernel.loop("parallel", w.shape[1] - column - 1) as i:
        row, old = column + 1 + i, w[b, column + 1 + i, column]
        factor = kernel.let(scalar.where(is_zero, old, old / pivot))
        w[b, row, column] = factor
        if width > 1:
            with kernel.loop("parallel", width - 1 - c) as j:
                at = column + 1 + j
                w[b, row, at] = w[b, row, at] - factor * w[b, column, at]


def update(kernel: KernelWriter, w: Array, b: Size, block: tuple[Size, int]) -> None:
    """What a block's columns change on their right: its own rows in order, then those below."""
    first, width = block
    after = first + width
    _, m, n = w.shape
    right = Part(w, lambda k, j: (b, first + k, after + j))
    if width > 1:
        with kernel.loop("serial", width) as r:
            subtract_product(
                kernel,
                (1, r, n - after),
                Part(w, lambda i, j: (b, first + r + i, after + j)),
                Part(w, lambda i, k: (b, first + r + i, first + k)),
                right,
            )
    subtract_product(
        kernel,
        (m - after, width, n - after),
        Part(w, lambda i, j: (b, after + i, after + j)),
        Part(w, lambda i, k: (b, after + i, first + k)),
        right,
    )


# --- in the language -----------------------------------------------------------------------------


def check_differentiable(node: Node) -> None:
    """GraphError unless the matrices are square."""
    x = node.inputs[0]
    if x.shape[-1] != x.shape[-2]:
        raise GraphError(
            f"lu: there are derivatives of square matrices only, this is {x.type}{made_at(x)}"
        )


def unpacked(packed: Node) -> tuple[Node, Node]:
    """L and U of square matrices."""
    ones = say("eye", packed.shape[-1], dtype=packed.dtype)
    return say("tril", packed, k=-1) + ones, say("triu", packed)
