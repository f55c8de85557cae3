"""CTC: all paths counted, extreme inputs, single examples, symbolic sizes, PyTorch, refusals.

`test_nn_oracle.py` compares second derivatives, too.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import nn
from tests.refusing import check_refusal

Array = np.ndarray[Any, Any]


def loss_and_slope(scores: Array, *arguments: Any, **options: Any) -> tuple[Array, Array]:
    """The loss of scores and the gradient of its sum."""
    x = gx.input("x", scores.shape, scores.dtype)
    loss = nn.ctc_loss(gx.log_softmax(x), *arguments, **options)
    value, slope = gx.compile([x], [loss, gx.grad(gx.sum(loss), x)])(scores)
    return value, slope


def scores_of(*shape: int) -> Array:
    """Random scores."""
    return np.random.default_rng(0).normal(size=shape)


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    """What a path reads as, with blank 0."""
    return tuple(c for c, _ in itertools.groupby(path) if c)


def test_every_reading_of_every_path_is_counted() -> None:
    """The probabilities of all labels that fit add up to 1."""
    steps, classes = 4, 3
    paths = itertools.product(range(classes), repeat=steps)
    readings = sorted({collapsed(path) for path in paths})
    targets = np.zeros((len(readings), steps), int)
    for row, reading in enumerate(readings):
        targets[row, : len(reading)] = reading
    counts = np.array([len(reading) for reading in readings])
    scores = np.repeat(scores_of(steps, 1, classes), len(readings), 1)
    lengths = np.full(len(readings), steps)
    costs, _ = loss_and_slope(scores, targets, lengths, counts, reduction="none")
    assert abs(np.exp(-costs).sum() - 1) < 1e-14


def test_costs_by_hand() -> None:
    uniform = np.zeros((3, 4, 2))
    targets = np.array([[1, 0], [1, 1], [1, 1], [9, 9]])
    lengths, counts = np.array([3, 3, 2, 3]), np.array([1, 2, 2, 0])
    costs, _ = loss_and_slope(uniform, targets, lengths, counts, reduction="none")
    # Of eight paths six read as 1 and one as 11; two steps cannot say 11; one path says nothing.
    np.testing.assert_allclose(costs, [math.log(8 / 6), math.log(8), math.inf, math.log(8)], 1e-14)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_what_cannot_be_read_costs_infinity_without_gradient(reduction: str) -> None:
    scores = scores_of(4, 3, 5)
    targets, lengths, counts = np.array([[1, 2], [3, 3], [4, 4]]), np.array([1, 2, 4]), [2, 2, 2]
    arguments = (targets, lengths, np.array(counts))
    costs, slope = loss_and_slope(scores, *arguments, reduction=reduction)
    spared, other = loss_and_slope(scores, *arguments, reduction=reduction, zero_infinity=True)
    assert np.isinf(costs).any()
    assert np.isfinite(spared).all()
    for found in (slope, other):
        assert (found[:, :2] == 0).all()
        assert np.isfinite(found).all()
        assert np.abs(found[:, 2]).min() > 0


def test_impossible_classes_have_finite_slopes() -> None:
    scores = scores_of(3, 1, 3)
    scores[1, 0, 2] = -np.inf
    x = gx.input("x", scores.shape, "float64")
    loss = nn.ctc_loss(x, [[1, 2]], [3], [2])
    slope = gx.grad(loss, x)
    second = gx.grad(gx.sum(slope * slope), x)
    cost, first, twice = gx.compile([x], [loss, slope, second])(scores)
    assert np.isfinite(cost)
    assert np.isfinite(first).all()
    assert np.isfinite(twice).all()


def test_one_example_and_no_steps() -> None:
    scores = scores_of(5, 3)
    alone, slope = loss_and_slope(scores, [1, 2], 4, 2, reduction="none")
    batch, slopes = loss_and_slope(scores[:, None], [[1, 2]], [4], [2], reduction="none")
    assert alone.shape == ()
    assert alone == batch[0]
    np.testing.assert_array_equal(slope, slopes[:, 0])
    targets = np.array([[1], [1]])
    costs, _ = loss_and_slope(scores_of(2, 2, 3), targets, [0, 0], [0, 1], reduction="none")
    assert costs.tolist() == [0, math.inf]


def test_what_is_out_of_range_gives_nan() -> None:
    targets, lengths = np.array([[1, 2]] * 4), np.array([3, 9, 3, 3])
    costs, _ = loss_and_slope(
        scores_of(4, 4, 3), targets, lengths, np.array([2, 2, 3, -1]), reduction="none"
    )
    assert np.isnan(costs).tolist() == [False, True, True, True]
    targets[0, 1] = 3
    assert np.isnan(loss_and_slope(scores_of(4, 4, 3), targets, [3] * 4, [2] * 4)[0])


def test_long_sequences_stay_finite() -> None:
    time = 400
    scores = (3 * scores_of(time, 1, 10)).astype(np.float32)
    targets = 1 + np.arange(100)[None] % 9
    cost, slope = loss_and_slope(scores, targets, [time], [100], reduction="sum")
    wide, right = loss_and_slope(scores.astype(np.float64), targets, [time], [100], reduction="sum")
    np.testing.assert_allclose(cost, wide, rtol=1e-5)
    np.testing.assert_allclose(slope, right, atol=1e-3)
    # Each step's gradient is the softmax less the probability of what the paths say there.
    np.testing.assert_allclose(right.sum(-1), 0, atol=1e-12)


def test_symbolic_sizes() -> None:
    x = gx.input("x", ("time", "batch", 4), "float64")
    targets = gx.input("targets", ("batch", "labels"), "int64")
    lengths = [gx.input(name, ("batch",), "int64") for name in ("ends", "counts")]
    loss = nn.ctc_loss(gx.log_softmax(x), targets, *lengths, reduction="none")
    step = gx.compile([x, targets, *lengths], loss)
    for time, batch, labels in ((3, 2, 1), (5, 1, 2), (4, 3, 0), (2, 0, 2)):
        scores, goal = scores_of(time, batch, 4), np.ones((batch, labels), int) + np.arange(labels)
        ends, counts = np.full(batch, time), np.full(batch, labels)
        want, _ = loss_and_slope(scores, goal, ends, counts, reduction="none")
        np.testing.assert_allclose(step(scores, goal, ends, counts), want, rtol=1e-13)


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(8))
def test_as_pytorch(seed: int) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(seed)
    time, batch, classes, labels = 12, 5, 4, 5
    scores = 2 * random.normal(size=(time, batch, classes))
    blank = int(random.integers(classes))
    others = [c for c in range(classes) if c != blank]
    targets = random.choice(others, (batch, labels))
    ends, counts = random.integers(1, time + 1, batch), random.integers(0, labels + 1, batch)
    word, spare = ("none", "sum", "mean")[seed % 3], seed % 2 == 0
    options = {"reduction": word, "zero_infinity": spare}
    got, slope = loss_and_slope(scores, targets, ends, counts, blank, **options)
    x = torch.tensor(scores, requires_grad=True)
    given = [torch.tensor(part) for part in (targets, ends, counts)]
    want = torch.nn.functional.ctc_loss(x.log_softmax(-1), *given, blank, **options)
    np.testing.assert_allclose(got, want.detach(), rtol=1e-13)
    (right,) = torch.autograd.grad(want.sum(), x)
    # Where a cost is infinite PyTorch's gradient is NaN, this one 0.
    known = np.nan_to_num(right.numpy())
    np.testing.assert_allclose(slope, known, atol=1e-13)


scores = gx.zeros((4, 2, 3))
labels, ends = gx.zeros((2, 2), "int64"), gx.ones(2, "int64")
REFUSED: Sequence[tuple[Callable[[], Any], str]] = (
    (lambda: nn.ctc_loss(scores, labels[0], ends, ends), "(4, 2, 3) and targets of shape (2,)"),
    (lambda: nn.ctc_loss(scores[0, 0], labels, ends, ends), "must be (time, batch, classes)"),
    (lambda: nn.ctc_loss(scores, labels[:1], ends, ends), "must be (time, batch, classes)"),
    (lambda: nn.ctc_loss(scores, gx.zeros((2, 2)), ends, ends), "targets must be integers of"),
    (lambda: nn.ctc_loss(scores, labels, 3, ends), "input_lengths must be integers of shape (2,)"),
    (lambda: nn.ctc_loss(scores, labels, ends, gx.ones(2)), "target_lengths must be integers"),
    (lambda: nn.ctc_loss(scores, labels, ends, ends, 3), "blank must be one of 3 classes, not 3"),
    (lambda: nn.ctc_loss(scores, labels, ends, ends, reduction="all"), 'must be "mean", "sum" or'),
)


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call: Callable[[], Any], message: str) -> None:
    check_refusal(call, message, __file__)
