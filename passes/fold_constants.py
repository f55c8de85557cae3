"""Fold constants: what depends on constants alone is computed when compiling.

Only results become constants that are small, or not much larger than the constants they come from,
so that the program does not grow by what a few operators could make; what repeats one element over
a shape stays so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.ir.graph import Graph
from graphc.ir.literal import Literal
from graphc.ir.node import Node, apply
from graphc.ir.program import Decision
from graphc.ir.types import TensorType
from graphc.ops.kinds import Elementwise
from graphc.passes.decisions import lines, record
from graphc.passes.splat import fill, splat

Array: TypeAlias = np.ndarray[Any, Any]

MOST_ELEMENTS = 65_536
"""The largest result that becomes a constant whatever it comes from."""
MOST_GROWTH = 4
"""How many times as large as a constant operand other results may be: as taps in tiles are."""
MOST_OPERAND_ELEMENTS = 4_194_304
"""The largest operand that is worth reading while compiling."""


def fold_constants(graph: Graph) -> Graph:
    """Compute nodes whose operands are all constants, where the result is small."""
    return graph.rewrite(folded)


def folded(node: Node) -> Node:
    """What a node is if it is known, else the node."""
    for change in (fold_splats, fold):
        found = change(node)
        if found is not None:
            return found
    return node


def fold_splats(node: Node) -> Node | None:
    """An elementwise operator of one number a node -> the number it gives, over any shape."""
    values = [splat(operand) for operand in node.inputs]
    known = [value.array for value in values if value is not None]
    if not known or len(known) < len(values) or not isinstance(node.op, Elementwise):
        return None
    result = evaluate(node, known, TensorType(node.dtype, ()))
    return None if result is None else fill(apply("constant", value=result), node.shape)


def fold(node: Node) -> Node | None:
    """The constant that a node is, or None: an operand is unknown, or a size symbolic or large."""
    if not node.inputs or node.op.name == "broadcast" or not isinstance(node.type, TensorType):
        return None
    if not all(is_known(operand) for operand in node.inputs) or not is_small(node, node.type):
        return None
    result = evaluate(node, [known_array(operand) for operand in node.inputs], node.type)
    return None if result is None else apply("constant", value=result)


def is_known(node: Node) -> bool:
    """Whether a node is a constant, or one number repeated."""
    return node.op.name == "constant" or splat(node) is not None


def known_array(node: Node) -> Array:
    """The value of a known node whose sizes are integers."""
    element = splat(node)
    value: Literal = node.attrs["value"] if element is None else element
    return np.broadcast_to(value.array, np.array(node.shape, np.int64))


def is_small(node: Node, kind: TensorType) -> bool:
    """Whether a result may become a constant; a refusal for size alone is recorded."""
    shapes = [kind.shape, *(operand.shape for operand in node.inputs)]
    known = [[size for size in shape if isinstance(size, int)] for shape in shapes]
    if any(len(sizes) < len(shape) for sizes, shape in zip(known, shapes, strict=True)):
        return False
    result, *given = (math.prod(sizes) for sizes in known)
    pairs = zip(given, node.inputs, strict=True)
    stored = [size for size, operand in pairs if operand.op.name == "constant"]
    limit = max([MOST_ELEMENTS, *(MOST_GROWTH * size for size in stored)])
    if result <= limit and max(given) <= MOST_OPERAND_ELEMENTS:
        return True
    numbers = (("elements", str(kind.size)), ("limit", str(limit)))
    decide("kept", node, "its operands are constants, but it is large", numbers)
    return False


def evaluate(node: Node, operands: Sequence[Array], kind: TensorType) -> Literal | None:
    """What the operator's reference makes of values, or None where it fails or does not fit."""
    try:
        with np.errstate(all="ignore"):
            result = node.op.reference(*operands, **node.attrs)
            value = Literal(np.asarray(result), kind.dtype)
    except Exception as error:  # whatever a reference refuses is left for run time
        decide("kept", node, f"its reference refused: {error}")
        return None
    return value if value.type == kind else None


def decide(choice: str, node: Node, reason: str, numbers: Sequence[tuple[str, str]] = ()) -> None:
    """Record a choice about a node."""
    subject = f"{node.op.name}: {node.type}"
    where = lines([node])
    record(Decision("fold_constants", choice, subject, reason, tuple(numbers), where))
