"""A loop that runs as long as a condition on its values holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphc.errors import GraphError, TypeRuleError
from graphc.ir.closure import fresh_inputs, run_while
from graphc.ir.graph import Graph, substitute
from graphc.ir.node import Node, apply, made_at
from graphc.ir.op import register
from graphc.ir.types import TensorType, TupleType, bool_
from graphc.ops.batching import repeated
from graphc.ops.chain_rule import push_forward, zeros
from graphc.ops.fusion import Several, moving_on_batch, show, size_of_batch, stand_in


@register
class WhileLoop(Several):
    """`body` run as long as its first carry, a bool, is true; `carries` counts it too.

    Operands are the first carries and constants, and so are the inputs of the body. Its outputs
    are the next carries. The results are the last carries but for the bool.
    """

    name = "while_loop"

    def infer(self, *types: Any, body: Graph, carries: int) -> TupleType:
        """The types of the carries, which must stay what they are."""
        inside = tuple(node.tensor for node in body.inputs)
        if types != inside:
            raise TypeRuleError(f"operands are {show(types)}, the body takes {show(inside)}")
        results = tuple(node.tensor for node in body.outputs)
        if results != types[:carries] or results[:1] != (TensorType(bool_, ()),):
            raise TypeRuleError(
                f"carries begin as {show(types[:carries])}, the next are {show(results)}; "
                "the first must be one bool"
            )
        return TupleType(results[1:])

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """Refused: nothing bounds the values that would have to be kept."""
        raise GraphError(
            "a while_loop has no reverse-mode derivative, since the number of its steps is not "
            "known: use scan or fori_loop with a bound, or gx.jvp"
        )

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """A loop with the tangents of the carries beside them."""
        count = node.attrs["carries"]
        body: Graph = node.attrs["body"]
        names = {inside.attrs["name"] for inside in body.inputs}
        given = {x: d for x, d in zip(body.inputs, tangents, strict=True) if d is not None}
        stand_ins = dict(zip(given, fresh_inputs("d", given, names), strict=True))
        fixed = {x: d for x, d in stand_ins.items() if x not in set(body.inputs[:count])}
        moving, found = tangents_of_step(body, fixed, stand_ins, names)
        operands = dict(zip(body.inputs[count:], node.inputs[count:], strict=True))
        operands |= {d: given[x] for x, d in fixed.items()}
        nexts = [
            zeros(body.inputs[place]) if (part := found[place]) is None else part
            for place in moving
        ]
        inner = substitute([*body.outputs, *nexts], operands)
        inits = [given.get(x, zeros(x)) for x in (body.inputs[place] for place in moving)]
        results = run_while(
            [*node.inputs[:count], *inits], [*body.inputs[:count], *moving.values()], inner
        )
        last = dict(zip(moving, results[count - 1 :], strict=True))
        return [last.get(place) for place in range(1, count)]

    def batch_results(
        self, node: Node, operands: Sequence[Node], batched: Sequence[bool]
    ) -> Sequence[Node]:
        """The loop over all examples at once; refused where each would end after its own steps."""
        count, body = node.attrs["carries"], node.attrs["body"]
        size = size_of_batch(operands, batched)
        flags, done = moving_on_batch(body, count, batched, size)
        if flags[0]:
            raise GraphError(
                "vmap: a while_loop whose condition differs from example to example has no "
                f"batching rule yet: use scan or fori_loop with a bound{made_at(node)}"
            )
        nexts = [
            repeated(output, size) if flag and output not in done else done.get(output, output)
            for output, flag in zip(body.outputs, flags[:count], strict=True)
        ]
        inside = tuple(
            stand_in(x, size) if flag else x for x, flag in zip(body.inputs, flags, strict=True)
        )
        whole = [
            repeated(operand, size) if flag and not had else operand
            for operand, flag, had in zip(operands, flags, batched, strict=True)
        ]
        made = apply("while_loop", *whole, body=Graph(inside, tuple(nexts)), carries=count)
        items = [apply("item", made, index=k) for k in range(count - 1)]
        pairs = zip(items, flags[1:count], strict=True)
        return [item if flag else repeated(item, size) for item, flag in pairs]

    def reference(
        self, *arrays: Any, body: Callable[..., list[Any]], carries: int
    ) -> tuple[Any, ...]:
        """A loop in Python."""
        state, rest = list(arrays[:carries]), arrays[carries:]
        while state[0]:
            state = body(*state, *rest)
        return tuple(state[1:])


def tangents_of_step(
    body: Graph, fixed: Mapping[Node, Node], stand_ins: Mapping[Node, Node], names: set[str]
) -> tuple[dict[int, Node], list[Node | None]]:
    """The inputs for the tangents of those carries that have one, and the next tangents."""
    floats = {p: body.inputs[p] for p, x in enumerate(body.outputs) if x.dtype.is_inexact}
    inputs = {p: stand_ins.get(x) for p, x in floats.items()}
    missing = [p for p, d in inputs.items() if d is None]
    made = fresh_inputs("d", [floats[p] for p in missing], names)
    every = {p: d for p, d in inputs.items() if d is not None} | dict(
        zip(missing, made, strict=True)
    )
    reached = set(floats) - set(missing)
    while True:
        moving = {place: every[place] for place in sorted(reached)}
        known = {**fixed, **{floats[place]: d for place, d in moving.items()}}
        found = push_forward(body.outputs, known)
        more = {p for p in floats if found[p] is not None} - reached
        if not more:
            return moving, found
        reached |= more
