"""Remove dead code: what a graph carries without effect.

A graph's nodes are those its roots need, so nothing unused is ever part of it. What is left are
roots that change nothing, and results of fusions that nobody takes.
"""

from __future__ import annotations

from graphc.ir.graph import Graph, walk
from graphc.ir.node import Node, apply, build
from graphc.ir.types import TupleType
from graphc.ops.fusion import results_of


def remove_dead_code(graph: Graph) -> Graph:
    """Drop updates that give a variable its own value, and results of fusions without users.

    Inputs stay, used or not: they are the arguments of a call.
    """
    updates = tuple((target, value) for target, value in graph.updates if value is not target)
    graph = Graph(graph.inputs, graph.outputs, updates)
    while True:  # a result dropped may have been the only user of another fusion's
        narrower = drop_results(graph)
        if narrower is graph:
            return graph
        graph = narrower


def drop_results(graph: Graph) -> Graph:
    """Drop results of those fusions that have one without users; the same graph if none has."""
    taken = taken_results(graph)
    if all(len(kept) == len(results_of(fusion)) for fusion, kept in taken.items()):
        return graph
    done: dict[Node, Node] = {}
    narrow: dict[Node, Node] = {}
    for node in graph.walk():
        operands = tuple(done[operand] for operand in node.inputs)
        if node in taken:
            narrow[node] = narrow_fusion(node, operands, taken[node])
        if node.op.name == "item":
            done[node] = take(narrow[node.inputs[0]], taken[node.inputs[0]], node.attrs["index"])
        else:
            done[node] = node if not operands else build(node.op, operands, node.attrs)
    return graph.replace_roots(done)


def taken_results(graph: Graph) -> dict[Node, list[int]]:
    """For each fusion with several results, the numbers of those that somebody takes."""
    taken: dict[Node, set[int]] = {}
    for node in graph.walk():
        if isinstance(node.type, TupleType):
            taken[node] = set()
        if node.op.name == "item":
            taken[node.inputs[0]].add(node.attrs["index"])
    return {fusion: sorted(kept) for fusion, kept in taken.items()}


def narrow_fusion(fusion: Node, operands: tuple[Node, ...], kept: list[int]) -> Node:
    """The fusion over new operands with some of its results, and the operands those need."""
    body: Graph = fusion.attrs["body"]
    outputs = tuple(body.outputs[number] for number in kept)
    needed = set(walk(outputs))
    pairs = [(i, x) for i, x in zip(body.inputs, operands, strict=True) if i in needed]
    inner = Graph(tuple(inside for inside, _ in pairs), outputs)
    return build(fusion.op, (outside for _, outside in pairs), {**fusion.attrs, "body": inner})


def take(fusion: Node, kept: list[int], index: int) -> Node:
    """One of the results that are left, by its number before."""
    return fusion if len(kept) == 1 else apply("item", fusion, index=kept.index(index))
