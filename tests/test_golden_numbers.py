"""Numbers and formulas that textbooks on neural networks print, as tests.

Where a book gives the formula of a gradient, the compiled gradient must be that formula as a graph:
equal nodes are one object, so after the passes both must be the same one.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import nn, optim
from graphc.ir.node import Node
from graphc.passes.graph_passes import GRAPH_PASSES
from graphc.passes.pipeline import run_passes

Array = np.ndarray[Any, Any]


def run(function: Callable[..., Any], *arrays: Any) -> Any:
    """A function of float64 arrays, compiled."""
    values = [np.asarray(array, np.float64) for array in arrays]
    nodes = [gx.input(f"x{k}", v.shape, v.dtype) for k, v in enumerate(values)]
    return gx.compile(nodes, function(*nodes))(*values)


def assert_same_graph(inputs: Sequence[Node], got: Node, want: Node) -> None:
    """Both expressions become one node by the passes over graphs."""
    passed = run_passes(gx.Graph(tuple(inputs), (got, want)), GRAPH_PASSES).result
    first, second = passed.outputs
    assert first is second, f"{passed}"


def inputs(**shapes: tuple[int, ...]) -> list[Node]:
    """Inputs by their names."""
    return [gx.input(name, shape, "float64") for name, shape in shapes.items()]


# --- a network worked out by hand ----------------------------------------------------------------

LAYERS = (
    ([[1, -2], [-1, 1]], [1, 0]),
    ([[2, -1], [-2, -1]], [0, 0]),
    ([[3, -1], [-1, 4]], [-2, 2]),
)


def network(x: Node, layers: Any = LAYERS) -> Node:
    """Layers of sigmoids."""
    for w, b in layers:
        x = gx.sigmoid(gx.constant(w, "float64") @ x + b)
    return x


def test_the_first_layer() -> None:
    assert run(lambda x: network(x, LAYERS[:1]), [1, -1]).round(2).tolist() == [0.98, 0.12]


@pytest.mark.parametrize(("x", "y"), [((1, -1), [0.62, 0.83]), ((0, 0), [0.51, 0.85])])
def test_the_whole_network(x: tuple[int, int], y: list[float]) -> None:
    assert run(network, x).round(2).tolist() == y


# --- convolution ---------------------------------------------------------------------------------

IMAGE = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
KERNEL = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_the_map_of_a_kernel() -> None:
    got = run(lambda x, w: nn.conv2d(x, w)[0, 0], [[IMAGE]], [[KERNEL]])
    assert got.tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


@pytest.mark.parametrize(
    ("size", "taps", "stride", "padding", "want"),
    [(5, 3, 2, 1, 3), (5, 3, 1, 1, 5), (7, 3, 3, 1, 3), (227, 11, 4, 0, 55), (32, 5, 1, 0, 28)],
)
def test_the_size_of_a_map(size: int, taps: int, stride: int, padding: int, want: int) -> None:
    assert want == (size - taps + 2 * padding) // stride + 1
    x, w = gx.zeros((1, 1, size)), gx.zeros((1, 1, taps))
    assert nn.conv1d(x, w, stride=stride, padding=padding).shape == (1, 1, want)
    n = gx.input("n", (1, 1, "n"), "float64")
    count = gx.compile([n], nn.conv1d(n, w, stride=stride, padding=padding))(np.zeros((1, 1, size)))
    assert count.shape == (1, 1, want)


def rotated(w: Node) -> Node:
    """Kernels turned by 180 degrees, with the maps that they read and write exchanged."""
    return gx.permute_dims(gx.flip(w, axis=(2, 3)), (1, 0, 2, 3))


def test_the_error_goes_back_through_the_rotated_kernel() -> None:
    x, w, delta = inputs(x=(2, 3, 7, 6), w=(4, 3, 3, 2), delta=(2, 4, 5, 5))
    gradient = gx.grad(gx.sum(nn.conv2d(x, w) * delta), x)
    assert_same_graph([x, w, delta], gradient, nn.conv2d(delta, rotated(w), padding="full"))


def test_the_gradient_of_a_kernel_is_a_convolution_with_the_error() -> None:
    x, w, delta = inputs(x=(2, 3, 7, 6), w=(4, 3, 3, 2), delta=(2, 4, 5, 5))
    gradient = gx.grad(gx.sum(nn.conv2d(x, w) * delta), w)
    swapped = [gx.permute_dims(node, (1, 0, 2, 3)) for node in (x, delta)]
    want = gx.permute_dims(nn.conv2d(*swapped), (1, 0, 2, 3))
    assert_same_graph([x, w, delta], gradient, want)


# --- gradients as formulas -----------------------------------------------------------------------


def naive_softmax(z: Node) -> Node:
    """As books write it."""
    powers = gx.exp(z)
    return powers / gx.sum(powers, axis=1, keepdims=True)


@pytest.mark.parametrize("softmax", [gx.softmax, naive_softmax])
def test_the_gradient_of_softmax_and_cross_entropy_is_y_minus_t(
    softmax: Callable[[Node], Node],
) -> None:
    (z,) = inputs(z=(4, 3))
    y, t = softmax(z), np.eye(3)[[0, 2, 1, 1]]
    loss = -gx.sum(t * gx.log(y))
    assert_same_graph([z], gx.grad(loss, z), y - t)


def test_for_any_target_it_is_y_times_its_sum_minus_t() -> None:
    z, t = inputs(z=(4, 3), t=(4, 3))
    y = naive_softmax(z)
    loss = -gx.sum(t * gx.log(y))
    want = gx.sum(t, axis=1, keepdims=True) * gx.softmax(z) - t
    assert_same_graph([z, t], gx.grad(loss, z), want)


def test_every_cross_entropy_has_that_gradient() -> None:
    random = np.random.default_rng(0)
    z, labels = random.normal(size=(5, 4)), random.integers(0, 4, 5)
    t = np.eye(4)[labels]
    y = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    losses: tuple[Callable[[Node], Node], ...] = (
        lambda z: nn.cross_entropy(z, labels, reduction="sum"),
        lambda z: nn.cross_entropy(z, t, reduction="sum"),
        lambda z: gx.sum(gx.softmax_cross_entropy(z, labels)),
        lambda z: nn.negative_log_likelihood(gx.log_softmax(z, 1), labels, reduction="sum"),
        lambda z: -gx.sum(t * gx.log(naive_softmax(z))),
    )
    for got in run(lambda z: [gx.grad(loss(z), z) for loss in losses], z):
        np.testing.assert_allclose(got, y - t, 0, 4e-16)


def test_the_slope_of_the_sigmoid_is_y_times_1_minus_y() -> None:
    (z,) = inputs(z=(4,))
    for y in (gx.sigmoid(z), 1 / (1 + gx.exp(-z))):
        assert_same_graph([z], gx.grad(gx.sum(y), z), y * (1 - y))


def test_the_slope_of_tanh_is_1_minus_its_square() -> None:
    (z,) = inputs(z=(4,))
    y = gx.tanh(z)
    assert_same_graph([z], gx.grad(gx.sum(y), z), 1 - y * y)


def test_errors_go_back_by_the_delta_rule() -> None:
    """delta(l) = f'(z) * (W(l+1).T delta(l+1)), and the gradient of W(l) is delta(l) x(l).T."""
    x, v, w, error = inputs(x=(4, 8), v=(5, 4), w=(3, 5), error=(3, 8))
    hidden = gx.tanh(v @ x)
    output = gx.sigmoid(w @ hidden)
    by_v, by_w = gx.grad(gx.sum(output * error), [v, w])
    last = error * output * (1 - output)
    before = (gx.matrix_transpose(w) @ last) * (1 - hidden * hidden)
    given = [x, v, w, error]
    assert_same_graph(given, by_w, last @ gx.matrix_transpose(hidden))
    assert_same_graph(given, by_v, before @ gx.matrix_transpose(x))


