"""What a picture shows: boxes with a few lines of text, and edges along which values go.

The result is a networkx DiGraph without cycles whose nodes are numbers, each with a `Box`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx

from graphc.ir import scalar
from graphc.ir.dim import variables
from graphc.ir.graph import Graph
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    For,
    Kernel,
    Let,
    Statement,
    Store,
    sizes,
    values,
)
from graphc.ir.node import Node
from graphc.ir.print_kernel import print_buffer, print_statement
from graphc.ir.print_value import print_data
from graphc.ir.printer import print_attributes
from graphc.ir.program import Allocation, Program
from graphc.ir.verify_program import Access
from graphc.ops.kinds import Elementwise
from graphc.ops.linear_algebra import MatMul
from graphc.ops.reduction import Position, Reduction

WIDEST_LINE = 40
MOST_LINES = 9

COLOURS: dict[str, str] = {
    "input": "#cfe2f7",
    "state": "#e0d4f5",
    "constant": "#e9e9e6",
    "elementwise": "#d5ecd2",
    "movement": "#d0ecec",
    "reduction": "#fbdcb8",
    "contraction": "#f7cfcb",
    "fusion": "#f8ecb4",
    "call": "#f8ecb4",
    "loop": "#d0ecec",
    "temporary": "#f4f4f2",
    "output": "#ffffff",
}
"""The colour of each kind of box, in the order of a legend."""

LEAVES = {"input": "input", "variable": "state", "constant": "constant", "fusion": "fusion"}


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a picture: its kind (a key of `COLOURS`), lines of text, and what hovering shows."""

    kind: str
    lines: tuple[str, ...]
    title: str


def model(what: Graph | Kernel | Program) -> nx.DiGraph:
    """The boxes and edges of a picture."""
    if isinstance(what, Graph):
        return graph_model(what)
    return kernel_model(what) if isinstance(what, Kernel) else program_model(what)


class Picture:
    """Boxes and edges in the making."""

    def __init__(self) -> None:
        self.graph = nx.DiGraph()

    def add(self, kind: str, lines: Iterable[str], title: str, sources: Iterable[int]) -> int:
        """A box with an edge from each source; its number."""
        number = len(self.graph.nodes)
        shown = [textwrap.shorten(line, WIDEST_LINE, placeholder=" …") for line in lines]
        self.graph.add_node(number, box=Box(kind, tuple(filter(None, shown)), title))
        self.graph.add_edges_from((source, number) for source in sources if source != number)
        return number


# --- graphs --------------------------------------------------------------------------------------


def graph_model(graph: Graph) -> nx.DiGraph:
    """A box for each node, output and update."""
    picture = Picture()
    numbers: dict[Node, int] = {}
    for node in dict.fromkeys([*graph.inputs, *graph.walk()]):
        operands = [numbers[operand] for operand in node.inputs]
        numbers[node] = picture.add(kind_of(node), node_lines(node), node_title(node), operands)
    for position, node in enumerate(graph.outputs):
        picture.add("output", ["output" + f" {position}" * (len(graph.outputs) > 1)],
                    str(node.type), [numbers[node]])  # fmt: skip
    for target, node in graph.updates:
        name = target.attrs["name"]
        picture.add("state", [f"update {name}"], str(node.type), [numbers[node]])
    return picture.graph


def kind_of(node: Node) -> str:
    """The kind of box for a node."""
    if node.op.name in LEAVES:
        return LEAVES[node.op.name]
    if isinstance(node.op, Elementwise):
        return "elementwise"
    if isinstance(node.op, MatMul):
        return "contraction"
    if node.op.name == "item":
        return "temporary"
    return "reduction" if isinstance(node.op, Reduction | Position) else "movement"


def node_lines(node: Node) -> list[str]:
    """The operator, or the name of a leaf; the operators inside a fusion; the type."""
    body = node.attrs.get("body")
    if isinstance(body, Graph):
        return [node.op.name, *listed_operators(body), str(node.type)]
    if node.op.name == "constant" and not node.shape:
        return [print_data(node.attrs["value"]), str(node.type)]
    return [str(node.attrs.get("name", node.op.name)), str(node.type)]


def listed_operators(body: Graph) -> list[str]:
    """The operators of a graph in order, a few lines of them; inputs and constants not."""
    inside = [node.op.name for node in body.walk() if node.op.name not in LEAVES]
    lines = textwrap.wrap(", ".join(inside), WIDEST_LINE - 4)
    if len(lines) <= MOST_LINES:
        return lines
    return [*lines[: MOST_LINES - 1], f"… {len(inside)} operators"]


