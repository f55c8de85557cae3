"""vjp, jacobian, hessian and hvp: against formulas, the loop, finite differences and each other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.node import Node
from graphc.passes.derivatives import cheaper_mode, hessian, hvp, jacobian, vjp
from graphc.passes.differentiate import grad, jvp

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(7)
X, W = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=(3, 4))

x = gx.input("x", (2, 3), "float64")
w = gx.input("w", (3, 4), "float64")


def run(outputs: Any) -> Any:
    """Outputs on the cpu for the values above."""
    return gx.compile([x, w], outputs)(X, W)


def layer() -> Node:
    """A function of two nodes whose Jacobian is dense in both."""
    return gx.softmax(gx.tanh(x @ w))


# --- vjp -----------------------------------------------------------------------------------------


def test_vjp_is_the_gradient_of_the_weighted_sum() -> None:
    y, z = layer(), gx.sum(x * x)
    found = vjp({"y": y, "z": z}, [x, w], {"y": gx.cos(y), "z": 2.0})
    frozen = gx.stop_gradient(gx.cos(y))
    want = grad(gx.sum(y * frozen) + 2 * z, [x, w])
    for got, expected in zip(*run((found, want)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_vjp_adds_up_an_output_that_stands_twice() -> None:
    y = gx.exp(x)
    got = run(vjp([y, y], x, [np.ones((2, 3)), 3 * np.ones((2, 3))]))
    np.testing.assert_allclose(got, 4 * np.exp(X), rtol=1e-14)


# --- jacobian ------------------------------------------------------------------------------------


def rows_by_loop(y: Node, by: Node) -> list[Node]:
    """The gradient of each element of a node."""
    flat = gx.reshape(y, -1)
    return [grad(flat[k], by) for k in range(len(flat))]


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_jacobian_equals_the_loop_of_gradients(mode: str | None) -> None:
    y = layer()
    found = jacobian(y, {"x": x, "w": w}, mode)
    loop = [rows_by_loop(y, x), rows_by_loop(y, w)]
    got, (by_x, by_w) = run((found, loop))
    np.testing.assert_allclose(got["x"], np.reshape(by_x, (2, 4, 2, 3)), atol=1e-13)
    np.testing.assert_allclose(got["w"], np.reshape(by_w, (2, 4, 3, 4)), atol=1e-13)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_jacobian_of_symbolic_sizes(mode: str) -> None:
    v = gx.input("v", ("n",), "float64")
    step = gx.compile([v], jacobian(gx.softmax(v), v, mode))
    for count in (0, 1, 3, 8):
        p = np.exp(np.arange(count) / 4)
        p /= p.sum()
        np.testing.assert_allclose(
            step(np.arange(count) / 4), np.diag(p) - np.outer(p, p), atol=1e-14
        )


def test_jacobian_of_scalars_has_no_axes_for_them() -> None:
    s = gx.sum(x)
    up, down = run([jacobian(gx.exp(s) * gx.ones((5,)), s), jacobian(s * s, x)])
    assert up.shape == (5,)
    np.testing.assert_allclose(down, np.full((2, 3), 2 * X.sum()))


def test_the_cheaper_mode_is_that_of_fewer_passes() -> None:
    n = gx.input("n", ("n", 3), "float64")
    assert cheaper_mode(gx.zeros((5,)), [gx.zeros((4,))]) == "forward"
    assert cheaper_mode(gx.zeros((5,)), [gx.zeros((4,)), gx.zeros(())]) == "reverse"
    assert cheaper_mode(gx.zeros(()), [n]) == "reverse"
    assert cheaper_mode(gx.concat([n, gx.zeros((1, 3))]), [n]) == "forward"


def test_jacobian_composes_with_itself_and_with_vmap() -> None:
    def cubes(row: Node) -> Node:
        return row**3

    second = gx.vmap(lambda row: jacobian(jacobian(cubes(row), row), row))(x)
    got = run(second)
    want = np.zeros((2, 3, 3, 3))
    for place in np.ndindex(2, 3):
        want[(*place, place[1], place[1])] = 6 * X[place]
    np.testing.assert_allclose(got, want, atol=1e-13)


# --- second order --------------------------------------------------------------------------------


def perceptron() -> Node:
    """The loss of a small network by its input and weights."""
    hidden = gx.tanh(x @ w)
    return gx.mean(gx.softplus(gx.sum(hidden * hidden, axis=1)))


def test_hessian_agrees_with_differences_of_the_gradient() -> None:
    found = hessian(perceptron(), [x, w])
    step = gx.compile([x, w], grad(perceptron(), [x, w]))
    got = run(found)
    for row in range(2):
        for column, array in enumerate((X, W)):
            want = np.zeros((*(X, W)[row].shape, *array.shape))
            for place in np.ndindex(array.shape):
                ends = []
                for sign in (1, -1):
                    moved = [X.copy(), W.copy()]
                    moved[column][place] += sign * 1e-5
                    ends.append(step(*moved)[row])
                want[(..., *place)] = (ends[0] - ends[1]) / 2e-5
            np.testing.assert_allclose(got[row][column], want, atol=1e-9)


def test_hessian_is_symmetric_and_hvp_is_its_product() -> None:
    loss = perceptron()
    full, product = run((hessian(loss, w), hvp(loss, w, np.cos(W))))
    np.testing.assert_allclose(full, np.moveaxis(full, (0, 1), (2, 3)), atol=1e-14)
    np.testing.assert_allclose(np.tensordot(full, np.cos(W), 2), product, atol=1e-13)


def test_hvp_keeps_structures() -> None:
    loss = perceptron()
    found = hvp(loss, {"a": [x], "b": w}, {"a": [X], "b": gx.zeros_like(w)})
    blocks = hessian(loss, {"a": [x], "b": w})
    got, full = run((found, blocks))
    np.testing.assert_allclose(got["a"][0], np.tensordot(full["a"][0]["a"][0], X, 2), atol=1e-13)
    np.testing.assert_allclose(got["b"], np.tensordot(full["b"]["a"][0], X, 2), atol=1e-13)


def test_a_linear_function_has_a_hessian_of_zeros() -> None:
    got, product = run((hessian(gx.sum(x) + gx.sum(w), [x, w]), hvp(gx.sum(x), x, X)))
    assert [[block.shape for block in row] for row in got] == [
        [(2, 3, 2, 3), (2, 3, 3, 4)],
        [(3, 4, 2, 3), (3, 4, 3, 4)],
    ]
    assert not any(block.any() for row in got for block in row)
    assert not product.any()


def test_forward_over_reverse_equals_reverse_over_forward() -> None:
    loss = perceptron()
    along = gx.cos(w)
    other = grad(jvp(loss, w, gx.stop_gradient(along)), w)
    got, want = run((hvp(loss, w, along), other))
    np.testing.assert_allclose(got, want, rtol=1e-11)


# --- refusals ------------------------------------------------------------------------------------

k = gx.input("k", (3,), "int64")
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "vjp structure": (
        lambda: vjp([x], x, x),
        "vjp: the cotangents must have the same structure as the outputs",
    ),
    "vjp type": (
        lambda: vjp(layer(), x, x),
        "vjp: the cotangent of <divide f64[2, 4]> must be f64[2, 4], this one is f64[2, 3]",
    ),
    "vjp integer": (lambda: vjp(k, k, k), "vjp: the output must be of a floating-point dtype"),
    "jacobian mode": (
        lambda: jacobian(gx.exp(x), x, "backward"),
        "jacobian: mode is 'forward', 'reverse' or None, not 'backward'",
    ),
    "jacobian apart": (lambda: jacobian(gx.exp(x), w), "the output does not depend on <input 'w'"),
    "jacobian node": (lambda: jacobian(1.0, x), "jacobian: the output must be a node, not 1.0"),
    "hessian shape": (lambda: hessian(gx.exp(x), x), "grad: the output must be a scalar"),
    "hvp structure": (
        lambda: hvp(gx.sum(x), [x], x),
        "hvp: the vector must have the same structure as wrt",
    ),
    "hvp type": (
        lambda: hvp(gx.sum(x), x, w),
        "hvp: the vector of <input 'x' f64[2, 3]> must be f64[2, 3], this one is f64[3, 4]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    assert message in str(caught.value)
    assert "test_derivatives.py" in str(caught.value), "the user's line is missing"