def test_central_differences_approach_the_gradient() -> None:
    def f(x: Node) -> Node:
        return gx.exp(x) * gx.sin(3 * x)

    x, errors = np.linspace(-1, 1, 11), []
    (slope,) = run(lambda n: [gx.grad(gx.sum(f(n)), n)], x)
    for h in (2.0**-6, 2.0**-7, 2.0**-8):
        (difference,) = run(lambda n, h=h: [(f(n + h / 2) - f(n - h / 2)) / h], x)
        errors.append(np.abs(difference - slope).max())
    # The error is h**2 / 24 times the third derivative, of which 40 e is a bound.
    assert errors[0] < 2.0**-12 / 24 * 40 * math.e
    for wide, narrow in itertools.pairwise(errors):
        assert wide / narrow == pytest.approx(4, rel=1e-2)


# --- XOR -----------------------------------------------------------------------------------------

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
XOR = np.array([0.0, 1.0, 1.0, 0.0])


def perceptron(features: Array, rounds: int = 40) -> Array:
    """What a threshold neuron answers after the perceptron rule went over the examples."""
    rows = gx.constant(np.hstack([features, np.ones((4, 1))]))

    def answer(w: Node, row: Node) -> Node:
        return (gx.sum(row * w, axis=-1) > 0).astype("float64")

    def learn(w: Node, example: tuple[Node, Node]) -> tuple[Node, tuple[()]]:
        row, goal = example
        return w + (goal - answer(w, row)) * row, ()

    def once(w: Node, _: None) -> tuple[Node, tuple[()]]:
        return gx.scan(learn, w, (rows, gx.constant(XOR)))[0], ()

    w = gx.scan(once, gx.zeros(rows.shape[1]), length=rounds)[0]
    result: Array = gx.compile([], answer(w, rows))()
    return result


