"""checkpoint: the same values and derivatives with less memory, in any order of updates."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.node import Node
from graphc.passes.checkpoint import checkpoint
from graphc.passes.derivatives import hvp
from graphc.passes.differentiate import grad, jvp

X, W = np.linspace(-1, 1, 12).reshape(3, 4), np.cos(np.arange(16.0)).reshape(4, 4)
x = gx.input("x", (3, 4), "float64")
w = gx.input("w", (4, 4), "float64")


def block(v: Node) -> Node:
    """Two layers that read a node from outside, and one computed from it."""
    return gx.softmax(gx.tanh(gx.sin(v @ w) @ gx.exp(w)))


def same(build: Callable[[Callable[[Node], Node]], Any]) -> None:
    """What is built of a block and of the checkpointed block has the same values."""
    pair = (build(checkpoint(block)), build(block))
    got, want = gx.compile([x, w], pair)(X, W)
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)


def test_values() -> None:
    same(lambda f: f(x))


@pytest.mark.parametrize("by", [x, w], ids=["argument", "outside"])
def test_gradients_by_arguments_and_by_what_is_read_from_outside(by: Node) -> None:
    same(lambda f: grad(gx.sum(f(x) * x), by))


def test_forward_mode_and_second_order() -> None:
    same(lambda f: jvp(f(x), [x, w], [x, w]))
    same(lambda f: grad(gx.sum(grad(gx.sum(f(x) * x), w) * w), w))
    same(lambda f: hvp(gx.sum(f(x) * x), x, x))


def test_batches() -> None:
    same(lambda f: gx.vmap(lambda row: grad(gx.sum(f(row) * row), row))(x))
    same(lambda f: grad(gx.sum(gx.vmap(f)(x) * x), w))


def test_checkpoints_inside_checkpoints() -> None:
    same(lambda f: grad(gx.sum(checkpoint(lambda v: f(f(v)))(x) * x), [x, w])[1])


def test_an_argument_that_stands_twice() -> None:
    y = checkpoint(lambda a, b: gx.sin(a) * b)(x, x)
    got = gx.compile([x], grad(gx.sum(y), x))(X)
    np.testing.assert_allclose(got, np.cos(X) * X + np.sin(X), rtol=1e-13)


def test_what_is_read_from_outside_may_depend_on_other_such() -> None:
    u = gx.sin(w)
    v = gx.exp(u)

    def f(a: Node) -> Node:
        return a @ u @ v

    pair = [grad(gx.sum(g(x)), w) for g in (checkpoint(f), f)]
    got, want = gx.compile([x, w], pair)(X, W)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_results_in_structures_and_integers() -> None:
    def f(v: Node, scale: float) -> dict[str, Any]:
        return {"y": [gx.exp(v) * scale], "best": gx.argmax(v, axis=1)}

    result = checkpoint(f)(x, 2.0)
    got = gx.compile([x], [result, grad(gx.sum(result["y"][0]), x)])(X)
    np.testing.assert_array_equal(got[0]["best"], X.argmax(1))
    np.testing.assert_allclose(got[1], 2 * np.exp(X), rtol=1e-13)


# --- memory --------------------------------------------------------------------------------------

WIDTH, LAYERS = 64, 16
MATRIX = WIDTH * WIDTH * 8  # bytes


def network(weights: Sequence[Node], length: int) -> Node:
    """The loss of a chain of layers, checkpointed in pieces of a length."""
    v: Node = gx.ones((WIDTH, WIDTH)) + weights[0]
    for start in range(0, LAYERS, length):

        def piece(v: Node, start: int = start) -> Node:
            for weight in weights[start : start + length]:
                v = gx.tanh(v @ weight)
            return v

        v = checkpoint(piece)(v) if length > 1 else piece(v)
    return gx.sum(v * v)


def training(length: int, backwards: bool = False) -> Any:
    """A training step, with updates from the first layer to the last or backwards."""
    weights = [gx.variable(np.eye(WIDTH), name=f"w{k}") for k in range(LAYERS)]
    loss = network(weights, length)
    steps = list(zip(weights, grad(loss, weights), strict=True))
    order = reversed(steps) if backwards else steps
    return gx.compile([], loss, updates={w: w - 0.1 * d for w, d in order})


def arena(step: Any) -> float:
    """The memory of a step beside that of inputs, outputs and variables, in layers."""
    return float(step.memory().arena / MATRIX)


def test_a_training_step_keeps_one_value_a_layer() -> None:
    assert arena(training(1)) <= LAYERS + 3


def test_checkpoints_keep_the_ends_of_pieces_and_the_inside_of_one() -> None:
    assert arena(training(4)) <= LAYERS / 4 + 4 + 4


def test_the_order_of_updates_does_not_change_the_memory() -> None:
    assert arena(training(1, backwards=True)) == arena(training(1))
    assert arena(training(4, backwards=True)) == arena(training(4))


def test_checkpoints_do_not_change_what_is_learnt() -> None:
    plain, pieces = training(1), training(4)
    for _ in range(3):
        np.testing.assert_allclose(plain(), pieces(), rtol=1e-10)
