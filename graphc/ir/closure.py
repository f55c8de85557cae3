"""Closures: a function written over outer nodes becomes a graph, and what it captures operands.

A function of the user's is called once, on inputs that stand for its arguments. What it made of
them may use any node around it. Whatever does not depend on the arguments is computed outside, as
the largest expressions there are, so nothing is computed again in each step of a loop; only what is
repeated along an axis is captured as it was before, since repeating costs no more than reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graphc.ir.graph import Graph, items_of, walk
from graphc.ir.node import Node, apply, build, standing_at
from graphc.ir.op import OPS
from graphc.ir.types import Type


def close(
    inputs: Sequence[Node], outputs: Sequence[Node], taken: Iterable[str] = ()
) -> tuple[Graph, tuple[Node, ...]]:
    """The graph from inputs to outputs, and the outer nodes that its further inputs stand for.

    taken are names that no further input may have, besides those of the inputs.
    """
    order = walk(outputs)
    depending = depending_on(inputs, order)
    depending |= {x for x in frontier(order, outputs, depending) if x.op.name == "broadcast"}
    captured = [node for node in frontier(order, outputs, depending) if not is_cheap(node)]
    names = {*taken, *(node.attrs["name"] for node in inputs)}
    stand_ins = fresh_inputs("k", captured, names)
    done = dict(zip(captured, stand_ins, strict=True))
    for node in order:
        if node in depending:
            operands = tuple(done.get(operand, operand) for operand in node.inputs)
            with standing_at(node.where):
                done[node] = build(node.op, operands, node.attrs) if operands else node
    body = Graph((*inputs, *stand_ins), tuple(done.get(node, node) for node in outputs))
    return body, tuple(captured)


def depending_on(inputs: Iterable[Node], order: Iterable[Node]) -> set[Node]:
    """The nodes of a walk that depend on some inputs, these included."""
    found = set(inputs)
    for node in order:
        if any(operand in found for operand in node.inputs):
            found.add(node)
    return found


def frontier(order: Iterable[Node], outputs: Iterable[Node], depending: set[Node]) -> list[Node]:
    """The nodes that do not depend on the inputs and are used where something does."""
    used = [operand for node in order if node in depending for operand in node.inputs]
    return [node for node in dict.fromkeys((*used, *outputs)) if node not in depending]


def is_cheap(node: Node) -> bool:
    """Whether a node without operands is as well made inside: a number, repeated or counted."""
    if node.op.name == "broadcast":
        node = node.inputs[0]
    return node.op.name in ("size", "iota") or (node.op.name == "constant" and node.ndim == 0)


def fresh_inputs(prefix: str, like: Iterable[Node], taken: set[str]) -> list[Node]:
    """An input of the type of each node, under names that are not taken and from now on are."""
    made = []
    for node in like:
        with standing_at(node.where):
            made.append(fresh_input(prefix, node.type, taken))
    return made


def fresh_input(prefix: str, kind: Type, taken: set[str]) -> Node:
    """An input of a type under the first free name that begins with the prefix."""
    number = 0
    while f"{prefix}{number}" in taken:
        number += 1
    taken.add(f"{prefix}{number}")
    return build(OPS["input"], (), {"name": f"{prefix}{number}", "type": kind})


def run_while(
    inits: Sequence[Node], carried: Sequence[Node], nexts: Sequence[Node], checkpoints: int
) -> list[Node]:
    """The last carries of a new loop, but for the condition, which comes first."""
    body, captured = close(carried, nexts)
    attrs = {"body": body, "carries": len(inits), "checkpoints": checkpoints}
    node = apply("while_loop", *inits, *captured, **attrs)
    return items_of(node)


def run_cond(inputs: Mapping[Node, Node], yes: Sequence[Node], no: Sequence[Node]) -> list[Node]:
    """The results of a choice between two lists of outputs over inputs, each for an operand.

    The first operand decides. What depends on no input is computed before the choice.
    """
    both, captured = close(tuple(inputs), [*yes, *no])
    arms = [
        Graph(both.inputs, outputs)
        for outputs in (both.outputs[: len(yes)], both.outputs[len(yes) :])
    ]
    return items_of(apply("cond", *inputs.values(), *captured, body=arms[0], otherwise=arms[1]))
