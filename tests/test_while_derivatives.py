"""Reverse mode through while loops: against scans, loops written out, differences, and bounds."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.op import OPS
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.program import Branch, Repeat, While
from graphc.passes.expand_while_gradient import expand_while_gradient
from graphc.runtime.reference.evaluate import evaluate

Times = Callable[[int, Callable[[Any], Any], Any], Any]

COUNTS = (0, 1, 2, 3, 4, 5, 11)
"""With 2 checkpoints: within one segment, all that are kept, and states reached again."""

every_device = pytest.mark.parametrize("device", ["cpu", "reference"])

n = gx.input("n", (), "int64")
x = gx.input("x", (2,), "float64")
w = gx.input("w", (2, 2), "float64")
steps = gx.input("steps", ("length",), "int64")
POINT = (np.array([0.3, -0.7]), np.array([[0.5, 0.2], [-0.4, 0.9]]))


def cell(state: Any) -> Any:
    """A step with a product, an integer carry, and a carry that nothing is read from."""
    h, count, total = state
    return gx.tanh(h @ w + x) + 0.1 * h * gx.cast(count, "float64"), count + 1, total + gx.sum(h)


def first() -> Any:
    """What the loops begin with."""
    return x * x, gx.constant(0), gx.constant(0.0)


def loss_of(state: Any) -> Node:
    """A scalar of the last values."""
    return gx.sum(gx.sin(state[0])) + state[2] ** 2


def by_while(checkpoints: int = 2) -> Node:
    """The loss of a loop whose number of steps is data."""
    return loss_of(gx.while_loop(lambda s: s[1] < n, cell, first(), checkpoints=checkpoints))


def by_scan() -> Node:
    """The loss of the same steps as a scan, whose number of steps is a size."""
    return loss_of(gx.scan(lambda s, _: (cell(s), ()), first(), steps)[0])


def second(loss: Node) -> list[Node]:
    """Second derivatives three ways."""
    gradients = gx.grad(loss, [x, w])
    size = gx.sum(gradients[0] ** 2) + gx.sum(gx.sin(gradients[1]))
    twice = gx.grad(size, [x, w])
    return [
        *twice,
        *gx.jvp(gradients, [x, w], [x + 1, w * w]),
        *gx.grad(gx.jvp(loss, [x, w], [x + 1, w * w]), [x, w]),
    ]


def third(loss: Node) -> list[Node]:
    """A third derivative."""
    return [gx.grad(gx.sum(second(loss)[1] * w), x)]


def compare(derivatives: Callable[[Node], list[Node]], device: str, counts: Sequence[int]) -> None:
    """Derivatives of the while loop against those of the scan."""
    native = gx.compile([n, x, w], derivatives(by_while()), device=device)
    scanned = gx.compile([steps, x, w], derivatives(by_scan()))
    for count in counts:
        want = scanned(np.zeros(count, np.int64), *POINT)
        for one, other in zip(native(count, *POINT), want, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@every_device
def test_gradients_equal_those_of_a_scan(device: str) -> None:
    compare(lambda loss: [loss, *gx.grad(loss, [x, w])], device, COUNTS)


@every_device
def test_higher_derivatives_equal_those_of_a_scan(device: str) -> None:
    compare(second, device, (1, 2, 5))


def test_third_derivatives_equal_those_of_a_scan() -> None:
    compare(third, "reference", (1, 3))


def test_gradients_agree_with_differences() -> None:
    a = gx.input("a", (), "float64")
    root, _ = gx.while_loop(
        lambda v: gx.abs(v[0] * v[0] - a) > 1e-9 * a,
        lambda v: (0.5 * (v[0] + a / v[0]), v[1] + 1),
        (a, gx.constant(0)),
    )
    step = gx.compile(a, [gx.grad(root, a), gx.grad(gx.grad(root, a), a)])
    for value in (2.0, 30.0):
        slope, curvature = step(value)
        np.testing.assert_allclose(slope, 0.5 * value**-0.5, rtol=1e-7)
        ends = [step(value * (1 + h))[0] for h in (1e-5, -1e-5)]
        np.testing.assert_allclose(curvature, (ends[0] - ends[1]) / (2e-5 * value), rtol=1e-6)


def test_a_loop_of_no_steps_passes_gradients_on() -> None:
    step = gx.compile([n, x, w], gx.grad(by_while(), [x, w]))
    by_x, by_w = step(0, *POINT)
    np.testing.assert_allclose(by_x, np.cos(POINT[0] ** 2) * 2 * POINT[0])
    np.testing.assert_array_equal(by_w, 0)


@every_device
def test_carries_of_symbolic_size(device: str) -> None:
    v, bound = gx.input("v", ("b", 2), "float64"), gx.input("bound", (), "float64")
    out = gx.while_loop(lambda s: gx.sum(s * s) < bound, lambda s: s @ w + 2 * s, v)
    step = gx.compile([v, bound, w], gx.grad(gx.sum(out * out), [v, w]), device=device)
    for rows in (1, 3):
        start = np.full((rows, 2), 0.25)
        a, matrix, count = start, POINT[1] + 2 * np.eye(2), 0
        while (a * a).sum() < 40.0:
            a, count = a @ matrix, count + 1
        by_v = 2 * a @ np.linalg.matrix_power(matrix, count).T
        np.testing.assert_allclose(step(start, 40.0, POINT[1])[0], by_v)
    empty = step(np.zeros((0, 2)), 0.0, POINT[1])
    assert empty[0].shape == (0, 2)
    np.testing.assert_array_equal(empty[1], 0)


def test_what_no_gradient_reaches_has_none() -> None:
    a = gx.input("a", (3,), "float64")

    def step(s: Any) -> Any:
        return s[0] + 1, gx.sqrt(s[1]) * 0, s[2] + a

    _, _, total = gx.while_loop(lambda s: s[0] < 3, step, (gx.constant(0), a * 0, a))
    np.testing.assert_array_equal(gx.compile(a, gx.grad(gx.sum(total), a))(np.ones(3)), [4] * 3)


# --- nesting -------------------------------------------------------------------------------------


def natively(count: int, body: Callable[[Any], Any], init: Any) -> Any:
    """A body so many times, by a while loop with a bound that is known when it runs."""
    bound = n - 4 + count  # n is 4
    state = gx.while_loop(
        lambda s: s[0] < bound,
        lambda s: (s[0] + 1, body(s[1])),
        (gx.constant(0), init),
        checkpoints=2,
    )
    return state[1]


def written_out(count: int, body: Callable[[Any], Any], init: Any) -> Any:
    """The same by hand."""
    for _ in range(count):
        init = body(init)
    return init


def layer(v: Any) -> Any:
    """A step of the innermost loop."""
    return gx.tanh(v @ w) + x


def in_a_scan(times: Times) -> Node:
    rows = gx.stack([x, 2 * x, x - 1])
    last, ys = gx.scan(lambda c, row: (times(2, layer, c * row), c), x, rows)
    return gx.sum(last) + gx.sum(ys * ys)


def around_a_scan(times: Times) -> Node:
    rows = gx.stack([x, 2 * x])
    return gx.sum(times(3, lambda v: gx.scan(lambda c, r: (layer(c * r), ()), v, rows)[0], x))


def in_itself(times: Times) -> Node:
    return gx.sum(times(3, lambda v: times(2, layer, v) * x, x))


def in_a_branch(times: Times) -> Node:
    arms = (lambda v: times(3, layer, v), lambda v: v * 2)
    return gx.sum(gx.cond(gx.sum(x) < 0, *arms, x) + gx.cond(gx.sum(x) > 0, *arms, x * x))


def around_a_branch(times: Times) -> Node:
    return gx.sum(times(5, lambda v: gx.cond(v[0] > 0, layer, lambda v: gx.sin(v @ w) + 1, v), x))


def in_a_checkpoint(times: Times) -> Node:
    return gx.sum(gx.checkpoint(lambda v: gx.sin(times(3, layer, v)))(x))


def around_a_checkpoint(times: Times) -> Node:
    return gx.sum(times(3, gx.checkpoint(lambda v: gx.sin(layer(v))), x))


def of_a_gradient(times: Times) -> Node:
    return gx.sum(times(3, lambda v: v - 0.1 * gx.grad(gx.sum(layer(v) ** 2), v), 2 * x))


def of_the_gradient_of_another(times: Times) -> Node:
    def descend(v: Any) -> Any:
        return v - 0.1 * gx.grad(gx.sum(times(2, layer, v) ** 2), v)

    return gx.sum(times(2, descend, 2 * x))


NESTS = [in_a_scan, around_a_scan, in_itself, in_a_branch, around_a_branch, in_a_checkpoint,
         around_a_checkpoint, of_a_gradient, of_the_gradient_of_another]  # fmt: skip


@pytest.mark.parametrize("nest", NESTS)
def test_nested_loops_have_the_derivatives_of_loops_written_out(nest: Any) -> None:
    found = []
    for times in (natively, written_out):
        loss = nest(times)
        gradients = gx.grad(loss, [x, w])
        tangent = gx.jvp(loss, [x, w], [x, w * w])
        found.append(gx.compile([n, x, w], [loss, *gradients, tangent])(4, *POINT))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("nest", NESTS)
def test_second_derivatives_in_nests(nest: Any) -> None:
    found = []
    for times in (natively, written_out):
        inner = gx.grad(nest(times), [x, w])
        size = gx.sum(inner[0] ** 2) + gx.sum(inner[1] ** 2)
        twice = [*gx.grad(size, [x, w]), *gx.jvp(inner, [x, w], [x, w * w])]
        found.append(gx.compile([n, x, w], twice, device="reference")(4, *POINT))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-12)


def test_jacobians_and_hessians() -> None:
    found = []
    for times in (natively, written_out):
        y = times(3, layer, x)
        whole = [gx.jacobian(y, w, mode) for mode in ("forward", "reverse")]
        hessian = gx.hessian(gx.sum(gx.sin(y)), x)
        found.append(gx.compile([n, x, w], [*whole, hessian])(4, *POINT))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-13)


# --- memory, work, form --------------------------------------------------------------------------


def long_loop(checkpoints: int, width: int = 1000) -> tuple[list[Node], Node]:
    """The inputs and the loss of a loop whose value is a wide vector."""
    v, a = gx.input("v", (width,), "float64"), gx.input("a", (), "float64")
    _, last = gx.while_loop(
        lambda s: s[0] < n,
        lambda s: (s[0] + 1, gx.sin(s[1]) * a),
        (gx.constant(0), v),
        checkpoints=checkpoints,
    )
    return [n, v, a], gx.sum(last)


@pytest.mark.parametrize("checkpoints", [4, 16])
def test_memory_is_what_checkpoints_say(checkpoints: int) -> None:
    inputs, loss = long_loop(checkpoints)
    step = gx.compile(inputs, [loss, *gx.grad(loss, inputs[1:])])
    copies = step.memory().peak / (1000 * 8)
    assert 2 * checkpoints <= copies < 2 * checkpoints + 32


@pytest.mark.cpu("a loop of a million steps in one call; elsewhere each is launched by the host")
def test_a_million_steps_need_no_more_than_one() -> None:
    inputs, loss = long_loop(1000, width=1)
    step = gx.compile(inputs, [loss, gx.grad(loss, inputs[1])])
    (value, slope), product = step(1_000_000, [0.5], 1.0), 1.0
    v = 0.5
    for _ in range(1_000_000):
        product, v = product * np.cos(v), np.sin(v)
    np.testing.assert_allclose([value, slope[0]], [v, product], rtol=1e-9)


@pytest.mark.parametrize(("count", "most"), [(3, 4), (16, 4), (48, 5.5)])
def test_each_step_is_computed_as_often_as_is_said(
    count: int, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, loss = long_loop(4, width=2)
    graph = Graph(tuple(inputs), (gx.grad(loss, inputs[1]),))
    done = 0

    class Counting(type(OPS["sin"])):  # type: ignore[misc]
        """A sine that counts how often it is taken."""

        def reference(self, *arrays: Any) -> Any:
            nonlocal done
            done += 1
            return np.sin(*arrays)

    arguments = [np.int64(count), np.array([0.5, 0.1]), np.float64(0.9)]
    want = evaluate(graph, dict(zip(inputs, arguments, strict=True)))
    monkeypatch.setitem(OPS, "sin", Counting())
    inputs, loss = long_loop(4, width=2)
    graph = expand_while_gradient(Graph(tuple(inputs), (gx.grad(loss, inputs[1]),)))
    got = evaluate(graph, dict(zip(inputs, arguments, strict=True)))
    np.testing.assert_allclose(got[0], want[0], rtol=1e-13)
    assert count < done <= most * count


def test_it_is_one_native_call_and_the_loop_itself_runs_once() -> None:
    inputs, loss = long_loop(4)
    program = gx.compile(inputs, [loss, *gx.grad(loss, inputs[1:])]).program
    kinds = [type(step) for step in program.steps if isinstance(step, While | Repeat | Branch)]
    assert kinds == [While, Repeat, Repeat]


def test_the_text_is_read_as_it_is_written() -> None:
    inputs, loss = long_loop(4)
    graph = Graph(tuple(inputs), (gx.grad(loss, inputs[1]),))
    for what in (graph, expand_while_gradient(graph)):
        text = print_text(what)
        assert print_text(parse(text)) == text
