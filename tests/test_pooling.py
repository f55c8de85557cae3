"""Pooling: random configurations against NumPy and PyTorch, ties, padding, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from against_torch import compare
from sample import Array

import graphc as gx
from graphc.ir.op import OPS
from graphc.nn.pooling import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


def run(output: Any, *pairs: Any) -> Array:
    """A node's value where inputs have values, on the cpu."""
    inputs, arrays = zip(*pairs, strict=True)
    result: Array = gx.compile(list(inputs), output)(*arrays)
    return result


# --- by hand -------------------------------------------------------------------------------------


def test_a_small_image() -> None:
    image = np.arange(16.0).reshape(1, 1, 4, 4)
    x = gx.input("x", image.shape, "float64")
    assert run(max_pool(x, 2), (x, image)).tolist() == [[[[5, 7], [13, 15]]]]
    assert run(average_pool(x, 2), (x, image)).tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert run(global_max_pool(x), (x, image)).tolist() == [[[[15]]]]
    assert run(global_average_pool(x, keepdims=False), (x, image)).tolist() == [[7.5]]
    corners = run(average_pool(x, 3, stride=3, padding=1), (x, image))
    assert (corners * 9).tolist() == [[[[0 + 1 + 4 + 5, 2 + 3 + 6 + 7], [8 + 9 + 12 + 13, 50]]]]
    inside = run(average_pool(x, 3, stride=3, padding=1, count_include_pad=False), (x, image))
    assert inside.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]


def test_ties_go_to_the_first() -> None:
    x = gx.input("x", (1, 1, 5), "float64")
    y = max_pool(x, 3, stride=1)
    g = gx.input("g", (1, 1, 3), "float64")
    gradient = gx.grad(gx.sum(y * g), x)
    weights = np.array([[[1.0, 10.0, 100.0]]])
    for row, want in (
        ([1, 1, 1, 1, 1], [1, 10, 100, 0, 0]),
        ([0, 2, 2, 2, 0], [0, 11, 100, 0, 0]),
        ([5, 1, 1, 0, 1], [1, 10, 100, 0, 0]),
        ([-np.inf] * 5, [1, 10, 100, 0, 0]),
        ([1, np.nan, 2, np.nan, 3], [0, 11, 0, 100, 0]),
    ):
        got = run(gradient, (x, np.array([[row]], float)), (g, weights))
        assert got[0, 0].tolist() == want, row


def test_padding_is_never_chosen() -> None:
    x = gx.input("x", (1, 1, 4), "float32")
    g = gx.grad(gx.sum(max_pool(x, 3, stride=1, padding=1)), x)
    low = np.array([[[-np.inf, -np.inf, -5, -6]]], "f4")
    assert run(g, (x, low))[0, 0].tolist() == [1, 0, 3, 0]
    assert run(max_pool(x, 3, stride=1, padding=1), (x, low))[0, 0].tolist() == [
        -np.inf,
        -5,
        -5,
        -5,
    ]


def test_integers() -> None:
    image = np.arange(-8, 8, dtype=np.int8).reshape(1, 1, 4, 4)
    x = gx.input("x", image.shape, "int8")
    assert max_pool(x, 2).dtype == gx.int8
    assert run(max_pool(x, 2, padding=1, stride=3), (x, image))[0, 0].tolist() == [[-8, -5], [4, 7]]
    assert average_pool(x, 2).dtype == gx.float64


@pytest.mark.parametrize("pool", [max_pool, average_pool, adaptive_max_pool, adaptive_average_pool])
def test_channels_last(pool: Callable[..., Any]) -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 9, 8))
    x = gx.input("x", image.shape, "float64")
    last = pool(gx.permute_dims(x, (0, 2, 3, 1)), (2, 3), layout="NHWC")
    both = gx.compile([x], [pool(x, (2, 3)), gx.permute_dims(last, (0, 3, 1, 2))])(image)
    # The order in which a window is added up follows the layout: twelve elements at the most.
    np.testing.assert_allclose(*both, rtol=0, atol=2 * 12 * 2.0**-53 * np.max(np.abs(image)))


