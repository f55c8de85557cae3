"""custom_gradient: the user's rules in both modes, at higher order, in batches; what it refuses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.passes.custom_gradient import custom_gradient
from graphc.passes.differentiate import grad, jvp
from graphc.runtime.reference.evaluate import evaluate

X = np.linspace(-1.0, 1.5, 6).reshape(2, 3)
x = gx.input("x", (2, 3), "float64")
w = gx.input("w", (3,), "float64")
W = np.array([0.5, -1.0, 2.0])


def run(outputs: Any) -> Any:
    """Outputs on the cpu for the values above."""
    return gx.compile([x, w], outputs)(X, W)


def by_vjp(arguments: Any, result: Node, gradient: Node) -> Any:
    """The gradient of exp, doubled, so that it is told from the true one."""
    return (2 * gradient * result,)


def by_jvp(arguments: Any, result: Node, tangents: Any) -> Any:
    """The tangent of exp, doubled."""
    return 2 * tangents[0] * result


DOUBLED = {
    "vjp": custom_gradient(gx.exp, vjp=by_vjp),
    "jvp": custom_gradient(gx.exp, jvp=by_jvp),
    "both": custom_gradient(gx.exp, vjp=by_vjp, jvp=by_jvp),
}
every_way = pytest.mark.parametrize("way", DOUBLED)


@every_way
def test_both_modes_follow_the_rule(way: str) -> None:
    y = DOUBLED[way](x)
    value, pulled, pushed = run([y, grad(gx.sum(y * x), x), jvp(y, x, gx.cos(x))])
    np.testing.assert_allclose(value, np.exp(X), rtol=1e-14)
    np.testing.assert_allclose(pulled, np.exp(X) + 2 * np.exp(X) * X, rtol=1e-13)
    np.testing.assert_allclose(pushed, 2 * np.exp(X) * np.cos(X), rtol=1e-13)


@every_way
def test_higher_orders_follow_the_rule_of_the_rule(way: str) -> None:
    y = DOUBLED[way](x)
    first = grad(gx.sum(y), x)  # 2 exp(x), whose exp has the doubled derivative again
    second = grad(gx.sum(first), x)
    forward = jvp(jvp(y, x, gx.ones_like(x)), x, gx.ones_like(x))
    mixed = jvp(first, x, gx.ones_like(x))
    for got in run([second, forward, mixed]):
        np.testing.assert_allclose(got, 4 * np.exp(X), rtol=1e-13)


@every_way
def test_batches_follow_the_rule(way: str) -> None:
    f = DOUBLED[way]
    each = gx.vmap(lambda row: grad(gx.sum(f(row) * row), row))(x)
    outer = grad(gx.sum(gx.vmap(f)(x) * x), x)
    moved = jvp(gx.vmap(f)(x), x, x)
    got, same, pushed = run([each, outer, moved])
    want = np.exp(X) + 2 * np.exp(X) * X
    np.testing.assert_allclose(got, want, rtol=1e-13)
    np.testing.assert_allclose(same, want, rtol=1e-13)
    np.testing.assert_allclose(pushed, 2 * np.exp(X) * X, rtol=1e-13)


def test_a_gradient_that_is_clipped() -> None:
    def clip(arguments: Any, result: Node, gradient: Node) -> Any:
        return (gx.clip(gradient, -1, 1),)

    clipped = custom_gradient(lambda v: v, vjp=clip)
    got = run(grad(gx.sum(clipped(x) * 10 * x), x))
    np.testing.assert_allclose(got, 10 * X + np.clip(10 * X, -1, 1))
    with pytest.raises(gx.GraphError, match="the rule for vjp is not linear in the gradient"):
        jvp(clipped(x), x, x)


@every_way
def test_an_argument_shared_by_a_batch(way: str) -> None:
    f = DOUBLED[way]
    total = gx.sum(gx.vmap(lambda row: gx.sum(f(w) * row))(x))
    np.testing.assert_allclose(run(grad(total, w)), 2 * np.exp(W) * X.sum(0), rtol=1e-13)


# --- several arguments and results ---------------------------------------------------------------


def polar(parts: Any, turn: int, unit: str) -> dict[str, Node]:
    """A length and an angle, with arguments that are no nodes."""
    assert unit == "radians"
    return {"length": gx.hypot(parts["x"], parts["y"]), "turns": parts["x"] * turn}


def polar_vjp(arguments: Any, result: Any, gradient: Any) -> Any:
    """Each part of the gradient is seen once, the other one as zeros."""
    parts, turn, _ = arguments
    slope = gradient["length"] / result["length"]
    by_x = slope * parts["x"] + gradient["turns"] * turn
    return {"x": by_x, "y": slope * parts["y"]}, None, None


def test_structures_and_arguments_that_are_no_nodes() -> None:
    f = custom_gradient(polar, vjp=polar_vjp)
    y = f({"x": x[0], "y": w}, 3, "radians")
    plain = polar({"x": x[0], "y": w}, 3, "radians")
    found, want = (
        [grad(gx.sum(r["length"] * 2 + r["turns"]), [x, w]), jvp(r, [x, w], [x, w])]
        for r in (y, plain)
    )
    (got, pushed), (expected, moved) = run((found, want))
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    for name in ("length", "turns"):
        np.testing.assert_allclose(pushed[name], moved[name], rtol=1e-13)


def test_none_stands_for_no_derivative() -> None:
    f = custom_gradient(lambda a, b: a * b, vjp=lambda arguments, result, g: (g, None))
    np.testing.assert_array_equal(run(grad(gx.sum(f(x, w)), [x, w]))[1], np.zeros(3))


def test_integers_among_arguments_and_results() -> None:
    def split(v: Node, index: Node) -> tuple[Node, Node]:
        return v * 2, index + 1

    f = custom_gradient(split, jvp=lambda arguments, result, t: (t[0] * 2, None))
    places = gx.cast(w, "int64")
    doubled, following = f(x, places)
    got, number, moved = run([grad(gx.sum(doubled * following), x), following, jvp(doubled, x, x)])
    np.testing.assert_array_equal(number, W.astype(int) + 1)
    np.testing.assert_array_equal(got, np.broadcast_to(2.0 * (W.astype(int) + 1), (2, 3)))
    np.testing.assert_array_equal(moved, 2 * X)


# --- the operator --------------------------------------------------------------------------------


def test_the_reference_gives_the_value() -> None:
    y = DOUBLED["vjp"](x)
    np.testing.assert_array_equal(evaluate(Graph((x,), (y,)), {x: X})[0], np.exp(X))


def test_the_text_names_the_rules_and_does_not_hold_them() -> None:
    y = DOUBLED["vjp"](x)
    text = print_text(Graph((x,), (y,)))
    assert '%1 = custom_gradient %0, %x {rules = "exp", outputs = 1, index = 0}' in text
    again = parse(text)
    assert isinstance(again, Graph)
    assert print_text(again) == text
    with pytest.raises(gx.GraphError, match="the rules 'exp' of a custom gradient are not part"):
        grad(gx.sum(again.outputs[0]), again.inputs)


# --- refusals ------------------------------------------------------------------------------------


def identity_with(vjp: Any = None, jvp: Any = None) -> Node:
    """The derivative of an identity with a rule."""
    y = custom_gradient(lambda v: v * 1.0, vjp=vjp, jvp=jvp)(x)
    return grad(gx.sum(y), x) if vjp else jvp_of(y)


def jvp_of(y: Node) -> Node:
    """Its forward mode."""
    found: Node = jvp(y, x, x)
    return found


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no rule": (lambda: custom_gradient(gx.exp), "needs a rule for vjp, for jvp, or for both"),
    "outside": (
        lambda: custom_gradient(lambda v: v * w, vjp=by_vjp)(x),
        "the function reads <input 'w' f64[3]> from outside",
    ),
    "not a tuple": (
        lambda: identity_with(lambda arguments, result, g: g),
        "the rule for vjp must return a tuple with an entry for each of 1 arguments, not <",
    ),
    "too many": (
        lambda: identity_with(lambda arguments, result, g: (g, g)),
        "must return a tuple with an entry for each of 1 arguments",
    ),
    "structure": (
        lambda: identity_with(lambda arguments, result, g: ([g],)),
        "must return each gradient in the structure of its argument",
    ),
    "type": (
        lambda: identity_with(lambda arguments, result, g: (gx.sum(g),)),
        "the rule for vjp must return f64[2, 3] for <",
    ),
    "jvp structure": (
        lambda: identity_with(jvp=lambda arguments, result, t: t),
        "the rule for jvp must return a tangent in the structure of the result",
    ),
    "jvp linear": (
        lambda: grad(gx.sum(custom_gradient(gx.exp, jvp=lambda a, y, t: t[0] * t[0])(x)), x),
        "the rule for jvp is not linear in the tangents",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    assert "custom_gradient: " in str(caught.value)
    assert message in str(caught.value)
    assert "test_custom_gradient.py" in str(caught.value), "the user's line is missing"
