"""Panels: a matrix stored in strips of columns as wide as a register tile.

A tile reads the same few columns of every row. In a wide matrix these lie far apart, and where its
rows are a power of two long, in few sets of the cache; in a panel they follow one another.
"""

from __future__ import annotations

from graphc.ir.node import Node, apply
from graphc.lang.movement import permute_dims, reshape

# Columns of a tile: two vectors of float32 in the widest registers.
PANEL = 32


def panel_of(columns: int) -> int:
    """How many columns stand side by side; all of them where no panel divides them."""
    if columns <= 2 * PANEL:
        return columns
    return next((width for width in (PANEL, PANEL // 2) if columns % width == 0), columns)


def in_panels(node: Node, columns: int, panel: int | None = None, batch: int = 0) -> Node:
    """A value as it is, its last axis of so many columns in memory in panels.

    The first `batch` axes count matrices, each of which has panels of its own.
    """
    panel, rows = panel or panel_of(columns), node.ndim - 1
    strips = reshape(node, (*node.shape[:-1], columns // panel, panel))
    order = [*range(batch), rows, *range(batch, rows), rows + 1]
    stored = apply("stage", permute_dims(strips, order))
    back = permute_dims(stored, [order.index(axis) for axis in range(rows + 2)])
    return reshape(back, node.shape)
