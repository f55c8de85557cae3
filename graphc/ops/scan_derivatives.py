"""Derivatives of a scan, which are scans.

Reverse mode runs backwards over the values that the carries had before each step, which a scan
that does the forward work besides stacks; `merge_loops` makes it and the first one the same loop.
Each backward step repeats the forward step from there, and pulls the gradients through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.closure import fresh_input, fresh_inputs
from graphc.ir.graph import substitute, walk
from graphc.ir.node import Node
from graphc.ir.scan_parts import Carry, Scan, make_scan, take_apart
from graphc.ir.types import TensorType
from graphc.ops.chain_rule import pull_back, push_forward, sum_by_node, zeros

# --- reverse mode --------------------------------------------------------------------------------


def pull_back_scan(node: Node, gradients: Sequence[Node | None]) -> list[Node | None]:
    """For each operand of a scan its gradient, from those of the results."""
    scan = take_apart(node)
    step = backward_step(scan, gradients)
    carries = [backward_carry(scan, step, gradients, place) for place in step.arriving]
    sums = [inside for inside in scan.constants if inside in step.parts]
    totals = fresh_inputs("s", sums, scan.names | {node.attrs["name"] for node in step.inputs})
    carries += [
        Carry(zeros(inside), total, total + step.parts[inside])
        for inside, total in zip(sums, totals, strict=True)
    ]
    rows = [inside for inside in scan.elements if inside in step.parts]
    carries, results = outside(carries, [step.parts[row] for row in rows], scan.captured)
    sequences = backward_sequences(scan, step, gradients, carries, results)
    schedule = {**scan.schedule, "reverse": not node.attrs["reverse"]}
    finals, stacks = make_scan(carries, sequences, results, schedule)
    places = [scan.carried[place] for place in step.arriving]
    found = dict(zip([*places, *sums, *rows], [*finals, *stacks], strict=True))
    return [found.get(inside) for inside in scan.body.inputs]


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


def backward_step(scan: Scan, gradients: Sequence[Node | None]) -> BackwardStep:
    """The gradients that one step passes back.

    Only carries that a gradient reaches in some step get one: where nothing flows, no zero is
    multiplied by what may be infinite.
    """
    names = scan.names
    inputs = {
        place: fresh_input("g", element_type(scan, place), names)
        for place, output in enumerate(scan.body.outputs)
        if output.dtype.is_inexact
    }
    rows = {p: inputs[p] for p, g in enumerate(gradients) if p >= scan.carries and g is not None}
    reached = {p for p, g in enumerate(gradients[: scan.carries]) if g is not None}
    while True:
        arriving = {place: inputs[place] for place in sorted(reached)}
        parts = pull_step(scan, {**arriving, **rows})
        more = {p for p, inside in enumerate(scan.carried) if inside in parts} - reached
        if not more:
            return BackwardStep(arriving, rows, parts)
        reached |= more


def element_type(scan: Scan, place: int) -> TensorType:
    """The type of an output of the body."""
    return scan.body.outputs[place].tensor


def pull_step(scan: Scan, arriving: Mapping[int, Node]) -> dict[Node, Node]:
    """What given gradients of outputs of the body give its inputs."""
    outputs = scan.body.outputs
    cotangents = sum_by_node((outputs[place], g) for place, g in arriving.items())
    targets = [node for node in scan.body.inputs if node.dtype.is_inexact]
    found = zip(targets, pull_back(cotangents, targets), strict=True)
    return {target: part for target, part in found if part is not None}


def backward_carry(
    scan: Scan, step: BackwardStep, gradients: Sequence[Node | None], place: int
) -> Carry:
    """The gradient of a carry on its way back: it begins as that of the last one."""
    inside, before = step.arriving[place], scan.carried[place]
    first = gradients[place]
    return Carry(
        zeros(before) if first is None else first, inside, step.parts.get(before, zeros(before))
    )


def outside(
    carries: Sequence[Carry], results: Sequence[Node], operands: dict[Node, Node]
) -> tuple[list[Carry], list[Node]]:
    """Carries and results written over the operands that constants of the body stand for.

    So what depends on constants alone, such as a matrix transposed, is computed once.
    """
    done = iter(substitute([*(carry.following for carry in carries), *results], operands))
    return [Carry(carry.init, carry.inside, next(done)) for carry in carries], list(done)


def backward_sequences(
    scan: Scan,
    step: BackwardStep,
    gradients: Sequence[Node | None],
    carries: Iterable[Carry],
    results: Sequence[Node],
) -> dict[Node, Node]:
    """What the backward scan reads step by step: old carries, elements, gradients of stacks."""
    needed = set(walk([*(carry.following for carry in carries), *results]))
    used = [inside for inside in scan.carried if inside in needed]
    found = dict(zip(used, scan.extended(used), strict=True)) if used else {}
    operands = scan.node.inputs[scan.carries : scan.first_constant]
    found |= zip(scan.elements, operands, strict=True)
    found |= {inside: gradient_at(gradients, place) for place, inside in step.rows.items()}
    return {inside: sequence for inside, sequence in found.items() if inside in needed}


def gradient_at(gradients: Sequence[Node | None], place: int) -> Node:
    """A gradient that is known to be there."""
    found = gradients[place]
    assert found is not None
    return found


# --- forward mode --------------------------------------------------------------------------------


def push_forward_scan(node: Node, tangents: Sequence[Node | None]) -> list[Node | None]:
    """For each result of a scan its tangent, from those of the operands."""
    scan = take_apart(node)
    names = scan.names
    given = {x: d for x, d in zip(scan.body.inputs, tangents, strict=True) if d is not None}
    kept = [x for x in given if x not in set(scan.carried)]
    inside = dict(zip(kept, fresh_inputs("d", kept, names), strict=True))
    moving, found = forward_step(scan, given, inside, names)
    carries = [
        *map(Carry, scan.node.inputs, scan.carried, scan.nexts),
        *(forward_carry(scan, place, x, found[place], given) for place, x in moving.items()),
    ]
    stacked = [part for part in found[scan.carries :] if part is not None]
    operands = scan.captured | {inside[x]: given[x] for x in kept if x in scan.captured}
    carries, results = outside(carries, [*scan.results, *stacked], operands)
    sequences = dict(zip(scan.elements, scan.node.inputs[scan.carries :], strict=False))
    sequences |= {inside[x]: given[x] for x in kept if x not in scan.captured}
    finals, stacks = make_scan(carries, sequences, results, scan.schedule)
    last = dict(zip(moving, finals[scan.carries :], strict=True))
    rest = iter(stacks[len(scan.results) :])
    return [
        last.get(place) if place < scan.carries else None if part is None else next(rest)
        for place, part in enumerate(found)
    ]


def forward_step(
    scan: Scan, given: Mapping[Node, Node], inside: Mapping[Node, Node], names: set[str]
) -> tuple[dict[int, Node], list[Node | None]]:
    """The inputs for the tangents of those carries that have one, and the outputs' tangents.

    A carry has a tangent where it begins with one, or where some step gives it one.
    """
    floats = {p: x for p, x in enumerate(scan.carried) if x.dtype.is_inexact}
    inputs = dict(zip(floats, fresh_inputs("d", floats.values(), names), strict=True))
    reached = {place for place, x in floats.items() if x in given}
    while True:
        moving = {place: inputs[place] for place in sorted(reached)}
        known = {**inside, **{scan.carried[place]: d for place, d in moving.items()}}
        found = push_forward(scan.body.outputs, known)
        more = {p for p in floats if found[p] is not None} - reached
        if not more:
            return moving, found
        reached |= more


def forward_carry(
    scan: Scan, place: int, inside: Node, following: Node | None, given: Mapping[Node, Node]
) -> Carry:
    """The tangent of a carry."""
    carried = scan.carried[place]
    first = given.get(carried, zeros(carried))
    return Carry(first, inside, zeros(carried) if following is None else following)
