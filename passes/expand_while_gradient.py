"""expand_while_gradient: going back over the steps of a loop becomes loops and branches.

Only some states are kept, whatever the number of steps. A first level cuts the steps into
`checkpoints` segments and keeps the state before each. Going back, a second level does the same
to the segment at hand. With up to checkpoints ** 2 steps nothing more is needed: each step begins
at a state that was kept. With more, it is reached again from the last one kept.

Steps are counted by running the loop once more, which `merge_loops` finds to be the loop itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.closure import fresh_input
from graphc.ir.graph import Graph, items_of, substitute
from graphc.ir.node import Node, apply
from graphc.ir.types import TensorType, bool_, int64
from graphc.lang.arithmetic import floor_divide, maximum, minimum
from graphc.lang.loop_body import Loop, Nodes, run
from graphc.lang.loops import cond, while_loop
from graphc.lang.operands import constant
from graphc.lang.selection import where

LEVELS = 2


def expand_while_gradient(graph: Graph) -> Graph:
    """Write each while_gradient as a loop that counts, loops that keep states, and loops back."""
    done: dict[Node, list[Node]] = {}

    def change(node: Node) -> Node:
        if node.op.name != "item" or node.inputs[0].op.name != "while_gradient":
            return node
        (source,) = node.inputs
        if source not in done:
            done[source] = Expansion(source).results()
        index: int = node.attrs["index"]
        return done[source][index]

    return graph.rewrite(change)


class Expansion:
    """The parts of one while_gradient; a state is the carries but for the bool."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.body: Graph = node.attrs["body"]
        self.backward: Graph = node.attrs["backward"]
        self.carries: int = node.attrs["carries"]
        self.checkpoints: int = node.attrs["checkpoints"]
        self.count = len(node.inputs) - len(node.attrs["wrt"])
        constants = slice(self.carries, self.count)
        goes_on = constant(True, bool_)  # inside the loop it does
        self.fixed = {
            self.body.inputs[0]: goes_on,
            **dict(zip(self.body.inputs[constants], node.inputs[constants], strict=True)),
        }

    def results(self) -> Nodes:
        """The gradients of what the loop begins with."""
        state = list(self.node.inputs[1 : self.carries])
        gradients = list(self.node.inputs[self.count :])
        return self.back(LEVELS, state, gradients, self.steps())

    def steps(self) -> Node:
        """The number of steps: the last carry of a loop that counts besides."""
        inside = self.body.inputs[: self.count]
        count = fresh_input("n", TensorType(int64, ()), {x.attrs["name"] for x in inside})
        split = self.carries
        inputs = (*inside[:split], count, *inside[split:])
        operands = self.node.inputs
        loop = apply(
            "while_loop",
            *operands[:split],
            constant(0, int64),
            *operands[split : self.count],
            body=Graph(inputs, (*self.body.outputs, count + 1)),
            carries=split + 1,
            checkpoints=self.checkpoints,
        )
        return items_of(loop)[-1]

    # --- forward -----------------------------------------------------------------------------

    def inputs_at(self, state: Sequence[Node]) -> dict[Node, Node]:
        """The values of the body's inputs in a state."""
        return {**self.fixed, **dict(zip(self.body.inputs[1 : self.carries], state, strict=True))}

    def advance(self, state: Nodes, steps: Node) -> Nodes:
        """The state after so many steps."""

        def step(value: tuple[Nodes, Node]) -> tuple[Nodes, Node]:
            following = substitute(self.body.outputs[1:], self.inputs_at(value[0]))
            return following, value[1] - 1

        found: tuple[Nodes, Node] = while_loop(lambda value: value[1] > 0, step, (state, steps))
        return found[0]

    def keep(self, state: Nodes, steps: Node, size: Node) -> tuple[Nodes, Node]:
        """The states before segments of a size, and the number of steps in each."""

        def segment(carry: Nodes, _: Nodes) -> tuple[Nodes, Nodes]:
            *before, left = carry
            after = self.advance(before, where(left > size, size, 0))
            return [*after, maximum(left - size, 0)], [*before, minimum(left, size)]

        loop = Loop(segment, [*state, steps], [], self.checkpoints, reverse=False)
        *states, counts = run(loop, compact=True)[1]
        return states, counts

    # --- and back ----------------------------------------------------------------------------

    def back(self, level: int, state: Nodes, gradients: Nodes, steps: Node) -> Nodes:
        """The gradients before so many steps from a state, from those after them."""
        size = maximum(
            floor_divide(steps + (self.checkpoints - 1), self.checkpoints),
            self.checkpoints ** (level - 1),  # fills the level below
        )
        states, counts = self.keep(state, steps, size)

        def segment(carry: Nodes, row: Nodes) -> tuple[Nodes, Nodes]:
            *before, count = row
            inner = self.back_if_any if level > 1 else self.back_one_by_one
            return inner(level - 1, before, carry, count), []

        return run(Loop(segment, gradients, [*states, counts], self.checkpoints, True), True)[0]

    def back_if_any(self, level: int, state: Nodes, gradients: Nodes, steps: Node) -> Nodes:
        """The same, where there may be no step, and then nothing shall be done."""
        found: Nodes = cond(
            steps > 0,
            lambda *inside: self.back(level, *inside),
            lambda state, gradients, steps: gradients,
            state,
            gradients,
            steps,
        )
        return found

    def back_one_by_one(self, level: int, state: Nodes, gradients: Nodes, steps: Node) -> Nodes:
        """The gradients before so many steps, each of which is reached from the first state."""

        def step(value: tuple[Nodes, Node]) -> tuple[Nodes, Node]:
            inner, left = value
            values = self.inputs_at(self.advance(state, left - 1))
            values |= dict(zip(self.backward.inputs[self.count :], inner, strict=True))
            return substitute(self.backward.outputs, values), left - 1

        found: tuple[Nodes, Node] = while_loop(lambda value: value[1] > 0, step, (gradients, steps))
        return found[0]
