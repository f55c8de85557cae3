"""The neural functions by themselves: closed forms, extreme inputs, symbolic sizes, refusals.

`test_nn_oracle.py` compares them with PyTorch.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import nn, random
from graphc.ir.node import Node

Array = np.ndarray[Any, Any]


def run(function: Callable[..., Any], *arrays: Any, device: str = "cpu") -> Any:
    """A function of arrays, compiled."""
    values = [np.asarray(array) for array in arrays]
    nodes = [gx.input(f"x{i}", v.shape, v.dtype) for i, v in enumerate(values)]
    return gx.compile(nodes, function(*nodes), device=device)(*values)


def slopes(function: Callable[..., Node], *arrays: Any) -> list[Array]:
    """The gradients of the sum of a function's results by each of its operands."""
    return list(run(lambda *nodes: gx.grad(gx.sum(function(*nodes)), list(nodes)), *arrays))


# --- activations ---------------------------------------------------------------------------------

X = np.array([-100.0, -3.0, -1.0, 0.0, 0.5, 2.0, 100.0])

FORMULAS: dict[str, tuple[Callable[..., Any], Callable[[Array], Any]]] = {
    "silu": (nn.silu, lambda x: x / (1 + np.exp(-x))),
    "gelu": (nn.gelu, lambda x: x * np.vectorize(math.erfc)(-x / math.sqrt(2)) / 2),
    "gelu_tanh": (
        lambda x: nn.gelu(x, "tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "mish": (nn.mish, lambda x: x * np.tanh(np.logaddexp(0, x))),
    "elu": (lambda x: nn.elu(x, 0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(x))),
    "celu": (lambda x: nn.celu(x, 2.0), lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2))),
    "selu": (
        nn.selu,
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    ),
    "leaky_relu": (lambda x: nn.leaky_relu(x, 0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
    "relu6": (nn.relu6, lambda x: np.clip(x, 0, 6)),
    "hard_tanh": (nn.hard_tanh, lambda x: np.clip(x, -1, 1)),
    "hard_sigmoid": (nn.hard_sigmoid, lambda x: np.clip(x + 3, 0, 6) / 6),
    "hard_swish": (nn.hard_swish, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "softsign": (nn.softsign, lambda x: x / (1 + abs(x))),
    "log_sigmoid": (nn.log_sigmoid, lambda x: -np.logaddexp(0, -x)),
    "hard_shrink": (nn.hard_shrink, lambda x: np.where(abs(x) > 0.5, x, 0)),
    "soft_shrink": (nn.soft_shrink, lambda x: np.sign(x) * np.maximum(abs(x) - 0.5, 0)),
    "softplus": (lambda x: nn.softplus(x, 2.0), lambda x: np.logaddexp(0, 2 * x) / 2),
    "tanh_shrink": (nn.tanh_shrink, lambda x: x - np.tanh(x)),
    "threshold": (lambda x: nn.threshold(x, 0.1, 20.0), lambda x: np.where(x > 0.1, x, 20)),
    "prelu": (lambda x: nn.prelu(x, 0.25), lambda x: np.where(x > 0, x, 0.25 * x)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_activation(name: str) -> None:
    ours, want = FORMULAS[name]
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(run(ours, X), want(X), 1e-13, 1e-14)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_inputs_give_finite_slopes(name: str, dtype: str) -> None:
    ours, _ = FORMULAS[name]
    x = np.array([-1e4, -88.8, -30, 0, 30, 88.8, 1e4], dtype)
    value, first = run(ours, x), slopes(ours, x)[0]
    second = slopes(lambda n: gx.grad(gx.sum(ours(n)), n), x)[0] if name in SMOOTH else first
    assert value.dtype == dtype
    for numbers in (value, first, second):
        assert np.isfinite(numbers).all()


SMOOTH = {"silu", "gelu", "gelu_tanh", "mish", "elu", "celu", "selu", "softsign", "log_sigmoid"}
"""Those of which the gradient depends on x."""


@pytest.mark.parametrize(
    ("function", "at", "slope"),
    [
        (nn.elu, 0.0, 1.0),
        (nn.leaky_relu, 0.0, 0.01),
        (nn.relu6, 0.0, 0.0),
        (nn.relu6, 6.0, 0.0),
        (nn.hard_tanh, 1.0, 0.0),
        (nn.hard_swish, -3.0, 0.0),
        (nn.hard_swish, 3.0, 1.0),
    ],
)
def test_slopes_at_corners(function: Callable[..., Node], at: float, slope: float) -> None:
    assert slopes(function, at)[0] == slope


def test_integers_become_floats() -> None:
    assert nn.silu(gx.constant([1, 2])).dtype == gx.float64


def test_glu_and_maxout() -> None:
    x = np.arange(12.0).reshape(2, 6)
    np.testing.assert_allclose(run(nn.glu, x), x[:, :3] / (1 + np.exp(-x[:, 3:])), 1e-15)
    np.testing.assert_array_equal(run(lambda x: nn.maxout(x, 3), x), [[2, 5], [8, 11]])
    np.testing.assert_array_equal(slopes(lambda x: nn.maxout(x, 3), x)[0], [[0, 0, 1] * 2] * 2)


# --- normalisation -------------------------------------------------------------------------------


def test_batch_norm_returns_the_statistics() -> None:
    x = np.random.default_rng(0).normal(2, 3, (16, 4, 5))
    start = [np.full(4, 1.0), np.full(4, 2.0)]
    y, mean, var = run(lambda *n: tuple(nn.batch_norm(*n, training=True)), x, *start)
    np.testing.assert_allclose(y.mean((0, 2)), 0, 0, 1e-14)
    np.testing.assert_allclose(y.var((0, 2)), 1, 1e-5)
    np.testing.assert_allclose(mean, 0.9 + 0.1 * x.mean((0, 2)), 1e-14)
    np.testing.assert_allclose(var, 1.8 + 0.1 * x.var((0, 2), ddof=1), 1e-14)
    same = run(lambda *n: tuple(nn.batch_norm(*n)), x, *start)
    np.testing.assert_array_equal(same[1:], start)


def test_batch_norm_as_state() -> None:
    mean, var = gx.variable(np.zeros(3), name="mean"), gx.variable(np.ones(3), name="var")
    x = gx.input("x", ("n", 3), "float64")
    result = nn.batch_norm(x, mean, var, training=True)
    updates = {mean: result.running_mean, var: result.running_var}
    step = gx.compile([x], result.output, updates=updates)
    batch = np.random.default_rng(0).normal(5, 2, (1000, 3))
    for _ in range(200):
        step(batch)
    np.testing.assert_allclose(mean.value, batch.mean(0), 1e-8)
    np.testing.assert_allclose(var.value, batch.var(0, ddof=1), 1e-8)


def test_statistics_carry_no_gradient() -> None:
    x, zero = gx.input("x", (4, 2), "float64"), gx.zeros(2)
    result = nn.batch_norm(x, zero, zero, training=True)
    (got,) = run(lambda x: [gx.grad(gx.sum(result.running_mean) + gx.sum(x), x)], np.ones((4, 2)))
    assert (got == 1).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_norms_of_large_numbers(dtype: str) -> None:
    # Squares of 1000 overflow float16: the statistics are computed in float32.
    x = gx.cast(gx.constant(np.linspace(-1000, 1000, 12).reshape(1, 4, 3)), dtype)
    ones = gx.ones(4, dtype)
    functions = [
        nn.layer_norm(x, (4, 3)), nn.rms_norm(x, (4, 3)), nn.group_norm(x, 1),
        nn.instance_norm(x), nn.batch_norm(x, ones, ones, training=True).output,
    ]  # fmt: skip
    for result in gx.compile([], functions)():
        assert result.dtype.name == dtype
        numbers = result.astype(float)
        assert np.isfinite(numbers).all()
        assert abs((numbers**2).mean() - 1) < 0.02


def test_equal_numbers_have_finite_slopes() -> None:
    x, weights = np.full((2, 4, 3), 7.0), np.arange(24.0).reshape(2, 4, 3)
    for function in (
        lambda x: nn.layer_norm(x, 3),
        lambda x: nn.group_norm(x, 2),
        nn.instance_norm,
        lambda x: nn.rms_norm(x * 0, 3),
    ):
        assert np.isfinite(slopes(lambda n, f=function: f(n) * weights, x)[0]).all()


def test_symbolic_sizes() -> None:
    x = gx.input("x", ("n", 6, "m"), "float32")
    zeros = gx.zeros(6, "float32")
    outputs = [
        nn.group_norm(x, 3),
        nn.instance_norm(x),
        nn.layer_norm(x, x.shape[1:]),
        nn.batch_norm(x, zeros, zeros, training=True).output,
        nn.dropout(random.key(0), x),
        nn.scaled_dot_product_attention(x, x, x, is_causal=True),
        nn.mean_squared_error(x, 0.0),
    ]
    step = gx.compile([x], outputs)
    for shape in ((2, 6, 4), (5, 6, 7)):
        array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        for result, node in zip(step(array), outputs, strict=True):
            assert result.ndim == node.ndim
            assert np.isfinite(result).all()


# --- noise ---------------------------------------------------------------------------------------


def test_dropout() -> None:
    x = np.ones((1000, 10), np.float32)
    for p in (0.0, 0.2, 1.0):
        got = run(lambda x, p=p: nn.dropout(random.key(3), x, p), x)
        assert set(np.unique(got)) <= {np.float32(0), np.float32(1 / (1 - p) if p < 1 else 0)}
        assert abs((got == 0).mean() - p) < 0.02
    assert (run(lambda x: nn.dropout(random.key(3), x, 0.9, training=False), x) == 1).all()


def test_dropout_passes_the_gradient_of_what_stays() -> None:
    x = np.ones(1000)
    value, slope = run(lambda x: [y := nn.dropout(random.key(3), x, 0.5), gx.grad(gx.sum(y), x)], x)
    np.testing.assert_array_equal(value, slope)


def test_dropout_of_infinity_is_zero() -> None:
    got = run(lambda x: nn.dropout(random.key(0), x, 1.0), np.array([np.inf, np.nan]))
    assert (got == 0).all()


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(0).normal(size=100_000)
    got = run(lambda x: nn.alpha_dropout(random.key(3), x, 0.3), x)
    assert abs(got.mean()) < 0.02
    assert abs(got.var() - 1) < 0.02
    values, counts = np.unique(got, return_counts=True)
    assert abs(counts.max() / x.size - 0.3) < 0.01
    assert values[counts.argmax()] < -1
    same = run(lambda x: nn.alpha_dropout(random.key(3), x, 0.3, training=False), x)
    np.testing.assert_array_equal(same, x)


def test_rrelu() -> None:
    x = np.array([-1.0] * 10_000 + [2.0] * 10)
    got = run(lambda x: nn.rrelu(random.key(0), x, 0.1, 0.3), x)
    assert (got[x > 0] == 2).all()
    low = -got[x < 0]
    assert low.min() >= 0.1
    assert low.max() <= 0.3
    assert abs(low.mean() - 0.2) < 0.002
    calm = run(lambda x: nn.rrelu(random.key(0), x, 0.1, 0.3, training=False), x)
    np.testing.assert_allclose(calm[x < 0], -0.2, 1e-15)


def test_gumbel_softmax() -> None:
    p = np.array([0.1, 0.6, 0.3])
    rows = np.repeat(np.log(p)[None], 20_000, 0)
    soft, hard = run(
        lambda x: [nn.gumbel_softmax(random.key(0), x, 0.5, hard) for hard in (False, True)], rows
    )
    np.testing.assert_allclose(soft.sum(-1), 1, 1e-14)
    np.testing.assert_array_equal(np.round(hard), np.eye(3)[soft.argmax(-1)])
    np.testing.assert_allclose(hard.mean(0), p, 0, 0.02)
    weights = np.arange(3.0)
    both = [
        slopes(lambda x, h=h: nn.gumbel_softmax(random.key(0), x, 0.5, h) * weights, rows[:5])[0]
        for h in (False, True)
    ]
    np.testing.assert_allclose(both[0], both[1], 1e-12)
    assert np.abs(both[0]).min() > 0


def test_feature_dropout() -> None:
    got = run(lambda x: nn.feature_dropout(random.key(0), x, 0.5), np.ones((8, 16, 3, 3)))
    channels = got.reshape(8, 16, 9)
    assert ((channels == 0).all(-1) | (channels == 2).all(-1)).all()
    assert 0.3 < (channels == 0).mean() < 0.7


def test_dilution() -> None:
    w = np.full((40, 50), 3.0)
    key = random.key(1)
    value = run(lambda w: nn.dilution(key, w, 0.25), w)
    assert set(np.unique(value)) == {0.0, 4.0}
    held, slope = run(
        lambda w: [y := nn.dilution(key, w, 0.25, frozen=True), gx.grad(gx.sum(y), w)], w
    )
    assert (held == 3).all()
    np.testing.assert_array_equal(slope, value / 4)


# --- attention and embedding ---------------------------------------------------------------------


def attention_by_hand(q: Array, k: Array, v: Array, seen: Array) -> Array:
    """Attention in NumPy, for masks that let every query see a key."""
    scores = np.where(seen, q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True) @ v)


def test_attention() -> None:
    draw = np.random.default_rng(0)
    q, k, v = draw.normal(size=(3, 2, 4, 5, 8))
    causal = np.tril(np.ones((5, 5), bool))
    for mask, options in (
        (np.ones((5, 5), bool), {}),
        (causal, {"is_causal": True}),
        (causal, {"attn_mask": causal}),
        (causal, {"attn_mask": np.where(causal, 0, -np.inf)}),
    ):
        got = run(lambda *n, o=options: nn.scaled_dot_product_attention(*n, **o), q, k, v)
        np.testing.assert_allclose(got, attention_by_hand(q, k, v, mask), 0, 1e-14)


def test_grouped_queries_share_keys() -> None:
    draw = np.random.default_rng(0)
    q, (k, v) = draw.normal(size=(2, 6, 5, 8)), draw.normal(size=(2, 2, 3, 7, 8))
    got = run(lambda *n: nn.scaled_dot_product_attention(*n, enable_gqa=True), q, k[:, :], v)
    wide = [np.repeat(x, 2, axis=1) for x in (k, v)]
    want = attention_by_hand(q, *wide, np.ones((5, 7), bool))
    np.testing.assert_allclose(got, want, 0, 1e-14)


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_a_query_that_sees_no_key(kind: str) -> None:
    seen = np.array([[True, False], [False, False]])
    mask = seen if kind == "bool" else np.where(seen, 0.0, -np.inf)
    q = np.random.default_rng(0).normal(size=(2, 3))

    def function(*nodes: Node) -> Node:
        return nn.scaled_dot_product_attention(*nodes, attn_mask=mask)

    value = run(function, q, q, q)
    np.testing.assert_allclose(value, [q[0], [0, 0, 0]])
    for slope in slopes(function, q, q, q):
        assert np.isfinite(slope).all()
    assert (slopes(function, q, q, q)[0][1] == 0).all()


def test_attention_over_no_keys_and_in_no_batch() -> None:
    q, kv = np.ones((2, 4, 3, 5)), np.ones((2, 2, 0, 5))
    for gqa, heads in ((True, 2), (False, 4)):
        keys = np.repeat(kv, heads // 2, axis=1)
        got = run(
            lambda *n, g=gqa: nn.scaled_dot_product_attention(*n, enable_gqa=g), q, keys, keys
        )
        np.testing.assert_array_equal(got, np.zeros(q.shape))
    none, some = q[:0], np.ones((0, 2, 6, 5))
    got = run(lambda *n: nn.scaled_dot_product_attention(*n, enable_gqa=True), none, some, some)
    assert got.shape == none.shape


def test_attention_with_dropout() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))
    options = {"dropout_p": 1.0, "dropout_key": random.key(0)}
    got = run(lambda n: nn.scaled_dot_product_attention(n, n, n, **options), x)
    assert (got == 0).all()


@pytest.mark.parametrize("ids", [2, [0, 3, 3], [[1, 1], [2, -1]]])
def test_embedding(ids: Any) -> None:
    table = np.arange(12.0).reshape(4, 3)
    got, slope = run(
        lambda t: [y := nn.embedding(ids, t, padding_idx=3), gx.grad(gx.sum(y), t)], table
    )
    np.testing.assert_array_equal(got, table[np.array(ids)])
    counts = np.bincount(np.array(ids).reshape(-1) % 4, minlength=4)
    # The padding row gets nothing; an id of -1 is no padding_idx, but it is row 3 all the same.
    np.testing.assert_array_equal(slope[:3], counts[:3, None] * np.ones(3))


@pytest.mark.parametrize(("padding", "rows"), [(-1, 3), (2, 3), (2, "n")])
def test_a_row_of_padding_may_be_counted_from_the_end(padding: int, rows: int | str) -> None:
    ids, table = gx.input("ids", (4,), "int8"), gx.input("table", (rows, 2), "float64")
    slope = gx.grad(gx.sum(nn.embedding(ids, table, padding)), table)
    got = gx.compile([ids, table], slope)(np.array([-1, 2, -3, 1], np.int8), np.ones((3, 2)))
    np.testing.assert_array_equal(got, [[1, 1], [1, 1], [0, 0]])


def test_an_id_out_of_range_gives_nan() -> None:
    assert np.isnan(run(lambda t: nn.embedding([0, 4], t), np.ones((4, 3)))[1]).all()


@pytest.mark.parametrize("size", [0, "n"])
def test_statistics_stay_where_there_are_no_examples(size: int | str) -> None:
    mean, var = gx.variable(np.zeros(2), "mean"), gx.variable(np.ones(2), "var")
    x = gx.input("x", (size, 2), "float64")
    norm = gx.nn.batch_norm(x, mean, var, training=True)
    step = gx.compile([x], norm[0], updates={mean: norm[1], var: norm[2]})
    assert step(np.zeros((0, 2))).shape == (0, 2)
    assert (mean.value.tolist(), var.value.tolist()) == ([0, 0], [1, 1])
    if size == "n":
        step(np.array([[1.0, 2.0], [3.0, 2.0]]))
        np.testing.assert_allclose([mean.value, var.value], [[0.2, 0.2], [1.1, 0.9]])
