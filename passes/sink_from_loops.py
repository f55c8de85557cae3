"""sink_from_loops: sums over all steps of products become one product after the loop.

The gradient of a recurrent cell's weights is a sum over the steps, of a product each. Added up step
by step, the sum is read and written again in every one of them. The operands of all steps side by
side give it as one product of large matrices. What is kept for that is then also added up after the
loop where it was in it, as for the gradient of a bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.closure import depending_on
from graphc.ir.dim import Size, is_nonnegative, product
from graphc.ir.graph import Graph, items_of, substitute
from graphc.ir.node import Node, apply
from graphc.ir.program import Decision
from graphc.ir.scan_parts import Carry, Scan, make_scan
from graphc.lang.movement import permute_dims, reshape
from graphc.ops.kept_products import MOST_KEPT
from graphc.passes.decisions import lines, record
from graphc.passes.on_scans import on_scans


def sink_from_loops(graph: Graph) -> Graph:
    """Take products that are only added up out of loops.

    Not out of those kept compact, nor of what is inside of them: there memory comes first.
    """
    return on_scans(graph, sunk, in_compact=False)


@dataclass(frozen=True, slots=True, eq=False)
class Total:
    """A carry that only adds up: its number, and what a step adds.

    That is left^T @ right for two sides, one side itself or its sum over some axes.
    """

    number: int
    sides: tuple[Node, ...]
    axes: tuple[int, ...] = ()

    @property
    def kept(self) -> Size:
        """How many elements a step keeps for it."""
        return sum((side.size for side in self.sides[1:]), start=self.sides[0].size)

    def over_steps(self, stacks: Mapping[Node, Node]) -> Node:
        """What all steps add, from the sides of all of them."""
        found = [stacks[side] for side in self.sides]
        if len(found) == 1:
            return apply("sum", found[0], axes=(0, *(axis + 1 for axis in self.axes)))
        rows, columns = (
            reshape(side, (product(side.shape[:-1]), side.shape[-1])) for side in found
        )
        return apply("matmul", permute_dims(rows, (1, 0)), columns)


def sunk(scan: Scan) -> list[Node]:
    """The results of a scan, some of them by products over what another one has kept."""
    totals = [] if scan.node.attrs["compact"] else sinkable(scan)
    if not totals:
        return items_of(scan.node)
    numbers = {total.number for total in totals}
    sequences = dict(zip(scan.elements, scan.node.inputs[scan.carries :], strict=False))
    operands = dict.fromkeys(side for total in totals for side in total.sides)
    kept = [side for side in operands if side not in sequences]
    stay = [number for number in range(scan.carries) if number not in numbers]
    outputs = [*(scan.nexts[number] for number in stay), *scan.results, *kept]
    outputs = substitute(outputs, scan.captured)
    carries = [
        Carry(scan.node.inputs[number], scan.carried[number], following)
        for number, following in zip(stay, outputs, strict=False)
    ]
    finals, stacks = make_scan(carries, sequences, outputs[len(stay) :], scan.schedule)
    found = sequences | dict(zip(kept, stacks[len(scan.results) :], strict=True))
    done = dict(zip(stay, finals, strict=True))
    for total in totals:
        init = scan.node.inputs[total.number]
        done[total.number] = init + total.over_steps(found)
    return [done[number] for number in range(scan.carries)] + stacks[: len(scan.results)]


def sinkable(scan: Scan) -> list[Total]:
    """The carries that only add up products of what each step has anew, or what these keep."""
    found = ((number, term_of(scan, number)) for number in range(scan.carries))
    terms = {number: term for number, term in found if term is not None}
    moving = depending_on((*scan.carried, *scan.elements), scan.body.walk())
    products = [
        Total(number, (term.inputs[0].inputs[0], term.inputs[1]))
        for number, term in terms.items()
        if is_product(term) and set(term.inputs) <= moving
    ]
    products = [total for total in products if pays(scan, total)]
    kept = {side for total in products for side in total.sides}
    plain = [
        Total(number, (side,), axes)
        for number, (side, axes) in ((n, summed(term)) for n, term in terms.items())
        if side in kept
    ]
    for total in (*products, *plain):
        decide(scan, total)
    return products + plain


def summed(term: Node) -> tuple[Node, tuple[int, ...]]:
    """What a term is the sum of, and over which axes; none for any other term."""
    return (term.inputs[0], term.attrs["axes"]) if term.op.name == "sum" else (term, ())


def decide(scan: Scan, total: Total) -> None:
    """Record what leaves a loop."""
    what = "a product" if len(total.sides) == 2 else "what is kept"
    following = scan.nexts[total.number]
    record(Decision(
        "sink_from_loops", "sunk", repr(following),
        f"it adds up {what} of each step: it is done once for all of them",
        (("elements kept for each step", str(total.kept)),), lines([following]),
    ))  # fmt: skip


def term_of(scan: Scan, number: int) -> Node | None:
    """What a carry adds up, if nothing else reads the sum so far."""
    inside, following = scan.carried[number], scan.nexts[number]
    others = [operand for operand in following.inputs if operand is not inside]
    if following.op.name != "add" or len(others) != 1:
        return None
    users = scan.body.users()
    wanted = [output for output in scan.body.outputs if output is following or output is inside]
    if len(users[inside]) != 1 or users[following] or len(wanted) != 1:
        return None
    return others[0]


def is_product(term: Node) -> bool:
    """Whether a value is the product of a matrix, transposed, with another one."""
    if term.op.name != "matmul" or term.ndim != 2:
        return False
    left = term.inputs[0]
    return left.op.name == "permute_dims" and left.attrs["axes"] == (1, 0)


def pays(scan: Scan, total: Total) -> bool:
    """Whether a step keeps no more for the product than the loop reads and keeps anyway."""
    values: Sequence[Node] = (*scan.elements, *scan.results)
    anyway: Size = 0
    for value in values:
        anyway = anyway + value.size
    return is_nonnegative(anyway * MOST_KEPT - total.kept)