def node_title(node: Node) -> str:
    """The attributes and the user's line."""
    attributes = print_attributes(node) if node.op.name not in LEAVES else ""
    head = " ".join(filter(None, [node.op.name, attributes, ":", str(node.type)]))
    return "\n".join([head, *([node.where.describe()] if node.where else [])])


# --- programs ------------------------------------------------------------------------------------


def program_model(program: Program) -> nx.DiGraph:
    """Boxes for calls and for the values of buffers: a buffer has one for each call that writes it.

    So a state that is updated in place stands above the call and below it.
    """
    picture = Picture()
    uses = {kernel.name: Access(kernel) for kernel in program.kernels}
    allocations = {a.name: a for a in program.allocations}
    given = ("input", "state", "constant")
    current = {
        a.name: picture.add(a.kind, buffer_lines(a), buffer_title(program, a), [])
        for a in program.allocations
        if a.kind in given
    }
    for call in program.calls:
        use = uses[call.kernel]
        pairs = list(zip(call.arguments, use.kernel.buffers, strict=True))
        read = [current[name] for name, buffer in pairs if buffer.name in use.reads]
        title = "\n".join([f"@{call.kernel}({', '.join(call.arguments)})", *use.kernel.origin])
        number = picture.add("call", [f"@{call.kernel}"], title, read)
        for name in (name for name, buffer in pairs if buffer.name in use.writes):
            allocation = allocations[name]
            shown = buffer_lines(allocation), buffer_title(program, allocation)
            current[name] = picture.add(allocation.kind, *shown, [number])
    return picture.graph


def buffer_lines(allocation: Allocation) -> list[str]:
    """A buffer's name and type."""
    return [f"%{allocation.name}", str(allocation.type)]


def buffer_title(program: Program, allocation: Allocation) -> str:
    """Who owns a buffer's memory, and how much it is."""
    earlier = dict(program.reuses).get(allocation.name)
    owner = f", in the memory of %{earlier}" if earlier else ""
    return f"{allocation.kind} %{allocation.name}: {allocation.bytes} bytes{owner}"


# --- kernels -------------------------------------------------------------------------------------


def kernel_model(kernel: Kernel) -> nx.DiGraph:
    """Boxes for buffers and statements; edges from names to uses, and from loops to what they hold.

    A buffer that is written is an input only where it is read too.
    """
    picture = Picture()
    names: dict[str, int] = {}
    reads = Access(kernel).reads
    for buffer in kernel.buffers:
        if buffer.name in reads:
            shown = print_buffer(buffer)
            names[f"[{buffer.name}"] = picture.add("input", [shown], shown, [])
    stack: list[tuple[Statement, list[int]]] = [(s, []) for s in reversed(kernel.body)]
    while stack:
        statement, around = stack.pop()
        sources = around + [names[name] for name in used_names(statement) if name in names]
        text = print_line(statement)
        number = picture.add(statement_kind(statement), [text], text, sources)
        if isinstance(statement, For):
            names[statement.variable.name] = number
            stack.extend((inner, [number]) for inner in reversed(statement.body))
        elif isinstance(statement, Let | Accumulator | Accumulate):
            names[f"%{statement.name}"] = number
    return picture.graph


def used_names(statement: Statement) -> list[str]:
    """What a statement uses: %names, and buffers after a bracket."""
    found = {symbol.name: None for size in sizes(statement) for symbol in variables(size)}
    for part in scalar.walk(values(statement)):
        if isinstance(part, scalar.Load):
            found[f"[{part.buffer}"] = None
        elif isinstance(part, scalar.Ref):
            found[f"%{part.name}"] = None
    if isinstance(statement, Accumulate):
        found[f"%{statement.name}"] = None
    return list(found)


def print_line(statement: Statement) -> str:
    """A statement's text, a loop's without its body."""
    if isinstance(statement, For):
        return f"for {statement.kind} {statement.variable} < {statement.limit}"
    return print_statement(statement)


def statement_kind(statement: Statement) -> str:
    """The kind of box for a statement."""
    if isinstance(statement, For):
        return "loop"
    if isinstance(statement, Store):
        return "output"
    return "elementwise" if isinstance(statement, Let) else "reduction"
