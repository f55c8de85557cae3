"""One step of a loop's derivatives, and which gradients and tangents go round.

A gradient that reaches a carry in some step may reach others in the step before, and a tangent
others in the step after. So both are found by going round until nothing new is reached: where
nothing flows there is no node, and no zero is multiplied by what may be infinite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.closure import fresh_inputs
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ops.chain_rule import pull_back, push_forward, sum_by_node


@dataclass(frozen=True, slots=True, eq=False)
class BackwardStep:
    """One step of reverse mode inside the body.

    arriving are the inputs for the gradients of the next carries, by number; rows those for the
    elements of the gradients of stacks. parts are the gradients by the body's own inputs.
    """

    arriving: Mapping[int, Node]
    rows: Mapping[int, Node]
    parts: Mapping[Node, Node]

    @property
    def inputs(self) -> list[Node]:
        """The inputs that the body does not have."""
        return [*self.arriving.values(), *self.rows.values()]


def backward_step(
    body: Graph, carries: int, gradients: Sequence[Node | None], names: set[str]
) -> BackwardStep:
    """The gradients that one step passes back, from those given for outputs of the body."""
    floats = {place: x for place, x in enumerate(body.outputs) if x.dtype.is_inexact}
    inputs = dict(zip(floats, fresh_inputs("g", floats.values(), names), strict=True))
    rows = {p: inputs[p] for p, g in enumerate(gradients) if p >= carries and g is not None}
    reached = {p for p, g in enumerate(gradients[:carries]) if g is not None}
    while True:
        arriving = {place: inputs[place] for place in sorted(reached)}
        parts = pull_step(body, {**arriving, **rows})
        more = {p for p, inside in enumerate(body.inputs[:carries]) if inside in parts} - reached
        if not more:
            return BackwardStep(arriving, rows, parts)
        reached |= more


def pull_step(body: Graph, arriving: Mapping[int, Node]) -> dict[Node, Node]:
    """What given gradients of outputs of the body give its inputs."""
    cotangents = sum_by_node((body.outputs[place], g) for place, g in arriving.items())
    targets = [node for node in body.inputs if node.dtype.is_inexact]
    found = zip(targets, pull_back(cotangents, targets), strict=True)
    return {target: part for target, part in found if part is not None}


def forward_step(
    body: Graph,
    carries: int,
    given: Mapping[Node, Node],
    inside: Mapping[Node, Node],
    names: set[str],
) -> tuple[dict[int, Node], list[Node | None]]:
    """The inputs for the tangents of those carries that have one, and the outputs' tangents.

    given has the tangents of the loop's operands by the inputs that these stand for, inside the
    inputs for the tangents of those that are no carries. A carry has a tangent where it begins
    with one, or where some step gives it one.
    """
    floats = {p: x for p, x in enumerate(body.inputs[:carries]) if x.dtype.is_inexact}
    inputs = dict(zip(floats, fresh_inputs("d", floats.values(), names), strict=True))
    reached = {place for place, x in floats.items() if x in given}
    while True:
        moving = {place: inputs[place] for place in sorted(reached)}
        known = {**inside, **{floats[place]: d for place, d in moving.items()}}
        found = push_forward(body.outputs, known)
        more = {p for p in floats if found[p] is not None} - reached
        if not more:
            return moving, found
        reached |= more
