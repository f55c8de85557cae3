"""lay_out_loops: matrices that a loop multiplies by in every step go into panels before it.

The weights of a recurrent cell are read in each step, by few rows. As they stand, a tile reads a
short piece of each of their rows; in panels it reads one stream. One copy serves all steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.ir.closure import depending_on, fresh_input
from graphc.ir.graph import Graph, items_of, substitute
from graphc.ir.node import Node, build, standing_at
from graphc.ir.program import Decision
from graphc.ir.scan_parts import Scan
from graphc.passes.decisions import lines, record
from graphc.passes.lay_out_products import LARGE, MANY_ROWS
from graphc.passes.machine import typical
from graphc.passes.on_scans import on_scans
from graphc.passes.panels import from_panels, panel_of, to_panels

# Rows that use a panel more than once in a step: with fewer a matrix is read row by row.
SOME_ROWS = 4


def lay_out_loops(graph: Graph) -> Graph:
    """Stage matrices that are the same in every step of a scan in panels, around it."""
    return on_scans(graph, arranged)


def arranged(scan: Scan) -> list[Node]:
    """The results of a scan over panels where it multiplies by the same matrix in each step."""
    names, inputs, operands = scan.names, list(scan.body.inputs), list(scan.node.inputs)
    views: dict[Node, Node] = {}
    for matrix, columns in repeated(scan):
        with standing_at(matrix.where):
            (outside,) = substitute([matrix], scan.captured)
            operands.append(to_panels(outside, columns, panel_of(columns)))
            inputs.append(fresh_input("p", operands[-1].type, names))
            views[matrix] = from_panels(inputs[-1])
    if not views:
        return items_of(scan.node)
    body = Graph(tuple(inputs), tuple(substitute(scan.body.outputs, views)))
    return items_of(build(scan.node.op, tuple(operands), {**scan.node.attrs, "body": body}))


def repeated(scan: Scan) -> Iterator[tuple[Node, int]]:
    """The matrices that are the same in every step and for which panels pay, with their columns."""
    order, users = scan.body.walk(), scan.body.users()
    others = depending_on((*scan.carried, *scan.elements), order) | set(scan.body.outputs)
    for node in order:
        products = users[node]
        if node in others or not products:
            continue
        if not all(by_many_rows(product, node, scan) for product in products):
            continue
        columns = columns_of_large(node)
        if columns is not None:
            numbers = (("columns of a panel", str(panel_of(columns))),)
            reason = "one copy serves all steps"
            record(Decision("lay_out_loops", "panels", repr(node), reason, numbers, lines([node])))
            yield node, columns


def columns_of_large(node: Node) -> int | None:
    """The columns of a matrix that panels divide and that leaves the first caches; or None."""
    if node.ndim != 2:
        return None
    rows, columns = node.shape
    if not isinstance(rows, int) or not isinstance(columns, int):
        return None
    large = rows * columns * node.dtype.bytes >= LARGE
    return columns if large and panel_of(columns) < columns else None


def by_many_rows(product: Node, matrix: Node, scan: Scan) -> bool:
    """Whether a matrix is the right operand of a product, of some rows a step and many in all."""
    if product.op.name != "matmul" or product.inputs[0] is matrix or product.ndim != 2:
        return False
    rows, steps = typical(product.shape[0]), typical(scan.node.attrs["length"])
    return rows >= SOME_ROWS and rows * steps >= MANY_ROWS
