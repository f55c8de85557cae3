"""Remove dead code: what a graph carries without effect.

A graph's nodes are those its roots need, so nothing unused is ever part of it. What is left are
roots that change nothing, and results of fusions and loops that nobody takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.graph import Graph, same_roots, walk
from graphc.ir.node import Node, apply, build, standing_at
from graphc.ir.scan_parts import Scan, take_apart
from graphc.ir.types import TupleType
from graphc.ops.fusion import results_of


def remove_dead_code(graph: Graph) -> Graph:
    """Drop updates that give a variable its own value, and results of nodes without users.

    A loop loses the carries that no result needs, and what it reads for them. Inputs stay, used
    or not: they are the arguments of a call.
    """
    updates = tuple((target, value) for target, value in graph.updates if value is not target)
    graph = Graph(graph.inputs, graph.outputs, updates)
    while True:  # a result dropped may have been the only user of another node's
        narrower = drop_results(graph)
        if same_roots(graph, narrower):
            return graph
        graph = narrower


def drop_results(graph: Graph) -> Graph:
    """Drop results that nobody takes, also in graphs inside."""
    taken = taken_results(graph)
    done: dict[Node, Node] = {}
    results: dict[Node, dict[int, Node]] = {}
    for node in graph.walk():
        operands = tuple(done[operand] for operand in node.inputs)
        with standing_at(node.where):
            if node in taken:
                results[node] = narrow(node, operands, taken[node])
                done[node] = node  # only its items are used
            elif node.op.name == "item":
                done[node] = results[node.inputs[0]][node.attrs["index"]]
            else:
                done[node] = build(node.op, operands, node.attrs) if operands else node
    return graph.replace_roots(done)


def taken_results(graph: Graph) -> dict[Node, list[int]]:
    """For each node with several results, the numbers of those that somebody takes."""
    taken: dict[Node, set[int]] = {}
    for node in graph.walk():
        if isinstance(node.type, TupleType):
            taken[node] = set()
        if node.op.name == "item":
            taken[node.inputs[0]].add(node.attrs["index"])
    return {node: sorted(kept) for node, kept in taken.items()}


def narrow(node: Node, operands: Sequence[Node], taken: Sequence[int]) -> dict[int, Node]:
    """By their numbers, the results of a node that are taken, of one that has only those."""
    if node.op.name == "fusion":
        kept, new = taken, narrow_fusion(node, operands, taken)
    elif node.op.name == "scan":
        kept, new = narrow_scan(take_apart(node), operands, taken)
    else:  # the condition of a while loop may need every carry
        kept, new = range(len(results_of(node))), build(node.op, operands, node.attrs)
    if not isinstance(new.type, TupleType):
        return {taken[0]: new}
    return {number: apply("item", new, index=kept.index(number)) for number in taken}


def narrow_fusion(fusion: Node, operands: Sequence[Node], kept: Sequence[int]) -> Node:
    """The fusion over new operands with some of its results, and the operands those need."""
    body: Graph = fusion.attrs["body"]
    outputs = tuple(body.outputs[number] for number in kept)
    needed = set(walk(outputs))
    pairs = [(i, x) for i, x in zip(body.inputs, operands, strict=True) if i in needed]
    if len(kept) == len(body.outputs) and len(pairs) == len(operands):
        return build(fusion.op, operands, fusion.attrs)
    inner = Graph(tuple(inside for inside, _ in pairs), outputs)
    return build(fusion.op, [x for _, x in pairs], {**fusion.attrs, "body": inner})


def narrow_scan(
    scan: Scan, operands: Sequence[Node], taken: Sequence[int]
) -> tuple[list[int], Node]:
    """The numbers of the results that a scan must have, and the scan with only those."""
    body = remove_dead_code(scan.body)
    kept = needed_results(scan, body, taken)
    carries = [number for number in kept if number < scan.carries]
    outputs = [body.outputs[number] for number in kept]
    needed = {*walk(outputs), *(scan.carried[number] for number in carries)}
    pairs = [(i, x) for i, x in zip(body.inputs, operands, strict=True) if i in needed]
    sequences = sum(inside in needed for inside in scan.elements)
    if (
        len(kept) == len(body.outputs)
        and len(pairs) == len(operands)
        and same_roots(body, scan.body)
    ):
        return kept, build(scan.node.op, operands, scan.node.attrs)
    inner = Graph(tuple(inside for inside, _ in pairs), tuple(outputs))
    counts = {"body": inner, "carries": len(carries), "sequences": sequences}
    return kept, build(scan.node.op, [x for _, x in pairs], {**scan.node.attrs, **counts})


def needed_results(scan: Scan, body: Graph, taken: Sequence[int]) -> list[int]:
    """The results that are taken, and the carries that these depend on in some step."""
    kept = set(taken)
    while True:
        reached = set(walk(body.outputs[number] for number in kept))
        more = {place for place, inside in enumerate(scan.carried) if inside in reached} - kept
        if not more:
            return sorted(kept)
        kept |= more
