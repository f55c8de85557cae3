"""Choices: values, derivatives, one native branch, text, and what is refused."""

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.program import Branch
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower

every_device = pytest.mark.parametrize("device", ["cpu", "reference"])
ROWS = np.random.default_rng(2).normal(size=(4, 3))


def choice(p: Any, x: Any, w: Any) -> Any:
    """Two results of one of two functions."""
    return gx.cond(
        p, lambda x: (gx.exp(x) * w, gx.sum(x)), lambda x: (x * x, gx.sum(x) * gx.sum(w)), x
    )


def operands() -> tuple[Any, Any, Any]:
    """The inputs of a choice."""
    x, w = (gx.input(name, ("n", 3), "float64") for name in "xw")
    return gx.input("p", (), "bool"), x, w


@every_device
def test_one_of_two_functions_is_taken(device: str) -> None:
    p, x, w = operands()
    step = gx.compile([p, x, w], choice(p, x, w), device=device)
    for taken in (True, False):
        a, b = step(taken, ROWS, 2 * ROWS)
        np.testing.assert_allclose(a, np.exp(ROWS) * 2 * ROWS if taken else ROWS**2)
        total = ROWS.sum()
        np.testing.assert_allclose(b, total if taken else 2 * total**2)


@every_device
def test_derivatives_are_those_of_the_function_taken(device: str) -> None:
    p, x, w = operands()
    a, b = choice(p, x, w)
    loss = gx.sum(a) + b
    tangent = gx.jvp(loss, [x, w], [x, w])
    step = gx.compile([p, x, w], [*gx.grad(loss, [x, w]), tangent], device=device)
    for taken in (True, False):
        dx, dw, along = step(taken, ROWS, ROWS)
        total = ROWS.sum()
        expected = np.exp(ROWS) * ROWS + 1 if taken else 2 * ROWS + total
        np.testing.assert_allclose(dx, expected)
        np.testing.assert_allclose(dw, np.exp(ROWS) if taken else np.full_like(ROWS, total))
        np.testing.assert_allclose(along, (dx * ROWS + dw * ROWS).sum())


@every_device
def test_a_choice_in_each_step_of_a_scan(device: str) -> None:
    x0, xs, w = gx.input("x0", (), "float64"), gx.input("xs", ("n",), "float64"), 0.7

    def step(c: Any, x: Any) -> Any:
        (c,) = gx.cond(x > 0, lambda c, x: (c * x,), lambda c, x: (gx.sin(c) + x * w,), c, x)
        return c, c

    last, ys = gx.scan(step, x0, xs)
    values = np.array([0.5, -1.0, 2.0, -0.3])
    compiled = gx.compile([x0, xs], [last, ys, gx.grad(last, xs)], device=device)
    got = compiled(1.5, values)
    c = 1.5
    for x in values:
        c = c * x if x > 0 else np.sin(c) + x * w
    np.testing.assert_allclose(got[0], c)
    for place in range(4):
        ends = [compiled(1.5, values + h * np.eye(4)[place])[0] for h in (1e-6, -1e-6)]
        np.testing.assert_allclose(got[2][place], (ends[0] - ends[1]) / 2e-6, rtol=1e-6)


def test_it_is_one_native_branch_that_is_read_as_it_is_written() -> None:
    p, x, w = operands()
    graph = gx.Graph((p, x, w), choice(p, x, w))
    assert (
        sum(isinstance(s, Branch) for s in gx.compile([p, x, w], graph.outputs).program.steps) == 1
    )
    for what in (graph, fuse(graph), lower(fuse(graph))):
        text = print_text(what)
        assert print_text(parse(text)) == text


X = gx.input("x", (3,), "float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gx.cond(X > 0, gx.sum, gx.max, X), r"pred must be one bool, not bool\[3\]"),
        (lambda: gx.cond(gx.any(X > 0), gx.sum, gx.exp, X), r"gives f32\[\], the other f32\[3\]"),
        (lambda: gx.cond(gx.any(X > 0), lambda x: (x,), gx.exp, X), "the same structure"),
    ],
)
def test_refusals_name_what_is_wrong(make: Any, message: str) -> None:
    with pytest.raises(gx.GraphError, match=message) as error:
        make()
    assert error.value.where is not None
    assert error.value.where.file == __file__
