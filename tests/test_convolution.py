"""Convolution: golden numbers, random configurations against NumPy and PyTorch."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from against_torch import compare
from sample import Array

import graphc as gx
from graphc.errors import TypeRuleError
from graphc.ir.graph import Graph
from graphc.ir.node import apply
from graphc.ir.op import OPS
from graphc.nn.convolution import conv, conv1d, conv2d, conv_transpose
from graphc.passes.lay_out_convolutions import lay_out_convolutions
from graphc.runtime.compiler import compile_graph

IMAGE = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
KERNEL = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
MAP = [[4, 3, 4], [2, 4, 3], [2, 3, 4]]


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


# --- padding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [16, 8])
@pytest.mark.parametrize("masks", [True, False])
def test_depthwise_padding_is_stored_where_there_are_no_masks(groups: int, masks: bool) -> None:
    x, w = (
        gx.input("x", (2, 16, 9, 9), "float32"),
        gx.input("w", (16, 16 // groups, 3, 3), "float32"),
    )
    graph = Graph((x, w), (conv2d(x, w, padding=1, groups=groups),))
    laid = lay_out_convolutions(graph, masks)
    stored = any(node.op.name == "pad" for node in laid.walk())
    assert stored == (groups == 8 or not masks)
    image, kernel = np.ones(x.shape, np.float32), np.ones(w.shape, np.float32)
    (got,), (wanted,) = (compile_graph(each, "reference")(image, kernel) for each in (laid, graph))
    np.testing.assert_array_equal(got, wanted)


# --- golden numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "bfloat16", "float32", "float64"])
def test_the_map_of_the_textbook(dtype: str) -> None:
    x, w = gx.input("x", (1, 1, 5, 5), dtype), gx.input("w", (1, 1, 3, 3), dtype)
    image, kernel = (np.array(part).astype(x.dtype.numpy)[None, None] for part in (IMAGE, KERNEL))
    got = gx.compile([x, w], conv2d(x, w))(image, kernel)
    assert got[0, 0].astype(int).tolist() == MAP


def test_the_size_of_the_textbook() -> None:
    x, w = gx.zeros((1, 1, 5)), gx.zeros((1, 1, 3))
    assert conv1d(x, w, stride=2, padding=1).shape == (1, 1, 3)


def test_symbolic_sizes() -> None:
    x = gx.input("x", ("batch", 3, "h", "w"), "float32")
    w = gx.zeros((8, 3, 3, 3), dtype="float32")
    h = x.shape[2]
    assert conv2d(x, w).shape == (x.shape[0], 8, h - 2, x.shape[3] - 2)
    assert conv2d(x, w, padding="same").shape == (x.shape[0], 8, h, x.shape[3])
    assert conv2d(x, w, padding="full").shape == (x.shape[0], 8, h + 2, x.shape[3] + 2)
    same = conv2d(x, w, padding="same", stride=2)
    assert same.shape[2] == (h + 1) // 2


def test_one_step_serves_every_size() -> None:
    x = gx.input("x", ("n", 2, "s"), "float32")
    w = gx.input("w", (3, 2, 4), "float32")
    step = gx.compile([x, w], conv1d(x, w, stride=3, padding="same"))
    random = np.random.default_rng(0)
    for n, s in ((2, 9), (1, 1), (3, 2), (0, 5), (2, 40)):
        a, b = (random.normal(size=shape).astype("f4") for shape in ((n, 2, s), (3, 2, 4)))
        total = max((-(-s // 3) - 1) * 3 + 4 - s, 0)
        padded = np.pad(a, ((0, 0), (0, 0), (total // 2, total - total // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, 4, axis=2)[:, :, ::3]
        want = np.einsum("ncot,kct->nko", windows.astype("f8"), b.astype("f8"))
        np.testing.assert_allclose(step(a, b), want, rtol=0, atol=1e-5)


# --- against NumPy -------------------------------------------------------------------------------


class Case(NamedTuple):
    """Shapes of both operands, and the operator's attributes."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    attrs: dict[str, Any]

    @property
    def length(self) -> int:
        """How many products are added up to an element of the result or of a gradient."""
        counts = kind(self)[2:]
        groups = self.attrs["groups"]
        taps = int(np.prod(self.w[2:]))
        return max(
            self.w[1] * taps, self.w[0] // groups * taps, self.x[0] * int(np.prod(counts)), 1
        )


def kind(case: Case) -> tuple[int, ...]:
    """The shape of a case's result."""
    x, w = (gx.TensorType(gx.float32, shape) for shape in (case.x, case.w))
    shape: tuple[int, ...] = OPS["convolution"].infer(x, w, **case.attrs).shape  # type: ignore
    return shape


