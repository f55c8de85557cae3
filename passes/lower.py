"""lower: turn a graph of fusions into a program of kernels."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.ir.graph import Graph, walk
from graphc.ir.kernel import Kernel
from graphc.ir.node import Node
from graphc.ir.program import Allocation, CallKernel, Program
from graphc.ir.types import TensorType
from graphc.ops.fusion import results_of
from graphc.passes.lower_kernel import lower_kernel


def lower(graph: Graph) -> Program:
    """Write each fusion as a kernel, give every value a buffer, and call the kernels in order."""
    return Lowering(graph).program()


class Lowering:
    """The tables of one lowering: buffers by node, kernels by content, calls in order."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.buffers: dict[tuple[Node, int], Allocation] = {}
        self.names: set[str] = set()
        self.kernels: dict[tuple[object, ...], Kernel] = {}
        self.calls: list[CallKernel] = []

    def program(self) -> Program:
        """The whole program."""
        for node in self.graph.inputs:
            self.leaf(node)
        outputs = {self.result(node): None for node in self.graph.outputs}
        for node in walk(nearest_first(self.graph)):
            self.visit(node, outputs)
        for target, _ in self.graph.updates:
            if (target, 0) not in self.buffers:
                self.leaf(target)
        return Program(
            tuple(self.buffers.values()),
            tuple(self.kernels.values()),
            tuple(self.calls),
            tuple(self.buffer(node).name for node in self.graph.outputs),
            tuple(
                (self.buffer(old).name, self.buffer(new).name) for old, new in self.graph.updates
            ),
        )

    def visit(self, node: Node, outputs: dict[tuple[Node, int], None]) -> None:
        """A buffer for a leaf; buffers and a call for a fusion."""
        if node.op.name == "fusion":
            self.call(node, outputs)
        elif node.op.name != "item" and (node, 0) not in self.buffers:
            self.leaf(node)

    def leaf(self, node: Node) -> None:
        """A buffer for a value that exists before the step."""
        kind = {"input": "input", "variable": "state", "constant": "constant"}[node.op.name]
        name = self.unique(node.attrs.get("name", "constant"))
        value = node.attrs.get("value") if kind == "constant" else None
        state = node.attrs["state"] if kind == "state" else None
        self.buffers[node, 0] = Allocation(name, kind, node.tensor, value, state)

    def call(self, fusion: Node, outputs: dict[tuple[Node, int], None]) -> None:
        """Buffers for a fusion's results, its kernel, and the call."""
        for position, result in enumerate(results_of(fusion)):
            self.allocate(fusion, position, result, (fusion, position) in outputs)
        kernel = self.share(lower_kernel(fusion.attrs["body"]))
        arguments = [self.buffer(operand).name for operand in fusion.inputs]
        arguments += [self.buffers[fusion, k].name for k in range(len(results_of(fusion)))]
        self.calls.append(CallKernel(kernel.name, tuple(arguments)))

    def allocate(self, fusion: Node, position: int, result: TensorType, is_output: bool) -> None:
        """A buffer for one result of a fusion."""
        kind = "output" if is_output else "temporary"
        name = self.unique("y0" if is_output else "t0")
        self.buffers[fusion, position] = Allocation(name, kind, result)

    def share(self, kernel: Kernel) -> Kernel:
        """The kernel under a name of its own, or the one there is with the same code."""
        code = (kernel.buffers, kernel.body)
        if code not in self.kernels:
            name = self.unique(kernel.name, "kernel ")
            self.kernels[code] = Kernel(name, kernel.buffers, kernel.body, kernel.origin)
        return self.kernels[code]

    def result(self, node: Node) -> tuple[Node, int]:
        """The fusion and the position of its result that a node is."""
        return (node.inputs[0], node.attrs["index"]) if node.op.name == "item" else (node, 0)

    def buffer(self, node: Node) -> Allocation:
        """The buffer of a value."""
        return self.buffers[self.result(node)]

    def unique(self, name: str, space: str = "") -> str:
        """A name not used before: the given one, or with a number at its end."""
        chosen = next(n for n in numbered(name) if space + n not in self.names)
        self.names.add(space + chosen)
        return chosen


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


def numbered(name: str) -> Iterator[str]:
    """The name, then name_1, name_2, ... or, where it ends in a number, the next numbers."""
    yield name
    stem = name.rstrip("0123456789")
    number = int(name[len(stem) :] or 0)
    stem = stem if stem != name else f"{name}_"
    while True:
        number += 1
        yield f"{stem}{number}"
