"""lay_out_constants: put constants into memory while compiling as kernels read them.

A weight that is known is stored in panels, or transposed, once and for all: a call copies nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.literal import Literal
from graphc.ir.node import Node, apply
from graphc.ir.program import Decision
from graphc.ops.movement import MOVEMENTS
from graphc.passes.decisions import lines, record
from graphc.passes.fold_constants import MOST_OPERAND_ELEMENTS


def lay_out_constants(graph: Graph) -> Graph:
    """Replace a constant whose movements are staged by one in that order, if it is no larger."""
    return graph.rewrite(lambda node: laid_out(node) if node.op.name == "stage" else node)


def laid_out(stage: Node) -> Node:
    """A stage of a constant that is in order, if it is of one in another; else as it is."""
    moves, source = movements_of(stage)
    if source.op.name != "constant" or not all(isinstance(node.size, int) for node in moves):
        return stage
    literal: Literal = source.attrs["value"]
    refused = refusal(moves, literal.array.size)
    if refused:
        decide(stage, "kept", refused)
        return stage
    array: np.ndarray[Any, Any] = literal.array
    for node in reversed(moves):
        array = node.op.reference(array, **node.attrs)
    decide(stage, "stored", "a constant is put into order once, while compiling")
    return apply("stage", apply("constant", value=Literal(array, literal.dtype)))


def movements_of(node: Node) -> tuple[list[Node], Node]:
    """The stages and movements from a node inwards, and what they move."""
    moves: list[Node] = []
    while node.op.name == "stage" or (node.op.name in MOVEMENTS and len(node.inputs) == 1):
        moves.append(node)
        (node,) = node.inputs
    return moves, node


def refusal(moves: list[Node], elements: int) -> str:
    """Why a constant of so many elements is not moved while compiling; "" if it is."""
    if any(isinstance(node.size, int) and node.size > elements for node in moves):
        return "what repeats a constant is larger than it"
    return "so large a constant is not stored twice" if elements > MOST_OPERAND_ELEMENTS else ""


def decide(node: Node, choice: str, reason: str) -> None:
    """Record what became of a staged constant."""
    record(Decision("lay_out_constants", choice, repr(node), reason, where=lines([node])))
