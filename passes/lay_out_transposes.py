"""lay_out_transposes: strips of a transposed left operand, as wide as a line of the cache.

In the gradient of weights, x^T @ g, the rows of a tile are a few columns of x: of each row of x the
tile reads a part of one line of the cache, whose rest the next tiles read. Where the rows are a
power of two long, or many, the lines do not stay in cache until then. In a strip they follow one
another, and are read as a stream.
"""

from __future__ import annotations

import math

from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.ir.program import Decision
from graphc.passes.decisions import lines, record
from graphc.passes.machine import LINE, SECOND_CACHE, WAYS
from graphc.passes.panels import in_panels

# Columns of results for which a copy of the left operand costs a few hundredths of the product.
MANY_COLUMNS = 128


def lay_out_transposes(graph: Graph) -> Graph:
    """Stage transposed left operands of products in strips; in loops each step would copy anew."""
    return graph.rewrite_outside(arranged)


def arranged(node: Node) -> Node:
    """A product over a left operand in strips, if that pays; any other node as it is."""
    if node.op.name != "matmul" or not pays(node):
        return node
    left, right = node.inputs
    (matrix,) = left.inputs
    rows = matrix.shape[1]
    assert isinstance(rows, int)
    strip = LINE // matrix.dtype.bytes
    record(Decision(
        "lay_out_transposes", "strips", repr(node), "the lines of a strip follow one another",
        (("rows of a strip", str(strip)),
         ("lines of a column that stay in cache", str(lines_that_stay(matrix)))), lines([node]),
    ))  # fmt: skip
    strips = in_panels(matrix, rows, strip)
    return apply("matmul", apply("permute_dims", strips, axes=(1, 0)), right)


def pays(node: Node) -> bool:
    """Whether a product reads columns of a matrix whose lines leave the cache before the next."""
    left = node.inputs[0]
    if node.ndim != 2 or left.op.name != "permute_dims":
        return False
    (matrix,) = left.inputs
    (depth, rows), columns = matrix.shape, node.shape[1]
    if not isinstance(depth, int) or not isinstance(rows, int) or not isinstance(columns, int):
        return False
    whole = rows % (LINE // matrix.dtype.bytes) == 0
    return whole and columns >= MANY_COLUMNS and 2 * depth > lines_that_stay(matrix)


def lines_that_stay(matrix: Node) -> int:
    """How many lines of a matrix, one below the other, find a place in the second cache."""
    stride = matrix.shape[1] * matrix.dtype.bytes
    assert isinstance(stride, int)
    return SECOND_CACHE // LINE // math.gcd(stride // LINE, SECOND_CACHE // LINE // WAYS)
