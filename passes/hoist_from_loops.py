"""hoist_from_loops: products that depend on a step's own elements alone become one for all steps.

In `h @ u + x @ w` of a recurrent cell the second product does not wait for the step before. Done
for all steps at once it is a product of large matrices instead of many small ones. What follows
it goes along as long as nothing else in the loop needs what is between. On a processor a step that
has rows enough by itself keeps its product where all of them together would leave the cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from graphc.ir.closure import depending_on, fresh_inputs
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, items_of, substitute, walk
from graphc.ir.node import Node, apply, build, standing_at
from graphc.ir.program import Decision
from graphc.ir.scan_parts import Carry, Scan, make_scan
from graphc.ops.kinds import Elementwise, Shifted
from graphc.ops.movement import MOVEMENTS
from graphc.passes.decisions import lines, record
from graphc.passes.machine import SECOND_CACHE, typical
from graphc.passes.on_scans import on_scans

# With so many rows a product does not wait for its matrix, even from the third cache.
ENOUGH_ROWS = 32
# What all steps' products may take, in bytes, to be in cache when the loop reads them.
NEAR = SECOND_CACHE // 2


def hoist_from_loops(graph: Graph, most: int | None = None) -> Graph:
    """Compute products of elements by matrices before the loops, but for those kept compact.

    most is how many bytes the products of all steps may take; None is for a processor, where a
    product of few rows is slow by itself, and others stay where they are if all are too much for
    the cache.
    """
    return on_scans(graph, partial(hoisted, most=most))


def hoisted(scan: Scan, most: int | None) -> list[Node]:
    """The results of a scan, of one that reads products where this one computes them."""
    roots = [] if scan.node.attrs["compact"] else hoistable(scan, most)
    if not roots:
        return items_of(scan.node)
    decide(scan, roots)
    batch = Batch(scan)
    stand_ins = fresh_inputs("x", roots, scan.names)
    pairs = list(zip(roots, stand_ins, strict=True))
    sequences = dict(zip(scan.elements, scan.node.inputs[scan.carries :], strict=False))
    sequences |= {inside: batch.all_steps(root) for root, inside in pairs}
    outputs = substitute(scan.body.outputs, {**scan.captured, **dict(pairs)})
    carries = [Carry(*each) for each in zip(scan.node.inputs, scan.carried, outputs, strict=False)]
    finals, stacks = make_scan(carries, sequences, outputs[scan.carries :], scan.schedule)
    return finals + stacks


def decide(scan: Scan, roots: Iterable[Node]) -> None:
    """Record what leaves a loop."""
    for root in roots:
        say(
            "hoisted",
            root,
            "it depends on the elements of a step alone: one product serves all steps",
        )


def say(choice: str, node: Node, reason: str) -> None:
    """Record what became of a value."""
    numbers = (("elements for each step", str(node.size)),)
    record(Decision("hoist_from_loops", choice, repr(node), reason, numbers, lines([node])))


# --- what can leave ------------------------------------------------------------------------------


def hoistable(scan: Scan, most: int | None) -> list[Node]:
    """The values to compute for all steps at once."""
    order = scan.body.walk()
    waiting = depending_on(scan.carried, order)
    moving = depending_on(scan.elements, order) - waiting
    free: set[Node] = set(scan.elements) & set(order)
    for node in order:
        inputs = [operand for operand in node.inputs if operand in moving]
        if node in moving and node.inputs and can_batch(node, moving):
            free |= {node} if all(operand in free for operand in inputs) else set()
    products = [node for node in order if node in free and node.op.name == "matmul"]
    length = scan.node.attrs["length"]
    products = [node for node in products if pays(node, length, most)]
    users = scan.body.users()
    ends = (follow(node, users, free, set(scan.body.outputs)) for node in products)
    return list(dict.fromkeys(ends))


def pays(product: Node, length: Size, most: int | None) -> bool:
    """Whether a product is faster for all steps at once than in each of them; says so if not."""
    rows, taken = product.shape[0], typical(product.size) * typical(length) * product.dtype.bytes
    few = most is None and (not isinstance(rows, int) or rows < ENOUGH_ROWS)
    if few or taken <= (NEAR if most is None else most):
        return True
    reason = "it has rows enough, and would be read again from afar"
    say("in the loop", product, reason if most is None else f"all steps' would be {taken:,} bytes")
    return False


def can_batch(node: Node, moving: set[Node]) -> bool:
    """Whether there is one node that does for all steps what this one does for one."""
    if node.op.name == "matmul":
        return node.ndim == 2 and node.inputs[0] in moving and node.inputs[1] not in moving
    return isinstance(node.op, Elementwise) or node.op.name in MOVEMENTS


def follow(
    node: Node, users: Mapping[Node, Sequence[Node]], free: set[Node], outputs: set[Node]
) -> Node:
    """The last of a chain of values that nothing else needs, none larger than the first."""
    size = node.size
    while node not in outputs and len(set(users[node])) == 1:
        (user,) = set(users[node])
        if user not in free or user.size != size or user.op.name == "matmul":
            break
        node = user
    return node


# --- all steps at once ---------------------------------------------------------------------------


class Batch:
    """Values of the body for all steps, along a new first axis."""

    def __init__(self, scan: Scan) -> None:
        self.length: Size = scan.node.attrs["length"]
        self.fixed = dict(scan.captured)
        operands = scan.node.inputs[scan.carries :]
        self.known = dict(zip(scan.elements, operands, strict=False))

    def all_steps(self, root: Node) -> Node:
        """A value that depends on the elements of sequences."""
        for node in walk([root]):
            if any(operand in self.known for operand in node.inputs) and node not in self.known:
                with standing_at(node.where):
                    self.known[node] = self.batched(node)
        return self.known[root]

    def batched(self, node: Node) -> Node:
        """What an operator makes of its operands for all steps."""
        if node.op.name == "matmul":
            rows, columns = self.known[node.inputs[0]], self.outside(node.inputs[1])
            _, height, depth = rows.shape
            tall = apply("reshape", rows, shape=(self.length * height, depth))
            return apply("reshape", apply("matmul", tall, columns), shape=self.shape(node))
        operands = [self.known[x] if x in self.known else self.repeated(x) for x in node.inputs]
        if isinstance(node.op, Elementwise) and any(map(self.is_product, operands)):
            return self.behind_product(node, operands)
        assert isinstance(node.op, Shifted)
        return build(node.op, operands, node.op.beside_batch(node.attrs, self.length))

    def is_product(self, node: Node) -> bool:
        """Whether a value for all steps is a product of large matrices, or follows one."""
        if node.op.name != "reshape" or node.ndim < 2:
            return False
        _, height, *rest = node.shape
        return node.inputs[0].shape == (self.length * height, *rest)

    def behind_product(self, node: Node, operands: Sequence[Node]) -> Node:
        """An elementwise operator over the large matrices as they are, so that they can fuse."""
        height, *rest = node.shape
        shape = (self.length * height, *rest)
        tall = (x.inputs[0] if self.is_product(x) else apply("reshape", x, shape=shape)
                for x in operands)  # fmt: skip
        return apply("reshape", build(node.op, tall, node.attrs), shape=self.shape(node))

    def shape(self, node: Node) -> tuple[Size, ...]:
        """The shape of a value with the axis of steps before it."""
        return (self.length, *node.shape)

    def repeated(self, node: Node) -> Node:
        """A value that is the same in every step, for each of them."""
        axes = tuple(range(1, node.ndim + 1))
        return apply("broadcast", self.outside(node), shape=self.shape(node), axes=axes)

    def outside(self, node: Node) -> Node:
        """A value that is the same in every step, over the operands of the loop."""
        return substitute([node], self.fixed)[0]
