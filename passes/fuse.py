"""fuse: put operators that can share a kernel into one, and record why or why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.program import Decision
from graphc.ir.scan_parts import take_apart
from graphc.ops.kinds import Elementwise
from graphc.passes.decisions import record
from graphc.passes.fusion_group import (
    CONTRACTIONS,
    REDUCTIONS,
    Access,
    Group,
    index_of,
    is_elementary,
    is_expensive,
    is_free,
    is_leaf,
    is_surely_inside,
    is_view,
    linear_offset,
    reads_of,
    source_of,
    sources,
    stands_alone,
    typical_bytes,
    typical_size,
    without_units,
)
from graphc.passes.outline import outline
from graphc.passes.stage_rows import MAX_ROW

# A kernel of more operators than this takes long to compile and runs out of registers.
MAX_OPERATORS = 64
# Of many groups that read a node, the first few are tried.
MAX_CANDIDATES = 4
# Operands that have so many times fewer elements than a result stay in cache.
SMALLER = 8
# How often an element may be computed again instead of stored, by its cost.
MAX_EVALUATIONS_CHEAP, MAX_EVALUATIONS_EXPENSIVE = 3, 2
# In how many loops of a kernel a value may be read that is cheap, or kept for all of them.
MAX_LOOPS = 8


def fuse(graph: Graph) -> Graph:
    """Group operators into fusions, one kernel each: elementwise chains, movement, reductions.

    So are those inside loops and branches, which themselves are never part of a group.
    """
    return outline(graph, Partition(graph).groups, fuse)


class Partition:
    """The division of a graph's operators into groups, made from the users to the operands.

    Every user of a node is in its groups by the time the node's turn comes, so that all its
    accesses are known. A node that only moves data is computed in every group that reads it;
    any other is computed once, in a group of its readers or in a group of its own.
    """

    def __init__(self, graph: Graph) -> None:
        order = graph.walk()
        self.position = {node: place for place, node in enumerate(order)}
        self.roots = set(graph.roots)
        self.groups: list[Group] = []
        self.results: dict[Node, list[Node]] = {}
        self.readers: dict[Node, dict[Group, None]] = {}
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

    def open(self, node: Node) -> None:
        """A group of its own for a node, which puts it in memory."""
        group = Group.around(node, self.position[node])
        self.groups.append(group)
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
        return legal(node, group) or good(node, group)

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
        seen = set(stack)
        while stack:
            for output in stack.pop().outputs:
                if self.position[output] > group.last:  # too late to be read by the group
                    continue
                for reader in self.readers.get(output, ()):
                    if reader is group:
                        return True
                    if reader not in seen:
                        seen.add(reader)
                        stack.append(reader)
        return False


def legal(node: Node, group: Group) -> str | None:
    """Why a kernel that computes a node inside a group could not be written; None if it can."""
    accesses = group.reads[node]
    name = node.op.name
    if name in CONTRACTIONS:
        return contraction_refusal(node, group)
    if name == "stage" and stages_contraction(node):
        return contraction_refusal(node, group)
    if name in REDUCTIONS:
        return reduction_refusal(node, group)
    if name == "concat" and any(access.guarded for access in accesses):
        return "a concatenation inside another would nest its guards"
    return None


def contraction_refusal(node: Node, group: Group) -> str | None:
    """Why a matrix product cannot be the heart of a group."""
    if group.contraction is not None or group.has_reduction:
        return "a kernel holds one matrix product, and no other reduction beside it"
    whole = Access(index_of(node.shape, group.loops))
    accesses = list(group.reads[node])
    if accesses == [whole] and without_units(node.shape) == group.domain:
        return None
    if node.op.name == "convolution" and has_outputs_last(accesses, group):
        return None
    return "a matrix product must be read exactly at the indices of the kernel's loops"


def has_outputs_last(accesses: list[Access], group: Group) -> bool:
    """Whether a convolution is read once at the kernel's loops, along its outputs innermost."""
    if len(accesses) != 1 or accesses[0].guarded or accesses[0].operand >= 0 or not group.loops:
        return False
    index = accesses[0].index
    named = [part for part in index if not isinstance(part, int)]
    return index[1] == group.loops[-1] and sorted(map(str, named)) == sorted(map(str, group.loops))


def reduction_refusal(node: Node, group: Group) -> str | None:
    """Why a reduction cannot stand in a group's loops."""
    if group.contraction is not None:
        return "a tile of a matrix product does not see the whole row that a reduction needs"
    if len(group.reads[node]) != 1:
        return "it would be reduced again for each of several indices"
    (access,) = group.reads[node]
    if access.guarded or not group.is_prefix(node, access):
        return "its loop would run again for each element: its index is not that of outer loops"
    if not without_units(node.shape) and group.domain:
        return "one result for the whole kernel is a kernel of its own"
    return None


