"""Products of few columns: the right operand in rows, so that both operands lie along the sum.

A vector of results would be mostly idle. Tiles with vectors along the sum (`passes/inner_tile.py`)
have all lanes busy, but for what adding them up takes in the end.
"""

from __future__ import annotations

from graphc.ir.node import Node, apply
from graphc.ir.program import Decision
from graphc.passes.decisions import lines, record
from graphc.passes.inner_tile import MOST_COLUMNS
from graphc.passes.machine import VECTOR, typical

# What a result costs beside its multiplications, and a copied element, in multiplications of
# vectors; and rows that have as much to do as fewer, whose sums wait for one another.
ADDING_LANES, COPY, FEWEST_ROWS = 3, 0.5, 4


def turned(node: Node) -> Node | None:
    """A product whose columns lie in rows of memory, if that pays; None if it does not."""
    if node.ndim != 2 or not lies_in_rows(node.inputs[0]) or not pays(node):
        return None
    left, right = node.inputs
    record(Decision(
        "lay_out_products", "columns in rows", repr(node),
        "there are fewer columns than lanes, so that vectors lie along the sums",
        (("columns", str(node.shape[1])),), lines([node]),
    ))  # fmt: skip
    rows = apply("stage", apply("permute_dims", right, axes=(1, 0)))
    return apply("matmul", left, apply("permute_dims", rows, axes=(1, 0)))


def pays(node: Node) -> bool:
    """Whether vectors along the sums, with a copy of the columns, take less time."""
    rows, columns = node.shape
    if not isinstance(columns, int) or not 0 < columns <= MOST_COLUMNS or rows == 1:
        return False
    depth = typical(node.inputs[0].shape[1])
    lanes = VECTOR * 4 // max(node.dtype.bytes, 4)
    result = -(-depth // lanes) + ADDING_LANES
    inward = typical(rows) * columns * result + COPY * depth * columns
    return inward < max(typical(rows), FEWEST_ROWS) * -(-columns // lanes) * depth


def lies_in_rows(node: Node) -> bool:
    """Whether the last axis of a value is that of what it was made of by movements."""
    while node.op.name in ("permute_dims", "slice", "reshape"):
        if node.op.name == "permute_dims" and node.attrs["axes"][-1] != node.ndim - 1:
            return False
        node = node.inputs[0]
    return True


def is_transposed(node: Node) -> bool:
    """Whether the last axis of a value is another one in memory."""
    axis = node.ndim - 1
    while node.op.name in ("permute_dims", "slice"):
        axis = node.attrs["axes"][axis] if node.op.name == "permute_dims" else axis
        node = node.inputs[0]
    return axis != node.ndim - 1
