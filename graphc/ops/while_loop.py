"""A loop that runs as long as a condition on its values holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.errors import TypeRuleError
from graphc.ir.closure import fresh_inputs, run_while
from graphc.ir.dim import Size
from graphc.ir.graph import Graph, items_of, substitute
from graphc.ir.node import Node, apply, say
from graphc.ir.op import register
from graphc.ir.types import TensorType, TupleType, bool_, int64
from graphc.lang.operands import constant
from graphc.ops.batching import repeated, select
from graphc.ops.chain_rule import zeros
from graphc.ops.fusion import Several, moving_on_batch, show, size_of_batch, stand_in
from graphc.ops.loop_steps import backward_step, forward_step


@register
class WhileLoop(Several):
    """`body` run as long as its first carry, a bool, is true; `carries` counts it too.

    Operands are the first carries and constants, and so are the inputs of the body. Its outputs
    are the next carries. The results are the last carries but for the bool. `checkpoints` is how
    many of its states the gradient may keep at two levels each (see `while_gradient`).
    """

    name = "while_loop"

    def infer(self, *types: Any, body: Graph, carries: int, checkpoints: int) -> TupleType:
        """The types of the carries, which must stay what they are."""
        inside = tuple(node.tensor for node in body.inputs)
        if types != inside:
            raise TypeRuleError(f"operands are {show(types)}, the body takes {show(inside)}")
        check_loop(types, body, carries, checkpoints)
        return TupleType(types[1:carries])

    def vjp_results(self, node: Node, gradients: Sequence[Node | None]) -> Sequence[Node | None]:
        """The operator that goes back over the steps."""
        count, body = node.attrs["carries"], node.attrs["body"]
        names = {inside.attrs["name"] for inside in body.inputs}
        step = backward_step(body, count, [None, *gradients], names)
        sums = {p: x for p, x in enumerate(body.inputs) if p >= count and x in step.parts}
        totals = dict(zip(sums, fresh_inputs("s", sums.values(), names), strict=True))
        known = {place: g for place, g in enumerate(gradients, start=1) if g is not None}
        wrt = (*step.arriving, *sums)
        firsts = [known.get(place, zeros(body.inputs[place])) for place in wrt]
        befores = [body.inputs[place] for place in step.arriving]
        nexts = [step.parts.get(before, zeros(before)) for before in befores]
        nexts += [total + step.parts[sums[place]] for place, total in totals.items()]
        inputs = (*body.inputs, *step.arriving.values(), *totals.values())
        graphs = {"body": Graph(inputs, body.outputs), "backward": Graph(inputs, tuple(nexts))}
        attrs = {**node.attrs, **graphs, "wrt": wrt}
        found = dict(
            zip(wrt, items_of(apply("while_gradient", *node.inputs, *firsts, **attrs)), strict=True)
        )
        return [found.get(place) for place in range(len(node.inputs))]

    def jvp_results(self, node: Node, tangents: Sequence[Node | None]) -> Sequence[Node | None]:
        """A loop with the tangents of the carries beside them."""
        return with_tangents(node, tangents)[1]

    def batch_results(
        self, node: Node, operands: Sequence[Node], batched: Sequence[bool]
    ) -> Sequence[Node]:
        """The loop over all examples, as long as one of them goes on."""
        size = size_of_batch(operands, batched)
        batch = OnBatch(node, batched, size)
        whole = [
            repeated(operand, size) if flag and not had else operand
            for operand, flag, had in zip(operands, batch.flags, batched, strict=True)
        ]
        made = items_of(batch.apart(whole) if batch.flags[0] else batch.together(whole))
        pairs = zip(made[-batch.results :], batch.flags[1 : batch.count], strict=True)
        return [item if flag else repeated(item, size) for item, flag in pairs]

    def reference(
        self, *arrays: Any, body: Callable[..., list[Any]], carries: int, checkpoints: int
    ) -> tuple[Any, ...]:
        """A loop in Python."""
        state, rest = list(arrays[:carries]), arrays[carries:]
        while state[0]:
            state = body(*state, *rest)
        return tuple(state[1:])


def check_loop(types: Sequence[Any], body: Graph, carries: int, checkpoints: int) -> None:
    """TypeRuleError unless a body goes on with carries of some types, as often as is kept."""
    results = tuple(node.tensor for node in body.outputs)
    if results != types[:carries] or results[:1] != (TensorType(bool_, ()),):
        raise TypeRuleError(
            f"carries begin as {show(types[:carries])}, the next are {show(results)}; "
            "the first must be one bool"
        )
    if checkpoints < 1:
        raise TypeRuleError(f"needs at least one checkpoint, not {checkpoints}")


def with_tangents(
    node: Node, tangents: Sequence[Node | None]
) -> tuple[list[Node], list[Node | None]]:
    """The results of a loop and their tangents, by one loop that carries both."""
    count, body = node.attrs["carries"], node.attrs["body"]
    names = {inside.attrs["name"] for inside in body.inputs}
    given = {x: d for x, d in zip(body.inputs, tangents, strict=True) if d is not None}
    kept = [x for x in given if x not in set(body.inputs[:count])]
    inside = dict(zip(kept, fresh_inputs("d", kept, names), strict=True))
    moving, found = forward_step(body, count, given, inside, names)
    befores = [body.inputs[place] for place in moving]
    nexts = [
        zeros(before) if (part := found[place]) is None else part
        for place, before in zip(moving, befores, strict=True)
    ]
    operands = dict(zip(body.inputs[count:], node.inputs[count:], strict=True))
    operands |= {d: given[x] for x, d in inside.items()}
    results = run_while(
        [*node.inputs[:count], *(given.get(before, zeros(before)) for before in befores)],
        [*body.inputs[:count], *moving.values()],
        substitute([*body.outputs, *nexts], operands),
        node.attrs["checkpoints"],
    )
    last = dict(zip(moving, results[count - 1 :], strict=True))
    return results[: count - 1], [last.get(place) for place in range(1, count)]


# --- over a batch --------------------------------------------------------------------------------


class OnBatch:
    """A loop over a batch: which inputs of its body differ, and what is made of the body.

    The loop ends with the last example. Where each example has a condition of its own, those that
    have ended keep their values. What the step makes of them is dropped; lest it be NaN, and zero
    times it NaN in a gradient, they take that step from the values of one that goes on.
    """

    def __init__(self, node: Node, batched: Sequence[bool], size: Size) -> None:
        self.node, self.size = node, size
        self.body: Graph = node.attrs["body"]
        self.count: int = node.attrs["carries"]
        self.results = self.count - 1
        self.flags, self.done = self.moving(batched)
        if self.flags[0]:  # then every carry that changes stops changing somewhere
            pairs = enumerate(zip(self.body.inputs, self.body.outputs, strict=False))
            changing = {place for place, (before, after) in pairs if before is not after}
            every = [flag or place in changing for place, flag in enumerate(self.flags)]
            self.flags, self.done = self.moving(every)
        pairs_of = zip(self.body.inputs, self.flags, strict=True)
        self.inside = [stand_in(x, size) if flag else x for x, flag in pairs_of]

    def moving(self, batched: Sequence[bool]) -> tuple[list[bool], dict[Node, Node]]:
        """Which inputs differ along the batch, and the nodes that do."""
        return moving_on_batch(self.body, self.count, batched, self.size)

    def nexts(self) -> list[Node]:
        """The next carries for all examples."""
        return [
            repeated(output, self.size)
            if flag and output not in self.done
            else self.done.get(output, output)
            for output, flag in zip(self.body.outputs, self.flags, strict=False)
        ]

    def together(self, operands: Sequence[Node]) -> Node:
        """The loop of examples that share their condition."""
        body = Graph(tuple(self.inside), tuple(self.nexts()))
        return apply("while_loop", *operands, **{**self.node.attrs, "body": body})

    def apart(self, operands: Sequence[Node]) -> Node:
        """The loop of examples that end by themselves: it carries who goes on besides."""
        goes_on = self.inside[0]
        first = first_of(goes_on)
        taken = {x: of_those_that_go_on(x, goes_on, first) for x in self.stand_ins()}
        again, *made = substitute(self.nexts(), taken)
        goes_on_after = say("logical_and", goes_on, again)
        kept = [
            select(goes_on, new, old) if flag else new
            for new, old, flag in zip(made, self.inside[1:], self.flags[1:], strict=False)
        ]
        body = Graph(
            (self.body.inputs[0], *self.inside), (say("any", goes_on_after), goes_on_after, *kept)
        )
        attrs = {**self.node.attrs, "body": body, "carries": self.count + 1}
        return apply("while_loop", say("any", operands[0]), *operands, **attrs)

    def stand_ins(self) -> list[Node]:
        """The inputs that hold values of all examples, but for who goes on."""
        pairs = zip(self.inside[1:], self.flags[1:], strict=True)
        return [inside for inside, flag in pairs if flag]


def first_of(goes_on: Node) -> Node:
    """The number of the first example that goes on."""
    if goes_on.shape == (0,):  # no step is taken, and argmax would refuse
        return constant(0, int64)
    return say("argmax", say("cast", goes_on, "int8"))


def of_those_that_go_on(values: Node, goes_on: Node, first: Node) -> Node:
    """Values of a batch, with those of one example that goes on for each that has ended."""
    row = (1, *values.shape[1:])
    place = apply("broadcast", first, shape=row, axes=())
    found = say("stop_gradient", say("take_along_axis", values, place, axis=0))
    axes = tuple(range(values.ndim))
    whole = apply("broadcast", say("reshape", found, row[1:]), shape=values.shape, axes=axes[1:])
    return select(goes_on, values, whole)