def good(node: Node, group: Group) -> str | None:
    """Why computing a node inside a group would cost more than it saves; None if it pays."""
    accesses = group.reads[node]
    if any(access.operand >= 0 for access in accesses):
        return contraction_operand_refusal(node, group)
    if is_free(node):
        return None
    if group.operators >= MAX_OPERATORS:
        return f"the kernel has {MAX_OPERATORS} operators already"
    if any(is_gathered(access) for access in accesses) and not is_picked(node, group):
        return "it is read at places that are known only at run time"
    if any(access.guarded for access in accesses) and not is_cheap(node):
        return "it would be computed for elements that a guard throws away"
    return evaluation_refusal(node, group)


def evaluation_refusal(node: Node, group: Group) -> str | None:
    """Why a node would be evaluated too often for what it costs."""
    accesses = group.reads[node]
    most = MAX_EVALUATIONS_EXPENSIVE if is_expensive(node) else MAX_EVALUATIONS_CHEAP
    by_loop = Counter(frozenset().union(*map(dim.variables, a.index)) for a in accesses)
    apart = len(by_loop) <= MAX_LOOPS and (is_elementary(node) or is_kept(node, accesses))
    if (max(by_loop.values(), default=0) if apart else len(accesses)) > most:
        return f"it would be computed {len(accesses)} times for each element"
    if not is_cheap(node) and not all(follows_outer_loop(access, group) for access in accesses):
        return "it would be computed again for each pass over an outer loop"
    return None


def is_kept(node: Node, accesses: Iterable[Access]) -> bool:
    """Whether loops over one row read a node, so that the row is computed once and kept."""
    rows = {access.index[:-1] for access in accesses}
    length = node.shape[-1] if node.ndim else None
    return len(rows) == 1 and isinstance(length, int) and length * node.dtype.bytes <= MAX_ROW


def follows_outer_loop(access: Access, group: Group) -> bool:
    """Whether a value differs for each pass over the outermost loop, or stands before it."""
    if not access.index or not group.loops:
        return True
    return any(dim.variables(group.loops[0]) <= dim.variables(part) for part in access.index)


def contraction_operand_refusal(node: Node, group: Group) -> str | None:
    """Why an operand that is read again and again must stand in memory as it is."""
    heart = group.contraction
    tiled = heart is not None and heart.op.name == "matmul"
    if not is_free(node):
        what = "a tile of a matrix product" if tiled else "a window that slides"
        return f"{what} reads its operands many times"
    if is_staged(node):
        return None
    column = str(group.loops[-1]) if group.loops else ""  # a product of one number has no loops
    for access in group.reads[node]:
        for operand, read in reads_of(node, access, group):
            offset = linear_offset(read.index, operand.shape)
            stride = dim.coefficient(offset, column)
            if stride not in (0, 1) and (read.operand == 1 or not tiled):
                what = "the matrix product's" if tiled else "the kernel's"
                return f"its columns would not be contiguous for {what} vectors"
            if dim_calls(offset):
                return "its places take a division each, once for every multiplication"
    return None


def reads_in_steps(group: Group, node: Node) -> bool:
    """Whether a loop reads a value step by step: where there is a step, its element is there."""
    loop = next(iter(group.members))
    if loop.op.name != "scan":
        return False
    scan = take_apart(loop)
    return node not in {*loop.inputs[: scan.carries], *loop.inputs[scan.first_constant :]}


def stages_contraction(node: Node) -> bool:
    """Whether a value is a product in another order, which it puts into memory as it is made."""
    (node,) = node.inputs
    while is_free(node) and node.inputs:
        node = node.inputs[0]
    return node.op.name in CONTRACTIONS


def is_staged(node: Node) -> bool:
    """Whether movements lead to a value that was put into memory for its reader."""
    while is_free(node) and node.inputs:
        node = node.inputs[0]
    return node.op.name == "stage"


def dim_calls(offset: dim.Size) -> bool:
    """Whether an offset contains a division or another call of loop variables."""
    return any(
        isinstance(atom, dim.DimCall) and dim.variables(dim.atom(atom))
        for monomial, _ in dim.terms_of(offset)
        for atom in monomial
    )


def is_gathered(access: Access) -> bool:
    """Whether an index depends on loaded values."""
    return any(v.kind == "value" for part in access.index for v in dim.variables(part))


def is_picked(node: Node, group: Group) -> bool:
    """Whether a cheap node is gathered no more often than it has elements."""
    gathers = [
        member
        for member in group.members
        if not isinstance(member.op, Elementwise)
        and any(source_of(operand) is node for operand in member.inputs)
    ]
    picked = sum(typical_size(member) for member in gathers)
    return is_elementary(node) and bool(gathers) and picked <= typical_size(node)


def is_cheap(node: Node) -> bool:
    """Whether an element takes a few instructions."""
    return not (is_expensive(node) or node.op.name in REDUCTIONS or node.op.name in CONTRACTIONS)


def decide(choice: str, node: Node, group: Group, reason: str) -> None:
    """Record what became of a node and a group that reads it."""
    into = next(iter(group.outputs))
    places = tuple(str(n.where) for n in (node, into) if n.where is not None)
    record(Decision("fuse", choice, f"{node!r} with {into!r}", reason, where=places))
