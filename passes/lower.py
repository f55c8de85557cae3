"""lower: turn a graph of fusions into a program of kernels.

A value has a place: an allocation, or a part of one. What a loop hands from step to step has two
places in turn, so that a step reads the old value while it writes the new one. Where all of its
values are stacked, as a gradient wants them, each is made where it is to stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from graphc.errors import GraphError
from graphc.ir import dim
from graphc.ir.dim import Size, Symbol, product
from graphc.ir.graph import Graph, walk
from graphc.ir.kernel import Kernel
from graphc.ir.node import Node, build
from graphc.ir.op import OPS
from graphc.ir.program import Allocation, Branch, Program, Repeat, Step, While, make_call
from graphc.ir.scan_parts import Scan, take_apart
from graphc.ir.types import TensorType
from graphc.ops.complex_parts import is_complex
from graphc.ops.fusion import results_of
from graphc.ops.procedure import Procedure, write_kernel
from graphc.passes.fusion_group import is_view
from graphc.passes.lower_kernel import lower_kernel

Place: TypeAlias = tuple[str, Size]
"""An allocation, and the element of it at which a value begins."""
Result: TypeAlias = tuple[Node, int]
"""A node, and the number of one of its results."""


def lower(graph: Graph) -> Program:
    """Write each fusion as a kernel, give every value memory, and call the kernels in order.

    GraphError where something is complex: `split_complex` goes before.
    """
    for node in graph.walk():
        if is_complex(node):
            raise GraphError(f"lower: {node!r} is complex: run split_complex before", node.where)
    return Lowering(graph).program()


class Lowering:
    """The tables of one lowering: allocations, and kernels by content."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.allocations: list[Allocation] = []
        self.leaves: dict[Node, Place] = {}
        self.names: set[str] = set()
        self.last: dict[str, int] = {}
        self.kernels: dict[tuple[object, ...], Kernel] = {}
        self.bodies: dict[tuple[tuple[Node, ...], ...], Kernel] = {}
        self.variables = 0
        self.updates = {result_of(new) for _, new in graph.updates}

    def program(self) -> Program:
        """The whole program."""
        graph = self.graph
        for node in graph.inputs:
            self.leaf(node)
        block = Block(self, graph, dict.fromkeys(map(result_of, graph.outputs)))
        steps = block.steps_of_all()
        for target, _ in graph.updates:
            self.leaf(target)
        return Program(
            tuple(self.allocations),
            tuple(self.kernels.values()),
            tuple(steps),
            tuple(whole(block.place(node)) for node in graph.outputs),
            tuple((self.leaf(old)[0], whole(block.place(new))) for old, new in graph.updates),
        )

    def leaf(self, node: Node) -> Place:
        """The memory of a value that exists before the step."""
        if node not in self.leaves:
            kind = {"input": "input", "variable": "state", "constant": "constant"}[node.op.name]
            name = self.unique(node.attrs.get("name", "constant"))
            value = node.attrs.get("value") if kind == "constant" else None
            state = node.attrs["state"] if kind == "state" else None
            self.allocations.append(Allocation(name, kind, node.tensor, value, state))
            self.leaves[node] = (name, 0)
        return self.leaves[node]

    def allocate(self, tensor: TensorType, kind: str = "temporary") -> Place:
        """New memory for a value."""
        name = self.unique("y0" if kind == "output" else "t0")
        self.allocations.append(Allocation(name, kind, tensor))
        return name, 0

    def share(self, kernel: Kernel) -> Kernel:
        """The kernel under a name of its own, or the one there is with the same code."""
        code = (kernel.buffers, kernel.body)
        if code not in self.kernels:
            name = self.unique(kernel.name, "kernel ")
            self.kernels[code] = Kernel(name, kernel.buffers, kernel.body, kernel.origin)
        return self.kernels[code]

    def kernel(self, body: Graph) -> Kernel:
        """The kernel of a body; equal bodies are made of the same nodes, and share it."""
        nodes = (body.inputs, body.outputs)
        if nodes not in self.bodies:
            self.bodies[nodes] = self.share(lower_kernel(body))
        return self.bodies[nodes]

    def copy(self, tensor: TensorType, source: Place, target: Place) -> Step:
        """The call that copies a value."""
        value = build(OPS["input"], (), {"name": "value", "type": tensor})
        kernel = self.kernel(Graph((value,), (value,)))
        return make_call(kernel.name, (source, target))

    def variable(self, limit: Size) -> Symbol:
        """A loop variable of its own."""
        self.variables += 1
        return Symbol(f"%i{self.variables - 1}", "index", limit)

    def unique(self, name: str, space: str = "") -> str:
        """A name not used before: the given one, or with the next free number at its end."""
        stem = name.rstrip("0123456789")
        chosen, stem = name, f"{space}{stem if stem != name else f'{name}_'}"
        while space + chosen in self.names:
            self.last[stem] = self.last.get(stem, 0) + 1
            chosen = f"{stem[len(space) :]}{self.last[stem]}"
        self.names.add(space + chosen)
        return chosen


