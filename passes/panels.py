"""Panels: a matrix stored in strips of columns as wide as a register tile.

A tile reads the same few columns of every row. In a wide matrix these lie far apart, and where its
rows are a power of two long, in few sets of the cache; in a panel they follow one another.
"""

from __future__ import annotations

from graphc.ir.node import Node, apply
from graphc.lang.movement import permute_dims, reshape
from graphc.passes.machine import VECTOR

# Columns of a tile of a convolution, and of the panels there are: the widest is a tile of a large
# product of matrices.
PANEL = 2 * VECTOR
PANELS = (2 * PANEL, PANEL, PANEL // 2)


def panel_of(columns: int, widest: int = PANELS[0]) -> int:
    """How many columns stand side by side; all of them where they are few or no panel divides them.

    widest is that of the panels to choose from.
    """
    if columns <= PANELS[0]:
        return columns
    fitting = (width for width in PANELS if width <= widest and columns % width == 0)
    return next(fitting, columns)


def in_panels(node: Node, columns: int, panel: int, batch: int = 0) -> Node:
    """A value as it is, its last axis of so many columns in memory in panels.

    The first `batch` axes count matrices, each of which has panels of its own.
    """
    return from_panels(to_panels(node, columns, panel, batch), batch)


def to_panels(node: Node, columns: int, panel: int, batch: int = 0) -> Node:
    """The panels of a value: after the first `batch` axes one that counts them."""
    rows = node.ndim - 1
    strips = reshape(node, (*node.shape[:-1], columns // panel, panel))
    order = [*range(batch), rows, *range(batch, rows), rows + 1]
    return apply("stage", permute_dims(strips, order))


def from_panels(stored: Node, batch: int = 0) -> Node:
    """The value whose panels are given."""
    last = stored.ndim - 1
    order = [*range(batch), *range(batch + 1, last), batch, last]
    whole = permute_dims(stored, order)
    return reshape(whole, (*whole.shape[:-2], whole.shape[-2] * whole.shape[-1]))
