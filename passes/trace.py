"""Calling a user's function on stand-ins, so that its inside can be used again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.ir.graph import substitute, walk
from graphc.ir.node import Node, apply
from graphc.ir.types import Type
from graphc.lang.operands import as_node
from graphc.structure import Rebuild, flatten


@dataclass(frozen=True, slots=True)
class Trace:
    """A call of a function: the nodes among its arguments, and its results over stand-ins of them.

    `arguments` and `results` put nodes back into the structure of the arguments and the results.
    """

    nodes: tuple[Node, ...]
    stand_ins: tuple[Node, ...]
    outputs: tuple[Node, ...]
    arguments: Rebuild
    results: Rebuild

    def on(self, nodes: Sequence[Node]) -> list[Node]:
        """The results over other nodes of the same types."""
        return substitute(self.outputs, dict(zip(self.stand_ins, nodes, strict=True)))

    def outside(self) -> list[Node]:
        """The nodes from outside of the function that it reads and that are no constants."""
        known = dependents(self.outputs, self.stand_ins)
        edge = {operand: None for node in known for operand in node.inputs if operand not in known}
        edge |= {root: None for root in self.outputs if root not in known}
        return [node for node in edge if source(node) is not None]


def trace(fn: Callable[..., Any], arguments: Sequence[Any]) -> Trace:
    """What a function makes of arguments; those that are no nodes are passed as they are."""
    leaves, rebuild = flatten(tuple(arguments))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Node)]

    def with_nodes(nodes: Sequence[Any]) -> Any:
        found = dict(zip(places, nodes, strict=True))
        return rebuild([found.get(place, leaf) for place, leaf in enumerate(leaves)])

    stand_ins = tuple(stand_in(leaves[place].type) for place in places)
    outputs, results = flatten(fn(*with_nodes(stand_ins)))
    nodes = tuple(leaves[place] for place in places)
    return Trace(nodes, stand_ins, tuple(map(as_node, outputs)), with_nodes, results)


def stand_in(type: Type) -> Node:
    """A node of a type whose value is given later."""
    return apply("input", name="argument", type=type)


def dependents(roots: Iterable[Node], sources: Iterable[Node]) -> dict[Node, None]:
    """The nodes below the roots that depend on some sources, and these, operands before users."""
    known: dict[Node, None] = dict.fromkeys(sources)
    for node in walk(roots):
        if any(operand in known for operand in node.inputs):
            known[node] = None
    return known


def source(node: Node) -> Node | None:
    """An input or a variable that a value depends on; None for one that never changes."""
    leaves = (below for below in walk([node]) if below.op.name in ("input", "variable"))
    return next(leaves, None)
