"""merge_loops: scans that do the same steps become one scan with the results of all.

A gradient runs the forward loop again for the values that the carries had before each step. Both
loops have the same operands and the same inputs inside, so equal values inside are equal nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.ir.graph import Graph, same_roots
from graphc.ir.node import Node, build, standing_at
from graphc.ir.program import Decision
from graphc.ir.scan_parts import take_apart
from graphc.passes.decisions import lines, record


def merge_loops(graph: Graph) -> Graph:
    """Make one scan of those with equal operands and next carries, also inside other loops."""
    while True:  # scans over the results of merged ones may have become mergeable
        bodies: dict[Node, Graph] = {}
        for scans in mergeable(graph):
            bodies |= dict.fromkeys(scans, union(scans))
        changed = graph.replace_roots(merged(graph, bodies))
        if same_roots(graph, changed):
            return graph
        graph = changed


def mergeable(graph: Graph) -> list[list[Node]]:
    """Groups of two or more scans that differ in what they stack alone."""
    groups: dict[Any, list[Node]] = {}
    for node in graph.walk():
        if node.op.name == "scan":
            groups.setdefault(key_of(node), []).append(node)
    found = [scans for scans in groups.values() if len(scans) > 1]
    for scans in found:
        reason = "they run the same steps from the same operands"
        numbers = (("scans", str(len(scans))),)
        record(Decision("merge_loops", "merged", repr(scans[0]), reason, numbers, lines(scans)))
    return found


def key_of(node: Node) -> Any:
    """What scans must have in common: how they run, their operands, inputs and next carries."""
    scan = take_apart(node)
    schedule = tuple(sorted((k, v) for k, v in node.attrs.items() if k != "body"))
    nodes = (*node.inputs, None, *scan.body.inputs, None, *scan.nexts)
    return schedule, tuple(map(id, nodes))


def union(scans: Sequence[Node]) -> Graph:
    """A body with the outputs of all, each once."""
    first = take_apart(scans[0])
    stacked = dict.fromkeys(node for scan in scans for node in take_apart(scan).results)
    return Graph(first.body.inputs, (*first.nexts, *stacked))


def merged(graph: Graph, bodies: Mapping[Node, Graph]) -> dict[Node, Node]:
    """What each node becomes where scans get the bodies given."""
    done: dict[Node, Node] = {}
    for node in graph.walk():
        operands = tuple(done[operand] for operand in node.inputs)
        attrs: dict[str, Any] = {
            k: merge_loops(v) if isinstance(v, Graph) else v for k, v in node.attrs.items()
        }
        if node in bodies:
            attrs["body"] = bodies[node]
        elif node.op.name == "item" and node.inputs[0] in bodies:
            attrs["index"] = place_in(bodies[node.inputs[0]], node.inputs[0], attrs["index"])
        with standing_at(node.where):
            done[node] = build(node.op, operands, attrs) if operands or node.op.interned else node
    return done


def place_in(body: Graph, scan: Node, index: int) -> int:
    """The number of a scan's result in the body that has those of others too."""
    old = take_apart(scan)
    if index < old.carries:
        return index
    stacked = {node: place for place, node in enumerate(body.outputs) if place >= old.carries}
    return stacked[old.body.outputs[index]]
