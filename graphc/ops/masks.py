"""Masks: where the gradient of a node is surely zero, because `where` has taken the other choice.

A zero times an infinite or undefined slope is NaN. So what a choice that was not taken passes on
is selected, never multiplied: below a `where` each step that could make a NaN of a zero is kept to
the elements whose gradient counts. The mask is the condition itself, not the gradient's being zero,
which happens elsewhere too and has derivatives of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.ir.node import Node, say
from graphc.ir.types import int8
from graphc.lang.operands import constant
from graphc.lang.scattering import scattered
from graphc.ops.indexing import layout_of
from graphc.ops.kinds import Elementwise
from graphc.ops.movement import MOVEMENTS

MOVED = (*MOVEMENTS, "dynamic_slice", "sort", "permute_along_axis", "pad", "concat", "sum")
"""Operators whose own vjp says where a mask goes."""


class Masks:
    """For nodes, a bool node of the elements whose gradient may differ from zero.

    That of a root may everywhere, whichever of its elements others have chosen.
    """

    def __init__(self, roots: Iterable[Node]) -> None:
        self.known: dict[Node, Node | None] = dict.fromkeys(roots)

    def guarded(self, node: Node, parts: Sequence[Node | None]) -> list[Node | None]:
        """What a node passes back, selected by its mask where a zero could have become NaN."""
        mask = self.known.get(node)
        if mask is None or not is_steep(node):
            return list(parts)
        return [None if part is None else say("where", mask, part, 0) for part in parts]

    def pass_back(self, node: Node, parts: Sequence[Node | None]) -> None:
        """Note the masks of the operands that a node passes parts to."""
        masks = operand_masks(node, self.known.get(node))
        for operand, part, mask in zip(node.inputs, parts, masks, strict=True):
            if part is not None:
                seen = operand in self.known
                self.known[operand] = either(self.known[operand], mask) if seen else mask


def is_steep(node: Node) -> bool:
    """Whether the slope of an operator may be infinite or undefined somewhere."""
    if not isinstance(node.op, Elementwise) or not node.op.steep:
        return False
    return node.op.name != "multiply" or not any(map(is_number, node.inputs))


def is_number(node: Node) -> bool:
    """Whether a node is one number everywhere, which is finite in all that people write."""
    while node.op.name == "broadcast":
        (node,) = node.inputs
    return node.op.name == "constant"


def operand_masks(node: Node, mask: Node | None) -> list[Node | None]:
    """Where what a node passes to each operand may differ from zero; None for everywhere."""
    if node.op.name == "where":
        taken = node.inputs[0]
        return [None, both(taken, mask), both(say("logical_not", taken), mask)]
    if mask is None:
        return [None] * len(node.inputs)
    if isinstance(node.op, Elementwise):
        return [mask] * len(node.inputs)
    if node.op.name == "gather":
        return [taken_somewhere(node, mask), *(None for _ in node.inputs[1:])]
    if node.op.name not in MOVED:
        return [None] * len(node.inputs)
    if node.op.name == "broadcast":  # whose vjp adds up, as bools cannot
        gone = tuple(axis for axis in range(node.ndim) if axis not in node.attrs["axes"])
        return [say("any", mask, gone)]
    return list(node.op.vjp(node, mask))


def taken_somewhere(node: Node, mask: Node) -> Node:
    """Which elements of a table a gather takes to where a mask holds."""
    table, *indices = node.inputs
    flags, none = say("astype", mask, int8), constant(0, int8)
    return scattered("max", none, flags, indices, layout_of(node), table.shape) != 0


def both(one: Node, other: Node | None) -> Node:
    """Where two masks hold."""
    return one if other is None else say("logical_and", one, other)


def either(one: Node | None, other: Node | None) -> Node | None:
    """Where one of two masks holds."""
    return None if one is None or other is None else say("logical_or", one, other)
