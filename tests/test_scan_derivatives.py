"""Derivatives of scans: against differences, the loop written out, and PyTorch's LSTM."""

from typing import Any

import numpy as np
import pytest

import graphc as gx

RANDOM = np.random.default_rng(1)
OPTIONS: list[dict[str, Any]] = [
    {}, {"reverse": True}, {"unroll": 2}, {"checkpoint": 2}, {"checkpoint": "sqrt"},
    {"checkpoint": 3, "reverse": True, "unroll": 2},
]  # fmt: skip


def normal(*shape: int) -> Any:
    """Random numbers of a shape."""
    return RANDOM.normal(size=shape)


def cell(w: Any) -> Any:
    """A step with products, an integer carry, and a result beside the carry."""

    def step(carry: Any, x: Any) -> Any:
        h, count = carry
        h = gx.tanh(h @ w + x) + 0.1 * gx.cast(count, "float64") * h
        return (h, count + 1), h * x

    return step


def by_scan(h: Any, xs: Any, w: Any, **options: Any) -> Any:
    """A scalar of a scan's results."""
    (last, _), ys = gx.scan(cell(w), (h, gx.constant(0)), xs, **options)
    return gx.sum(last * last) + gx.sum(gx.sin(ys))


def by_hand(h: Any, xs: Any, w: Any, reverse: bool = False, **_: Any) -> Any:
    """The same with the loop written out."""
    carry, total = (h, gx.constant(0)), gx.constant(0.0)
    for t in range(len(xs) - 1, -1, -1) if reverse else range(len(xs)):
        carry, y = cell(w)(carry, xs[t])
        total = total + gx.sum(gx.sin(y))
    return gx.sum(carry[0] * carry[0]) + total


def operands(length: Any = 5) -> list[Any]:
    """The inputs of the two."""
    shapes = {"h": (2, 3), "xs": (length, 2, 3), "w": (3, 3)}
    return [gx.input(name, shape, "float64") for name, shape in shapes.items()]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_gradients_equal_those_of_the_loop_written_out(options: Any, device: str) -> None:
    nodes = operands()
    scanned = gx.grad(by_scan(*nodes, **options), nodes)
    written = gx.grad(by_hand(*nodes, **options), nodes)
    step = gx.compile(nodes, [*scanned, *written], device=device)
    got = step(normal(2, 3), normal(5, 2, 3), normal(3, 3))
    for one, other in zip(got[:3], got[3:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("length", [0, 1, 4])
def test_gradients_of_a_symbolic_length_agree_with_differences(length: int) -> None:
    nodes = operands("n")
    loss = by_scan(*nodes)
    step = gx.compile(nodes, [loss, *gx.grad(loss, nodes)])
    point = [normal(2, 3), normal(length, 2, 3), normal(3, 3)]
    _, *gradients = step(*point)
    for place, gradient in enumerate(gradients):
        direction, size = normal(*point[place].shape), 1e-6
        values = []
        for sign in (1, -1):
            moved = [*point]
            moved[place] = point[place] + sign * size * direction
            values.append(step(*moved)[0])
        expected = (values[0] - values[1]) / (2 * size)
        np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("options", OPTIONS[:4], ids=str)
def test_forward_mode_agrees_with_reverse_mode(options: Any) -> None:
    nodes = operands()
    loss = by_scan(*nodes, **options)
    directions = [normal(2, 3), normal(5, 2, 3), normal(3, 3)]
    forward = gx.jvp(loss, nodes, directions)
    pairs = zip(gx.grad(loss, nodes), directions, strict=True)
    backward = sum((gx.sum(g * d) for g, d in pairs), gx.constant(0.0))
    got = gx.compile(nodes, [forward, backward])(normal(2, 3), normal(5, 2, 3), normal(3, 3))
    np.testing.assert_allclose(got[0], got[1], rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"checkpoint": 2}], ids=str)
