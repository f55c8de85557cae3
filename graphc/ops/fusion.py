"""Nodes with several results: fused groups, their projections, and what they are on a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import finalize

from graphc.errors import GraphError, TypeRuleError
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, walk
from graphc.ir.node import Node, apply, made_at, standing_at
from graphc.ir.op import Op, register
from graphc.ir.types import TensorType, TupleType, Type


class Several(Op):
    """An operator of the user's graph that has several results: a loop or a branch."""

    def batch_results(
        self, node: Node, operands: Sequence[Node], batched: Sequence[bool]
    ) -> Sequence[Node]:
        """What `batch` is to an operator with several results: each of them for the whole batch."""
        raise NotImplementedError(f"{type(self).__name__}.batch_results")


@register
class Fusion(Op):
    """A group of operators that becomes one kernel; `body` is their graph.

    The body's inputs stand for the operands, in order. With one output the result is that
    output, with several a tuple of them. Fusion comes after differentiation, so a fusion has no
    derivative; `inline_fusions` takes it apart again.
    """

    name = "fusion"

    def infer(self, *types: Any, body: Graph) -> Type:
        """The type of the body's output, or the tuple of their types."""
        declared = tuple(node.type for node in body.inputs)
        if types != declared:
            raise TypeRuleError(f"operands are {show(types)}, the body takes {show(declared)}")
        results = tuple(node.tensor for node in body.outputs)
        return results[0] if len(results) == 1 else TupleType(results)


@register
class Item(Op):
    """One of several results."""

    name = "item"

    def infer(self, *types: Any, index: int) -> TensorType:
        """The type of that result."""
        (source,) = types
        if not isinstance(source, TupleType):
            raise TypeRuleError(f"takes a node with several results, not {source}")
        if not 0 <= index < len(source.items):
            raise TypeRuleError(f"has {len(source.items)} results, there is none at {index}")
        return source.items[index]

    def vjp(self, node: Node, gradient: Node) -> Sequence[Node | None]:
        """Nothing: the operator below gets the gradients of all its items at once."""
        return [None]

    def reference(self, *arrays: Any, index: int) -> Any:
        """The element of a tuple."""
        return arrays[0][index]


def show(types: Sequence[Type]) -> str:
    """Types, separated by commas."""
    return ", ".join(map(str, types)) or "none"


def results_of(fusion: Node) -> tuple[TensorType, ...]:
    """The types of a fusion's results, one or several."""
    return fusion.type.items if isinstance(fusion.type, TupleType) else (fusion.tensor,)


# --- over a batch --------------------------------------------------------------------------------


def over_batch(roots: Sequence[Node], stands_for: Mapping[Node, Node]) -> dict[Node, Node]:
    """For each node that differs from example to example, the node of all of them.

    A node with several results has none itself; its projections have.
    """
    done = dict(stands_for)
    several: dict[Node, Sequence[Node]] = {}
    for node in walk(roots):
        if node not in done:
            with standing_at(node.where):
                made = on_batch(node, done, several)
            if made is not None:
                done[node] = made
    return done


def on_batch(
    node: Node, done: Mapping[Node, Node], several: dict[Node, Sequence[Node]]
) -> Node | None:
    """A node for the whole batch; None where it is the same for all, or has several results."""
    if node.op.name == "item":
        results = several.get(node.inputs[0])
        return None if results is None else results[node.attrs["index"]]
    flags = [operand in done for operand in node.inputs]
    if not any(flags):
        return None
    operands = [done.get(operand, operand) for operand in node.inputs]
    if isinstance(node.type, TupleType):
        if not isinstance(node.op, Several):
            raise GraphError(f"vmap: {node.op.name} has no batching rule{made_at(node)}")
        several[node] = node.op.batch_results(node, operands, flags)
        return None
    made = node.op.batch(node, operands, flags)
    assert made.shape[1:] == node.shape, f"batch of {node.op.name}: {made} for {node}"
    return made


def size_of_batch(operands: Sequence[Node], batched: Sequence[bool]) -> Size:
    """The number of examples, from the first operand that has them in front."""
    return next(x.shape[0] for x, flag in zip(operands, batched, strict=True) if flag)


STAND_INS: dict[int, dict[Size, Node]] = {}
"""By the identity of an input, as long as it lives, its stand-ins by the size of the batch."""


def stand_in(inside: Node, size: Size) -> Node:
    """The input of a graph inside that has the examples of another one in front.

    It is always the same one: what two loops did alike they do alike on a batch, so that
    `merge_loops` sees it.
    """
    if id(inside) not in STAND_INS:
        STAND_INS[id(inside)] = {}
        finalize(inside, STAND_INS.pop, id(inside), None).atexit = False
    known = STAND_INS[id(inside)]
    if size not in known:
        kind = TensorType(inside.dtype, (size, *inside.shape))
        known[size] = apply("input", name=f"{inside.attrs['name']}_all", type=kind)
    return known[size]


def stand_ins(inputs: Sequence[Node], batched: Sequence[bool], size: Size) -> dict[Node, Node]:
    """For each batched input of a graph inside, its stand-in."""
    pairs = zip(inputs, batched, strict=True)
    return {inside: stand_in(inside, size) for inside, flag in pairs if flag}


def moving_on_batch(
    body: Graph, carries: int, batched: Sequence[bool], size: Size
) -> tuple[list[bool], dict[Node, Node]]:
    """Which inputs of a loop's body differ along a batch, and the body's nodes that do.

    A carry does where it begins so, or where some step makes it so.
    """
    flags = list(batched)
    while True:
        done = over_batch(body.outputs, stand_ins(body.inputs, flags, size))
        nexts = enumerate(body.outputs[:carries])
        more = [place for place, node in nexts if node in done and not flags[place]]
        if not more:
            return flags, done
        for place in more:
            flags[place] = True