class Block:
    """The steps of one graph: the whole one, or that in a loop or a branch.

    wanted says where results shall be: None for memory of the caller; also, where else they are
    wanted. places are those of what has been computed.
    """

    def __init__(
        self,
        lowering: Lowering,
        graph: Graph,
        wanted: Mapping[Result, Place | None],
        places: Mapping[Result, Place] | None = None,
        also: Mapping[Result, Sequence[Place]] | None = None,
    ) -> None:
        self.lowering = lowering
        self.graph = graph
        self.wanted = wanted
        self.also = also or {}
        self.places = dict(places or {})
        self.stored: set[Place] = set()
        self.steps: list[Step] = []

    def steps_of_all(self) -> list[Step]:
        """The steps that compute every node of the graph."""
        for node in walk(nearest_first(self.graph)):
            if node.op.name == "fusion":
                self.fusion(node)
            elif isinstance(node.op, Procedure):
                self.procedure(node, node.op)
            elif node.op.name == "scan":
                self.scan(without_copies(take_apart(node)))
            elif node.op.name == "while_loop":
                self.while_loop(node)
            elif node.op.name == "cond":
                self.cond(node)
            elif is_view(node):
                self.places[node, 0] = view(node, self.place(node.inputs[0]))
            elif node.op.name != "item" and (node, 0) not in self.places:
                self.places[node, 0] = self.lowering.leaf(node)
        return self.steps

    def place(self, node: Node) -> Place:
        """Where a value is."""
        return self.places[result_of(node)]

    def allocate(self, node: Node, number: int, tensor: TensorType) -> Place:
        """Memory for a result of a node, where it is wanted or new."""
        place = self.wanted.get((node, number))
        if place is None:
            kind = "output" if (node, number) in self.wanted else "temporary"
            place = self.lowering.allocate(tensor, kind)
        self.places[node, number] = place
        return place

    def fusion(self, fusion: Node) -> None:
        """The call of a fusion's kernel, which stores a result wherever it is wanted."""
        results = [self.allocate(fusion, k, t) for k, t in enumerate(results_of(fusion))]
        body, outputs = fusion.attrs["body"], list(fusion.attrs["body"].outputs)
        for number in range(len(results)):
            for place in self.also.get((fusion, number), ()):
                outputs.append(outputs[number])
                results.append(place)
        self.stored |= {*results}
        kernel = self.lowering.kernel(Graph(body.inputs, tuple(outputs)))
        places = [*map(self.place, fusion.inputs), *results]
        self.steps.append(make_call(kernel.name, places))

    def procedure(self, node: Node, op: Procedure) -> None:
        """The call of a kernel that an operator wrote itself, with memory for it to work in."""
        results = [self.allocate(node, k, t) for k, t in enumerate(results_of(node))]
        scratch = [self.lowering.allocate(tensor) for tensor in op.scratch(node)]
        kernel = self.lowering.share(write_kernel(node))
        places = [*map(self.place, node.inputs), *results, *scratch]
        self.steps.append(make_call(kernel.name, places))

    # --- loops -------------------------------------------------------------------------------

    def scan(self, scan: Scan) -> None:
        """The loop of a scan, between copies of its first carries and of its last ones."""
        length = scan.node.attrs["length"]
        variable = self.lowering.variable(length)
        carries = [self.carry(scan, inside) for inside in scan.carried]
        for init, inside, before in zip(scan.node.inputs, scan.carried, carries, strict=False):
            self.copy(inside, self.place(init), before(0))
        count = dim.atom(variable)
        at = length - 1 - count if scan.node.attrs["reverse"] else count
        inputs = [before(count) for before in carries]
        inputs += [
            row(self.place(sequence), inside, at)
            for sequence, inside in zip(
                scan.node.inputs[scan.carries :], scan.elements, strict=False
            )
        ]
        inputs += map(self.place, scan.node.inputs[scan.first_constant :])
        targets = [before(count + 1) for before in carries]
        targets += self.stacks(scan, at)
        self.steps.append(Repeat(variable, self.inside(scan.body, inputs, targets)))
        for number, (inside, before) in enumerate(zip(scan.carried, carries, strict=True)):
            last = self.allocate(scan.node, number, inside.tensor)
            self.copy(inside, before(length), last)

    def carry(self, scan: Scan, inside: Node) -> Callable[[Size], Place]:
        """Where a carry is before so many steps: in two places by turns, or where it is stacked.

        A stack of what a carry was before each step has one more row here, for the last; a loop
        that is to be compact has no room for that.
        """
        number = self.stack_of(scan, inside)
        if number is None:
            two = self.lowering.allocate(repeated(2, inside.tensor))
            return lambda count: row(two, inside, dim.remainder(count, 2))
        length, reverse = scan.node.attrs["length"], scan.node.attrs["reverse"]
        rows = self.lowering.allocate(repeated(length + 1, inside.tensor))
        self.places[scan.node, number] = row(rows, inside, 1 if reverse else 0)
        return lambda count: row(rows, inside, length - count if reverse else count)

    def stack_of(self, scan: Scan, inside: Node) -> int | None:
        """The result that is the stack of a carry before each step, and no memory by itself."""
        if scan.node.attrs["compact"]:
            return None
        stacks = enumerate(scan.results, start=scan.carries)
        found = ((scan.node, number) for number, stacked in stacks if stacked is inside)
        named = {*self.wanted, *self.lowering.updates}  # which the program knows by their memory
        return next((number for node, number in found if (node, number) not in named), None)

    def while_loop(self, node: Node) -> None:
        """A loop that copies its new carries over the old ones, between copies as of a scan."""
        body, count = node.attrs["body"], node.attrs["carries"]
        carried = body.inputs[:count]
        places = [self.lowering.allocate(inside.tensor) for inside in carried]
        following = [self.lowering.allocate(inside.tensor) for inside in carried]
        for inside, init, place in zip(carried, node.inputs, places, strict=False):
            self.copy(inside, self.place(init), place)
        inputs = [*places, *map(self.place, node.inputs[count:])]
        steps = self.inside(body, inputs, following)
        back = (
            self.lowering.copy(inside.tensor, new, old)
            for inside, new, old in zip(carried, following, places, strict=True)
        )
        self.steps.append(While(places[0][0], (*steps, *back)))
        for number, (inside, place) in enumerate(zip(carried[1:], places[1:], strict=True)):
            self.copy(inside, place, self.allocate(node, number, inside.tensor))

    def cond(self, node: Node) -> None:
        """A branch whose arms put their results into the same places."""
        condition = node.attrs["body"].inputs[0]
        place = self.lowering.allocate(condition.tensor)
        self.copy(condition, self.place(node.inputs[0]), place)
        inputs = [self.place(operand) for operand in node.inputs]
        targets = [self.allocate(node, k, t) for k, t in enumerate(results_of(node))]
        arms = (self.inside(node.attrs[a], inputs, targets) for a in ("body", "otherwise"))
        self.steps.append(Branch(place[0], *arms))

    def stacks(self, scan: Scan, at: Size) -> list[Place]:
        """Where a step puts what is stacked."""
        length = scan.node.attrs["length"]
        found = []
        for number, node in enumerate(scan.results, start=scan.carries):
            place = self.places.get((scan.node, number))
            place = place or self.allocate(scan.node, number, repeated(length, node.tensor))
            found.append(row(place, node, at))
        return found

    def inside(
        self, body: Graph, inputs: Sequence[Place], targets: Sequence[Place]
    ) -> tuple[Step, ...]:
        """The steps of a graph inside, from places to places.

        What is wanted twice a kernel stores twice; what no kernel makes is copied.
        """
        all_wanted: dict[Result, list[Place]] = {}
        for node, target in zip(body.outputs, targets, strict=True):
            all_wanted.setdefault(result_of(node), []).append(target)
        wanted: dict[Result, Place | None] = {
            node: first for node, (first, *_) in all_wanted.items()
        }
        also = {result: others for result, (_, *others) in all_wanted.items()}
        places = {(node, 0): place for node, place in zip(body.inputs, inputs, strict=True)}
        block = Block(self.lowering, body, wanted, places, also)
        block.steps_of_all()
        for node, target in zip(body.outputs, targets, strict=True):
            if target not in block.stored and block.place(node) != target:
                block.copy(node, block.place(node), target)
        return tuple(block.steps)

    def copy(self, node: Node, source: Place, target: Place) -> None:
        """Copy a value of a node's type."""
        self.steps.append(self.lowering.copy(node.tensor, source, target))


