"""The chain rule over nodes: cotangents pulled back to targets, tangents pushed forward to roots.

Operators that hold a graph use it for what is inside them; `differentiate` for the user's graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphc.ir.graph import items_of, walk
from graphc.ir.node import Node, standing_at
from graphc.ir.types import TensorType, TupleType
from graphc.lang.operands import broadcast_node, constant
from graphc.ops.masks import Masks


def pull_back(cotangents: Mapping[Node, Node], targets: Sequence[Node]) -> list[Node | None]:
    """For each target the sum of what the cotangents of some roots pass back; None for nothing.

    Contributions are added in a fixed order: users first that come last in the walk.
    """
    order = walk(cotangents)
    active = depending(order, targets)
    totals, masks = dict(cotangents), Masks(cotangents)
    for node in reversed(order):
        if node in active and node.inputs:
            with standing_at(node.where):
                pass_back(node, active, totals, masks)
    return [totals.get(target) for target in targets]


def gradients_at(cotangents: Mapping[Node, Node], targets: Sequence[Node]) -> list[Node]:
    """As `pull_back`, with zeros for nothing."""
    found = zip(targets, pull_back(cotangents, targets), strict=True)
    return [zeros(target) if part is None else part for target, part in found]


def pass_back(node: Node, active: set[Node], totals: dict[Node, Node], masks: Masks) -> None:
    """Add to the totals of a node's operands what its operator passes back."""
    if not any(operand in active for operand in node.inputs):
        return
    parts = masks.guarded(node, parts_of(node, totals))
    masks.pass_back(node, parts)
    for operand, part in zip(node.inputs, parts, strict=True):
        if part is not None and operand in active:
            assert part.type == operand.type, f"vjp of {node.op.name}: {part} for {operand}"
            totals[operand] = totals[operand] + part if operand in totals else part


def parts_of(node: Node, totals: Mapping[Node, Node]) -> Sequence[Node | None]:
    """What a node passes back to each operand; the cotangents of several results are its items'."""
    nothing: list[Node | None] = [None] * len(node.inputs)
    if isinstance(node.type, TupleType):
        results = [totals.get(item) for item in items_of(node)]
        return nothing if is_zero(results) else node.op.vjp_results(node, results)
    if node.op.name == "item" or node not in totals:
        return nothing
    return node.op.vjp(node, totals[node])


def is_zero(parts: Iterable[Node | None]) -> bool:
    """Whether no part of a derivative is there."""
    return all(part is None for part in parts)


def push_forward(roots: Sequence[Node], given: Mapping[Node, Node]) -> list[Node | None]:
    """For each root its derivative along the given tangents of some nodes; None for zero."""
    tangents = dict(given)
    several: dict[Node, Sequence[Node | None]] = {}
    order = walk(roots)
    active = depending(order, tuple(given))
    for node in order:
        if node in active and node.inputs:
            with standing_at(node.where):
                carry_on(node, tangents, several)
    return [tangents.get(root) for root in roots]


def slopes_along(
    roots: Sequence[Node], targets: Sequence[Node], tangents: Sequence[Node]
) -> list[Node]:
    """For each root its derivative along tangents of the targets, with zeros for nothing."""
    given = sum_by_node(zip(targets, tangents, strict=True))
    found = zip(roots, push_forward(roots, given), strict=True)
    return [zeros(root) if part is None else part for root, part in found]


def carry_on(
    node: Node, tangents: dict[Node, Node], several: dict[Node, Sequence[Node | None]]
) -> None:
    """Add to a node's tangent what its operator makes of those of its operands."""
    inner = [tangents.get(operand) for operand in node.inputs]
    if isinstance(node.type, TupleType):
        results = [None] * len(node.type.items)
        several[node] = results if is_zero(inner) else node.op.jvp_results(node, inner)
        return
    if node.op.name == "item":
        made = several[node.inputs[0]][node.attrs["index"]] if node.inputs[0] in several else None
    else:
        made = None if is_zero(inner) else node.op.jvp(node, inner)
    if made is not None:
        assert made.type == node.type, f"jvp of {node.op.name}: {made} for {node}"
        tangents[node] = tangents[node] + made if node in tangents else made


def depending(order: Sequence[Node], targets: Sequence[Node]) -> set[Node]:
    """The nodes that can pass a derivative to a target: through floating-point nodes alone."""
    active: set[Node] = set()
    wanted = set(targets)
    for node in order:
        reaches = node in wanted or any(operand in active for operand in node.inputs)
        if reaches and is_differentiable(node):
            active.add(node)
    return active


def is_differentiable(node: Node) -> bool:
    """Whether a node can have a derivative: integers and bools cannot."""
    return not isinstance(node.type, TensorType) or node.type.dtype.is_inexact


def zeros(node: Node) -> Node:
    """Zeros of a node's type."""
    return broadcast_node(constant(0, node.dtype), node.shape)


def sum_by_node(pairs: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """Cotangents by node, those of one node added up."""
    total: dict[Node, Node] = {}
    for node, part in pairs:
        total[node] = total[node] + part if node in total else part
    return total
