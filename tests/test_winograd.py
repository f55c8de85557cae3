"""Winograd's algorithm: against the direct form, within its bound, and where it stays away."""

import importlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from calling import with_any_threads
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import Array

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.ir.program import Repeat
from graphc.passes.cook_toom import fast_convolution
from graphc.passes.use_winograd import use_winograd
from graphc.runtime.reference.evaluate import evaluate

PASS = importlib.import_module("graphc.passes.use_winograd")


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles wherever they are possible, also where they do not pay."""
    monkeypatch.setattr(PASS, "pays", lambda *_: True)


def convolved(x: Node, w: Node, low: Sequence[int] = (1, 1), high: Sequence[int] = (1, 1)) -> Node:
    """A convolution with any padding."""
    ones = {"strides": (1, 1), "x_dilation": (1, 1), "w_dilation": (1, 1)}
    return apply("convolution", x, w, groups=1, low=tuple(low), high=tuple(high), **ones)


def with_gradients(y: Node, *operands: Node) -> list[Node]:
    """A result, and the gradients of the sum of its elements times other numbers."""
    factors = gx.reshape(gx.sin(gx.arange(int(np.prod(y.shape))).astype(y.dtype)), y.shape)
    return [y, *gx.grad(gx.sum(y * factors), list(operands))]


def drawn(nodes: Sequence[Node], seed: int = 0) -> list[Array]:
    """Random numbers for inputs."""
    random = np.random.default_rng(seed)
    return [random.normal(size=node.shape).astype(node.dtype.numpy) for node in nodes]


def choices(step: Any) -> list[str]:
    """What became of the convolutions."""
    return [d.choice for d in step.decisions if d.stage == "use_winograd"]


# --- the algorithm --------------------------------------------------------------------------------


@pytest.mark.parametrize("taps", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [4, 5, 7])
def test_fast_convolutions_are_convolutions(taps: int, count: int) -> None:
    points = [Fraction(k, 2) * (-1) ** k for k in range(count)]
    maps = fast_convolution(points, taps)
    elements, filters, results = map(np.array, (maps.elements, maps.taps, maps.results))
    d, g = np.random.default_rng(0).normal(size=(2, count + 1))
    got = results @ ((filters @ g[:taps]) * (elements @ d))
    assert got.shape == (count + 2 - taps,)
    np.testing.assert_allclose(got, np.correlate(d, g[:taps]), rtol=0, atol=1e-10)


@pytest.mark.usefixtures("always")
@settings(max_examples=50, deadline=None)
@given(
    st.tuples(*[st.integers(1, 13)] * 2),
    st.tuples(*[st.integers(-2, 4)] * 2),
    st.tuples(*[st.integers(-2, 4)] * 2),
    st.tuples(*[st.integers(1, 3)] * 3),
)
def test_every_size_and_padding(
    size: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    examples, channels, kernels = counts
    if any(sum(parts) < 3 for parts in zip(size, low, high, strict=True)):
        return
    x = gx.input("x", (examples, channels, *size), "float64")
    w = gx.input("w", (kernels, channels, 3, 3), "float64")
    nodes = with_gradients(convolved(x, w, low, high), x, w)
    graph = Graph((x, w), tuple(nodes))
    tiled = use_winograd(graph)
    assert "convolution" not in {node.op.name for node in tiled.walk()}
    values = dict(zip((x, w), drawn((x, w)), strict=True))
    for got, want in zip(evaluate(tiled, values), evaluate(graph, values), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("size", "counts"), [((1, 1), (1, 1, 1)), ((5, 9), (2, 19, 33)), ((13, 8), (1, 3, 16))]
)
@pytest.mark.cpu("convolutions in tiles")
def test_compiled(size: tuple[int, int], counts: tuple[int, int, int]) -> None:
    examples, channels, kernels = counts
    x = gx.input("x", (examples, channels, *size), "float64")
    w = gx.input("w", (kernels, channels, 3, 3), "float64")
    nodes = with_gradients(convolved(x, w), x, w)
    step = gx.compile([x, w], nodes, winograd=True)
    program = step.program
    assert program is not None
    assert {"transform_tiles", "add_tiles"} <= {kernel.name for kernel in program.kernels}
    direct = gx.compile([x, w], nodes)
    for got, want in zip(step(*drawn((x, w))), direct(*drawn((x, w))), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11)


def check(graph: Graph) -> None:
    """Winograd's results of a graph are those of its definition."""
    values = dict(zip(graph.inputs, drawn(graph.inputs), strict=True))
    step = gx.compile(graph.inputs, list(graph.outputs), winograd=True)
    for got, want in zip(step(*values.values()), evaluate(graph, values), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("always")
def test_in_blocks_of_examples() -> None:
    x = gx.input("x", (12, 8, 32, 30), "float64")
    w = gx.input("w", (8, 8, 3, 3), "float64")
    nodes = with_gradients(convolved(x, w), x, w)
    graph = Graph((x, w), tuple(nodes))
    tiled = use_winograd(graph)
    assert sum(node.op.name == "scan" for node in tiled.walk()) == 3
    check(graph)


@pytest.mark.usefixtures("always")
def test_in_blocks_of_kernels() -> None:
    x = gx.input("x", (2, 130, 5, 6), "float64")
    w = gx.input("w", (99, 130, 3, 3), "float64")
    nodes = with_gradients(convolved(x, w), x, w)
    graph = Graph((x, w), tuple(nodes))
    scans = [node for node in use_winograd(graph).walk() if node.op.name == "scan"]
    assert [node.attrs["length"] for node in scans] == [3, 2, 3]
    check(graph)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("channels", [4, 32, 128])
def test_error_in_float32(channels: int) -> None:
    """At most 2 epsilon sqrt(n) beside the largest result, for n products added up."""
    size, examples = 12, 2
    x = gx.input("x", (examples, channels, size, size), "float32")
    w = gx.input("w", (channels, channels, 3, 3), "float32")
    step = gx.compile([x, w], with_gradients(convolved(x, w), x, w), winograd=True)
    wide = [gx.input(node.attrs["name"], node.shape, "float64") for node in (x, w)]
    exact = gx.compile(wide, with_gradients(convolved(*wide), *wide))
    values = drawn((x, w))
    wanted = exact(*(value.astype("float64") for value in values))
    lengths = (9 * channels, 9 * channels, examples * size * size)
    for got, want, length in zip(step(*values), wanted, lengths, strict=True):
        error = np.abs(got - want).max() / np.abs(want).max()
        assert 0 < error < 2 * 2.0**-23 * np.sqrt(length)


# --- where it is used -----------------------------------------------------------------------------


def layer(dtype: str = "float32", examples: Any = 2) -> tuple[list[Node], Node]:
    """A layer that gains from tiles."""
    x = gx.input("x", (examples, 32, 12, 12), dtype)
    w = gx.input("w", (64, 32, 3, 3), dtype)
    return [x, w], convolved(x, w)


@pytest.mark.cpu("convolutions in tiles")
def test_only_on_request() -> None:
    inputs, y = layer()
    assert choices(gx.compile(inputs, y)) == []
    assert choices(gx.compile(inputs, y, winograd=True)) == ["in tiles"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
@pytest.mark.cpu("convolutions in tiles")
def test_short_floats_stay_direct(dtype: str) -> None:
    inputs, y = layer(dtype)
    step = gx.compile(inputs, y, winograd=True)
    assert choices(step) == ["direct"]
    np.testing.assert_array_equal(step(*drawn(inputs)), gx.compile(inputs, y)(*drawn(inputs)))


@pytest.mark.cpu("convolutions in tiles")
def test_symbolic_number_of_examples() -> None:
    inputs, y = layer("float64", "n")
    step, direct = gx.compile(inputs, y, winograd=True), gx.compile(inputs, y)
    assert choices(step) == ["in tiles"]
    w = drawn(inputs[1:])[0]
    for examples in (0, 1, 3):
        x = np.random.default_rng(1).normal(size=(examples, 32, 12, 12))
        np.testing.assert_allclose(step(x, w), direct(x, w), rtol=0, atol=1e-11)


@pytest.mark.usefixtures("always")
@pytest.mark.cpu("convolutions in tiles")
def test_blocks_of_a_symbolic_number_of_examples() -> None:
    x = gx.input("x", ("n", 4, 24, 24), "float64")
    w = gx.input("w", (5, 4, 3, 3), "float64")
    y = convolved(x, w)
    nodes = [y, *gx.grad(gx.sum(y * y), [x, w])]
    step, direct = gx.compile([x, w], nodes, winograd=True), gx.compile([x, w], nodes)
    program = step.program
    assert program is not None
    assert sum(isinstance(part, Repeat) for part in program.steps) == 3
    taps = drawn([w])[0]
    for examples in (0, 1, 3):
        images = np.random.default_rng(1).normal(size=(examples, 4, 24, 24))
        for got, want in zip(step(images, taps), direct(images, taps), strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-9)


@pytest.mark.cpu("convolutions in tiles")
def test_in_a_scan_and_in_a_batch() -> None:
    inputs, _ = layer("float64")
    x, w = inputs

    def step(carry: Node, row: Node) -> tuple[Node, Node]:
        y = convolved(row, w)
        return carry + gx.sum(y), y

    xs = gx.stack([x, 2 * x])
    _, scanned = gx.scan(step, gx.constant(0.0, "float64"), xs)
    batched = gx.vmap(lambda row: convolved(row, w))(xs)
    tiled = gx.compile(inputs, [scanned, batched], winograd=True)
    assert choices(tiled) == ["in tiles"] * 2
    direct = gx.compile(inputs, [scanned, batched])
    for got, want in zip(tiled(*drawn(inputs)), direct(*drawn(inputs)), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11)


@pytest.mark.cpu("convolutions in tiles")
def test_constant_taps_are_transformed_when_compiling() -> None:
    (x, w), _ = layer()
    (value,) = drawn([w])
    step = gx.compile(x, convolved(x, gx.constant(value)), winograd=True)
    program = step.program
    assert program is not None
    assert len([k for k in program.kernels if k.name.startswith("transform_tiles")]) == 1
    variable = gx.compile([x, w], convolved(x, w), winograd=True)
    np.testing.assert_allclose(step(*drawn([x])), variable(*drawn([x]), value), rtol=0, atol=1e-4)


def test_same_bits_for_any_number_of_threads() -> None:
    (x, w), y = layer()
    step = gx.compile([x, w], with_gradients(y, x, w), winograd=True)
    with_any_threads(step, *drawn([x, w]))


@pytest.mark.cpu("convolutions in tiles")
def test_infinity_stays_in_the_tiles_that_see_it() -> None:
    (x, w), y = layer()
    image, taps = drawn([x, w])
    image[0, 0, 5, 5] = np.inf
    got = gx.compile([x, w], y, winograd=True)(image, taps)
    touched = ~np.isfinite(got).all(axis=1)
    assert touched[0, 4:8, 4:8].all()
    assert touched.sum() == 16
