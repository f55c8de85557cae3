"""A group of operators on its way to one kernel: what it computes, and at which indices it reads.

The group follows its formulas from the outputs inwards. For every value that they reach it keeps
the set of indices it is read at; those indices, as polynomials over the loop variables, say all
that fusion must know: one index means one evaluation, an index that is a prefix of the outer
loops can be hoisted, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from graphc.ir import dim
from graphc.ir.dim import Dim, Size
from graphc.ir.node import Node
from graphc.ir.recombine import recombine
from graphc.ir.scalar import DIVISIONS, TRANSCENDENTAL, Ref, Scalar, const
from graphc.ir.types import row_major_strides
from graphc.ops.kept_products import CONTRACTIONS
from graphc.ops.kinds import Elementwise
from graphc.ops.movement import MOVEMENTS
from graphc.ops.procedure import Procedure
from graphc.passes.machine import typical

FREE = (*MOVEMENTS, "barrier", "iota")
LEAVES = ("input", "variable", "constant")
WINDOWS = ("window_sum", "window_max", "window_argmax", "window_gather", "window_scatter")
REDUCTIONS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin", *WINDOWS)
LOOPS = ("scan", "while_loop", "cond")


def stands_alone(node: Node) -> bool:
    """Whether a node is no part of a kernel: a loop or branch over graphs, or a kernel itself."""
    return node.op.name in LOOPS or isinstance(node.op, Procedure)


def is_view(node: Node) -> bool:
    """Whether the elements of a node stand in its operand's memory one after another."""
    if node.op.name == "slice":
        attrs, whole = node.attrs, node.inputs[0].shape
        unmoved = all(step == 1 for step in attrs["steps"]) and not any(attrs["starts"][1:])
        return unmoved and attrs["sizes"][1:] == whole[1:]
    return node.op.name == "reshape" or is_laid_out(node)


def is_laid_out(node: Node) -> bool:
    """Whether a node is a constant that lies in memory as whoever reads it wants it."""
    return node.op.name == "stage" and node.inputs[0].op.name == "constant"


def is_surely_inside(node: Node) -> bool:
    """Whether a view lies inside of its operand whatever the sizes are."""
    if node.op.name != "slice" or not node.ndim:
        return True
    start, count, whole = node.attrs["starts"][0], node.shape[0], node.inputs[0].shape[0]
    return dim.is_nonnegative(start) and dim.is_nonnegative(whole - start - count)


def is_uniform(node: Node) -> bool:
    """Whether a node is a number that any kernel can hold in a register."""
    return node.op.name == "size" or (node.op.name == "constant" and node.ndim == 0)


def is_leaf(node: Node) -> bool:
    """Whether a node stands in memory before the step begins."""
    return (node.op.name in LEAVES and not is_uniform(node)) or is_laid_out(node)


def is_free(node: Node) -> bool:
    """Whether a node only says where to read: computing it again costs nothing."""
    return node.op.name in FREE or is_uniform(node)


def is_elementary(node: Node) -> bool:
    """Whether an element takes an instruction or two, so that to store it costs more."""
    dear = is_expensive(node) or node.op.name in DIVISIONS
    return isinstance(node.op, Elementwise) and not dear


def sources(node: Node) -> list[Node]:
    """The values in memory or computed that a node's operands are movements of, each once."""
    found: dict[Node, None] = {}
    stack = list(reversed(node.inputs))
    while stack:
        operand = stack.pop()
        if is_uniform(operand) or operand.op.name == "iota":
            continue
        if is_free(operand):
            stack.extend(operand.inputs)
        else:
            found[operand] = None
    return list(found)


def source_of(node: Node) -> Node:
    """The value that a movement, if it is one of a single operand, moves."""
    while is_free(node) and len(node.inputs) == 1:
        node = node.inputs[0]
    return node


def typical_size(node: Node) -> int:
    """The elements of a node, where sizes are symbolic a usual number."""
    return typical(node.size)


def typical_bytes(node: Node) -> int:
    """The bytes of a node's elements, where sizes are symbolic a usual number."""
    return typical_size(node) * node.dtype.bytes


def is_expensive(node: Node) -> bool:
    """Whether an element takes tens of instructions."""
    return node.op.name in TRANSCENDENTAL


@dataclass(frozen=True, slots=True)
class Access:
    """One way a value is read: at an index, and whether under a guard or again and again.

    operand is the position in a contraction (0 rows, 1 columns) or in an operator over windows,
    which read each element many times, or -1 outside of one.
    """

    index: tuple[Size, ...]
    guarded: bool = False
    operand: int = -1


