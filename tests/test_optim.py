"""Optimizers: a hundred steps against a NumPy loop, the classic figures, clipping, refusals."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import optim
from tests.refusing import check_refusal

Array = np.ndarray[Any, Any]
Rule = Callable[[Array, Array, dict[str, Array], int], Array]
"""(parameter, gradient, memory of zeros at first, step from 1) -> the next parameter."""

STEPS = 100


def momentum(w: Array, g: Array, m: dict[str, Array], t: int) -> Array:
    g = g + 0.01 * w
    m["v"] = 0.9 * m.get("v", 0) + g
    return w - 0.05 * m["v"]


def nesterov(w: Array, g: Array, m: dict[str, Array], t: int) -> Array:
    m["v"] = 0.9 * m.get("v", 0) + g
    return w - 0.05 * (g + 0.9 * m["v"])


def adam(w: Array, g: Array, m: dict[str, Array], t: int) -> Array:
    m["m"] = 0.9 * m.get("m", 0) + 0.1 * g
    m["v"] = 0.999 * m.get("v", 0) + 0.001 * g * g
    return w - 0.05 * m["m"] / (1 - 0.9**t) / (np.sqrt(m["v"] / (1 - 0.999**t)) + 1e-8)


def uncorrected(w: Array, g: Array, m: dict[str, Array], t: int) -> Array:
    m["m"] = 0.9 * m.get("m", 0) + 0.1 * g
    m["v"] = 0.999 * m.get("v", 0) + 0.001 * g * g
    return w - 0.05 * m["m"] / (np.sqrt(m["v"]) + 1e-8)


def adamw(w: Array, g: Array, m: dict[str, Array], t: int) -> Array:
    return adam(w * (1 - 0.05 * 0.1), g, m, t)


def rmsprop(w: Array, g: Array, m: dict[str, Array], t: int) -> Array:
    m["v"] = 0.99 * m.get("v", 0) + 0.01 * g * g
    m["b"] = 0.5 * m.get("b", 0) + g / (np.sqrt(m["v"]) + 1e-8)
    return w - 0.01 * m["b"]


def adagrad(w: Array, g: Array, m: dict[str, Array], t: int) -> Array:
    m["v"] = m.get("v", 0) + g * g
    return w - 0.1 * g / (np.sqrt(m["v"]) + 1e-10)


RULES: dict[str, tuple[Callable[..., Any], dict[str, Any], Rule]] = {
    "plain": (optim.sgd, {"learning_rate": 0.05}, lambda w, g, m, t: w - 0.05 * g),
    "momentum": (
        optim.sgd,
        {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.01},
        momentum,
    ),
    "nesterov": (optim.sgd, {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}, nesterov),
    "adam": (optim.adam, {"learning_rate": 0.05}, adam),
    "uncorrected": (optim.adam, {"learning_rate": 0.05, "bias_correction": False}, uncorrected),
    "adamw": (optim.adamw, {"learning_rate": 0.05, "weight_decay": 0.1}, adamw),
    "rmsprop": (optim.rmsprop, {"momentum": 0.5}, rmsprop),
    "adagrad": (optim.adagrad, {"learning_rate": 0.1}, adagrad),
}


def problem(dtype: str) -> tuple[gx.Node, list[gx.Variable], Array, Array]:
    """The loss of a matrix and a vector that are to fit numbers, and where they begin."""
    random = np.random.default_rng(3)
    w0, b0 = random.normal(size=(4, 3)).astype(dtype), random.normal(size=3).astype(dtype)
    w, b = gx.variable(w0, name="w"), gx.variable(b0, name="b")
    x, y = random.normal(size=(8, 4)).astype(dtype), random.normal(size=(8, 3)).astype(dtype)
    return gx.mean(gx.square(gx.constant(x) @ w + b - y)), [w, b], x, y


def by_hand(rule: Rule, starts: list[Array], x: Array, y: Array) -> list[Array]:
    """The parameters after the steps, in NumPy's float64."""
    w, b = (start.astype(np.float64) for start in starts)
    memories: list[dict[str, Array]] = [{}, {}]
    for t in range(1, STEPS + 1):
        error = 2 * (x @ w + b - y) / y.size
        w, b = rule(w, x.T @ error, memories[0], t), rule(b, error.sum(0), memories[1], t)
    return [w, b]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_hundred_steps(name: str, dtype: str) -> None:
    make, options, rule = RULES[name]
    loss, parameters, x, y = problem(dtype)
    starts = [parameter.value for parameter in parameters]
    step = gx.compile([], loss, make(parameters, gx.grad(loss, parameters), **options))
    for _ in range(STEPS):
        step()
    # Roundings of a hundred steps add up; each is of a number about 1.
    bound = 1e-12 if dtype == "float64" else STEPS * 4 * np.finfo(np.float32).eps
    for parameter, want in zip(parameters, by_hand(rule, starts, x, y), strict=True):
        np.testing.assert_allclose(parameter.value, want, 0, bound)


def test_a_schedule_is_a_node() -> None:
    w = gx.variable(np.float32(1), name="w")
    pace = gx.input("pace", (), "float32")
    step = gx.compile([pace], w, optim.sgd([w], [gx.ones_like(w)], pace))
    step(np.float32(0.25))
    step(np.float32(0.5))
    assert w.value == 0.25