def without_copies(scan: Scan) -> Scan:
    """A scan whose body gives what its inputs are as they are: what moves them is for the loop."""
    outputs = tuple(map(original, scan.body.outputs))
    return replace(scan, body=Graph(scan.body.inputs, outputs))


def original(node: Node) -> Node:
    """What a fusion only copies, or the node."""
    if node.op.name != "fusion":
        return node
    body = node.attrs["body"]
    copies = len(body.inputs) == len(body.outputs) == 1 and body.outputs[0] is body.inputs[0]
    return node.inputs[0] if copies else node


def result_of(node: Node) -> Result:
    """The node with several results and the number of the one that a node is; itself and 0."""
    return (node.inputs[0], node.attrs["index"]) if node.op.name == "item" else (node, 0)


def whole(place: Place) -> str:
    """The memory that a value has for itself."""
    name, offset = place
    assert offset == 0
    return name


def view(node: Node, place: Place) -> Place:
    """Where a part of a value along its first axis is, or the value in another shape."""
    name, offset = place
    start = node.attrs["starts"][0] if node.op.name == "slice" else 0
    return name, offset + start * product(node.shape[1:])


def repeated(count: Size, tensor: TensorType) -> TensorType:
    """The type of memory for so many values."""
    return TensorType(tensor.dtype, (count, *tensor.shape))


def row(place: Place, node: Node, at: Size) -> Place:
    """Where an element of a sequence is."""
    return place[0], place[1] + at * node.size


def nearest_first(graph: Graph) -> list[Node]:
    """The roots in the order in which they can be ready: those with the shortest way from a leaf.

    What the others still need waits in memory as shortly as possible: the update of the last layer
    of a network comes before that of the first, whose gradient ends the backward pass. Those who
    read a variable come before its update, so that it can be made in place.
    """
    depth: dict[Node, int] = {}
    for node in graph.walk():
        depth[node] = 1 + max((depth[operand] for operand in node.inputs), default=0)
    users, order = graph.users(), []
    updates = [(value, users.get(target, ())) for target, value in graph.updates]
    roots = [(output, ()) for output in graph.outputs] + updates
    for root, readers in sorted(roots, key=lambda pair: depth[pair[0]]):
        order += [*(reader for reader in readers if reader is not root), root]
    return order
