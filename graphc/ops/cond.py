"""A choice between two graphs, of which one is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.errors import TypeRuleError
from graphc.ir.closure import fresh_inputs, run_cond
from graphc.ir.graph import Graph, items_of, substitute
from graphc.ir.node import Node, apply
from graphc.ir.op import register
from graphc.ir.types import TensorType, TupleType, bool_
from graphc.ops.batching import repeated, select
from graphc.ops.chain_rule import is_zero, pull_back, push_forward, sum_by_node, zeros
from graphc.ops.fusion import Several, over_batch, show, size_of_batch, stand_ins


@register
class Cond(Several):
    """`body` where the first operand, one bool, is true, else `otherwise`.

    Both graphs have the operands as inputs, the same input nodes, and outputs of equal types.
    """

    name = "cond"

    def infer(self, *types: Any, body: Graph, otherwise: Graph) -> TupleType:
        """The types of the outputs, which must be those of both graphs."""
        inside = tuple(node.tensor for node in body.inputs)
        if types != inside or types[:1] != (TensorType(bool_, ()),):
            raise TypeRuleError(f"operands are {show(types)}, the body takes {show(inside)}")
        results = tuple(node.tensor for node in body.outputs)
        others = tuple(node.tensor for node in otherwise.outputs)
        if results != others:
            raise TypeRuleError(f"one arm gives {show(results)}, the other {show(others)}")
        return TupleType(results)

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """A choice between the gradients of the two."""
        arms = arms_of(node)
        places = [place for place, gradient in enumerate(gradients) if gradient is not None]
        given = [gradient for gradient in gradients if gradient is not None]
        inside = fresh_inputs("g", given, names_of(node))
        targets = [x for x in arms[0].inputs if x.dtype.is_inexact]
        found = []
        for arm in arms:
            outputs = (arm.outputs[place] for place in places)
            found.append(pull_back(sum_by_node(zip(outputs, inside, strict=True)), targets))
        inputs = dict(zip([*arms[0].inputs, *inside], [*node.inputs, *given], strict=True))
        parts = dict(zip(targets, chosen(inputs, found, targets), strict=True))
        return [parts.get(x) for x in arms[0].inputs]

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """A choice between the tangents of the two."""
        arms = arms_of(node)
        pairs = [(x, d) for x, d in zip(arms[0].inputs, tangents, strict=True) if d is not None]
        given = [d for _, d in pairs]
        inside = fresh_inputs("d", given, names_of(node))
        known = {x: d for (x, _), d in zip(pairs, inside, strict=True)}
        found = [push_forward(arm.outputs, known) for arm in arms]
        inputs = dict(zip([*arms[0].inputs, *inside], [*node.inputs, *given], strict=True))
        return chosen(inputs, found, arms[0].outputs)

    def batch_results(
        self, node: Node, operands: Sequence[Node], batched: Sequence[bool]
    ) -> Sequence[Node]:
        """The choice between both for all examples; both are computed where examples choose."""
        arms, size = arms_of(node), size_of_batch(operands, batched)
        inputs = arms[0].inputs
        inner = stand_ins(inputs, batched, size)
        done = over_batch([*arms[0].outputs, *arms[1].outputs], inner)
        yes, no = ([done[x] if x in done else repeated(x, size) for x in arm.outputs]
                   for arm in arms)  # fmt: skip
        inside = [inner.get(x, x) for x in inputs]
        if batched[0]:
            both = substitute([*yes, *no], dict(zip(inside, operands, strict=True)))
            pairs = zip(both[: len(yes)], both[len(yes) :], strict=True)
            return [select(operands[0], *pair) for pair in pairs]
        graphs = [Graph(tuple(inside), tuple(outputs)) for outputs in (yes, no)]
        return items_of(apply("cond", *operands, body=graphs[0], otherwise=graphs[1]))

    def reference(
        self, *arrays: Any, body: Callable[..., list[Any]], otherwise: Callable[..., list[Any]]
    ) -> tuple[Any, ...]:
        """A branch in Python."""
        return tuple((body if arrays[0] else otherwise)(*arrays))


def arms_of(node: Node) -> tuple[Graph, Graph]:
    """The two graphs of a choice."""
    return node.attrs["body"], node.attrs["otherwise"]


def names_of(node: Node) -> set[str]:
    """The names of the inputs of both graphs."""
    return {inside.attrs["name"] for inside in node.attrs["body"].inputs}


def chosen(
    inputs: Mapping[Node, Node], arms: Sequence[Sequence[Node | None]], like: Sequence[Node]
) -> list[Node | None]:
    """For each part the choice between what two arms give; None where both give none."""
    kept = [k for k, pair in enumerate(zip(*arms, strict=True)) if not is_zero(pair)]
    yes, no = ([zeros(like[k]) if (part := arm[k]) is None else part for k in kept] for arm in arms)
    found = dict(zip(kept, run_cond(inputs, yes, no), strict=True)) if kept else {}
    return [found.get(k) for k in range(len(like))]
