"""Derivatives: against central differences, of second order, forward against reverse, refusals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc as gx
from graphc.errors import GraphError
from graphc.ir.graph import Graph, walk
from graphc.ir.node import Node
from graphc.passes.differentiate import grad, jvp, value_and_grad
from graphc.runtime.reference.evaluate import evaluate

Array = np.ndarray[Any, Any]
Values = dict[Node, Array]

SMOOTH = {
    "sqrt": (0.2, 3), "rsqrt": (0.2, 3), "square": (-2, 2), "reciprocal": (0.5, 2),
    "exp": (-2, 2), "expm1": (-2, 2), "log": (0.2, 3), "log1p": (-0.5, 2), "log2": (0.2, 3),
    "log10": (0.2, 3), "sigmoid": (-4, 4), "softplus": (-4, 4), "erf": (-2, 2),
    "sin": (-3, 3), "cos": (-3, 3), "tan": (-1, 1), "asin": (-0.8, 0.8), "acos": (-0.8, 0.8),
    "atan": (-2, 2), "sinh": (-2, 2), "cosh": (-2, 2), "tanh": (-2, 2), "asinh": (-2, 2),
    "acosh": (1.3, 3), "atanh": (-0.8, 0.8), "negative": (-1, 1), "positive": (-1, 1),
    "abs": (0.1, 1), "sign": (0.1, 1), "relu": (0.1, 1), "floor": (0.1, 0.9), "ceil": (0.1, 0.9),
    "round": (0.6, 0.9), "trunc": (0.1, 0.9),
}  # fmt: skip
"""Where each function of one operand is smooth."""

SMOOTH_PAIRS = {
    "add": (-2, 2), "subtract": (-2, 2), "multiply": (-2, 2), "divide": (0.5, 2),
    "power": (0.5, 2), "maximum": (-2, 2), "minimum": (-2, 2), "atan2": (0.5, 2),
    "hypot": (0.5, 2), "logaddexp": (-2, 2), "copysign": (0.1, 2),
}  # fmt: skip
"""The same for two operands, both drawn from the interval."""


class Case(NamedTuple):
    """A function, and inputs with their values."""

    function: Callable[..., Node]
    values: Values


def draw(random: np.random.Generator, interval: tuple[float, float], name: str) -> Values:
    """An input of five numbers in an interval."""
    return {gx.input(name, (5,), "float64"): random.uniform(*interval, 5)}


def cases() -> list[Any]:
    """A case for each elementwise function."""
    random = np.random.default_rng(0)
    one = [(n, draw(random, i, "x")) for n, i in SMOOTH.items()]
    two = [(n, draw(random, i, "x") | draw(random, i, "y")) for n, i in SMOOTH_PAIRS.items()]
    return [pytest.param(Case(getattr(gx, n), values), id=n) for n, values in one + two]


every_function = pytest.mark.parametrize("case", cases())


def run(outputs: Sequence[Node], values: Mapping[Node, Array]) -> list[Array]:
    """The values of some nodes by the reference."""
    return evaluate(Graph(tuple(values), tuple(outputs)), values)


def differences(scalar: Node, wrt: Node, values: Values) -> Array:
    """The gradient of a node without axes by central differences."""
    result, step = np.zeros_like(values[wrt]), 1e-5
    for place in np.ndindex(result.shape):
        ends = []
        for sign in (1, -1):
            moved = values[wrt].copy()
            moved[place] += sign * step
            ends.append(run([scalar], values | {wrt: moved})[0])
        result[place] = (ends[0] - ends[1]) / (2 * step)
    return result


def weighted(node: Node, seed: int = 1) -> Node:
    """A sum of the elements with weights that differ."""
    weights = np.random.default_rng(seed).uniform(0.5, 1.5, node.shape)
    return gx.sum(node * gx.constant(weights))


def assert_gradients(scalar: Node, values: Values) -> None:
    """The gradients by all inputs that the node depends on agree with central differences."""
    reached = set(walk([scalar]))
    wrt = [node for node in values if node in reached]
    for node, found in zip(wrt, run(grad(scalar, wrt), values), strict=True):
        np.testing.assert_allclose(found, differences(scalar, node, values), 1e-6, 1e-8)


# --- every elementwise function ------------------------------------------------------------------


@every_function
def test_gradient(case: Case) -> None:
    assert_gradients(weighted(case.function(*case.values)), case.values)


@every_function
def test_second_order(case: Case) -> None:
    wrt = list(case.values)
    first = grad(weighted(case.function(*wrt)), wrt)
    assert_gradients(sum(weighted(g, seed) for seed, g in enumerate(first)), case.values)


@every_function
def test_forward_agrees_with_reverse(case: Case) -> None:
    wrt = list(case.values)
    output = case.function(*wrt)
    along = [np.random.default_rng(2).normal(size=5) for _ in wrt]
    pushed = weighted(jvp(output, wrt, along))
    pulled = sum(gx.sum(g * t) for g, t in zip(grad(weighted(output), wrt), along, strict=True))
    forward, reverse = run([pushed, pulled], case.values)
    np.testing.assert_allclose(forward, reverse, 1e-12, 1e-13)


# --- sub-gradients, and NaN that must not leak ----------------------------------------------------


def slope(function: Callable[[Node], Node], at: float) -> float:
    """The derivative of a function at a point."""
    x = gx.input("x", (), "float64")
    return float(run([grad(function(x), x)], {x: np.array(at)})[0])


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [
        (gx.relu, 0.0, 0.0),
        (gx.abs, 0.0, 0.0),
        (lambda x: gx.maximum(x, 1.0), 1.0, 0.5),
        (lambda x: gx.minimum(x, 1.0), 1.0, 0.5),
        (lambda x: gx.maximum(x, x), 1.0, 1.0),
        (lambda x: gx.clip(x, -1, 1), 0.3, 1.0),
        (lambda x: gx.clip(x, -1, 1), 1.3, 0.0),
        (lambda x: x**2, 0.0, 0.0),
        (lambda x: x**1.0, 0.0, 1.0),
        (lambda x: x**0.0, 0.0, 0.0),
        (lambda x: gx.power(0.0, x), 2.0, 0.0),
        (lambda x: gx.hypot(x, 0.0), 0.0, 0.0),
        (lambda x: gx.logaddexp(x, 0.5), 0.5, 0.5),
        (lambda x: gx.logaddexp(x, -np.inf), 1.0, 1.0),
        (lambda x: gx.where(x > 0, gx.log(x), 0.0), -1.0, 0.0),
        (lambda x: gx.where(x > 0, gx.sqrt(gx.where(x > 0, x, 1.0)), 0.0), 0.0, 0.0),
        (gx.stop_gradient, 3.0, 0.0),
        (lambda x: x * gx.stop_gradient(x), 3.0, 3.0),
        (lambda x: gx.cast(gx.cast(x, "float32"), "float64") * 2, 3.0, 2.0),
        (lambda x: gx.cast(gx.cast(x, "int64"), "float64") * x, 3.0, 3.0),
        (gx.softplus, 1000.0, 1.0),
        (gx.sigmoid, -1000.0, 0.0),
        (lambda x: gx.remainder(x, 3.0), 7.5, 1.0),
        (lambda x: gx.remainder(7.5, x), 2.0, -3.0),
    ],
)
def test_slope(function: Callable[[Node], Node], at: float, expected: float) -> None:
    assert slope(function, at) == expected


def test_power_has_finite_derivatives_of_every_order_at_zero() -> None:
    x = gx.input("x", (), "float64")
    derivatives = [gx.power(x, gx.constant(2.0))]
    for _ in range(4):
        derivatives.append(grad(derivatives[-1], x))
    assert [float(v) for v in run(derivatives, {x: np.array(0.0)})] == [0, 0, 2, 0, 0]


def test_logaddexp_is_smooth_at_a_tie() -> None:
    x = gx.input("x", (), "float64")
    second = grad(grad(gx.logaddexp(x, 0.5), x), x)
    np.testing.assert_allclose(run([second], {x: np.array(0.5)})[0], 0.25)


# --- what wrt and outputs may be -----------------------------------------------------------------


def test_the_result_has_the_structure_of_wrt() -> None:
    x, y = gx.input("x", (2,), "float32"), gx.input("y", (), "float32")
    got = grad(gx.sum(x * y), {"a": [x, (y,)], "b": x})
    assert got.keys() == {"a", "b"}
    assert isinstance(got["a"][1], tuple)
    assert got["a"][0] is got["b"]
    assert got["a"][1][0].type == y.type


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_gradient_has_the_type_of_its_node(dtype: str) -> None:
    x = gx.input("x", ("batch", 3), dtype)
    gradient = grad(gx.sum(gx.tanh(x) * 2 + x**3), x)
    assert gradient.type == x.type
    array = np.ones((4, 3), x.dtype.numpy)
    assert run([gradient], {x: array})[0].shape == (4, 3)


def test_operands_that_broadcast() -> None:
    random = np.random.default_rng(3)
    x, y = gx.input("x", (3, 1), "float64"), gx.input("y", (2, 1, 4), "float64")
    values = {x: random.normal(size=(3, 1)), y: random.normal(size=(2, 1, 4))}
    assert_gradients(weighted(gx.sin(x * y) + y), values)


def test_a_network() -> None:
    random = np.random.default_rng(4)
    shapes = {"x": (3, 4), "w": (4, 5), "b": (5,), "v": (5, 2)}
    nodes = {name: gx.input(name, shape, "float64") for name, shape in shapes.items()}
    values = {node: random.normal(size=node.shape) for node in nodes.values()}
    hidden = gx.tanh(nodes["x"] @ nodes["w"] + nodes["b"])
    assert_gradients(gx.mean(gx.logsumexp(hidden @ nodes["v"], axis=1)), values)


def test_an_intermediate_node_can_be_wrt() -> None:
    x = gx.input("x", (3,), "float64")
    inner = gx.sin(x)
    by_inner, by_x = grad(gx.sum(inner * inner), [inner, x])
    at = np.array([0.1, 0.2, 0.3])
    found = run([by_inner, by_x], {x: at})
    np.testing.assert_allclose(found[0], 2 * np.sin(at))
    np.testing.assert_allclose(found[1], 2 * np.sin(at) * np.cos(at))


def test_the_output_itself_can_be_wrt() -> None:
    x = gx.input("x", (), "float64")
    assert run([grad(x, x)], {x: np.array(7.0)}) == [1.0]


def test_all_zero_paths_give_zeros() -> None:
    x = gx.input("x", ("n",), "float32")
    gradient = grad(gx.sum(gx.floor(x)), x)
    np.testing.assert_array_equal(run([gradient], {x: np.ones(3, "f4")})[0], np.zeros(3))


def test_value_and_grad() -> None:
    x = gx.input("x", (), "float64")
    value, gradient = value_and_grad(x * x, x)
    assert run([value, gradient], {x: np.array(3.0)}) == [9.0, 6.0]


def test_jvp_of_several_outputs() -> None:
    x, y = gx.input("x", (2,), "float64"), gx.input("y", (2,), "float64")
    got = jvp({"p": x * y, "q": x}, [x, y], [np.ones(2), y])
    found = run([got["p"], got["q"]], {x: np.array([1.0, 2]), y: np.array([3.0, 4])})
    np.testing.assert_array_equal(found, [[3 + 3, 4 + 8], [1, 1]])


def test_gradient_nodes_stand_at_the_line_they_differentiate() -> None:
    x = gx.input("x", (), "float64")
    inner = gx.sin(x)
    gradient = grad(gx.exp(inner) * 3, x)
    (cosine,) = (node for node in walk([gradient]) if node.op.name == "cos")
    assert cosine.where is not None
    assert cosine.where.source == "inner = gx.sin(x)"
    assert inner.where == cosine.where


# --- size ----------------------------------------------------------------------------------------


def test_a_chain_of_ten_thousand() -> None:
    x = gx.input("x", (), "float64")
    node = x
    for _ in range(10_000):
        node = gx.sin(node)
    gradient, tangent = grad(node, x), jvp(node, x, 1.0)
    assert len(walk([gradient])) < 40_000
    found = run([gradient, tangent], {x: np.array(0.5)})
    np.testing.assert_allclose(found[0], found[1])


def test_stacked_diamonds_stay_linear() -> None:
    x = gx.input("x", (), "float64")
    node = x
    for _ in range(20):
        node = gx.sin(node) * gx.cos(node)
    gradient = grad(node, x)
    assert len(walk([gradient])) < 20 * 20
    second = grad(gradient, x)
    assert len(walk([second])) < 20 * 200
    values = {x: np.array(0.5)}
    np.testing.assert_allclose(run([gradient], values)[0], differences(node, x, values), 1e-7)
    np.testing.assert_allclose(run([second], values)[0], differences(gradient, x, values), 1e-7)


# --- refusals ------------------------------------------------------------------------------------


def refused(call: Callable[[], Any]) -> GraphError:
    """The GraphError that a call raises."""
    with pytest.raises(GraphError) as caught:
        call()
    return caught.value


def test_an_output_with_axes_is_refused() -> None:
    x = gx.input("x", (3,), "float32")
    y = gx.exp(x)
    message = refused(lambda: grad(y, x)).message
    assert message.startswith(
        "grad: the output must be a scalar, this one has shape (3,): reduce it with gx.sum or "
        "gx.mean\n  made at "
    )
    assert message.endswith("y = gx.exp(x)")


def test_an_output_of_integers_is_refused() -> None:
    n = gx.input("n", (3,), "int64")
    assert refused(lambda: grad(gx.sum(n), n)).message.startswith(
        "grad: the output must be of a floating-point dtype, this one is int64"
    )


def test_integers_as_wrt_are_refused() -> None:
    n = gx.input("n", (3,), "int64")
    assert refused(lambda: grad(gx.mean(n), n)).message.startswith(
        "grad: <input 'n' i64[3]> has no derivatives, its dtype is int64: make it a float"
    )


def test_wrt_that_the_output_does_not_depend_on_is_refused() -> None:
    x, unused = gx.input("x", (), "float32"), gx.input("unused", (2,), "float32")
    error = refused(lambda: grad(x * 2, [x, unused]))
    assert error.message.startswith(
        "grad: the output does not depend on <input 'unused' f32[2]>\n  made at "
    )
    assert error.message.endswith(unused.where.source if unused.where else "?")
    assert error.where is not None
    assert "refused(lambda: grad(x * 2, [x, unused]))" in error.where.source


def test_wrt_that_is_no_node_is_refused() -> None:
    x = gx.input("x", (), "float32")
    assert refused(lambda: grad(x * 2, [x, 3.0])).message == "grad: wrt must hold nodes, not 3.0"
    assert refused(lambda: grad(2.0, x)).message == "grad: the output must be a node, not 2.0"


def test_tangents_that_do_not_fit_are_refused() -> None:
    x = gx.input("x", (3,), "float32")
    assert refused(lambda: jvp(x * 2, x, np.ones(4, "f4"))).message.startswith(
        "jvp: the tangent of <input 'x' f32[3]> must be f32[3], this one is f32[4]"
    )
    message = refused(lambda: jvp(x * 2, x, [x])).message
    assert message == "jvp: the tangents must have the same structure as wrt"
