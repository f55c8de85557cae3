"""Systems of equations whose matrix is triangular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir.dim import Size
from graphc.ir.kernel_writer import KernelWriter
from graphc.ir.node import Node, apply, say
from graphc.ir.op import register
from graphc.ir.types import TensorType, show_shape
from graphc.ops.matrices import (
    OfMatrices,
    Part,
    batch_of,
    check_matrices,
    check_square,
    each_block,
    stacked,
    subtract_product,
)


@register
class TriangularSolve(OfMatrices):
    """The X with T X = B for each pair of a batch, where T is a triangle of the first operand.

    T is the lower or the upper one, transposed or not, with ones on its diagonal or its own; what
    is on the other side is not read. Division by a 0 on the diagonal gives infinities or NaN.
    """

    name = "triangular_solve"

    def infer(
        self, t: TensorType, b: TensorType, *, lower: bool, transpose: bool, unit_diagonal: bool
    ) -> TensorType:
        """The type of the right-hand sides (..., n, k) for matrices (..., n, n)."""
        check_square(t)
        check_matrices(b)
        if t.dtype != b.dtype:
            raise TypeRuleError(f"operands differ in dtype: {t.dtype} and {b.dtype}")
        if t.shape[:-1] != b.shape[:-1]:
            raise TypeRuleError(
                f"matrices {show_shape(t.shape)} do not fit right-hand sides "
                f"{show_shape(b.shape)}: they must be (..., n, n) and (..., n, k)"
            )
        return b

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Block after block of rows, from the end where T has one element in a row."""
        (t, y), (x,) = map(stacked, kernel.operands), map(stacked, kernel.results)
        attrs, (n, columns) = node.attrs, node.shape[-2:]
        forward = attrs["lower"] != attrs["transpose"]

        def at(row: Size) -> Size:
            return row if forward else n - 1 - row

        with kernel.loop("parallel", batch_of(node)) as b:
            factors = Part(
                t, lambda i, k: (b, at(k), at(i)) if attrs["transpose"] else (b, at(i), at(k))
            )
            result = Part(x, lambda i, j: (b, at(i), j))
            with kernel.nest("parallel", (n, columns)) as (i, j):
                x[b, i, j] = y[b, i, j]
            each_block(kernel, n, lambda first, height: substitute_rows(
                kernel, (first, height), factors, result, attrs["unit_diagonal"]))  # fmt: skip

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """T^-T gradient by B; less its product with X^T, that triangle alone, by T."""
        attrs = node.attrs
        turned = {**attrs, "transpose": not attrs["transpose"]}
        by_right = apply(self.name, node.inputs[0], gradient, **turned)
        product = say("matmul", by_right, say("matrix_transpose", node))
        if attrs["transpose"]:
            product = say("matrix_transpose", product)
        return [-triangle(product, attrs["lower"], attrs["unit_diagonal"]), by_right]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """T^-1 (tangent of B - tangent of T times X)."""
        along, right = tangents
        if along is not None:
            part = triangle(along, node.attrs["lower"], node.attrs["unit_diagonal"])
            part = say("matrix_transpose", part) if node.attrs["transpose"] else part
            product = say("matmul", part, node)
            right = -product if right is None else right - product
        return None if right is None else apply(self.name, node.inputs[0], right, **node.attrs)

    def reference(
        self, t: Any, b: Any, *, lower: bool, transpose: bool, unit_diagonal: bool
    ) -> Any:
        """Substitution row by row."""
        t = np.swapaxes(t, -1, -2) if transpose else t
        n, forward = t.shape[-1], lower != transpose
        result = np.array(b)
        for step in range(n):
            row = step if forward else n - 1 - step
            known = slice(0, row) if forward else slice(row + 1, n)
            product = np.einsum("...k,...kj->...j", t[..., row, known], result[..., known, :])
            rest = result[..., row, :] - product
            result[..., row, :] = rest if unit_diagonal else rest / t[..., row, row, None]
        return result


def substitute_rows(
    kernel: KernelWriter, rows: tuple[Size, int], t: Part, x: Part, unit_diagonal: bool
) -> None:
    """Some rows of the result from those before, which are known; t is lower triangular."""
    first, height = rows
    columns = x.array.shape[-1]
    here = Part(x.array, lambda i, j: x.place(first + i, j))
    subtract_product(
        kernel,
        (height, first, columns),
        here,
        Part(t.array, lambda i, k: t.place(first + i, k)),
        x,
    )
    with kernel.loop("serial", height) as r:
        subtract_product(
            kernel,
            (1, r, columns),
            Part(x.array, lambda i, j: x.place(first + r + i, j)),
            Part(t.array, lambda i, k: t.place(first + r + i, first + k)),
            here,
        )
        if not unit_diagonal:
            pivot = kernel.let(t[first + r, first + r])
            with kernel.loop("parallel", columns) as j:
                here[r, j] = here[r, j] / pivot


def triangle(x: Node, lower: bool, unit_diagonal: bool) -> Node:
    """The triangle of each matrix that is read."""
    word, inner = ("tril", -1) if lower else ("triu", 1)
    found: Node = say(word, x, k=inner if unit_diagonal else 0)
    return found