def random_case(seed: int) -> Case:
    """A convolution with everything that the operator can do."""
    random = np.random.default_rng(seed)
    rank = int(random.integers(1, 4))
    groups = int(random.choice([1, 1, 2, 3]))
    channels, kernels = (groups * int(random.integers(1, 4)) for _ in range(2))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(n) for n in random.integers(low, high, rank))

    while True:
        x = (int(random.integers(1, 4)), channels, *each(1, 9))
        w = (kernels, channels // groups, *each(1, 4))
        attrs = {
            "strides": each(1, 4), "low": each(-1, 4), "high": each(-1, 4),
            "x_dilation": each(1, 3), "w_dilation": each(1, 3), "groups": groups,
        }  # fmt: skip
        case = Case(x, w, attrs)
        with contextlib.suppress(TypeRuleError):  # the window does not fit
            if min(kind(case)) > 0:
                return case


def arrays_of(case: Case, seed: int, dtype: str) -> list[Array]:
    """Random operands."""
    random = np.random.default_rng(seed + 1000)
    return [random.normal(size=shape).astype(dtype) for shape in (case.x, case.w)]


@pytest.mark.parametrize("seed", range(40))
def test_random_configurations(seed: int) -> None:
    case = random_case(seed)
    dtype = ("float32", "float64", "float16")[seed % 3]
    x, w = gx.input("x", case.x, dtype), gx.input("w", case.w, dtype)
    a, b = arrays_of(case, seed, dtype)
    got = gx.compile([x, w], apply("convolution", x, w, **case.attrs))(a, b)
    wide = [array.astype(np.float64) for array in (a, b)]
    want, size = (
        OPS["convolution"].reference(*parts, **case.attrs)
        for parts in (wide, [np.abs(array) for array in wide])
    )
    inner = {"float16": 24, "float32": 24, "float64": 53}[dtype]
    allowed = 2 * (case.length + 2) * 2.0**-inner * size
    if dtype == "float16":
        allowed = allowed + 2.0**-11 * np.abs(want) + 2.0**-25
    assert np.all(np.abs(got - want) <= allowed)


# --- against PyTorch -----------------------------------------------------------------------------


def torch_case(seed: int) -> tuple[Case, dict[str, Any]]:
    """A convolution that PyTorch has too, and the options of both."""
    random = np.random.default_rng(seed)
    rank = (1, 2, 2, 3)[seed % 4]
    groups = int(random.choice([1, 1, 2, 4]))
    each = [groups, 2 * groups] if groups > 1 else [1, 2, 3, 5]
    channels, kernels = (int(random.choice(each)) for _ in range(2))
    taps = tuple(int(n) for n in random.integers(1, 4 if rank > 1 else 6, rank))
    stride, padding, dilation = (
        tuple(int(n) for n in random.integers(low, high, rank))
        for low, high in ((1, 4), (0, 3), (1, 3))
    )
    spans = [(t - 1) * d + 1 for t, d in zip(taps, dilation, strict=True)]
    sizes = tuple(int(s + random.integers(0, 7)) for s in spans)
    x, w = (int(random.integers(1, 4)), channels, *sizes), (kernels, channels // groups, *taps)
    attrs = {
        "strides": stride, "low": padding, "high": padding, "x_dilation": (1,) * rank,
        "w_dilation": dilation, "groups": groups,
    }  # fmt: skip
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Case(x, w, attrs), options


# Examples, channels, sizes, kernels, taps, strides, dilations, padding: tiles at a border and
# between, windows with no element at all, gradients whose rows see the border, few and many places.
BORDERS = (
    (2, 5, (9, 40), 32, (3, 3), (1, 1), (1, 1), (1, 1)),
    (2, 5, (9, 40), 16, (5, 7), (2, 2), (1, 1), (2, 3)),
    (1, 3, (4, 5), 40, (3, 3), (1, 1), (1, 1), (4, 5)),
    (3, 20, (7, 7), 48, (3, 3), (1, 1), (2, 3), (2, 3)),
    (1, 2, (3, 12), 16, (1, 9), (1, 3), (1, 1), (0, 9)),
    (1, 4, (1, 30), 24, (3, 5), (1, 1), (1, 1), (1, (0, 4))),
)


@pytest.mark.parametrize("shape", BORDERS)
def test_taps_at_borders(shape: tuple[Any, ...]) -> None:
    n, c, sizes, k, taps, stride, dilation, padding = shape
    random = np.random.default_rng(5)
    arrays = [random.normal(size=s).astype("f") for s in ((n, c, *sizes), (k, c, *taps))]
    x, w = (
        gx.input(name, array.shape, "float32") for name, array in zip("xw", arrays, strict=True)
    )
    y = conv2d(x, w, stride=stride, dilation=dilation, padding=padding)
    results = [y, *gx.grad(gx.sum(y * y), [x, w])]
    expected = gx.compile([x, w], results, device="reference")(*arrays)
    for got, right in zip(gx.compile([x, w], results)(*arrays), expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-4 * np.abs(right).max())


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("channels", [1, 16])
def test_an_infinite_tap_adds_nothing_or_nan_beyond_a_border(channels: int, rank: int) -> None:
    line = (3,) * rank
    x = gx.input("x", (2, 1, *line), "float32")
    w = gx.input("w", (channels, 1, *line), "float32")
    step = gx.compile([x, w], (conv1d, conv2d)[rank - 1](x, w, padding=1))
    ones, taps = np.ones(x.shape, "float32"), np.full(w.shape, 2.0, "float32")
    taps[..., 0] = np.inf
    got, without = step(ones, taps), step(ones, np.where(np.isinf(taps), 0, taps))
    first = got[..., 0]
    assert (np.isnan(first) | (first == without[..., 0])).all()
    assert not np.isfinite(got[..., 1:]).any()


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(120))
def test_like_torch(torch: Any, seed: int) -> None:
    case, options = torch_case(seed)
    x, w = arrays_of(case, seed, ("float32", "float64")[seed // 4 % 2])
    function = getattr(torch.nn.functional, f"conv{len(case.x) - 2}d")
    bias = np.random.default_rng(seed).normal(size=case.w[0]).astype(x.dtype)
    compare(
        torch,
        lambda a, b, c: conv(a, b, c, **options),
        lambda a, b, c: function(a, b, c, **options),
        [x, w, bias],
        case.length + 1,
    )


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(60))
def test_transposed_like_torch(torch: Any, seed: int) -> None:
    case, options = torch_case(seed + 500)
    random = np.random.default_rng(seed)
    rank, groups = len(case.x) - 2, options["groups"]
    spans = [(t - 1) * d + 1 for t, d in zip(case.w[2:], options["dilation"], strict=True)]
    options["padding"] = tuple(
        min(p, (span - 1) // 2) for p, span in zip(options["padding"], spans, strict=True)
    )
    limits = [max(s, d) for s, d in zip(options["stride"], options["dilation"], strict=True)]
    options["output_padding"] = tuple(int(random.integers(0, limit)) for limit in limits)
    sizes = tuple(int(n) for n in random.integers(1, 5, rank))
    x = random.normal(size=(2, case.w[0], *sizes))
    w = random.normal(size=case.w)
    bias = random.normal(size=case.w[1] * groups)
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    compare(
        torch,
        lambda a, b, c: conv_transpose(a, b, c, **options),
        lambda a, b, c: function(a, b, c, **options),
        [x, w, bias],
        int(np.prod(case.w)) + 2 * 4**rank * int(np.prod(limits)) * max(spans) ** rank,
    )


@pytest.mark.oracle
@pytest.mark.parametrize("dilation", [1, 2])
def test_full_padding_like_torch(torch: Any, dilation: int) -> None:
    random = np.random.default_rng(5)
    x, w = random.normal(size=(2, 3, 5, 4)), random.normal(size=(4, 3, 2, 3))
    compare(
        torch,
        lambda a, b: conv2d(a, b, padding="full", dilation=dilation),
        lambda a, b: torch.nn.functional.conv2d(
            a, b, padding=(dilation, 2 * dilation), dilation=dilation
        ),
        [x, w],
        2 * 9 * 8,
    )


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{"padding": "same"}, {"padding": "same", "dilation": 2}])
@pytest.mark.parametrize("taps", [(3, 3), (2, 4)])
def test_same_padding_like_torch(torch: Any, taps: Any, options: Any) -> None:
    random = np.random.default_rng(5)
    x, w = random.normal(size=(2, 3, 8, 7)), random.normal(size=(4, 3, *taps))
    compare(
        torch,
        lambda a, b: conv2d(a, b, **options),
        lambda a, b: torch.nn.functional.conv2d(a, b, **options),
        [x, w],
        2 * 8 * 7,
    )


# --- transposed ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_transposed_convolution_is_the_gradient(seed: int) -> None:
    case, options = torch_case(seed)
    x, w = gx.input("x", case.x, "float64"), gx.input("w", case.w, "float64")
    y = conv(x, w, **options)
    g = gx.input("g", y.shape, "float64")
    spans = [(t - 1) * d + 1 for t, d in zip(case.w[2:], options["dilation"], strict=True)]
    sizes = zip(case.x[2:], y.shape[2:], options["stride"], options["padding"], spans, strict=True)
    extra = tuple(int(n - ((o - 1) * s - 2 * p + span)) for n, o, s, p, span in sizes)
    assert y.op.vjp(y, g)[0] is conv_transpose(g, w, output_padding=extra, **options)


def test_same_sizes_of_the_transposed() -> None:
    x, w = gx.zeros((1, 2, 5)), gx.zeros((2, 3, 4))
    for stride in (1, 2, 3, 4):
        assert conv_transpose(x, w, stride=stride, padding="same").shape == (1, 3, 5 * stride)
    assert conv_transpose(x, w, stride=2).shape == (1, 3, 12)


# --- layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_channels_last(function: Callable[..., Any]) -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(2, 4, 6, 5))
    w = gx.constant(random.normal(size=(4, 2, 3, 3)))
    options: Any = {"stride": 2, "padding": ((1, 0), (0, 1)), "groups": 2}
    x = gx.input("x", (2, 4, 6, 5), "float64")
    last = gx.permute_dims(function(gx.permute_dims(x, (0, 2, 3, 1)), w, layout="NHWC", **options),
                           (0, 3, 1, 2))  # fmt: skip
    want, got = gx.compile([x], [function(x, w, layout="NCHW", **options), last])(first)
    np.testing.assert_array_equal(got, want)
