"""What decompositions and solvers of matrices share: type rules, batches, and sums over blocks.

They are procedures over the last two axes; what stands in front of those is a batch, whose matrices
run on threads. Elimination goes row by row: memory is row-major, so that vectors lie along rows,
and what a block of rows owes to those before it is subtracted as one product of matrices, which
`tile_loops` keeps in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size, product
from graphc.ir.graph import items_of
from graphc.ir.kernel_writer import Array, KernelWriter
from graphc.ir.node import Node, apply, build, say
from graphc.ir.scalar import Scalar
from graphc.ir.types import TensorType, float32, float64, show_shape
from graphc.ops.batching import all_batched
from graphc.ops.fusion import Several
from graphc.ops.kinds import Shifted
from graphc.ops.procedure import Procedure

HEIGHT = 8
"""Rows of a block: as many as a register tile holds."""


class OfMatrices(Procedure, Shifted):
    """A procedure over the matrices in the last two axes, for each of those in front."""

    def beside_batch(self, attrs: Mapping[str, Any], size: Size) -> Mapping[str, Any]:
        """The same: they name no axis."""
        return attrs


class Factorization(OfMatrices, Several):
    """Such a procedure with several results."""

    def batch_results(
        self, node: Node, operands: Sequence[Node], batched: Sequence[bool]
    ) -> Sequence[Node]:
        """The same operator over all operands with the batch axis in front."""
        return items_of(build(node.op, all_batched(operands, batched), node.attrs))


@dataclass(frozen=True, slots=True)
class Part:
    """A matrix that is part of an array of a kernel; `place` says where its elements stand."""

    array: Array
    place: Callable[[Size, Size], tuple[Size, ...]]

    def __getitem__(self, index: tuple[Size, Size]) -> Scalar:
        return self.array[self.place(*index)]

    def __setitem__(self, index: tuple[Size, Size], value: Scalar) -> None:
        self.array[self.place(*index)] = value


def check_matrices(x: TensorType) -> None:
    """TypeRuleError unless these are matrices of float32 or float64."""
    if x.dtype not in (float32, float64):
        raise TypeRuleError(f"takes float32 or float64, not {x.dtype.name}")
    if x.rank < 2:
        raise TypeRuleError(f"takes matrices (..., m, n), not shape {show_shape(x.shape)}")


def check_square(x: TensorType) -> None:
    """TypeRuleError unless these are square matrices of float32 or float64."""
    check_matrices(x)
    if x.shape[-1] != x.shape[-2]:
        raise TypeRuleError(f"takes square matrices (..., n, n), not shape {show_shape(x.shape)}")


def stacked(array: Array, kept: int = 2) -> Array:
    """An array of a kernel with all axes but the last `kept` as one."""
    cut = len(array.shape) - kept
    return array.reshape(product(array.shape[:cut]), *array.shape[cut:])


def batch_of(node: Node) -> Size:
    """How many matrices the first operand of a node holds."""
    return product(node.inputs[0].shape[:-2])


def identity(kernel: KernelWriter, x: Array, b: Size) -> None:
    """Ones on the diagonal of a matrix, zeros elsewhere."""
    with kernel.nest("parallel", x.shape[1:]) as (i, j):
        same = scalar.call("equal", scalar.index(i), scalar.index(j))
        x[b, i, j] = scalar.cast(same, x.dtype)


def each_block(
    kernel: KernelWriter, count: Size, write: Callable[[Size, int], None], height: int = HEIGHT
) -> None:
    """Call `write` for the blocks of `count` rows in order, with the first row and the height.

    What does not fill a block comes one row at a time.
    """
    full = count // height
    if full != 0:
        with kernel.loop("serial", full) as block:
            write(block * height, height)
    if count % height != 0:
        with kernel.loop("serial", count % height) as row:
            write(full * height + row, 1)


def subtract_product(
    kernel: KernelWriter, shape: tuple[Size, Size, Size], target: Part, left: Part, right: Part
) -> None:
    """Subtract from the target, m by n, the product of parts m by k and k by n; shape is (m, k, n).

    The target must not overlap the others.
    """
    rows, inner, columns = shape
    with kernel.loop("parallel", rows) as i, kernel.loop("parallel", columns) as j:
        total = kernel.accumulator("sum", target.array.dtype)
        with kernel.loop("serial", inner) as k:
            total.accumulate(left[i, k] * right[k, j])
        target[i, j] = target[i, j] - total.value


# --- in the language -----------------------------------------------------------------------------


def turned(x: Node) -> Node:
    """Each matrix transposed."""
    found: Node = say("matrix_transpose", x)
    return found


def symmetric(x: Node) -> Node:
    """The symmetric part of each matrix."""
    return 0.5 * (x + turned(x))


def added(parts: Sequence[Node]) -> Node:
    """The sum of one or more nodes."""
    return sum(parts[1:], parts[0])


def solve_triangle(
    t: Node, x: Node, *, lower: bool, transpose: bool = False, unit_diagonal: bool = False
) -> Node:
    """T^-1 x, or T^-T x, for a triangle T of matrices; see the operator `triangular_solve`."""
    return apply(
        "triangular_solve", t, x, lower=lower, transpose=transpose, unit_diagonal=unit_diagonal
    )
