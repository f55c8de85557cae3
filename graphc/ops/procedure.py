"""Operators whose result is written by loops of their own, not by a formula of one element."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.kernel import Kernel
from graphc.ir.kernel_writer import KernelWriter
from graphc.ir.node import Node
from graphc.ir.op import Op
from graphc.ir.types import TensorType
from graphc.ops.fusion import results_of


class Procedure(Op):
    """An operator that writes its kernel itself.

    It is for results whose elements follow from one another, such as running sums, sorting and
    factorisations, where a formula for each element would do the same work again and again. Its
    kernel stands alone: operands and results are in memory, in row-major order.
    """

    def write(self, node: Node, kernel: KernelWriter) -> None:
        """Write the loops that fill every element of the results from the operands.

        Loops are "parallel" where iterations are independent, else "serial"; `tile_loops` may put
        iterations of parallel loops, and reductions inside, into vectors.
        """
        raise NotImplementedError(f"{type(self).__name__}.write")

    def scratch(self, node: Node) -> Sequence[TensorType]:
        """Memory that the kernel works in; what is in it at first is unspecified."""
        return ()


def write_kernel(node: Node) -> Kernel:
    """The kernel of a node whose operator is a procedure."""
    assert isinstance(node.op, Procedure)
    operands = [operand.tensor for operand in node.inputs]
    kernel = KernelWriter(operands, results_of(node), node.op.scratch(node))
    node.op.write(node, kernel)
    return kernel.kernel(node.op.name, (node.where.describe(),) if node.where else ())
