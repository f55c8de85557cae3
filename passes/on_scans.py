"""Rewrite the scans of a graph, those inside of loops and branches first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from graphc.ir.graph import Graph, same_roots
from graphc.ir.node import Node, build, standing_at
from graphc.ir.scan_parts import Scan, take_apart

Change: TypeAlias = Callable[[Scan], list[Node]]


def on_scans(graph: Graph, change: Change, in_compact: bool = True) -> Graph:
    """The graph with the results of each scan replaced by what `change` makes of it.

    Those inside of compact scans are left alone unless `in_compact`.
    """
    done: dict[Node, Node] = {}
    results: dict[Node, list[Node]] = {}
    for node in graph.walk():
        operands = tuple(done[operand] for operand in node.inputs)
        with standing_at(node.where):
            kept = node.attrs.get("compact", False) and not in_compact
            attrs = node.attrs if kept else inside(node.attrs, change, in_compact)
            if node.op.name == "scan":
                results[node] = change(take_apart(build(node.op, operands, attrs)))
                done[node] = node  # only its items are used
            elif node.op.name == "item" and node.inputs[0] in results:
                done[node] = results[node.inputs[0]][node.attrs["index"]]
            else:
                done[node] = build(node.op, operands, attrs) if operands else node
    return graph.replace_roots(done)


def inside(attrs: Mapping[str, Any], change: Change, in_compact: bool) -> Mapping[str, Any]:
    """Attributes with the scans in their graphs rewritten; the same where nothing changes."""
    graphs = {key: value for key, value in attrs.items() if isinstance(value, Graph)}
    changed = {key: on_scans(graph, change, in_compact) for key, graph in graphs.items()}
    if all(same_roots(graphs[key], graph) for key, graph in changed.items()):
        return attrs
    return {**attrs, **changed}
