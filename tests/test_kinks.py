"""Derivatives where there is none, or only an infinite one: the tables of docs/derivatives.md."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import walk
from graphc.ir.node import LANGUAGE, Node
from graphc.passes.derivatives import hessian
from graphc.passes.differentiate import grad, jvp

DOCUMENT = (Path(__file__).resolve().parent.parent / "docs/derivatives.md").read_text()
NAMES = {"gx": gx, "inf": math.inf, "nan": math.nan}
CELL = re.compile(r"`([^`]+)`")


def table(name: str) -> list[Any]:
    """The rows of a table: an expression, a value of x, and the gradient there."""
    text = DOCUMENT.split(f"<!-- table: {name} -->")[1].split("\n\n")[1]
    rows = []
    for line in text.splitlines()[2:]:
        expression, value, gradient = CELL.findall(line)[:3]
        values = eval(value, NAMES), eval(gradient, NAMES)
        rows.append(pytest.param(expression, *values, id=f"{expression} at {value}"))
    return rows


def derivatives(expression: str, value: Any) -> list[Any]:
    """The value, the gradient, the derivative along ones, and the Hessian."""
    given = np.asarray(value, np.float64)
    x = gx.input("x", given.shape, "float64")
    y: Node = gx.sum(eval(expression, NAMES, {"x": x}))
    outputs = [y, grad(y, x), jvp(y, x, gx.ones_like(x)), hessian(y, x)]
    results: list[Any] = gx.compile([x], outputs)(given)
    return results


@pytest.mark.parametrize(("expression", "value", "gradient"), table("kinks"))
def test_at_kinks_and_ends(expression: str, value: Any, gradient: Any) -> None:
    _, pulled, pushed, _ = derivatives(expression, value)
    np.testing.assert_array_equal(pulled, gradient)
    np.testing.assert_array_equal(pushed, np.sum(gradient))


@pytest.mark.parametrize(("expression", "value", "gradient"), table("choices"))
def test_what_is_not_chosen_stays_out(expression: str, value: Any, gradient: Any) -> None:
    result, pulled, pushed, second = derivatives(expression, value)
    assert np.isfinite(result)
    np.testing.assert_allclose(pulled, gradient)
    np.testing.assert_allclose(pushed, np.sum(gradient))
    assert np.isfinite(second).all()


def test_every_choice_stands_in_a_docstring() -> None:
    said = ("gradient", "derivative", "slope", "constant")
    for row in table("kinks"):
        found = re.match(r"gx\.(\w+)", row.values[0])
        assert found
        document = LANGUAGE[found[1]].__doc__ or ""
        finite = not np.isinf(row.values[2]).any() and found[1] not in {"prod", "softplus"}
        assert not finite or any(word in document for word in said), found[1]


def test_a_gradient_that_happens_to_be_zero_has_derivatives() -> None:
    # At 1 the gradient of log(x)**2 is 0, its second derivative 2: a guard that asked for zeros
    # instead of the condition would lose it.
    x = gx.input("x", (2,), "float64")
    y = gx.sum(gx.where(x > 0, gx.log(x) ** 2, 0))
    got = gx.compile([x], hessian(y, x))(np.array([1.0, 0.0]))
    np.testing.assert_allclose(got, [[2, 0], [0, 0]])


def test_masks_meet_where_a_node_is_used_twice() -> None:
    x = gx.input("x", (3,), "float64")
    root = gx.sqrt(x)
    either = gx.where(x > 1, root, 0) + gx.where(x > 3, root, 0)
    always = gx.where(x > 1, root, 0) + root
    got = gx.compile([x], [grad(gx.sum(y), x) for y in (either, always)])(np.array([0.0, 2.0, 4.0]))
    half = 0.5 / np.sqrt([2.0, 4.0])
    np.testing.assert_allclose(got[0], [0, half[0], 2 * half[1]])
    np.testing.assert_allclose(got[1], [math.inf, 2 * half[0], 2 * half[1]])


def test_a_result_has_its_own_gradient_where_another_one_did_not_take_it() -> None:
    taken, x = gx.input("taken", (3,), "bool"), gx.input("x", (3,), "float64")
    root = gx.sqrt(x)
    chosen, ones = gx.where(taken, 0, root), np.ones(3)
    got = gx.vjp([root, chosen], [x], [ones, ones])
    got += gx.vjp([chosen, root], [x], [np.zeros(3), ones])
    got += gx.vjp([chosen, chosen], [x], [ones, ones])
    given = np.array([True, False, True]), np.array([1.0, 4.0, 0.0])
    want = [0.5, 0.5, math.inf], [0.5, 0.25, math.inf], [0, 0.5, 0]
    np.testing.assert_array_equal(gx.compile([taken, x], got)(*given), want)


@pytest.mark.parametrize("loop", ["scan", "while", "map", "checkpoint"])
def test_a_loop_s_results_have_their_own_gradients(loop: str) -> None:
    taken, x = gx.input("taken", (3,), "bool"), gx.input("x", (3,), "float64")

    def both(value: Node) -> tuple[Node, Node]:
        power = gx.exp(value)
        return power, gx.where(taken, 0.0, power)

    def of_a_scan() -> Any:
        (power, chosen), _ = gx.scan(lambda c, _: (both(c[0]), ()), (x, x), None, length=1)
        return power, chosen

    def of_a_while() -> Any:
        start = (gx.asarray(0), x, x)
        step = lambda state: (state[0] + 1, *both(state[1]))  # noqa: E731
        return gx.while_loop(lambda state: state[0] < 1, step, start)[1:]

    made = {
        "scan": of_a_scan,
        "while": of_a_while,
        "map": lambda: gx.map(both, gx.reshape(x, (1, 3))),
        "checkpoint": lambda: gx.checkpoint(both)(x),
    }
    power, chosen = made[loop]()
    loss = gx.sum(power) + 2 * gx.sum(chosen)
    given = np.array([True, False, True]), np.array([0.0, 1.0, -1.0])
    got = gx.compile([taken, x], grad(loss, x))(*given)
    np.testing.assert_allclose(got, np.exp(given[1]) * [1, 3, 1])


def test_a_factor_that_was_broadcast_twice_makes_no_slope_steep() -> None:
    x = gx.input("x", (2, 3), "float64")
    factor = gx.broadcast_to(gx.broadcast_to(gx.asarray(0.5), (3,)), (2, 3))
    y = gx.sum(gx.where(x > 0, factor * x, 0))
    assert sum(node.op.name == "where" for node in walk([grad(y, x)])) == 1


def test_masks_follow_movements() -> None:
    x = gx.input("x", (2, 3), "float64")
    turned = gx.concat([gx.flip(gx.log(x).T, 0)[1:], gx.ones((1, 2))], 0)
    y = gx.sum(gx.where(turned > -10, turned, 0))
    got = gx.compile([x], grad(y, x))(np.array([[0.0, 1.0, 2.0], [4.0, 0.0, 2.0]]))
    np.testing.assert_allclose(got, [[0, 1, 0], [0.25, 0, 0]])


def test_masks_follow_indices() -> None:
    x, i = gx.input("x", (4,), "float64"), gx.input("i", (3,), "int64")
    taken, window = gx.log(x)[i], gx.dynamic_slice(gx.log(x), (i[0],), (2,))
    chosen = gx.where(taken > -10, taken, 0), gx.where(window > -10, window, 0)
    step = gx.compile([x, i], [grad(gx.sum(part), x) for part in chosen])
    by_index, by_window = step(np.array([0.0, 4.0, 0.0, 2.0]), np.array([2, 3, 3]))
    np.testing.assert_allclose(by_index, [0, 0, 0, 1])
    np.testing.assert_allclose(by_window, [0, 0, 0, 0.5])


def test_masks_follow_promises_of_sizes_and_sorting() -> None:
    x, m = gx.input("x", "n", "float64"), gx.input("m", "m", "float64")
    promised = gx.ensure_shape(gx.log(gx.ensure_shape(x, "m")), "n")
    ordered = gx.sort(gx.log(x), descending=True)
    parts = [gx.where(part > -10, part, 0) for part in (promised, ordered)]
    step = gx.compile([x, m], [grad(gx.sum(part), x) for part in parts])
    for found in step(np.array([0.0, 4.0, 0.0, 2.0]), np.zeros(4)):
        np.testing.assert_allclose(found, [0, 0.25, 0, 0.5])