def test_second_derivatives_equal_those_of_the_loop_written_out(options: Any) -> None:
    nodes = operands()

    def second(make: Any) -> list[Any]:
        first = gx.grad(make(*nodes, **options), nodes)
        return gx.grad(sum((gx.sum(gx.sin(g)) for g in first), gx.constant(0.0)), nodes)

    step = gx.compile(nodes, [*second(by_scan), *second(by_hand)])
    got = step(normal(2, 3), normal(5, 2, 3), normal(3, 3))
    for one, other in zip(got[:3], got[3:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_gradients_of_a_scan_in_a_scan() -> None:
    xs, w = gx.input("xs", (3, 4), "float64"), gx.input("w", (), "float64")

    def row(c: Any, x: Any) -> Any:
        return gx.scan(lambda c, e: (gx.sin(c * w) + e, c * e), c, x)

    def nested() -> Any:
        c, ys = gx.scan(row, gx.constant(0.5), xs)
        return c + gx.sum(ys)

    def written() -> Any:
        c, total = gx.constant(0.5), gx.constant(0.0)
        for i in range(3):
            for j in range(4):
                c, y = gx.sin(c * w) + xs[i, j], c * xs[i, j]
                total = total + y
        return c + total

    step = gx.compile([xs, w], [*gx.grad(nested(), [xs, w]), *gx.grad(written(), [xs, w])])
    got = step(normal(3, 4), 0.7)
    np.testing.assert_allclose(got[0], got[2], rtol=1e-10)
    np.testing.assert_allclose(got[1], got[3], rtol=1e-10)


def test_truncation_stops_gradients_between_segments() -> None:
    x0, w = gx.input("x0", (), "float64"), gx.input("w", (), "float64")
    xs = gx.input("xs", (7,), "float64")

    def step(c: Any, x: Any) -> Any:
        return gx.sin(c * w) + x, c

    last, ys = gx.scan(step, x0, xs, truncate=3)
    c, written = x0, []
    for t in range(7):
        c = gx.stop_gradient(c) if t % 3 == 0 else c
        c, y = step(c, xs[t])
        written.append(y)
    targets = [xs, w]
    losses = [last + gx.sum(gx.sin(ys)), c + sum((gx.sin(y) for y in written), gx.constant(0.0))]
    compiled = gx.compile([x0, xs, w], [gx.grad(loss, targets) for loss in losses])
    got = compiled(0.3, normal(7), 0.8)
    np.testing.assert_allclose(got[0][0], got[1][0], rtol=1e-12)
    np.testing.assert_allclose(got[0][1], got[1][1], rtol=1e-12)


def test_a_carry_without_effect_does_not_spoil_a_gradient() -> None:
    x = gx.input("x", (3,), "float64")
    (_, total), _ = gx.scan(lambda c, e: ((gx.sqrt(c[0]) * 0, c[1] + e), ()), (x[0] * 0, x[1]), x)
    np.testing.assert_array_equal(gx.compile(x, gx.grad(total, x))(np.ones(3)), [1, 2, 1])


def test_the_forward_loop_runs_once() -> None:
    nodes = operands("n")
    loss = by_scan(*nodes)
    program = gx.compile(nodes, [loss, *gx.grad(loss, nodes)]).program
    assert sum(type(step).__name__ == "Repeat" for step in program.steps) == 2


@pytest.mark.parametrize(("width", "products"), [(3, 4), (30, 5)])
def test_the_backward_loop_keeps_products_that_are_small(width: int, products: int) -> None:
    shapes = {"h": (2, 3), "w": (3, width), "v": (width, 3)}
    h, w, v = (gx.input(name, shape, "float64") for name, shape in shapes.items())
    last, _ = gx.scan(lambda h, _: (gx.tanh(h @ w) @ v, ()), h, length=4)
    gradients = gx.grad(gx.sum(last), [h, w, v])
    (backward,) = {x.inputs[0] for x in gradients if x.op.name == "item"}
    assert sum(x.op.name == "matmul" for x in backward.attrs["body"].walk()) == products


@pytest.mark.oracle
@pytest.mark.parametrize(("inputs", "hidden"), [(0, 4), (2, 0)])
def test_gradients_of_layers_without_features(inputs: int, hidden: int) -> None:
    x, h0 = gx.input("x", (3, 2, inputs), "float64"), gx.input("h0", (2, hidden), "float64")
    w, u = gx.input("w", (inputs, hidden), "float64"), gx.input("u", (hidden, hidden), "float64")

    def step(h: Any, row: Any) -> Any:
        h = gx.tanh(h @ u + row @ w)
        return h, h

    last, rows = gx.scan(step, h0, x)
    slopes = gx.grad(gx.sum(last * last) + gx.sum(rows), [w, u, x, h0])
    given = normal(3, 2, inputs), normal(2, hidden), normal(inputs, hidden), normal(hidden, hidden)
    arguments = [x, h0, w, u]
    want = gx.compile(arguments, slopes, device="reference")(*given)
    for got, right in zip(gx.compile(arguments, slopes)(*given), want, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-12)


def test_an_lstm_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    n, batch, width, hidden = 6, 2, 3, 4
    xs = gx.input("xs", (n, batch, width), "float64")
    w, u = (
        gx.input("w", (4 * hidden, width), "float64"),
        gx.input("u", (4 * hidden, hidden), "float64"),
    )
    b = gx.input("b", (4 * hidden,), "float64")

    def step(carry: Any, x: Any) -> Any:
        h, c = carry
        z = x @ w.T + h @ u.T + b
        i, f, g, o = (z[:, hidden * k : hidden * (k + 1)] for k in range(4))
        c = gx.sigmoid(f) * c + gx.sigmoid(i) * gx.tanh(g)
        h = gx.sigmoid(o) * gx.tanh(c)
        return (h, c), h

    zero = gx.zeros((batch, hidden), "float64")
    (_, c), hs = gx.scan(step, (zero, zero), xs)
    loss = gx.sum(hs * hs) + gx.sum(c)
    nodes = [xs, w, u, b]
    arrays = [normal(*node.shape) for node in nodes]
    hidden_states, *gradients = gx.compile(nodes, [hs, *gx.grad(loss, nodes)])(*arrays)
    model = torch.nn.LSTM(width, hidden).double()
    given = [torch.tensor(array, requires_grad=True) for array in arrays]
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"]
    weights = dict(zip(names, given[1:], strict=True))
    weights["bias_hh_l0"] = torch.zeros(4 * hidden, dtype=torch.float64)
    out, (_, last) = torch.func.functional_call(model, weights, (given[0],))
    (out.square().sum() + last.sum()).backward()
    np.testing.assert_allclose(hidden_states, out.detach().numpy(), rtol=1e-10)
    for gradient, array in zip(gradients, given, strict=True):
        np.testing.assert_allclose(gradient, array.grad.numpy(), rtol=1e-9, atol=1e-12)
