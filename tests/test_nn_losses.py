"""The losses by themselves: closed forms, extreme inputs, and what the neural functions refuse.

`test_nn_oracle.py` compares them with PyTorch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import nn
from graphc.ir.node import Node
from tests.refusing import check_refusal

Array = np.ndarray[Any, Any]


def value_and_slopes(function: Callable[..., Node], *arrays: Any) -> tuple[Any, list[Array]]:
    """A function of arrays, and the gradients of the sum of its results by each."""
    values = [np.asarray(array) for array in arrays]
    nodes = [gx.input(f"x{i}", v.shape, v.dtype) for i, v in enumerate(values)]
    result = function(*nodes)
    return tuple(gx.compile(nodes, (result, gx.grad(gx.sum(result), nodes)))(*values))


def value(function: Callable[..., Node], *arrays: Any) -> Any:
    """A function of arrays alone."""
    return value_and_slopes(function, *arrays)[0]


# --- closed forms --------------------------------------------------------------------------------


def log_softmax(x: Array) -> Array:
    """Along axis 1."""
    shifted = x - x.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def test_cross_entropy() -> None:
    draw = np.random.default_rng(0)
    x, goal = draw.normal(size=(6, 4, 3)), draw.integers(0, 4, (6, 3))
    picked = -np.take_along_axis(log_softmax(x), goal[:, None], 1)[:, 0]
    for reduction, want in (("none", picked), ("sum", picked.sum()), ("mean", picked.mean())):
        got = value(lambda x, r=reduction: nn.cross_entropy(x, goal, reduction=r), x)
        np.testing.assert_allclose(got, want, 1e-14)
    one_hot = np.moveaxis(np.eye(4)[goal], -1, 1)
    for smoothing in (0.0, 0.3):
        by_class = value(lambda x, s=smoothing: nn.cross_entropy(x, goal, label_smoothing=s), x)
        by_share = value(lambda x, s=smoothing: nn.cross_entropy(x, one_hot, label_smoothing=s), x)
        np.testing.assert_allclose(by_class, by_share, 1e-14)


def test_the_gradient_of_cross_entropy_is_the_difference() -> None:
    x, goal = np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    _, (slope,) = value_and_slopes(lambda x: nn.cross_entropy(x, goal, reduction="sum"), x)
    np.testing.assert_allclose(slope, np.exp(log_softmax(x)) - np.eye(3)[goal], 0, 1e-15)


def test_ignored_targets() -> None:
    x = np.array([[1.0, 2.0], [np.nan, np.inf], [0.0, 3.0]])
    got, (slope,) = value_and_slopes(
        lambda x: nn.cross_entropy(x, np.array([0, -100, 1]), weight=np.array([2.0, 1.0])), x
    )
    rows = -log_softmax(x[[0, 2]])
    assert math.isclose(got, (2 * rows[0, 0] + rows[1, 1]) / 3, rel_tol=1e-14)
    assert np.isfinite(slope[[0, 2]]).all()
    assert np.isnan(value(lambda x: nn.cross_entropy(x, np.full(3, -100)), x))


def test_differences() -> None:
    x, y = np.array([0.0, 1.0, -4.0]), np.array([0.5, 1.0, 2.0])
    for function, want in (
        (nn.mean_squared_error, (0.25 + 36) / 3),
        (nn.l1_loss, 6.5 / 3),
        (nn.huber_loss, (0.125 + 5.5) / 3),
        (nn.smooth_l1_loss, (0.125 + 5.5) / 3),
        (lambda x, y: nn.huber_loss(x, y, delta=2.0), (0.125 + 2 * 5) / 3),
        (lambda x, y: nn.smooth_l1_loss(x, y, beta=0.25), (0.375 + 5.875) / 3),
    ):
        assert math.isclose(value(function, x, y), want, rel_tol=1e-14)
    hinge = value(nn.hinge_loss, np.array([2.0, 0.5, 0.5]), np.array([1.0, 1.0, -1.0]))
    assert math.isclose(hinge, (0 + 0.5 + 1.5) / 3)


def test_divergence_of_a_distribution_from_itself() -> None:
    p = np.array([[0.1, 0.2, 0.7]])
    assert abs(value(lambda p: nn.kl_divergence(gx.log(p), p), p)) < 1e-16
    q = np.log(np.array([[0.3, 0.3, 0.4]]))
    plain = value(nn.kl_divergence, q, p)
    np.testing.assert_allclose(
        value(lambda q: nn.kl_divergence(q, np.log(p), log_target=True), q), plain
    )


def test_gaussian_is_the_density() -> None:
    got = value(lambda x: nn.gaussian_nll_loss(x, 1.5, 4.0, full=True), 0.5)
    assert math.isclose(got, 0.5 * math.log(2 * math.pi * 4) + 0.125)


def test_margins() -> None:
    x, y = np.array([2.0, 0.5, -1.0]), np.array([1.0, -1.0, 1.0])
    for function, want in (
        (nn.soft_margin_loss, np.log1p(np.exp(-x * y)).mean()),
        (nn.hinge_embedding_loss, (2 + 0.5 - 1) / 3),
        (lambda x, y: nn.margin_ranking_loss(x, 0.0, y, 0.25), (0 + 0.75 + 1.25) / 3),
    ):
        assert math.isclose(value(function, x, y), want, rel_tol=1e-14)


def test_losses_of_bits() -> None:
    x, bits = np.array([[2.0, -1.0]]), np.array([[1.0, 0.0]])
    p = 1 / (1 + np.exp(-x))
    want = -np.log([p[0, 0], 1 - p[0, 1]])
    got = value(lambda x, y: nn.multi_label_soft_margin_loss(x, y, reduction="none"), x, bits)
    np.testing.assert_allclose(got, [want.mean()], 1e-14)
    got = value(lambda p, y: nn.binary_cross_entropy(p, y, reduction="none"), p, bits)
    np.testing.assert_allclose(got, want[None], 1e-13)
    got = value(lambda x, y: nn.sigmoid_focal_loss(x, y, None, 0.0, "none"), x, bits)
    np.testing.assert_allclose(got, want[None], 1e-14)
    got = value(lambda x, y: nn.sigmoid_focal_loss(x, y, 0.25, 2.0, "none"), x, bits)
    wrong = np.array([1 - p[0, 0], p[0, 1]])
    np.testing.assert_allclose(got, (want * wrong**2 * [0.25, 0.75])[None], 1e-13)


def test_certain_probabilities_have_finite_slopes() -> None:
    p, bits = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    got, slopes = value_and_slopes(
        lambda p, y: nn.binary_cross_entropy(p, y, reduction="none"), p, bits
    )
    assert got.tolist() == [0, 0, 100, 100]
    assert np.isfinite(slopes).all()


def test_a_picked_class_adds_up_no_other_gradient() -> None:
    """The gradient is the softmax less 1 at the class: one sum over the classes, that of exp."""
    scores = gx.input("scores", (5, 7), "float64")
    for loss in (
        nn.cross_entropy(scores, [0, 1, 2, 3, 4], reduction="sum"),
        gx.sum(gx.softmax_cross_entropy(scores, [0, 1, 2, 3, 4])),
    ):
        graph = gx.Graph((scores,), (gx.grad(loss, scores),))
        sums = [node for node in graph.walk() if node.op.name == "sum" and node.inputs[0].ndim == 2]
        assert [node.inputs[0].op.name for node in sums] == ["exp"]


def test_contrast() -> None:
    # Orthogonal directions: each query is its positive, and tells nothing of the others.
    got = value(lambda x: nn.info_nce(x, x, 0.5), 3 * np.eye(4))
    assert math.isclose(got, math.log(1 + 3 * math.exp(-2)), rel_tol=1e-13)


# --- extreme inputs ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_scores(dtype: str) -> None:
    x = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4]], dtype)
    goal = np.array([0, 1])
    for function, want in (
        (lambda x: nn.cross_entropy(x, goal, reduction="none"), [0, math.log(2)]),
        (
            lambda x: nn.binary_cross_entropy_with_logits(x, gx.ones_like(x), reduction="none"),
            [[0, 1e4, math.log(2)], [1e4, 0, 0]],
        ),
    ):
        got, slopes = value_and_slopes(function, x)
        np.testing.assert_allclose(got, want, 1e-6)
        assert np.isfinite(slopes[0]).all()


def test_impossible_classes() -> None:
    x = np.array([[0.0, -np.inf, 1.0]])
    for target in (np.array([0]), np.array([[0.5, 0.0, 0.5]])):
        got, (slope,) = value_and_slopes(lambda x, t=target: nn.cross_entropy(x, t), x)
        assert np.isfinite(got)
        assert np.isfinite(slope).all()
    assert np.isposinf(value(lambda x: nn.cross_entropy(x, np.array([1])), x))
    got, slopes = value_and_slopes(nn.kl_divergence, x, np.array([[0.5, 0.0, 0.5]]))
    assert np.isfinite([got, *np.ravel(slopes)]).all()


def test_infinite_errors_have_finite_slopes() -> None:
    x, y = np.array([np.inf, -np.inf]), np.zeros(2)
    for function in (nn.huber_loss, nn.smooth_l1_loss, nn.l1_loss):
        got, slopes = value_and_slopes(lambda x, y, f=function: f(x, y, reduction="sum"), x, y)
        assert got == np.inf
        np.testing.assert_array_equal(slopes[0], [1, -1])


def test_vectors_of_zeros_have_finite_slopes() -> None:
    zero, x = np.zeros((2, 3)), np.ones((2, 3))
    for function in (
        nn.cosine_similarity,
        lambda x, y: nn.cosine_embedding_loss(x, y, np.array([1, -1])),
        lambda x, y: nn.pairwise_distance(x, y, eps=0.0),
        lambda x, y: nn.pairwise_distance(x, y, p=3.0, eps=0.0),
        lambda x, y: nn.triplet_margin_loss(x, y, y, eps=0.0),
        nn.info_nce,
        lambda x, y: nn.normalize(x, 3.0, eps=1e-6) * y,
    ):
        for other in (zero, x):
            got, slopes = value_and_slopes(function, zero, other)
            assert np.isfinite(got).all()
            assert all(np.isfinite(slope).all() for slope in slopes)


def test_counts_of_zero_and_variances_of_zero() -> None:
    x, y = np.array([1.0, 2.0]), np.array([0.0, 1.0])
    got, slopes = value_and_slopes(lambda x, y: nn.poisson_nll_loss(x, y, full=True), x, y)
    assert np.isfinite([got, *np.ravel(slopes)]).all()
    got, slopes = value_and_slopes(nn.gaussian_nll_loss, x, y, np.zeros(2))
    assert np.isfinite([got, *np.ravel(slopes)]).all()


@pytest.mark.parametrize("count", [20000, 70000])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_means_over_more_examples_than_16_bits_count(dtype: str, count: int) -> None:
    x = np.zeros((count, 4), np.float32)
    x[:, 0] = 8
    goal, weight = np.ones(count, np.int64), np.array([1.0, 0.5, 1.0, 1.0])
    rest = 1 - (4 - 1) / (math.exp(8) + 3)  # the softmax of the first class
    for loss in (
        lambda x: nn.cross_entropy(x, goal),
        lambda x: nn.cross_entropy(x, goal, weight),
        lambda x: nn.negative_log_likelihood(gx.log_softmax(x), goal),
        lambda x: nn.kl_divergence(
            gx.log_softmax(x), np.eye(4, dtype=x.dtype.numpy)[goal], "batchmean"
        ),
    ):
        scores = gx.input("scores", (count, 4), "float32")
        short = gx.cast(scores, dtype)
        value = loss(short)
        assert value.dtype == short.dtype
        results = [gx.cast(value, "float32"), gx.cast(gx.grad(value, short), "float32")]
        got, slope = gx.compile([scores], results)(x)
        np.testing.assert_allclose(got, 8 + math.log(1 + 3 * math.exp(-8)), 2.0**-7)
        # Slopes of a 70000th are among the least numbers of float16, 6e-8 apart.
        np.testing.assert_allclose(slope[:, 0], rest / count, 2.0**-7, 2 * 6e-8)
        np.testing.assert_allclose(slope[:, 1], -1 / count, 2.0**-7, 2 * 6e-8)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("delta", [np.inf, 1e5])
def test_no_end_of_the_square(dtype: str, delta: float) -> None:
    x, y = np.array([1.0, -4.0, 0.0], dtype), np.zeros(3, dtype)
    got, slopes = value_and_slopes(
        lambda x, y: nn.huber_loss(x, y, reduction="none", delta=delta), x, y
    )
    np.testing.assert_array_equal(got, [0.5, 8, 0])
    np.testing.assert_array_equal(slopes[0], x)


def test_a_variance_without_bound() -> None:
    got, slopes = value_and_slopes(nn.gaussian_nll_loss, [1.0], [0.0], [np.inf])
    assert got == np.inf
    np.testing.assert_array_equal(slopes, np.zeros((3, 1)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "uint64"])
def test_a_number_that_targets_cannot_be_is_never_ignored(dtype: str) -> None:
    x, goal = np.eye(3), np.array([0, 1, 2])
    targets = goal.astype(dtype)
    want = value(lambda x: nn.cross_entropy(x, goal), x)
    assert value(lambda x: nn.cross_entropy(x, targets), x) == want
    for ignored in (-1000, 2**64):
        got = value(lambda x, n=ignored: nn.cross_entropy(x, targets, ignore_index=n), x)
        assert got == want


# --- refusals ------------------------------------------------------------------------------------

x = gx.input("x", (4, 6, 5), "float32")
two = gx.input("two", (4, 6), "float32")
labels = gx.input("labels", (4,), "int64")
KEY = gx.constant(np.zeros(2, np.uint32))

REFUSED: Sequence[tuple[Callable[[], Any], str]] = (
    (lambda: nn.gelu(x, "sigmoid"), 'gelu: approximate must be "none" or "tanh", not'),
    (lambda: nn.celu(x, 0.0), "celu: alpha must not be 0"),
    (lambda: nn.hard_tanh(x, 1.0, 0.0), "hard_tanh: min_val 1.0 must be below max_val 0.0"),
    (lambda: nn.soft_shrink(x, -1.0), "soft_shrink: lambd must be at least 0, not -1.0"),
    (lambda: nn.glu(x), "glu: axis 2 must be a multiple of 2"),
    (lambda: nn.maxout(x, 4), "maxout: 4 pieces do not divide axis 2"),
    (lambda: nn.layer_norm(x, 6), "layer_norm: the last axes of x must have the shape (6,)"),
    (lambda: nn.layer_norm(x, 5, gx.ones(4)), "weight and bias must have shape (5,), not (4,)"),
    (lambda: nn.rms_norm(x, (4, 5)), "rms_norm: the last axes of x must have the shape (4, 5)"),
    (lambda: nn.group_norm(x, 4), "group_norm: 4 groups do not divide 6 channels"),
    (lambda: nn.instance_norm(two), "instance_norm: needs axes after the channels"),
    (lambda: nn.batch_norm(x, gx.zeros(5), gx.ones(5)), "must have shape (6,), not (5,)"),
    (lambda: nn.batch_norm(labels, 0.0, 1.0), "batch_norm: x must be (batch, channels, ...)"),
    (lambda: nn.local_response_norm(x, 0), "needs size >= 1 and axis 1, not 0"),
    (lambda: nn.dropout(KEY, x, 1.5), "dropout: p must be a number from 0 to 1, not 1.5"),
    (lambda: nn.dropout(labels, x), "dropout: the key must be u32[2], this is i64[4]"),
    (lambda: nn.feature_dropout(KEY, gx.ones(3)), "x must be (batch, channels, ...)"),
    (lambda: nn.embedding(x, two), "embedding: ids must be integers, these are float32"),
    (lambda: nn.embedding(labels, x), "embedding: the table must have two axes"),
    (lambda: nn.embedding(labels, two, 4), "embedding: padding_idx 4 is out of range"),
    (lambda: nn.scaled_dot_product_attention(x, two, two), "must agree in the last axis"),
    (lambda: nn.scaled_dot_product_attention(labels, x, x), "operands need at least 2 axes"),
    (
        lambda: nn.scaled_dot_product_attention(x, x, x, gx.ones((7, 1, 1, 1))),
        "the mask must broadcast to the scores (4, 6, 6)",
    ),
    (lambda: nn.scaled_dot_product_attention(x, x, x, dropout_p=0.5), "needs a dropout_key"),
    (
        lambda: nn.scaled_dot_product_attention(x, x[:3], x[:3], enable_gqa=True),
        "divide those of queries, not 3, 3 and 4",
    ),
    (lambda: nn.cross_entropy(two, two[:, :3]), "probabilities and scores must have one shape"),
    (lambda: nn.cross_entropy(two, labels[:3]), "class numbers must have shape (4,), that of the"),
    (lambda: nn.cross_entropy(two, labels, gx.ones(5)), "weight must have shape (6,), one number"),
    (lambda: nn.cross_entropy(two, labels, reduction="all"), 'must be "mean", "sum" or "none"'),
    (lambda: nn.cross_entropy(two, labels, label_smoothing=2), "must be 0 to 1, not 2"),
    (lambda: nn.negative_log_likelihood(two, two), "class numbers must be integers, not float32"),
    (lambda: nn.multi_margin_loss(two, labels, p=3), "multi_margin_loss: p must be 1 or 2, not 3"),
    (lambda: nn.huber_loss(x, x, delta=0), "huber_loss: delta must be positive, not 0"),
    (lambda: nn.smooth_l1_loss(x, x, beta=-1), "beta must not be negative, not -1"),
    (lambda: nn.kl_divergence(gx.sum(x), 1.0, "batchmean"), "batchmean needs a first axis"),
    (lambda: nn.mean_squared_error(x, two), "do not broadcast"),
    (lambda: nn.pairwise_distance(x, x, 0), "pairwise_distance: p must be positive, not 0"),
    (lambda: nn.softplus(x, 0.0), "softplus: beta must be positive, not 0.0"),
    (lambda: nn.alpha_dropout(KEY, x, 1.0), "alpha_dropout: p must be below 1"),
    (lambda: nn.rrelu(KEY, x, 0.5, 0.1), "rrelu: lower 0.5 must be at most upper 0.1"),
    (lambda: nn.gumbel_softmax(KEY, x, 0.0), "gumbel_softmax: tau must be positive, not 0.0"),
    (lambda: nn.gumbel_softmax(KEY, x, 1.0, True, 3), "axis 3 is out of range for 3 axes"),
    (lambda: nn.normalize(x, axis=4), "axis 4 is out of range for 3 axes"),
    (lambda: nn.sigmoid_focal_loss(x, x, gamma=0.5), "gamma must be 0 or at least 1, not 0.5"),
    (lambda: nn.sigmoid_focal_loss(x, x, alpha=2.0), "alpha must be 0 to 1 or None, not 2.0"),
    (lambda: nn.binary_cross_entropy(x, two), "do not broadcast"),
    (lambda: nn.soft_margin_loss(x, x, "all"), 'soft_margin_loss: reduction must be "mean"'),
    (lambda: nn.margin_ranking_loss(x, x, two), "do not broadcast"),
    (lambda: nn.hinge_embedding_loss(x, two), "do not broadcast"),
    (lambda: nn.multi_label_soft_margin_loss(1.0, 1.0), "needs an axis of classes"),
    (lambda: nn.group_norm(x, 3, layout="NHWC"), 'the layout of f32[4, 6, 5] is "NCW" or "NWC"'),
    (lambda: nn.info_nce(x, x), "info_nce: query and positive must be (batch, width) alike"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call: Callable[[], Any], message: str) -> None:
    check_refusal(call, message, __file__)
