"""Rows of matrices in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply
from graphc.ir.op import Read, register
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType, int64, show_shape
from graphc.ops.kinds import Linear


@register
class PermuteRows(Linear):
    """Row i of each matrix is the operand's row order[i], where `order` is a permutation.

    The third operand is the permutation that undoes it, so that the derivative moves rows too
    and need not look for them. Both are taken at their word.
    """

    name = "permute_rows"

    def infer(self, x: TensorType, order: TensorType, inverse: TensorType) -> TensorType:
        """The operand's type (..., m, n), for permutations (..., m) of int64."""
        if x.rank < 2:
            raise TypeRuleError(f"takes matrices (..., m, n), not shape {show_shape(x.shape)}")
        expected = TensorType(int64, x.shape[:-1])
        for given in (order, inverse):
            if given != expected:
                raise TypeRuleError(f"a permutation of the rows of {x} is {expected}, not {given}")
        return x

    def element(self, node: Node, index: Sequence[Size], read: Read) -> Scalar:
        """The element of the row that the order names."""
        *batch, i, j = index
        return read(0, [*batch, read.bind(read(1, [*batch, i])), j])

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """The rows of the gradient, put back."""
        _, order, inverse = node.inputs
        return [apply(self.name, gradient, inverse, order), None, None]

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The same: they name no axis."""
        return attrs

    def reference(self, x: Any, order: Any, inverse: Any) -> Any:
        """numpy.take_along_axis."""
        return np.take_along_axis(x, order[..., None], axis=-2)
