"""fuse: put operators that can share a kernel into one, and record why or why not."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.program import Decision
from graphc.ir.scan_parts import take_apart
from graphc.ops.kinds import Elementwise
from graphc.passes.decisions import record
from graphc.passes.fusion_group import (
    Group,
    is_elementary,
    is_free,
    is_leaf,
    is_surely_inside,
    is_view,
    sources,
    stands_alone,
    typical_bytes,
    typical_size,
    without_units,
)
from graphc.passes.fusion_refusals import good, legal
from graphc.passes.outline import outline
from graphc.passes.stage_rows import MAX_ROW

# Of many groups that read a node, the first few are tried.
MAX_CANDIDATES = 4
# Operands that have so many times fewer elements than a result stay in cache.
SMALLER = 8


def fuse(graph: Graph, in_vectors: bool = True) -> Graph:
    """Group operators into fusions, one kernel each: elementwise chains, movement, reductions.

    So are those inside loops and branches, which themselves are never part of a group. in_vectors
    says that a processor computes: products are for vectors of columns, which must lie side by side
    in memory, and one kernel more costs little. For devices it costs a launch.
    """
    inside = partial(fuse, in_vectors=in_vectors)
    return outline(graph, Partition(graph, in_vectors).groups, inside)


class Partition:
    """The division of a graph's operators into groups, made from the users to the operands.

    Every user of a node is in its groups by the time the node's turn comes, so that all its
    accesses are known. A node that only moves data is computed in every group that reads it;
    any other is computed once, in a group of its readers or in a group of its own.
    """

    def __init__(self, graph: Graph, in_vectors: bool) -> None:
        order = graph.walk()
        self.in_vectors = in_vectors
        self.position = {node: place for place, node in enumerate(order)}
        self.roots = set(graph.roots)
        self.users = graph.users()
        self.totals: dict[Node, list[Node]] = {}
        self.groups: list[Group] = []
        self.results: dict[Node, list[Node]] = {}
        self.readers: dict[Node, dict[Group, None]] = {}
        self.firsts: dict[Group, int] = {}  # of groups with several results where the first stands
        for node in reversed(order):
            self.place(node)

    def place(self, node: Node) -> None:
        """Find the groups that compute a node."""
        if node.op.name == "item":
            self.results.setdefault(node.inputs[0], []).append(node)
        elif stands_alone(node):
            self.open_alone(node, self.results.get(node, (node,)))
        elif is_leaf(node):
            if node in self.roots:
                self.open(node)
        elif is_free(node):
            self.place_free(node)
        elif is_row_total(node) and self.is_for_products(node.inputs[0]):
            self.totals.setdefault(node.inputs[0], []).append(node)
        else:
            self.place_computation(node)

    def place_free(self, node: Node) -> None:
        """Compute a movement wherever it is read, but where its target needs it in memory."""
        needed = node in self.roots
        for group in self.readers.get(node, ()):
            reason = self.refusal(node, group)
            if reason:
                decide("separate", node, group, reason)
                needed = True
            else:
                self.join(node, group)
        if needed and self.is_part(node):
            self.open_alone(node, [node])
        elif needed:
            self.open(node)

    def is_part(self, node: Node) -> bool:
        """Whether a loop can read a node in the memory of its operand."""
        alone = [group for group in self.readers.get(node, ()) if not group.is_kernel]
        if not alone or not is_view(node) or node in self.roots:
            return False
        return is_surely_inside(node) or all(reads_in_steps(group, node) for group in alone)

    def open_alone(self, node: Node, results: Iterable[Node]) -> None:
        """A group for a node that stays what it is."""
        group = Group.alone(node, results, self.position[node])
        self.groups.append(group)
        self.note_reads(group)

    def place_computation(self, node: Node) -> None:
        """Compute a node in the group that reads it first, or open a group for it."""
        readers = self.readers.get(node, {})
        if not readers:
            self.open(node)
            return
        shared = len(readers) > 1 or node in self.roots
        refusals: dict[Group, str] = {}
        chosen = None
        for group in sorted(readers, key=lambda reader: reader.last)[:MAX_CANDIDATES]:
            reason = self.refusal(node, group) or (shared and self.output_refusal(node, group))
            if not reason:
                chosen = group
                break
            refusals[group] = reason
        if shared and self.is_better_again(node, chosen):
            for group in readers:
                decide("computed again", node, group, "that reads no more than to load it would")
                self.join(node, group)
            return
        for group, reason in refusals.items():
            decide("separate", node, group, reason)
        if chosen is None:
            self.open(node)
            return
        decide("fused", node, chosen, "each of its elements is needed where it is computed")
        self.join(node, chosen)
        if shared:
            chosen.outputs[node] = None
            self.firsts[chosen] = self.position[node]

    def is_better_again(self, node: Node, chosen: Group | None) -> bool:
        """Whether all who read a node compute it rather than that a chosen group stores it.

        It is cheap, what it reads is in memory whatever becomes of it, and in all no more is read.
        """
        readers = self.readers[node]
        if node in self.roots or not is_elementary(node) or len(readers) > MAX_CANDIDATES:
            return False
        if any(self.refusal(node, group) for group in readers):
            return False
        large = [s for s in sources(node) if SMALLER * typical_size(s) >= typical_size(node)]
        if not all(self.is_stored(source, chosen) for source in large):
            return False
        more = sum(
            typical_bytes(source)
            for group in readers
            if group is not chosen
            for source in large
            if source not in group.reads
        )
        return more <= typical_bytes(node) * len(readers)

    def is_stored(self, node: Node, reader: Group | None) -> bool:
        """Whether a value is in memory even if a group that may be new is the only one to ask."""
        if is_leaf(node) or node in self.roots or node.op.name == "item" or stands_alone(node):
            return True
        readers = self.readers.get(node, {})
        return len(readers) > int(reader in readers)

    def is_for_products(self, node: Node) -> bool:
        """Whether a value is computed for products that read it from memory, and else for totals.

        It follows totals of the same rows, so that no product can have it as its epilogue.
        """
        others = [user for user in self.users[node] if not is_row_total(user)]
        if node in self.roots or not others or not isinstance(node.op, Elementwise):
            return False
        return all(user.op.name == "matmul" for user in others) and follows_total(node)

    def open(self, node: Node) -> None:
        """A group of its own for a node, which puts it in memory, with the totals of its rows."""
        totals = self.totals.get(node, [])
        last = max(self.position[each] for each in (node, *totals))
        group = Group.around(node, last, totals)
        for total in totals:
            decide("fused", total, group, "the rows that it reduces are computed there")
        self.groups.append(group)
        if totals:
            self.firsts[group] = min(self.position[each] for each in (node, *totals))
        self.note_reads(group)

    def join(self, node: Node, group: Group) -> None:
        """Compute a node in a group that reads it."""
        group.absorb(node)
        self.note_reads(group, node.inputs)

    def note_reads(self, group: Group, nodes: Iterable[Node] | None = None) -> None:
        """Remember that a group reads nodes."""
        for node in tuple(group.reads) if nodes is None else nodes:
            if node not in group.members:
                self.readers.setdefault(node, {})[group] = None

    def refusal(self, node: Node, group: Group) -> str | None:
        """Why a node may not or should not be computed inside a group; None if it may."""
        if not group.is_kernel:
            return "a loop, a branch or a kernel of its own reads it from memory"
        return legal(node, group) or good(node, group, self.in_vectors)

    def output_refusal(self, node: Node, group: Group) -> str | None:
        """Why a group that computes a node cannot store it for others; None if it can."""
        sizes = without_units(node.shape)
        if sizes != group.domain[: len(sizes)]:
            return "others need it too, and its shape is not that of the kernel's loops"
        if not any(group.is_prefix(node, access) for access in group.reads[node]):
            return "others need it too, and no loop of the kernel meets each element once"
        if self.reaches(node, group):
            return "another kernel between the two would wait for its own result"
        return None

    def reaches(self, node: Node, group: Group) -> bool:
        """Whether a path leads from a node through other groups back into this one."""
        stack = [reader for reader in self.readers[node] if reader is not group]
        seen, horizon = set(stack), self.horizon(group)
        while stack:
            for output in stack.pop().outputs:
                if self.position[output] > horizon:  # too late for any path to the group
                    continue
                for reader in self.readers.get(output, ()):
                    if reader is group:
                        return True
                    if reader not in seen:
                        seen.add(reader)
                        stack.append(reader)
        return False

    def horizon(self, group: Group) -> int:
        """The last place in the graph's order from which a path may lead to a group.

        What comes later than its last result it can not read. But a group with a result before that
        may read so late a value for another one.
        """
        last = group.last
        while True:
            reaching = (each.last for each, first in self.firsts.items() if first <= last)
            further = max(reaching, default=last)
            if further <= last:
                return last
            last = further


def reads_in_steps(group: Group, node: Node) -> bool:
    """Whether a loop reads a value step by step: where there is a step, its element is there."""
    loop = next(iter(group.members))
    if loop.op.name != "scan":
        return False
    scan = take_apart(loop)
    return node not in {*loop.inputs[: scan.carries], *loop.inputs[scan.first_constant :]}


def is_row_total(node: Node) -> bool:
    """Whether a node reduces the last axis of its operand, of rows that may be kept."""
    if node.op.name not in ("sum", "prod", "max", "min"):
        return False
    (operand,) = node.inputs
    length = operand.shape[-1] if operand.ndim else None
    if not isinstance(length, int) or length * operand.dtype.bytes > MAX_ROW:
        return False
    return tuple(node.attrs["axes"]) == (operand.ndim - 1,) and length > 1


def follows_total(node: Node) -> bool:
    """Whether elementwise operators and movements lead from a total of a row to a node."""
    stack, seen = list(node.inputs), set(node.inputs)
    while stack:
        operand = stack.pop()
        if is_row_total(operand):
            return True
        if isinstance(operand.op, Elementwise) or is_free(operand):
            new = [each for each in operand.inputs if each not in seen]
            stack += new
            seen.update(new)
    return False


def decide(choice: str, node: Node, group: Group, reason: str) -> None:
    """Record what became of a node and a group that reads it."""
    into = next(iter(group.outputs))
    places = tuple(str(n.where) for n in (node, into) if n.where is not None)
    record(Decision("fuse", choice, f"{node!r} with {into!r}", reason, where=places))