@pytest.mark.parametrize(("scale", "factor"), [(1.0, 1 / 13), (0.01, 1.0), (0.0, 1.0)])
def test_clip_by_global_norm(scale: float, factor: float) -> None:
    given = [np.array([3.0, 4.0]) * scale, np.array([[12.0]]) * scale]
    clipped = optim.clip_by_global_norm([gx.constant(g) for g in given], 1.0)
    for got, want in zip(gx.compile([], clipped)(), given, strict=True):
        np.testing.assert_allclose(got, want * factor, 1e-15)


def test_clip_by_value() -> None:
    for limit in (1.0, np.float32(1), gx.constant(1.0)):
        (clipped,) = optim.clip_by_value([gx.constant([-3.0, 0.5, 2.0])], limit)  # type: ignore[arg-type]
        np.testing.assert_array_equal(gx.compile([], clipped)(), [-1, 0.5, 1])


def test_refusals() -> None:
    w, x = gx.variable(np.zeros(3), name="w"), gx.input("x", (3,), "float64")
    with pytest.raises(gx.GraphError, match="sgd: 1 parameters and 0 gradients"):
        optim.sgd([w], [], 0.1)
    with pytest.raises(gx.GraphError, match="parameters are made by"):
        optim.adam([x], [x])  # type: ignore[list-item]
    with pytest.raises(gx.GraphError, match=r"a parameter is f64\[3\], its gradient f64\[\]"):
        optim.adagrad([w], [gx.sum(x)])
    z = gx.variable(np.zeros(3, complex), name="z")
    with pytest.raises(gx.GraphError, match="make a variable of each of its parts"):
        optim.sgd([z], [z], 0.1)
    with pytest.raises(gx.GraphError, match="nesterov needs a momentum"):
        optim.sgd([w], [x], 0.1, nesterov=True)
    with pytest.raises(gx.GraphError, match="a learning rate must have no axes"):
        optim.sgd([w], [x], x)
    with pytest.raises(gx.GraphError, match="max_norm must be positive, not 0"):
        optim.clip_by_global_norm([x], 0)
    with pytest.raises(gx.GraphError, match="needs at least one gradient"):
        optim.global_norm([])


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_parameters_take_steps_of_float32(name: str, dtype: str) -> None:
    """Gradients of which the square is 0 in float16, with an eps that is 0 there too."""
    make, options, rule = RULES[name]
    start = gx.variable(np.ones(3), name="w").value
    slopes = np.array([0, 1, 1e-4])
    w = gx.variable(gx.compile([], gx.cast(start, dtype))(), name="w")
    g = gx.input("g", (3,), dtype)
    given = gx.compile([], gx.cast(slopes, dtype))()
    updates = make([w], [g], **options)
    others = {node.dtype for node in updates if node is not w}
    assert others <= {gx.float32, gx.float64}
    gx.compile([g], w, updates)(given)
    want = rule(start, np.asarray(given, np.float64), {}, 1)
    bits = 11 if dtype == "float16" else 8
    np.testing.assert_allclose(np.asarray(w.value, np.float64), want, 2.0**-bits, 1e-6)


@pytest.mark.parametrize("name", RULES)
def test_a_variable_given_twice_is_refused(name: str) -> None:
    make, options, _ = RULES[name]
    w = gx.variable(np.zeros(3), name="w")
    with pytest.raises(gx.GraphError, match="is given twice: give it once, with the sum of its"):
        make([w, w], [gx.ones(3), gx.zeros(3)], **options)


def test_no_bound_of_the_norm() -> None:
    given = np.array([3.0, -4.0])
    (clipped,) = optim.clip_by_global_norm([gx.constant(given)], math.inf)
    np.testing.assert_array_equal(gx.compile([], clipped)(), given)


w = gx.variable(np.zeros(3), name="w")
g = gx.ones(3)
REFUSED: tuple[tuple[Callable[[], Any], str], ...] = (
    (lambda: optim.sgd([w], [np.ones(3)], 0.1), "sgd: gradients are made by gx.grad, this is an"),  # type: ignore[list-item]
    (lambda: optim.sgd([w], [g], 0.1, momentum=None), "sgd: momentum must be a real number"),  # type: ignore[arg-type]
    (lambda: optim.adam([w], [g], betas=0.9), "adam: betas must be two numbers from 0 to below 1"),  # type: ignore[arg-type]
    (lambda: optim.adam([w], [g], betas=(0.9,)), "to below 1, not (0.9,)"),  # type: ignore[arg-type]
    (lambda: optim.adamw([w], [g], betas=(0.9, 1.0)), "adamw: betas must be two numbers"),
    (lambda: optim.adamw([w], [g], betas=(0.9, "a")), "adamw: betas must be two numbers"),  # type: ignore[arg-type]
    (lambda: optim.clip_by_value([g], -1.0), "clip_by_value: limit must be at least 0, not -1.0"),
    (lambda: optim.clip_by_value([g], math.nan), "limit must be at least 0, not nan"),
    (lambda: optim.clip_by_global_norm([g], -1.0), "max_norm must be positive, not -1.0"),
    (lambda: optim.clip_by_global_norm([g], math.nan), "max_norm must be positive, not nan"),
    (lambda: optim.clip_by_global_norm([g], "1"), "max_norm must be a real number, not '1'"),  # type: ignore[arg-type]
)


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_options_refused(call: Callable[[], Any], message: str) -> None:
    check_refusal(call, message, __file__)