def test_symbolic_sizes() -> None:
    x = gx.input("x", ("n", 2, "h"), "float32")
    g = gx.grad(gx.sum(gx.square(max_pool(x, 3, stride=2, padding=1))), x)
    step = gx.compile([x], [max_pool(x, 3, stride=2, padding=1), g, average_pool(x, 2)])
    random = np.random.default_rng(0)
    for n, h in ((2, 9), (1, 2), (3, 40), (0, 7), (1, 3)):
        a = random.normal(size=(n, 2, h)).astype("f4")
        largest, gradient, mean = step(a)
        padded = np.pad(a, ((0, 0), (0, 0), (1, 1)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=2)[:, :, ::2]
        np.testing.assert_array_equal(largest, windows.max(-1))
        want = np.zeros_like(padded)
        places = windows.argmax(-1) + 2 * np.arange(windows.shape[2])
        for at in np.ndindex(*places.shape):
            want[(*at[:2], places[at])] += 2 * largest[at]
        np.testing.assert_allclose(gradient, want[:, :, 1:-1], rtol=1e-6)
        np.testing.assert_allclose(mean, (a[:, :, 0 : h - 1 : 2] + a[:, :, 1::2]) / 2, atol=1e-6)


def test_gradient_of_max_pool_is_one_tap_per_window() -> None:
    x = gx.input("x", (1, 1, 6, 6), "float32")
    names = {node.op.name for node in gx.Graph((x,), (gx.grad(gx.sum(max_pool(x, 2)), x),)).walk()}
    assert {"window_max", "window_argmax", "window_scatter"} <= names
    assert set(OPS) > names


# --- against PyTorch -----------------------------------------------------------------------------


def random_windows(seed: int) -> tuple[Array, dict[str, Any]]:
    """An image with ties, and the options of a pooling."""
    random = np.random.default_rng(seed)
    rank = (1, 2, 2, 3)[seed % 4]
    window, stride = (tuple(int(n) for n in random.integers(1, 5, rank)) for _ in range(2))
    padding = tuple(int(random.integers(0, w // 2 + 1)) for w in window)
    sizes = [int(w + random.integers(1, 7)) for w in window]
    image = random.normal(size=(2, 2, *sizes)).astype(("float32", "float64")[seed // 4 % 2])
    options = {"stride": stride, "padding": padding, "ceil_mode": bool(random.integers(0, 2))}
    return image, {"window": window, **options}


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(60))
def test_max_like_torch(torch: Any, seed: int) -> None:
    image, options = random_windows(seed)
    random = np.random.default_rng(seed)
    window = options.pop("window")
    if seed % 3 == 0:  # many ties
        image = np.round(image)
    room = (n + 2 * p for n, p in zip(image.shape[2:], options["padding"], strict=True))
    most = [(n - 1) // max(w - 1, 1) for n, w in zip(room, window, strict=True)]
    options["dilation"] = tuple(int(random.integers(1, max(min(3, m), 1) + 1)) for m in most)
    function = getattr(torch.nn.functional, f"max_pool{image.ndim - 2}d")
    compare(
        torch,
        lambda a: max_pool(a, window, **options),
        lambda a: function(a, window, **options),
        [image],
        int(np.prod(window)),
        choosing=True,
    )


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(60))
def test_average_like_torch(torch: Any, seed: int) -> None:
    image, options = random_windows(seed + 100)
    window = options.pop("window")
    options["count_include_pad"] = seed % 3 > 0
    function = getattr(torch.nn.functional, f"avg_pool{image.ndim - 2}d")
    compare(
        torch,
        lambda a: average_pool(a, window, **options),
        lambda a: function(a, window, **options),
        [image],
        int(np.prod(window)),
    )


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("sizes", "window", "stride", "padding"),
    [((2, 2), 3, 2, 0), ((2, 5), 3, 2, 0), ((1, 1), (2, 3), (2, 3), 0), ((2, 3), 5, 3, 1)],
)
def test_a_window_longer_than_the_axis_like_torch(
    torch: Any, sizes: tuple[int, int], window: Any, stride: Any, padding: int
) -> None:
    image = np.random.default_rng(0).normal(size=(2, 2, *sizes))
    options = {"stride": stride, "padding": padding, "ceil_mode": True}
    for ours, name in ((max_pool, "max_pool2d"), (average_pool, "avg_pool2d")):
        function = getattr(torch.nn.functional, name)
        compare(
            torch,
            lambda a, f=ours: f(a, window, **options),
            lambda a, f=function: f(a, window, **options),
            [image],
            25,
            choosing=ours is max_pool,
        )


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(32))
def test_adaptive_like_torch(torch: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    rank = (1, 2, 2, 3)[seed % 4]
    sizes = tuple(int(n) for n in random.integers(1, 9, rank))
    wanted = tuple(int(n) for n in random.integers(1, 6, rank))
    image = random.normal(size=(2, 3, *sizes))
    name, ours = (("max", adaptive_max_pool), ("avg", adaptive_average_pool))[seed // 4 % 2]
    function = getattr(torch.nn.functional, f"adaptive_{name}_pool{rank}d")
    compare(
        torch,
        lambda a: ours(a, wanted),
        lambda a: function(a, wanted),
        [np.round(image) if name == "max" else image],
        2 * int(np.prod(sizes)),
        choosing=name == "max",
    )


# --- refusals ------------------------------------------------------------------------------------

x = gx.input("x", (2, 3, 8, 8), "float32")

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "axes": (
        lambda: max_pool(gx.zeros((2, 3)), 2),
        "max_pool: x must have the axes N, C and one to three spatial ones, this is f64[2, 3]",
    ),
    "window": (
        lambda: max_pool(x, (2, 2, 2)),
        "max_pool: window must be an integer >= 1, or one for each of 2 spatial axes, not (2, 2",
    ),
    "size": (
        lambda: average_pool(x, (2, 9)),
        "average_pool: a window that spans 9 does not fit into axis W of size 8 padded by 0 and 0",
    ),
    "padding": (
        lambda: max_pool(x, 2, padding=2),
        "max_pool: padding by 2 and 2 must be less than the 2 elements that a window spans",
    ),
    "padding that does not count": (
        lambda: average_pool(x, 2, padding=5, count_include_pad=False),
        "average_pool: padding by 5 and 5 must be less than the 2 elements that a window spans",
    ),
    "size in ceil_mode": (
        lambda: max_pool(x, 10, stride=2, ceil_mode=True),
        "max_pool: a window that spans 10 does not fit into axis H of size 8 padded by 0 and 0",
    ),
    "window of a float": (
        lambda: max_pool(x, 2.0),  # type: ignore[arg-type]
        "max_pool: window must be an integer >= 1, or one for each of 2 spatial axes, not 2.0",
    ),
    "no window": (
        lambda: average_pool(x, None),  # type: ignore[arg-type]
        "average_pool: window must be an integer >= 1, or one for each of 2 spatial axes, not None",
    ),
    "no adaptive sizes": (
        lambda: adaptive_max_pool(x, None),  # type: ignore[arg-type]
        "adaptive_max_pool: sizes must be an integer >= 1, or one for each of 2 spatial axes, not",
    ),
    "dtype": (lambda: max_pool(x > 0, 2), "window_max: takes int or uint or float, not bool"),
    "symbolic ceil_mode": (
        lambda: max_pool(gx.input("y", (1, 1, "n"), "float32"), 2, ceil_mode=True),
        "max_pool: ceil_mode needs a size that is known, not n",
    ),
    "adaptive sizes": (
        lambda: adaptive_max_pool(x, (1, 0)),
        "adaptive_max_pool: sizes must be an integer >= 1, or one for each of 2 spatial axes",
    ),
    "adaptive symbolic": (
        lambda: adaptive_average_pool(gx.input("y", (1, 1, "n"), "float32"), 2),
        "adaptive_average_pool: axis 2 of f32[1, 1, n] must have a size that is known and not 0",
    ),
    "layout": (
        lambda: global_average_pool(x, layout="HWNC"),
        'global_average_pool: the layout of f32[2, 3, 8, 8] is "NCHW" or "NHWC", not \'HWNC\'',
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    assert message in str(caught.value)
    assert "test_pooling.py" in str(caught.value), "the user's line is missing"
