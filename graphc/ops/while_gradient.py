"""What a while loop passes back, from its last step to its first.

Its rules say of it what is true of the gradient of any function. With J the Jacobian of the loop,
it computes u = J^T g. So the derivative of w . u by g is J w, a tangent of the loop; the derivative
by what the loop begins with is that of g . (J w), the gradient of a loop that carries tangents; and
the tangent of u is the gradient of such a loop too. Every derivative of a loop is again a loop or
the gradient of one, and no order needs more memory than a few times that of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from graphc.errors import TypeRuleError
from graphc.ir.closure import fresh_inputs
from graphc.ir.graph import Graph, substitute
from graphc.ir.node import Node, apply
from graphc.ir.op import register
from graphc.ir.types import TupleType
from graphc.ops.batching import repeated
from graphc.ops.chain_rule import pull_back, sum_by_node, zeros
from graphc.ops.fusion import Several, show, size_of_batch
from graphc.ops.while_loop import check_loop, with_tangents


@register
class WhileGradient(Several):
    """The loop of `body`, and then `backward` for each of its steps, the last one first.

    Operands are those of a while_loop, then a gradient for each entry of `wrt`: the place of the
    operand whose gradient it becomes. That of a carry begins as the gradient of the last carry,
    that of a constant as what is added to. The inputs of both graphs stand for all operands, in
    `backward` with the carries from before the step; its outputs are the next gradients. The
    results are the last ones.

    `expand_while_gradient` writes it out as loops that keep `checkpoints` states at two levels.
    """

    name = "while_gradient"

    def infer(
        self, *types: Any, body: Graph, carries: int, checkpoints: int, backward: Graph,
        wrt: tuple[int, ...],
    ) -> TupleType:  # fmt: skip
        """The types of the gradients, which are those of the operands that they belong to."""
        for graph in (body, backward):
            inside = tuple(node.tensor for node in graph.inputs)
            if types != inside:
                raise TypeRuleError(f"operands are {show(types)}, a graph takes {show(inside)}")
        check_loop(types, body, carries, checkpoints)
        first = len(types) - len(wrt)
        if not all(0 < place < first for place in wrt):
            raise TypeRuleError(f"wrt {list(wrt)} must name operands of the loop, {first} of them")
        expected = tuple(types[place] for place in wrt)
        results = tuple(node.tensor for node in backward.outputs)
        if types[first:] != expected or results != expected:
            raise TypeRuleError(
                f"gradients must be {show(expected)}; they begin as {show(types[first:])}, "
                f"the next are {show(results)}"
            )
        return TupleType(expected)

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """The tangent of the loop along what is given, and the gradient of that tangent."""
        parts = Parts(node, node.inputs)
        along = parts.beside(gradients)
        _, tangents = with_tangents(parts.loop(), parts.by_place(along))
        by_gradient = [
            tangents[place - 1] if place < parts.carries else direction
            for place, direction in zip(parts.wrt, along, strict=True)
        ]
        return parts.back([*parts.pulled([(tangents, parts.gradients)]), *by_gradient])

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """The gradient of the loop that carries tangents."""
        parts = Parts(node, node.inputs)
        along = parts.beside(tangents)
        results, moved = with_tangents(parts.loop(), along[: parts.count])
        more = along[parts.count :]
        found = parts.pulled([(results, more), (moved, parts.gradients)])
        return parts.back(parts.by_slot(found, more))

    def batch_results(
        self, node: Node, operands: Sequence[Node], batched: Sequence[bool]
    ) -> Sequence[Node]:
        """The gradient of the loop over a batch.

        Where examples share a constant, its gradients by example are those of as many copies. That
        is another node, so that copies are made only if these gradients are wanted.
        """
        wrt, carries = node.attrs["wrt"], node.attrs["carries"]
        shared = {place for place in wrt if place >= carries and not batched[place]}
        found = of_examples(node, operands, batched, {*wrt} - shared)
        if not shared:
            return found
        others = of_examples(node, operands, batched, {*wrt})
        pairs = zip(wrt, found, others, strict=True)
        return [other if place in shared else part for place, part, other in pairs]

    def reference(
        self, *arrays: Any, body: Callable[..., list[Any]], carries: int, checkpoints: int,
        backward: Callable[..., list[Any]], wrt: tuple[int, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        """Two loops in Python, the first of which keeps every state."""
        first = len(arrays) - len(wrt)
        state, rest = arrays[:carries], arrays[carries:first]
        gradients = arrays[first:]
        states = []
        while state[0]:
            states.append(state)
            state = tuple(body(*state, *rest, *gradients))
        for state in reversed(states):
            gradients = tuple(backward(*state, *rest, *gradients))
        return gradients


class Parts:
    """The operands of a gradient, or of its batch, and stand-ins for them.

    Operands may depend on one another or be one node, and derivatives by each of them alone are
    wanted. So these are taken by the stand-ins, for which the operands are put in at the end.
    """

    def __init__(self, node: Node, operands: Sequence[Node]) -> None:
        self.node = node
        self.wrt: tuple[int, ...] = node.attrs["wrt"]
        self.carries: int = node.attrs["carries"]
        self.count = len(operands) - len(self.wrt)
        self.names: set[str] = set()
        self.values: dict[Node, Node] = {}
        made = [self.stand_in(operand) for operand in operands]
        self.operands, self.gradients = made[: self.count], made[self.count :]

    def stand_in(self, node: Node) -> Node:
        """What stands for a node."""
        (made,) = fresh_inputs("x", [node], self.names)
        self.values[made] = node
        return made

    def beside(self, nodes: Sequence[Node | None]) -> list[Node | None]:
        """Stand-ins for further nodes."""
        return [None if node is None else self.stand_in(node) for node in nodes]

    def loop(self) -> Node:
        """The loop itself, over stand-ins."""
        return loop_over(self.node, self.operands)

    def by_place(self, slots: Iterable[Node | None]) -> list[Node | None]:
        """For each operand of the loop what there is for its gradient."""
        found = dict(zip(self.wrt, slots, strict=True))
        return [found.get(place) for place in range(self.count)]

    def by_slot(
        self, parts: Sequence[Node | None], firsts: Sequence[Node | None]
    ) -> list[Node | None]:
        """For each gradient that of its operand, with what that of a constant is added to."""
        return [
            parts[place] if place < self.carries else added(first, parts[place])
            for place, first in zip(self.wrt, firsts, strict=True)
        ]

    def pulled(
        self, pairs: Iterable[tuple[Sequence[Node | None], Sequence[Node | None]]]
    ) -> list[Node | None]:
        """What results of a loop pass back to its operands, given gradients of the last carries."""
        cotangents = sum_by_node(
            (result, gradient)
            for results, gradients in pairs
            for place, gradient in zip(self.wrt, gradients, strict=True)
            if place < self.carries and gradient is not None
            if (result := results[place - 1]) is not None
        )
        return pull_back(cotangents, self.operands)

    def back(self, roots: Sequence[Node | None]) -> list[Node | None]:
        """The roots over the operands themselves."""
        done = iter(substitute([root for root in roots if root is not None], self.values))
        return [None if root is None else next(done) for root in roots]


def added(one: Node | None, other: Node | None) -> Node | None:
    """The sum of two parts of a gradient that may be missing."""
    if one is None or other is None:
        return other if one is None else one
    return one + other


def loop_over(node: Node, operands: Sequence[Node]) -> Node:
    """The loop that a node is the gradient of, over its operands or others."""
    body: Graph = node.attrs["body"]
    inside = Graph(body.inputs[: len(operands)], body.outputs)
    attrs = {"carries": node.attrs["carries"], "checkpoints": node.attrs["checkpoints"]}
    return apply("while_loop", *operands, body=inside, **attrs)


def of_examples(
    node: Node, operands: Sequence[Node], batched: Sequence[bool], places: set[int]
) -> list[Node]:
    """The gradients of a batch, by example where operands differ or stand at those places."""
    size = size_of_batch(operands, batched)
    first = len(operands) - len(node.attrs["wrt"])
    wanted = [had or place in places or place >= first for place, had in enumerate(batched)]
    pairs = zip(operands, wanted, batched, strict=True)
    whole = [repeated(x, size) if flag and not had else x for x, flag, had in pairs]
    parts = Parts(node, whole)
    loop = loop_over(node, node.inputs[:first])
    assert isinstance(loop.op, Several)
    results = loop.op.batch_results(loop, parts.operands, wanted[:first])
    found = parts.pulled([(results, parts.gradients)])
    kept = parts.by_slot(found, parts.gradients)
    done = parts.back(kept)
    return [
        zeros(whole[place]) if part is None else part
        for place, part in zip(parts.wrt, done, strict=True)
    ]
