"""Rewrite a graph again and again until nothing changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from graphc.ir.graph import Graph, same_roots
from graphc.ir.node import Node
from graphc.ir.program import Decision
from graphc.passes.decisions import record

Change: TypeAlias = Callable[[Node], Node | None]

MOST_SWEEPS = 10
MOST_STEPS = 100
MOST_GROWTH = 4
"""Bounds that correct rules do not reach; who reaches one is on record."""


def sweep(graph: Graph, changes: Sequence[Change], stage: str) -> Graph:
    """Apply changes to every node, operands first, until a whole sweep changes nothing.

    A change returns what it makes of a node, or None, and looks at nothing but the node and what
    is below it. Each node is changed until none applies; what they make below it waits for the
    next sweep. Sweeps end early, with a Decision, after `MOST_SWEEPS` or when the graph has
    `MOST_GROWTH` times its first size.
    """
    allowed = MOST_GROWTH * len(graph.walk()) + 100
    settled: dict[Node, Node] = {}

    def change(node: Node) -> Node:
        if node not in settled:
            settled[node] = settle(node, changes, stage)
        return settled[node]

    for _ in range(MOST_SWEEPS):
        swept = graph.rewrite(change)
        if same_roots(graph, swept):
            return graph
        graph = swept
        if len(graph.walk()) > allowed:
            return give_up(graph, stage, f"the graph grew beyond {allowed} nodes")
    return give_up(graph, stage, f"still changing after {MOST_SWEEPS} sweeps")


def settle(node: Node, changes: Sequence[Change], stage: str) -> Node:
    """The node changed until no change applies to it."""
    for _ in range(MOST_STEPS):
        found = first(node, changes)
        if found is None:
            return node
        node = found
    record(Decision(stage, "stopped", repr(node), f"still changing after {MOST_STEPS} steps"))
    return node


def first(node: Node, changes: Sequence[Change]) -> Node | None:
    """What the first change that applies makes of a node."""
    for change in changes:
        found = change(node)
        if found is not None and found is not node:
            return found
    return None


def give_up(graph: Graph, stage: str, reason: str) -> Graph:
    """The graph as it is, with a Decision that says why it was left there."""
    record(Decision(stage, "stopped", "the graph", reason))
    return graph