@dataclass(slots=True, eq=False)
class Group:
    """Operators that become one kernel over the loops of `domain`.

    domain is the shape of the results without axes of size 1. members are the operators inside,
    outputs those that other kernels need, and reads every value the formulas reach, inside or
    outside, with its accesses. operators counts the members that compute something.
    """

    domain: tuple[Size, ...]
    loops: tuple[Dim, ...]
    members: dict[Node, None] = field(default_factory=dict)
    outputs: dict[Node, None] = field(default_factory=dict)
    reads: dict[Node, dict[Access, None]] = field(default_factory=dict)
    last: int = 0
    variables: int = 0
    operators: int = 0
    is_kernel: bool = True

    @classmethod
    def around(cls, root: Node, position: int, totals: Iterable[Node] = ()) -> Group:
        """A new group that puts one node in memory; position is its place in the graph's order.

        totals are reductions of its rows, which the group stores beside it; then position is that
        of the last of them all. A leaf is not computed but copied.
        """
        loops = result_loops(root.shape)
        group = cls(without_units(root.shape), loops, last=position)
        for node in (root, *totals):
            group.outputs[node] = None
            group.reads[node] = {Access(index_of(node.shape, loops)): None}
        for node in totals:
            group.absorb(node)
        if not is_leaf(root):
            group.absorb(root)
        return group

    @classmethod
    def alone(cls, node: Node, results: Iterable[Node], position: int) -> Group:
        """A node that fusion leaves as it is: it reads memory, and its results are there."""
        group = cls((), (), last=position, is_kernel=False)
        group.outputs |= dict.fromkeys(results)
        group.members |= dict.fromkeys((node, *results))
        group.reads |= {operand: {} for operand in (*group.members, *node.inputs)}
        return group

    def absorb(self, node: Node) -> None:
        """Compute a node inside: its formula's reads join the group's."""
        self.members[node] = None
        self.operators += not is_free(node)
        for operand in node.inputs:  # one that no index reaches is an operand all the same
            self.reads.setdefault(operand, {})
        for access in tuple(self.reads[node]):
            for operand, read in reads_of(node, access, self):
                self.reads[operand][read] = None

    def is_prefix(self, node: Node, access: Access) -> bool:
        """Whether a node is read exactly at the outermost loops' variables."""
        return access.index == index_of(node.shape, self.loops)

    @property
    def contraction(self) -> Node | None:
        """The matrix product or convolution inside, if there is one."""
        return next((n for n in self.members if n.op.name in CONTRACTIONS), None)

    @property
    def has_reduction(self) -> bool:
        """Whether a reduction other than a contraction is inside."""
        return any(node.op.name in REDUCTIONS for node in self.members)


class Tracer:
    """A `Read` that only notes what is read, for one access of one node."""

    def __init__(self, node: Node, access: Access, group: Group) -> None:
        self.node = node
        self.access = access
        self.group = group
        self.found: list[tuple[Node, Access]] = []

    def __call__(self, position: int, index: Sequence[Size], guard: Scalar | None = None) -> Scalar:
        operand = self.node.inputs[position]
        again = self.node.op.name in (*CONTRACTIONS, *WINDOWS)
        inside = position if again else self.access.operand
        guarded = self.access.guarded or guard is not None
        self.found.append((operand, Access(tuple(index), guarded, inside)))
        if operand.op.name == "constant" and operand.ndim == 0:
            return const(operand.dtype, operand.attrs["value"].array.item())
        return Ref(operand.dtype, f"{id(operand)}")

    def bind(self, value: Scalar) -> Dim:
        """A fresh symbol for a value."""
        self.group.variables += 1
        return dim.symbol(f"%v{self.group.variables}", "value")

    def variable(self, limit: Size) -> Dim:
        """A fresh loop variable."""
        self.group.variables += 1
        return dim.symbol(f"%k{self.group.variables}", "index", limit)


def reads_of(node: Node, access: Access, group: Group) -> list[tuple[Node, Access]]:
    """What a node's formula reads when it is evaluated at an access."""
    tracer = Tracer(node, access, group)
    node.op.element(node, access.index, tracer)
    return tracer.found


def without_units(shape: Sequence[Size]) -> tuple[Size, ...]:
    """A shape without its axes of size 1, which take no loop."""
    return tuple(size for size in shape if size != 1)


def result_loops(shape: Sequence[Size]) -> tuple[Dim, ...]:
    """A loop variable for each axis that takes a loop."""
    sizes = enumerate(without_units(shape))
    return tuple(dim.symbol(f"%i{place}", "index", size) for place, size in sizes)


def index_of(shape: Sequence[Size], loops: Sequence[Dim]) -> tuple[Size, ...]:
    """The index whose axes follow the outermost loops in order, 0 along axes of size 1.

    Where there are fewer loops than axes, the index is shorter than the shape.
    """
    rest = iter(loops)
    return tuple(part for part in (0 if size == 1 else next(rest, None) for size in shape)
                 if part is not None)  # fmt: skip


def linear_offset(index: Sequence[Size], shape: Sequence[Size]) -> Size:
    """Where an index stands in a contiguous array, in elements."""
    offset: Size = 0
    for position, stride in zip(index, row_major_strides(tuple(shape)), strict=True):
        offset = offset + position * stride
    return recombine(offset)
