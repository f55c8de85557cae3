"""lay_out_products: put the columns of large matrices into panels before they are multiplied.

Each panel then stays in cache while all rows pass by. Tiles make panels themselves of columns that
lie side by side (`passes/pack_columns.py`). Those that are transposed are copied in any case, and
those of a constant once, when compiling; columns too long for a panel in cache lie at least in one
stretch. A few columns become rows (`passes/few_columns.py`).
"""

from __future__ import annotations

from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.ir.program import Decision
from graphc.passes.decisions import lines, record
from graphc.passes.few_columns import is_transposed, turned
from graphc.passes.machine import SECOND_CACHE
from graphc.passes.panels import PANEL, in_panels, panel_of

# Rows for which a copy of the other matrix costs a few hundredths of the product.
MANY_ROWS = 128
# Smaller matrices stay in cache as they are, in bytes.
LARGE = SECOND_CACHE // 2


def lay_out_products(graph: Graph) -> Graph:
    """Stage the right operands of large products in panels; in loops each step would copy anew.

    So are those of products of many matrices where they are transposed, and a few columns in rows.
    """
    return graph.rewrite_outside(arranged)


def arranged(node: Node) -> Node:
    """A product over a right operand in another order, if that pays; any other node as it is."""
    if node.op.name != "matmul":
        return node
    few = turned(node)
    if few is not None:
        return few
    if not (pays(node) if node.ndim == 2 else is_copied(node)):
        return node
    left, right = node.inputs
    columns = right.shape[-1]
    assert isinstance(columns, int)
    panel = panel_of(columns)
    record(Decision(
        "lay_out_products", "panels", repr(node), "a panel stays in cache while all rows pass by",
        (("columns of a panel", str(panel)),), lines([node]),
    ))  # fmt: skip
    return apply("matmul", left, in_panels(right, columns, panel, right.ndim - 2))


def pays(node: Node) -> bool:
    """Whether a copy of the right operand takes little beside the product, and is not made anyway.

    Tiles make panels of columns that lie as they are read, but for very long ones.
    """
    rows, columns = node.shape
    right = node.inputs[1]
    depth = right.shape[0]
    if not isinstance(rows, int) or not isinstance(columns, int) or not isinstance(depth, int):
        return False
    long = depth * PANEL * node.dtype.bytes > LARGE
    if not (long or is_transposed(right) or right.op.name == "constant"):
        return False
    divided = panel_of(columns) < columns
    return rows >= MANY_ROWS and divided and depth * columns * node.dtype.bytes >= LARGE


def is_copied(node: Node) -> bool:
    """Whether the right matrices of many products are copied anyway, since they are transposed."""
    rows, columns = node.shape[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int) or panel_of(columns) == columns:
        return False
    return rows >= MANY_ROWS and is_transposed(node.inputs[1])
