"""Verify: what must hold of a graph, kernel or program whatever passes have done to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from graphc.errors import GraphError, TypeRuleError
from graphc.ir.graph import Graph
from graphc.ir.kernel import Kernel
from graphc.ir.node import Node
from graphc.ir.program import Program
from graphc.ir.verify_kernel import verify_kernel
from graphc.ir.verify_program import Access, verify_program


@dataclass(frozen=True, slots=True)
class Verified:
    """What has been verified before, and what is known of it: none of it can change."""

    graphs: set[Graph] = field(default_factory=set)
    nodes: set[Node] = field(default_factory=set)
    kernels: dict[int, Access] = field(default_factory=dict)


def verify(what: Graph | Kernel | Program, before: Verified | None = None) -> None:
    """Raise GraphError, with what is wrong and where, unless a program is well formed.

    What was verified `before` is not looked at again, and what is now adds to it.
    """
    before = before or Verified()
    if isinstance(what, Graph):
        verify_graph(what, before)
    elif isinstance(what, Kernel):
        verify_kernel(what)
    else:
        verify_program(what, before.kernels)


def verify_graph(graph: Graph, before: Verified) -> None:
    """Raise GraphError unless types, inputs and updates of a graph and those inside it agree."""
    inside = [graph]
    while inside:
        graph = inside.pop()
        if graph in before.graphs:
            continue
        nodes = graph.walk()
        verify_updates(graph)
        verify_inputs(graph, nodes)
        for node in nodes:
            if node not in before.nodes:
                verify_type(node)
                inside.extend(value for value in node.attrs.values() if isinstance(value, Graph))
        before.nodes.update(nodes)
        before.graphs.add(graph)


def verify_inputs(graph: Graph, nodes: Iterable[Node]) -> None:
    """Inputs are input nodes, each listed once, and no others are used; names are unique."""
    for node in graph.inputs:
        if node.op.name != "input":
            raise GraphError(f"a graph's inputs must be inputs, this is {node!r}", node.where)
    listed = set(graph.inputs)
    if len(listed) < len(graph.inputs):
        raise GraphError("an input of the graph is listed twice", graph.inputs[0].where)
    for node in nodes:
        if node.op.name == "input" and node not in listed:
            name = node.attrs["name"]
            raise GraphError(f"input {name!r} is used but not listed", node.where)
    verify_names([*graph.inputs, *graph.variables])


def verify_names(nodes: Iterable[Node]) -> None:
    """No two inputs or variables have one name."""
    taken: set[str] = set()
    for node in nodes:
        name = node.attrs["name"]
        if name in taken:
            raise GraphError(f"two inputs or variables are named {name!r}", node.where)
        taken.add(name)


def verify_updates(graph: Graph) -> None:
    """Each update gives a variable a value of its type, once."""
    done: set[Node] = set()
    for target, value in graph.updates:
        if target.op.name != "variable":
            raise GraphError(f"an update must be of a variable, this is {target!r}", target.where)
        name = target.attrs["name"]
        if target in done:
            raise GraphError(f"variable {name!r} is updated twice", value.where)
        if target.type != value.type:
            message = f"variable {name!r} is {target.type}, its next value is {value.type}"
            raise GraphError(message, value.where)
        done.add(target)


def verify_type(node: Node) -> None:
    """A node's type is the one that its operator gives it."""
    try:
        inferred: Any = node.op.infer(*(operand.type for operand in node.inputs), **node.attrs)
    except TypeRuleError as error:
        raise GraphError(f"{node.op.name}: {error}", node.where) from None
    if inferred != node.type:
        message = f"{node.op.name} is said to have type {node.type}, it has {inferred}"
        raise GraphError(message, node.where)