def test_xor_needs_the_product_of_its_inputs() -> None:
    assert (perceptron(CORNERS) != XOR).any()
    product = CORNERS[:, :1] * CORNERS[:, 1:]
    assert (perceptron(np.hstack([CORNERS, product])) == XOR).all()


def test_xor_is_linear_in_its_inputs_and_their_product() -> None:
    x1, x2 = CORNERS.T
    got = run(lambda x1, x2: gx.stack([x1, x2, x1 * x2], -1) @ np.array([1.0, 1, -2]), x1, x2)
    assert (got == XOR).all()


# --- steps ---------------------------------------------------------------------------------------


def steps_of(
    make: Callable[[gx.Variable, Node], Any], start: float, count: int
) -> tuple[list[float], list[float]]:
    """The values of a weight under steps for the loss w**2, and the gradients that they saw."""
    w = gx.variable(start, name="w", dtype="float64")
    slope = gx.grad(gx.square(w), w)
    step = gx.compile([], slope, make(w, slope))
    values, slopes = [], []
    for _ in range(count):
        slopes.append(float(step()))
        values.append(float(w.value))
    return values, slopes


def test_momentum_and_weight_decay() -> None:
    """v <- 0.9 v - 0.0005 rate w - rate g; w <- w + v."""
    rate, w, v = 0.1, 1.0, 0.0
    values, slopes = steps_of(
        lambda w, g: optim.sgd([w], [g], rate, momentum=0.9, weight_decay=0.0005), w, 10
    )
    for got, g in zip(values, slopes, strict=True):
        assert g == pytest.approx(2 * w, rel=1e-14)
        v = 0.9 * v - 0.0005 * rate * w - rate * g
        w += v
        assert got == pytest.approx(w, rel=1e-13)


@pytest.mark.parametrize("corrected", [True, False])
def test_adam_with_and_without_bias_correction(corrected: bool) -> None:
    """m <- 0.9 m + 0.1 g, v <- 0.999 v + 0.001 g g; both over 1 - beta**t, or as they are."""
    rate, w, m, v = 0.01, 1.0, 0.0, 0.0
    values, slopes = steps_of(
        lambda w, g: optim.adam([w], [g], rate, bias_correction=corrected), w, 10
    )
    for t, (got, g) in enumerate(zip(values, slopes, strict=True), start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        first, second = (1 - 0.9**t, 1 - 0.999**t) if corrected else (1.0, 1.0)
        w -= rate * (m / first) / (math.sqrt(v / second) + 1e-8)
        assert got == pytest.approx(w, rel=1e-13)
    # The first step is the rate itself, or without correction 0.1 / sqrt(0.001) times as long.
    factor = 1.0 if corrected else 0.1 / math.sqrt(0.001)
    assert 1 - values[0] == pytest.approx(rate * factor, rel=1e-6)
