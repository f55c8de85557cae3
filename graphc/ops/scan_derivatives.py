"""Derivatives of a scan, which are scans.

Reverse mode runs backwards over the values that the carries had before each step, which a scan
that does the forward work besides stacks; `merge_loops` makes it and the first one the same loop.
Each backward step repeats the forward step from there, and pulls the gradients through it. Only
products are not repeated where they are as cheap to keep: they take most of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphc.ir.closure import fresh_inputs
from graphc.ir.graph import substitute, walk
from graphc.ir.node import Node
from graphc.ir.scan_parts import Carry, Scan, make_scan, take_apart
from graphc.ops.chain_rule import zeros
from graphc.ops.kept_products import kept_products
from graphc.ops.loop_steps import BackwardStep, backward_step, forward_step

# --- reverse mode --------------------------------------------------------------------------------


def pull_back_scan(node: Node, gradients: Sequence[Node | None]) -> list[Node | None]:
    """For each operand of a scan its gradient, from those of the results."""
    scan = take_apart(node)
    step = backward_step(scan.body, scan.carries, gradients, scan.names)
    carries = [backward_carry(scan, step, gradients, place) for place in step.arriving]
    sums = [inside for inside in scan.constants if inside in step.parts]
    totals = fresh_inputs("s", sums, scan.names | {node.attrs["name"] for node in step.inputs})
    carries += [
        Carry(zeros(inside), total, total + step.parts[inside])
        for inside, total in zip(sums, totals, strict=True)
    ]
    rows = [inside for inside in scan.elements if inside in step.parts]
    results = [step.parts[row] for row in rows]
    products = kept_products(scan, [*(carry.following for carry in carries), *results])
    names = scan.names.union(node.attrs["name"] for node in (*step.inputs, *totals))
    kept = dict(zip(products, fresh_inputs("p", products, names), strict=True))
    carries, results = outside(carries, results, {**scan.captured, **kept})
    sequences = backward_sequences(scan, step, gradients, kept, carries, results)
    schedule = {**scan.schedule, "reverse": not node.attrs["reverse"]}
    finals, stacks = make_scan(carries, sequences, results, schedule)
    places = [scan.carried[place] for place in step.arriving]
    found = dict(zip([*places, *sums, *rows], [*finals, *stacks], strict=True))
    return [found.get(inside) for inside in scan.body.inputs]


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
    carries: Sequence[Carry], results: Sequence[Node], operands: Mapping[Node, Node]
) -> tuple[list[Carry], list[Node]]:
    """Carries and results written over what some values of the body stand for.

    So what depends on constants alone, such as a matrix transposed, is computed once.
    """
    done = iter(substitute([*(carry.following for carry in carries), *results], operands))
    return [Carry(carry.init, carry.inside, next(done)) for carry in carries], list(done)


def backward_sequences(
    scan: Scan,
    step: BackwardStep,
    gradients: Sequence[Node | None],
    kept: Mapping[Node, Node],
    carries: Iterable[Carry],
    results: Sequence[Node],
) -> dict[Node, Node]:
    """What the backward scan reads step by step.

    That is old carries, products kept, elements, and gradients of stacks.
    """
    needed = set(walk([*(carry.following for carry in carries), *results]))
    stacked = {inside: inside for inside in scan.carried} | {x: p for p, x in kept.items()}
    used = [inside for inside in stacked if inside in needed]
    extra = [stacked[inside] for inside in used]
    found = dict(zip(used, scan.extended(extra), strict=True)) if used else {}
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
    moving, found = forward_step(scan.body, scan.carries, given, inside, names)
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


def forward_carry(
    scan: Scan, place: int, inside: Node, following: Node | None, given: Mapping[Node, Node]
) -> Carry:
    """The tangent of a carry."""
    carried = scan.carried[place]
    first = given.get(carried, zeros(carried))
    return Carry(first, inside, zeros(carried) if following is None else following)
