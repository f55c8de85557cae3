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
    elif node.op.name == "while_loop":
        kept, new = narrow_while(node, operands, taken)
    elif node.op.name == "cond":
        kept, new = taken, narrow_cond(node, operands, taken)
    else:
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
    kept = needed_carries(body, scan.carries, taken)
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


def narrow_while(
    node: Node, operands: Sequence[Node], taken: Sequence[int]
) -> tuple[list[int], Node]:
    """The same for a while loop, whose condition, its first carry, says what it needs too."""
    body, count = remove_dead_code(node.attrs["body"]), node.attrs["carries"]
    carries = needed_carries(body, count, [0, *(number + 1 for number in taken)])
    outputs = tuple(body.outputs[place] for place in carries)
    needed = {*walk(outputs), *(body.inputs[place] for place in carries)}
    pairs = [(i, x) for i, x in zip(body.inputs, operands, strict=True) if i in needed]
    kept = [place - 1 for place in carries[1:]]
    if len(pairs) == len(operands) and same_roots(body, node.attrs["body"]):
        return kept, build(node.op, operands, node.attrs)
    inner = Graph(tuple(inside for inside, _ in pairs), outputs)
    attrs = {**node.attrs, "body": inner, "carries": len(carries)}
    return kept, build(node.op, [x for _, x in pairs], attrs)


def narrow_cond(node: Node, operands: Sequence[Node], kept: Sequence[int]) -> Node:
    """The choice with some of its results, and the operands that these need in either arm."""
    arms = [remove_dead_code(node.attrs[key]) for key in ("body", "otherwise")]
    found = [tuple(arm.outputs[number] for number in kept) for arm in arms]
    inputs, olds = arms[0].inputs, (node.attrs["body"], node.attrs["otherwise"])
    needed = {inputs[0], *walk([*found[0], *found[1]])}
    pairs = [(i, x) for i, x in zip(inputs, operands, strict=True) if i in needed]
    whole = len(pairs) == len(operands) and len(kept) == len(olds[0].outputs)
    if whole and all(map(same_roots, arms, olds)):
        return build(node.op, operands, node.attrs)
    inside = tuple(i for i, _ in pairs)
    attrs = {"body": Graph(inside, found[0]), "otherwise": Graph(inside, found[1])}
    return build(node.op, [x for _, x in pairs], attrs)


def needed_carries(body: Graph, carries: int, taken: Sequence[int]) -> list[int]:
    """The outputs of a loop's body that are taken, and the carries these depend on in some step."""
    kept = set(taken)
    while True:
        reached = set(walk(body.outputs[number] for number in kept))
        carried = enumerate(body.inputs[:carries])
        more = {place for place, inside in carried if inside in reached} - kept
        if not more:
            return sorted(kept)
        kept |= more
