"""Complex numbers as pairs of real ones: what operators' rules share, and their use on graphs.

A complex node that has been split is a node of operator "complex" over its two parts, so its type
stays what it was, and `parts` of it are its operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from graphc.errors import GraphError
from graphc.ir.closure import fresh_input
from graphc.ir.graph import Graph, items_of, same_roots, walk
from graphc.ir.node import Node, apply, build, made_at, standing_at
from graphc.ir.op import Op
from graphc.ir.types import TensorType, TupleType

Pair: TypeAlias = tuple[Node, Node]
"""The real and the imaginary part."""


def parts(node: Node) -> Pair:
    """The real and the imaginary part of a complex node."""
    if node.op.name == "complex":
        real, imaginary = node.inputs
        return real, imaginary
    return apply("real", node), apply("imag", node)


def joined(pair: Pair) -> Node:
    """The complex node of two parts."""
    return apply("complex", *pair)


def by_parts(node: Node) -> Node:
    """The operator applied to all real parts and to all imaginary ones; real operands in both."""

    def over(part: int) -> Node:
        operands = [parts(x)[part] if x.dtype.is_complex else x for x in node.inputs]
        return build(node.op, operands, node.attrs)

    return joined((over(0), over(1)))


class PartByPart(Op):
    """Mixed into operators that give each part of the result from those parts of the operands."""

    def split(self, node: Node) -> Node:
        """The operator itself on each part."""
        return by_parts(node)


def is_complex(node: Node) -> bool:
    """Whether a node is complex, or has a complex one among its results."""
    kinds = node.type.items if isinstance(node.type, TupleType) else (node.tensor,)
    return any(kind.dtype.is_complex for kind in kinds)


# --- whole graphs --------------------------------------------------------------------------------


def over_parts(roots: Iterable[Node], known: Mapping[Node, Node]) -> dict[Node, Node]:
    """For each node below the roots the one over parts: a complex node is the `complex` of two.

    known says what complex inputs and variables become.
    """
    done = dict(known)
    several: dict[Node, Sequence[Node]] = {}
    for node in walk(roots):
        if node in done:
            continue
        operands = [done[operand] for operand in node.inputs]
        with standing_at(node.where):
            if holds_graphs(node):
                several[node] = split_several(node, operands)
                done[node] = node  # only its items are used
            elif node.op.name == "item" and node.inputs[0] in several:
                done[node] = several[node.inputs[0]][node.attrs["index"]]
            else:
                done[node] = split(build(node.op, operands, node.attrs) if operands else node)
    return done


def holds_graphs(node: Node) -> bool:
    """Whether a node is a loop or a branch: over graphs, with several results."""
    held = any(isinstance(value, Graph) for value in node.attrs.values())
    return held and isinstance(node.type, TupleType)


def split(node: Node) -> Node:
    """The node over parts; itself where it has nothing to do with complex numbers."""
    if not is_complex(node) and not any(map(is_complex, node.inputs)):
        return node
    if type(node.op).split is Op.split:
        raise GraphError(f"{node.op.name} has no rule for complex numbers{made_at(node)}")
    new = node.op.split(node)
    assert new.type == node.type, f"{node.op.name}: {node.type} split into {new.type}"
    return new


def split_several(node: Node, operands: Sequence[Node]) -> list[Node]:
    """The results of a loop or branch whose operands, carries and results are all real."""
    graphs = {key: value for key, value in node.attrs.items() if isinstance(value, Graph)}
    changed = split_graphs(graphs)
    if all(same_roots(graph, changed[key]) for key, graph in graphs.items()):
        return items_of(build(node.op, operands, node.attrs))
    assert isinstance(node.type, TupleType)
    made = build(node.op, halves(operands), {**node.attrs, **changed, **counts_of(node)})
    return rejoined(node.type.items, items_of(made))


def split_graphs(graphs: Mapping[str, Graph]) -> dict[str, Graph]:
    """Graphs of the same inputs over two inputs for each complex one, and with two outputs."""
    inputs = next(iter(graphs.values())).inputs
    names = {inside.attrs["name"] for inside in inputs}
    known = {inside: stand_in(inside, names) for inside in inputs if is_complex(inside)}
    inner = tuple(halves(known.get(inside, inside) for inside in inputs))
    found = {key: over_parts(graph.outputs, known) for key, graph in graphs.items()}
    return {
        key: Graph(inner, tuple(halves(found[key][output] for output in graph.outputs)))
        for key, graph in graphs.items()
    }


def stand_in(inside: Node, names: set[str]) -> Node:
    """A complex input of a graph inside as the pair of two real ones."""
    name, kind = inside.attrs["name"], TensorType(inside.dtype.part, inside.shape)
    return joined(
        (fresh_input(f"{name}_real", kind, names), fresh_input(f"{name}_imag", kind, names))
    )


def counts_of(node: Node) -> dict[str, Any]:
    """How many carries and sequences a loop has once each complex one is two."""
    counts: dict[str, Any] = {}
    start = 0
    for key in ("carries", "sequences"):
        if key in node.attrs:
            stop = start + node.attrs[key]
            counts[key] = sum(2 if is_complex(x) else 1 for x in node.inputs[start:stop])
            start = stop
    return counts


def halves(nodes: Iterable[Node]) -> list[Node]:
    """The nodes, with the two parts of each complex one in its place."""
    return [half for node in nodes for half in (parts(node) if is_complex(node) else (node,))]


def rejoined(kinds: Iterable[TensorType], nodes: Iterable[Node]) -> list[Node]:
    """Nodes of these types from their halves."""
    rest = iter(nodes)
    return [
        joined((next(rest), next(rest))) if kind.dtype.is_complex else next(rest) for kind in kinds
    ]
