"""Products of matrices."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply
from graphc.ir.op import Op, Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import NUMBERS, TensorType, show_shape
from graphc.lang.linear_algebra import multiply_matrices
from graphc.lang.movement import matrix_transpose
from graphc.ops.batching import all_batched
from graphc.ops.complex_formulas import multiply
from graphc.ops.complex_parts import joined, parts
from graphc.ops.rules import accumulator, check_kind, widen


@register
class MatMul(Op):
    """The product of matrices [..., M, K] and [..., K, N], for each pair of a batch.

    float16 and bfloat16 are added up in float32 and rounded once.
    """

    name = "matmul"

    def infer(self, x: TensorType, y: TensorType) -> TensorType:
        """[..., M, N] in the common dtype; the batch sizes must be equal, and so must K."""
        check_kind(x.dtype, NUMBERS)
        if x.dtype != y.dtype:
            raise TypeRuleError(f"operands differ in dtype: {x.dtype} and {y.dtype}")
        if x.rank < 2 or x.shape[:-2] != y.shape[:-2] or x.shape[-1:] != y.shape[-2:-1]:
            raise TypeRuleError(
                f"shapes {show_shape(x.shape)} and {show_shape(y.shape)} do not multiply: "
                "they must be (..., m, k) and (..., k, n)"
            )
        return TensorType(x.dtype, (*x.shape[:-1], y.shape[-1]))

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The sum over k of x[..., i, k] * y[..., k, j]."""
        *batch, i, j = index
        k = read.variable(node.inputs[0].shape[-1])
        dtype = accumulator(node.dtype)
        left, right = read(0, [*batch, i, k]), read(1, [*batch, k, j])
        body = scalar.cast(left, dtype) * scalar.cast(right, dtype)
        return scalar.cast(scalar.Reduce(dtype, "sum", (k,), body), node.dtype)

    def split(self, node: Node) -> Node:
        """The four products of parts; two where a matrix is real."""
        x, y = map(parts, node.inputs)
        return joined(multiply(x, y, lambda left, right: apply("matmul", left, right)))

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The gradient times the other operand, transposed."""
        x, y = node.inputs
        return [
            apply("matmul", gradient, matrix_transpose(y)),
            apply("matmul", matrix_transpose(x), gradient),
        ]

    def jvp(self, node: Node, tangents: Sequence[Node | None]) -> Node | None:
        """Each tangent times the other operand, added."""
        (x, y), (dx, dy) = node.inputs, tangents
        parts = [] if dx is None else [apply("matmul", dx, y)]
        parts += [] if dy is None else [apply("matmul", x, dy)]
        return functools.reduce(operator.add, parts) if parts else None

    def batch(self, node: Node, operands: Sequence[Node], batched: Sequence[bool]) -> Node:
        """One tall product where a matrix is the same for the whole batch, else a product each."""
        (x, y), (left, right) = operands, batched
        if left and not right and y.ndim == 2:
            return multiply_matrices(x, y)
        if right and not left and x.ndim == 2:
            turned = multiply_matrices(matrix_transpose(y), matrix_transpose(x))
            return matrix_transpose(turned)
        return apply("matmul", *all_batched(operands, batched))

    def reference(self, x: Any, y: Any) -> Any:
        """numpy.matmul in the accumulator's dtype."""
        return np.matmul(widen(x), widen(y)).astype(x.dtype)
