"""Recurrent cells, and layers that run them over sequences by `scan`.

Weights have PyTorch's shapes and order, and stand together in `RecurrentWeights`. A cell takes the
input of one step, (..., inputs), a layer those of all, (time, ..., inputs); a state is (...,
hidden). A deep network is a loop over layers: the outputs of one are the inputs of the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply, describe
from graphc.ir.types import int64, promote, show_shape
from graphc.lang.arithmetic import relu
from graphc.lang.creation import zeros
from graphc.lang.exponential import sigmoid
from graphc.lang.linear_algebra import matmul
from graphc.lang.loops import scan
from graphc.lang.movement import concat, expand_dims, matrix_transpose
from graphc.lang.operands import ArrayLike, as_node, to_float, to_node_dtype
from graphc.lang.selection import where
from graphc.lang.trigonometric import tanh
from graphc.structure import flatten

State: TypeAlias = Any
"""One node, or for an LSTM the pair (h, c)."""
Cell: TypeAlias = Callable[[Node, State, "RecurrentWeights"], State]
Layer: TypeAlias = Callable[..., tuple[Node, State]]

ACTIVATIONS: dict[str, Callable[[Node], Node]] = {"tanh": tanh, "relu": relu}


class RecurrentWeights(NamedTuple):
    """What a cell learns: matrices for the input and the state, and what is added.

    w_ih is (gates * hidden, inputs), w_hh (gates * hidden, hidden), the biases (gates * hidden,).
    peephole, (3, hidden) and for an LSTM alone, is how much its gates see of the cell's state.
    """

    w_ih: ArrayLike
    w_hh: ArrayLike
    b_ih: ArrayLike | None = None
    b_hh: ArrayLike | None = None
    peephole: ArrayLike | None = None


# --- cells ---------------------------------------------------------------------------------------


def rnn_cell(
    x: ArrayLike, h: ArrayLike, weights: Sequence[ArrayLike | None], activation: str = "tanh"
) -> Node:
    """The next state tanh(w_ih x + b_ih + w_hh h + b_hh), or relu of that (Elman, 1990).

    GraphError for another activation, and where shapes do not fit.
    """
    if activation not in ACTIVATIONS:
        raise GraphError(f'rnn: activation is "tanh" or "relu", not {shown(activation)}')
    from_input, from_state = products("rnn", x, h, weights, 1)
    return ACTIVATIONS[activation](from_input + from_state)


def gru_cell(x: ArrayLike, h: ArrayLike, weights: Sequence[ArrayLike | None]) -> Node:
    """The next state (1 - z) n + z h of a gated recurrent unit (Cho et al., 2014).

    With the gates r, z = sigmoid(w_ih x + b_ih + w_hh h + b_hh) the new part is n = tanh(w_ih x +
    b_ih + r (w_hh h + b_hh)). Rows of the weights stand in the order r, z, n.
    """
    from_input, from_state = products("gru", x, h, weights, 3)
    size = hidden_size(weights)
    reset, update = (
        sigmoid(part(from_input, gate, size) + part(from_state, gate, size)) for gate in (0, 1)
    )
    new = tanh(part(from_input, 2, size) + reset * part(from_state, 2, size))
    return (1 - update) * new + update * to_node_dtype(as_node(h), new.dtype)


def lstm_cell(
    x: ArrayLike, state: tuple[ArrayLike, ArrayLike], weights: Sequence[ArrayLike | None]
) -> tuple[Node, Node]:
    """The next (h, c) of a long short-term memory (Hochreiter, Schmidhuber, 1997).

    c' = f c + i g and h' = o tanh(c'), with i, f, o = sigmoid and g = tanh of w_ih x + b_ih + w_hh
    h + b_hh. Rows of the weights stand in the order i, f, g, o. With peepholes p (Gers,
    Schmidhuber, 2000) p[0] c is added in i, p[1] c in f, and p[2] c', the new state, in o.
    """
    if not isinstance(state, list | tuple) or len(state) != 2:
        raise GraphError(f"lstm: the state must be a pair (h, c), not {shown(state)}")
    h, c = state
    from_input, from_state = products("lstm", x, h, weights, 4)
    cell = to_node_dtype(as_node(c), from_state.dtype)
    if cell.shape != as_node(h).shape:
        raise GraphError(f"lstm: h and c must have one shape{describe([as_node(h), cell])}")
    gates, size = from_input + from_state, hidden_size(weights)
    i, f, g, o = (part(gates, gate, size) for gate in range(4))
    peephole = peepholes(weights, cell)
    if peephole is None:
        new = sigmoid(f) * cell + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(new), new
    new = sigmoid(f + peephole[1] * cell) * cell + sigmoid(i + peephole[0] * cell) * tanh(g)
    return sigmoid(o + peephole[2] * new) * tanh(new), new


def products(
    what: str, x: ArrayLike, h: ArrayLike, weights: Sequence[ArrayLike | None], gates: int
) -> tuple[Node, Node]:
    """What the input and the state bring to all gates; GraphError where shapes do not fit."""
    given = to_weights(weights, what)
    if given.peephole is not None and gates != 4:
        raise GraphError(f"{what}: peepholes belong to an LSTM")
    node, state = to_float(x), to_float(h)
    sides = ((node, given.w_ih, given.b_ih, "w_ih"), (state, given.w_hh, given.b_hh, "w_hh"))
    size = hidden_size(weights)
    if not state.ndim or state.shape[-1] != size or state.shape[:-1] != node.shape[:-1]:
        raise GraphError(
            f"{what}: a state for {node.type} must have the shape "
            f"{show_shape((*node.shape[:-1], size))}{describe([node, state])}"
        )
    first, second = (product(what, gates * size, *side) for side in sides)
    return first, second


def to_weights(weights: Any, what: str) -> RecurrentWeights:
    """Weights with their names; GraphError unless they are two to five in their order."""
    given = tuple(weights) if isinstance(weights, list | tuple) else ()
    if not 2 <= len(given) <= len(RecurrentWeights._fields):
        order = ", ".join(RecurrentWeights._fields)
        found = f"{len(given)} of them" if given else shown(weights)
        raise GraphError(f"{what}: weights must be the first two or more of {order}, not {found}")
    return RecurrentWeights(*given)


def product(
    what: str, rows: Size, x: Node, matrix: ArrayLike, bias: ArrayLike | None, name: str
) -> Node:
    """matrix x + bias; GraphError unless the matrix has so many rows and fits."""
    w = as_node(matrix)
    if w.ndim != 2 or w.shape != (rows, x.shape[-1]):
        raise GraphError(
            f"{what}: {name} must have the shape {show_shape((rows, x.shape[-1]))} for operands of "
            f"shape {show_shape(x.shape)}{describe([w, x])}"
        )
    result = matmul(x, matrix_transpose(w))
    if bias is None:
        return result
    added = as_node(bias)
    if added.shape != (rows,):
        raise GraphError(f"{what}: a bias must have the shape ({rows},){describe([added])}")
    return result + added


def hidden_size(weights: Sequence[ArrayLike | None]) -> Size:
    """The size of a state, the columns of w_hh."""
    w = as_node(RecurrentWeights(*weights).w_hh)
    if w.ndim != 2:
        raise GraphError(f"w_hh must have two axes{describe([w])}")
    return w.shape[1]


def part(gates: Node, number: int, size: Size) -> Node:
    """One gate of those that stand side by side."""
    return gates[..., number * size : (number + 1) * size]


def peepholes(weights: Sequence[ArrayLike | None], cell: Node) -> Node | None:
    """The peepholes, if there are any; GraphError unless they are (3, hidden)."""
    given = RecurrentWeights(*weights).peephole
    if given is None:
        return None
    node = to_node_dtype(as_node(given), cell.dtype)
    if node.shape != (3, cell.shape[-1]):
        raise GraphError(
            f"lstm: peephole must have the shape (3, {cell.shape[-1]}){describe([node])}"
        )
    return node


# --- layers --------------------------------------------------------------------------------------


def rnn(
    xs: ArrayLike, weights: Sequence[ArrayLike | None], h0: ArrayLike | None = None, *,
    activation: str = "tanh", reverse: bool = False, lengths: ArrayLike | None = None,
    truncate: int | None = None, checkpoint: int | str | None = None,
) -> tuple[Node, Node]:  # fmt: skip
    """`rnn_cell` over a sequence: the states after all steps, (time, ..., hidden), and the last.

    It begins with h0, or zeros. With `reverse` it runs from the end, and results stand where their
    inputs do. lengths, integers of shape (...), end each example earlier: beyond, outputs are 0
    and the state stays. truncate and checkpoint are those of `scan`.
    """

    def cell(x: Node, h: State, weights: RecurrentWeights) -> Node:
        return rnn_cell(x, h, weights, activation)

    layer = Sequences("rnn", xs, weights, lengths)
    options = {"reverse": reverse, "truncate": truncate, "checkpoint": checkpoint}
    return layer.run(cell, layer.zeros() if h0 is None else h0, options)


def gru(
    xs: ArrayLike, weights: Sequence[ArrayLike | None], h0: ArrayLike | None = None, *,
    reverse: bool = False, lengths: ArrayLike | None = None, truncate: int | None = None,
    checkpoint: int | str | None = None,
) -> tuple[Node, Node]:  # fmt: skip
    """`gru_cell` over a sequence: the states after all steps and the last; options as for `rnn`."""
    layer = Sequences("gru", xs, weights, lengths)
    options = {"reverse": reverse, "truncate": truncate, "checkpoint": checkpoint}
    return layer.run(gru_cell, layer.zeros() if h0 is None else h0, options)


def lstm(
    xs: ArrayLike, weights: Sequence[ArrayLike | None],
    state: tuple[ArrayLike, ArrayLike] | None = None, *, reverse: bool = False,
    lengths: ArrayLike | None = None, truncate: int | None = None,
    checkpoint: int | str | None = None,
) -> tuple[Node, tuple[Node, Node]]:  # fmt: skip
    """`lstm_cell` over a sequence: each step's h, and the last (h, c); options as for `rnn`."""
    layer = Sequences("lstm", xs, weights, lengths)
    options = {"reverse": reverse, "truncate": truncate, "checkpoint": checkpoint}
    return layer.run(lstm_cell, (layer.zeros(),) * 2 if state is None else state, options)


def bidirectional(
    layer: Layer,
    xs: ArrayLike,
    weights: tuple[Any, Any],
    states: tuple[State, State] | None = None,
    **options: Any,
) -> tuple[Node, tuple[State, State]]:
    """A layer (`rnn`, `gru` or `lstm`) run in both directions, with weights for each.

    The outputs of both stand side by side along the last axis; the last states are a pair.
    Schuster, Paliwal: Bidirectional recurrent neural networks (1997). The options are the layer's,
    but for reverse. GraphError unless weights and states are pairs.
    """
    if "reverse" in options:
        raise GraphError("bidirectional: runs in both directions: leave reverse out")
    check_pair(weights, "weights")
    if states is not None:
        check_pair(states, "states")
    begin = (None, None) if states is None else states
    forward, last = layer(xs, weights[0], begin[0], **options)
    backward, first = layer(xs, weights[1], begin[1], reverse=True, **options)
    return concat([forward, backward], -1), (last, first)


def check_pair(value: Any, name: str) -> None:
    """GraphError unless a value is a pair, one for each direction."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise GraphError(
            f"bidirectional: {name} must be a pair, one for each direction, not {shown(value)}"
        )


class Sequences:
    """The sequences and weights of a layer."""

    def __init__(
        self,
        what: str,
        xs: ArrayLike,
        weights: Sequence[ArrayLike | None],
        lengths: ArrayLike | None,
    ) -> None:
        """Make from what the user gave; GraphError where sequences and lengths do not fit."""
        self.xs, self.weights = to_float(xs), to_weights(weights, what)
        if self.xs.ndim < 2:
            raise GraphError(f"{what}: sequences must be (time, ..., inputs){describe([self.xs])}")
        self.lengths = None if lengths is None else as_node(lengths)
        batch = self.xs.shape[1:-1]
        given = self.lengths
        if given is not None and (not given.dtype.is_integer or given.shape != batch):
            raise GraphError(
                f"{what}: lengths must be integers of shape {show_shape(batch)}{describe([given])}"
            )

    def zeros(self) -> Node:
        """A state of zeros."""
        shape = (*self.xs.shape[1:-1], hidden_size(self.weights))
        return zeros(shape, promote(self.xs.dtype, to_float(self.weights.w_hh).dtype))

    def run(self, cell: Cell, init: State, options: dict[str, Any]) -> tuple[Node, State]:
        """The outputs of a cell and its last state."""
        places = apply("iota", shape=self.xs.shape[:1], axis=0, dtype=int64)

        def step(state: State, row: tuple[Node, Node]) -> tuple[State, Node]:
            after = cell(row[0], state, self.weights)
            output = after if isinstance(after, Node) else after[0]
            return self.kept(row[1], state, after, output)

        last, ys = scan(step, init, (self.xs, places), **options)
        return ys, last

    def kept(self, place: Node, before: State, after: State, output: Node) -> tuple[State, Node]:
        """The state and the output where examples go on; beyond their ends, the old one and 0."""
        if self.lengths is None:
            return after, output
        inside = expand_dims(place < to_node_dtype(self.lengths, int64), -1)
        pairs = zip(flatten(before)[0], flatten(after)[0], strict=True)
        chosen = [where(inside, new, old) for old, new in pairs]
        return flatten(after)[1](chosen), where(inside, output, 0)
