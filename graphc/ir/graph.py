"""Graph: inputs, outputs and state updates; walking and rewriting without recursion."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir.node import Node, apply, build, standing_at
from graphc.ir.types import TupleType


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """What is computed: from inputs (and variables) to outputs and to new values of variables.

    inputs are nodes of operator "input", in order. updates pairs a node of operator "variable"
    with the node of its next value; all next values are computed from the values before.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    updates: tuple[tuple[Node, Node], ...] = ()

    @property
    def roots(self) -> tuple[Node, ...]:
        """Every node that must be computed: the outputs and the next values."""
        return self.outputs + tuple(value for _, value in self.updates)

    @property
    def variables(self) -> tuple[Node, ...]:
        """The variables that are read or updated, in the order they are met."""
        found = [node for node in self.walk() if node.op.name == "variable"]
        seen = set(found)
        return tuple(found + [target for target, _ in self.updates if target not in seen])

    def walk(self) -> list[Node]:
        """Every node below the roots once, operands before users."""
        return walk(self.roots)

    def users(self) -> dict[Node, list[Node]]:
        """For each node, the nodes that use it, once for each use; roots count no extra use."""
        users: dict[Node, list[Node]] = {node: [] for node in self.walk()}
        for node in users:
            for operand in node.inputs:
                users[operand].append(node)
        return users

    def rewrite(self, change: Callable[[Node], Node]) -> Graph:
        """The graph with each node replaced by what `change` makes of it, operands first.

        `change` sees a node whose operands are replaced already, and returns it or a node of the
        same type. What it makes stands at the old node's line. Nodes of graphs inside, such as
        the body of a loop, are changed before the node that holds them.
        """
        return self.replace_roots(rewrite(self.roots, change, inside=True))

    def rewrite_outside(self, change: Callable[[Node], Node]) -> Graph:
        """As `rewrite`, but graphs inside of nodes stay as they are."""
        return self.replace_roots(rewrite(self.roots, change))

    def replace_roots(self, done: dict[Node, Node]) -> Graph:
        """The graph with outputs and next values looked up in a table."""
        updates = tuple((target, done[value]) for target, value in self.updates)
        return Graph(self.inputs, tuple(done[node] for node in self.outputs), updates)


BESIDE_BODY = {"else": "otherwise", "back": "backward"}
"""Words of the text for a graph that a node holds besides its body, and the attributes' names."""


def walk(roots: Iterable[Node]) -> list[Node]:
    """Every node below the roots once, operands before users, in a fixed order."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(operand, False) for operand in reversed(node.inputs)]
    return order


def rewrite(
    roots: Sequence[Node], change: Callable[[Node], Node], inside: bool = False
) -> dict[Node, Node]:
    """For each node below the roots, what it becomes (see `Graph.rewrite`).

    Graphs inside of nodes are rewritten too if that is said.
    """
    done: dict[Node, Node] = {}
    for node in walk(roots):
        operands = tuple(done[operand] for operand in node.inputs)
        with standing_at(node.where):
            attrs = rewrite_inside(node.attrs, change) if inside else node.attrs
            kept = all(map(operator.is_, operands, node.inputs))
            copy = node if kept and attrs is node.attrs else build(node.op, operands, attrs)
            new = change(copy)
        assert new.type == node.type, f"{node.op.name}: {node.type} rewritten to {new.type}"
        done[node] = new
    return done


def rewrite_inside(attrs: Mapping[str, Any], change: Callable[[Node], Node]) -> Mapping[str, Any]:
    """Attributes with the graphs among them rewritten; the same where nothing changes."""
    graphs = {key: value for key, value in attrs.items() if isinstance(value, Graph)}
    if not graphs:
        return attrs
    changed = {key: graph.rewrite(change) for key, graph in graphs.items()}
    if all(same_roots(graphs[key], graph) for key, graph in changed.items()):
        return attrs
    return {**attrs, **changed}


def items_of(node: Node) -> list[Node]:
    """The projections of a node with several results, in order."""
    assert isinstance(node.type, TupleType)
    return [apply("item", node, index=k) for k in range(len(node.type.items))]


def same_roots(one: Graph, other: Graph) -> bool:
    """Whether two graphs compute the same nodes: equal is identical."""
    return all(a is b for a, b in zip(one.roots, other.roots, strict=True))


def substitute(roots: Sequence[Node], values: Mapping[Node, Node]) -> list[Node]:
    """The roots built again over other nodes, of the same types, in place of some."""
    done = dict(values)
    for node in walk(roots):
        if node not in done:
            operands = tuple(done[operand] for operand in node.inputs)
            with standing_at(node.where):
                kept = all(new is old for new, old in zip(operands, node.inputs, strict=True))
                done[node] = node if kept else build(node.op, operands, node.attrs)
    return [done[root] for root in roots]
