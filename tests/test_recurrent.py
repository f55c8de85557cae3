"""Recurrent cells and layers by themselves: steps by hand, options, symbolic sizes, refusals.

`test_nn_oracle.py` compares them with PyTorch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import nn
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.passes.graph_passes import GRAPH_PASSES
from graphc.passes.pipeline import run_passes
from graphc.runtime.accelerator.pipeline import PIPELINE
from tests.refusing import check_refusal

Array = np.ndarray[Any, Any]

TIME, BATCH, INPUTS, HIDDEN = 4, 3, 2, 5
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
every_layer = pytest.mark.parametrize("name", GATES)


def drawn(*shapes: tuple[int, ...]) -> list[Array]:
    """Random arrays."""
    random = np.random.default_rng(sum(map(sum, shapes)))
    return [random.normal(size=shape) for shape in shapes]


def weights_of(name: str) -> list[Array]:
    """Weights of a layer, with biases."""
    rows = GATES[name] * HIDDEN
    return drawn((rows, INPUTS), (rows, HIDDEN), (rows,), (rows,))


def run(function: Callable[..., Any], *arrays: Array) -> Any:
    """A function of arrays, compiled."""
    nodes = [gx.input(f"x{k}", array.shape, array.dtype) for k, array in enumerate(arrays)]
    return gx.compile(nodes, function(*nodes))(*arrays)


def leaves(state: Any) -> list[Node]:
    """The nodes of a state."""
    return list(state) if isinstance(state, tuple) else [state]


(XS,) = drawn((TIME, BATCH, INPUTS))


@every_layer
def test_a_layer_is_its_cell_step_by_step(name: str) -> None:
    layer, cell, weights = getattr(nn, name), getattr(nn, f"{name}_cell"), weights_of(name)
    start = drawn(*[(BATCH, HIDDEN)] * (2 if name == "lstm" else 1))

    def both(xs: Node, *begin: Node) -> Any:
        state = begin if name == "lstm" else begin[0]
        ys, last = layer(xs, weights, state)
        outputs = []
        for t in range(TIME):
            state = cell(xs[t], state, weights)
            outputs.append(leaves(state)[0])
        return [ys, *leaves(last)], [gx.stack(outputs), *leaves(state)]

    for got, want in zip(*run(both, XS, *start), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-13)


def test_without_peepholes_nothing_is_seen() -> None:
    weights = weights_of("lstm")
    zero, some = np.zeros((3, HIDDEN)), drawn((3, HIDDEN))[0]

    def outputs(xs: Node) -> list[Node]:
        return [nn.lstm(xs, w)[0] for w in (weights, [*weights, zero], [*weights, some])]

    plain, unseen, seen = run(outputs, XS)
    np.testing.assert_array_equal(plain, unseen)
    assert np.abs(plain - seen).max() > 1e-3


def test_peepholes_see_the_old_cell_and_the_output_gate_the_new_one() -> None:
    x, h, c = drawn((INPUTS,), (HIDDEN,), (HIDDEN,))
    (p,) = drawn((3, HIDDEN))
    weights = [np.zeros((4 * HIDDEN, INPUTS)), np.zeros((4 * HIDDEN, HIDDEN))]
    bias = np.repeat([0.0, 0.0, 1.0, 0.0], HIDDEN)
    got_h, got_c = run(
        lambda x, h, c: nn.lstm_cell(
            x, (h, c), nn.RecurrentWeights(*weights, b_ih=bias, peephole=p)
        ),
        x, h, c,
    )  # fmt: skip

    def sigmoid(z: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-z)))

    new = sigmoid(p[1] * c) * c + sigmoid(p[0] * c) * np.tanh(1.0)
    np.testing.assert_allclose(got_c, new, rtol=1e-14)
    np.testing.assert_allclose(got_h, sigmoid(p[2] * new) * np.tanh(new), rtol=1e-14)


def test_the_concatenated_form_is_the_same_cell() -> None:
    """One matrix for [x, h] beside one another, as some texts have it."""
    w, u, b, _ = weights_of("lstm")
    x, h, c = drawn((BATCH, INPUTS), (BATCH, HIDDEN), (BATCH, HIDDEN))

    def both(x: Node, h: Node, c: Node) -> list[Node]:
        gates = gx.concat([x, h], -1) @ np.concatenate([w, u], 1).T + b
        i, f, g, o = (gates[:, k * HIDDEN : (k + 1) * HIDDEN] for k in range(4))
        new = gx.sigmoid(f) * c + gx.sigmoid(i) * gx.tanh(g)
        return [*nn.lstm_cell(x, (h, c), (w, u, b)), gx.sigmoid(o) * gx.tanh(new), new]

    got_h, got_c, want_h, want_c = run(both, x, h, c)
    np.testing.assert_allclose(got_h, want_h, rtol=1e-13)
    np.testing.assert_allclose(got_c, want_c, rtol=1e-13)


@every_layer
@pytest.mark.parametrize("reverse", [False, True])
def test_lengths_are_shorter_sequences(name: str, reverse: bool) -> None:
    layer, weights, ends = getattr(nn, name), weights_of(name), np.array([4, 0, 2])
    ys, last = run(lambda xs: layer(xs, weights, reverse=reverse, lengths=ends), XS)
    for example, end in enumerate(ends):
        alone, state = run(lambda xs: layer(xs, weights, reverse=reverse), XS[:end, example])
        np.testing.assert_allclose(ys[:end, example], alone, rtol=1e-13)
        assert (ys[end:, example] == 0).all()
        for whole, single in zip(leaves(last), leaves(state), strict=True):
            np.testing.assert_allclose(whole[example], single, rtol=1e-13)


@every_layer
def test_both_directions_stand_side_by_side(name: str) -> None:
    layer, weights = getattr(nn, name), weights_of(name)
    back = [-part for part in weights]

    def outputs(xs: Node) -> list[Node]:
        ys, states = nn.bidirectional(layer, xs, (weights, back))
        alone = [layer(xs, weights)[0], gx.flip(layer(gx.flip(xs, axis=0), back)[0], axis=0)]
        return [ys, gx.concat(alone, -1), leaves(states[1])[0]]

    both, want, first = run(outputs, XS)
    np.testing.assert_allclose(both, want, rtol=1e-13)
    np.testing.assert_array_equal(both[0, :, HIDDEN:], first)


def test_truncation_and_checkpoints_are_those_of_scan() -> None:
    weights = weights_of("gru")
    nodes = [gx.input("xs", ("time", "batch", INPUTS), "float64")]
    results = []
    for options in ({}, {"checkpoint": 2}, {"truncate": 2}, {"truncate": 1}):
        ys, last = nn.gru(nodes[0], weights, **options)  # type: ignore[arg-type]
        results += [ys, gx.grad(gx.sum(last), nodes[0])]
    step = gx.compile(nodes, results)
    values = step(XS)
    for ys in values[2::2]:
        np.testing.assert_array_equal(ys, values[0])
    plain, again, two, one = values[1::2]
    np.testing.assert_allclose(again, plain, rtol=1e-12)
    np.testing.assert_allclose(two[2:], plain[2:], rtol=1e-12)
    assert (two[:2] == 0).all()
    assert (one[:3] == 0).all()
    assert step(XS[:0, :1])[0].shape == (0, 1, HIDDEN)


@every_layer
def test_the_inputs_products_leave_the_loop(name: str) -> None:
    layer = getattr(nn, name)
    xs = gx.input("xs", (50, BATCH, INPUTS), "float32")
    rows = GATES[name] * HIDDEN
    w, u = (gx.input(k, (rows, n), "float32") for k, n in (("w", INPUTS), ("u", HIDDEN)))
    step = gx.compile([xs, w, u], layer(xs, (w, u))[0])
    assert any(decision.stage == "hoist_from_loops" for decision in step.decisions)


@every_layer
@pytest.mark.parametrize(("length", "on_devices"), [(600, "hoisted"), (10**6, "in the loop")])
def test_on_devices_they_do_unless_all_are_too_much(
    name: str, length: int, on_devices: str
) -> None:
    layer = getattr(nn, name)
    xs = gx.input("xs", (length, 64, INPUTS), "float32")
    rows = GATES[name] * HIDDEN
    w, u = (gx.input(k, (rows, n), "float32") for k, n in (("w", INPUTS), ("u", HIDDEN)))
    graph = Graph((xs, w, u), (layer(xs, (w, u))[0],))
    for passes, choice in ((PIPELINE, on_devices), (GRAPH_PASSES, "in the loop")):
        found = [d.choice for d in run_passes(graph, passes).decisions
                 if d.stage == "hoist_from_loops"]  # fmt: skip
        assert found == [choice]


xs = gx.input("xs", (4, 3, 2), "float32")
W, U = gx.zeros((20, 2), "float32"), gx.zeros((20, 5), "float32")
h = gx.zeros((3, 5), "float32")
REFUSED: Sequence[tuple[Callable[[], Any], str]] = (
    (lambda: nn.rnn(xs, (W[:5], U[:5]), activation="sin"), 'activation is "tanh" or "relu", not'),
    (lambda: nn.rnn(xs, (W, U)), "rnn: w_ih must have the shape (5, 2) for operands of shape"),
    (lambda: nn.gru(xs, (W[:15], U)), "gru: w_hh must have the shape (15, 5)"),
    (lambda: nn.gru(xs, (W[:15], U[:15], None, None, h)), "gru: peepholes belong to an LSTM"),
    (lambda: nn.lstm(xs, (W, U, gx.zeros(5))), "lstm: a bias must have the shape (20,)"),
    (lambda: nn.lstm(xs, (W, U, None, None, gx.ones(5))), "peephole must have the shape (3, 5)"),
    (lambda: nn.lstm(xs, (W, U), (h, h[:2])), "lstm: h and c must have one shape"),
    (lambda: nn.lstm(xs, (W, U), (h[:2], h[:2])), "must have the shape (3, 5)"),
    (lambda: nn.lstm(xs, (W, U[0])), "w_hh must have two axes"),
    (lambda: nn.lstm(xs[0, 0], (W, U)), "lstm: sequences must be (time, ..., inputs)"),
    (lambda: nn.lstm(xs, (W, U), lengths=[1, 2]), "lstm: lengths must be integers of shape (3,)"),
    (
        lambda: nn.rnn(xs, (W,)),
        "rnn: weights must be the first two or more of w_ih, w_hh, b_ih, b_hh, peephole, not 1 of",
    ),
    (lambda: nn.gru(xs, (W,) * 7), "gru: weights must be the first two or more of w_ih, w_hh"),
    (lambda: nn.lstm(xs, None), "lstm: weights must be the first two or more of"),  # type: ignore[arg-type]
    (lambda: nn.gru_cell(xs[0], h, W), "gru: weights must be the first two or more of"),  # type: ignore[arg-type]
    (lambda: nn.lstm(xs, (W, U), h), "lstm: the state must be a pair (h, c), not"),  # type: ignore[arg-type]
    (
        lambda: nn.bidirectional(nn.lstm, xs, ((W, U), (W, U)), reverse=True),
        "bidirectional: runs in both directions: leave reverse out",
    ),
    (
        lambda: nn.bidirectional(nn.lstm, xs, None),  # type: ignore[arg-type]
        "bidirectional: weights must be a pair, one for each direction, not None",
    ),
    (
        lambda: nn.bidirectional(nn.lstm, xs, ((W, U), (W, U)), ((h, h),)),  # type: ignore[arg-type]
        "bidirectional: states must be a pair, one for each direction",
    ),
)


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call: Callable[[], Any], message: str) -> None:
    check_refusal(call, message, __file__)
