"""merge_loops: loops that do the same steps become one with the results of all.

A gradient runs the forward loop again: a scan for the values that the carries had before each
step, a while loop to count its steps. Both loops have the same operands and the same inputs inside,
so equal values inside are equal nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.ir.graph import Graph, same_roots, substitute, walk
from graphc.ir.node import Node, apply, build, standing_at
from graphc.ir.program import Decision
from graphc.ir.scan_parts import take_apart
from graphc.passes.decisions import lines, record


def merge_loops(graph: Graph) -> Graph:
    """Make one loop of those with equal operands and next carries, also inside other loops.

    Scans may stack different results. A while loop may have carries besides those of another.
    """
    while True:  # loops over the results of merged ones may have become mergeable
        bodies: dict[Node, Graph] = {}
        for scans in mergeable(graph):
            bodies |= dict.fromkeys(scans, union(scans))
        changed = absorb(graph.replace_roots(merged(graph, bodies)))
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


# --- while loops ---------------------------------------------------------------------------------


def absorb(graph: Graph) -> Graph:
    """Take the results of while loops from others that compute them besides."""
    wider = absorbable(graph)

    def change(node: Node) -> Node:
        if node.op.name != "item" or node.inputs[0] not in wider:
            return node
        loop = node.inputs[0]
        inside = loop.attrs["body"].inputs[1 + node.attrs["index"]]
        places = {x: place for place, x in enumerate(wider[loop].attrs["body"].inputs)}
        return apply("item", wider[loop], index=places[inside] - 1)

    return graph.rewrite_outside(change) if wider else graph


def absorbable(graph: Graph) -> dict[Node, Node]:
    """Some while loops that do nothing but what a wider one does too, each with that one.

    There is one wider one: of two, each could read what the other one shall replace.
    """
    groups: dict[Any, list[Node]] = {}
    for node in graph.walk():
        if node.op.name == "while_loop":
            key = id(node.inputs[0]), id(node.attrs["body"].inputs[0])
            groups.setdefault(key, []).append(node)
    found = next(filter(None, (covered(loops) for loops in groups.values() if len(loops) > 1)), {})
    for loop, other in found.items():
        reason = "the other one runs the same steps and has all of its carries"
        record(Decision("merge_loops", "merged", repr(loop), reason, (), lines([loop, other])))
    return found


def covered(loops: Sequence[Node]) -> dict[Node, Node]:
    """Those loops all of whose carries the one with the most has too, and that it does not read."""
    nexts = {loop: next_carries(loop) for loop in loops}
    parts = {
        loop: {
            tuple(map(id, part)) for part in zip(carried(loop), loop.inputs, after, strict=False)
        }
        for loop, after in nexts.items()
    }
    widest = max(loops, key=lambda loop: len(parts[loop]))
    below = set(walk([widest]))
    return {x: widest for x in loops if x not in below and parts[x] <= parts[widest]}


def carried(loop: Node) -> tuple[Node, ...]:
    """The inputs of a while loop's body that stand for its carries."""
    body: Graph = loop.attrs["body"]
    return body.inputs[: loop.attrs["carries"]]


def next_carries(loop: Node) -> list[Node]:
    """The next carries of a while loop over the operands that its constants stand for.

    A loop that carries tangents has other constants, but computes the same from the same operands.
    """
    body: Graph = loop.attrs["body"]
    count = loop.attrs["carries"]
    constants = zip(body.inputs[count:], loop.inputs[count:], strict=True)
    return substitute(body.outputs, dict(constants))
