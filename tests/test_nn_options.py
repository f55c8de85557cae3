"""Options of the neural functions: numbers of every kind, and a message for what is none."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import nn
from graphc.ir.node import Node

KEY = gx.constant(np.zeros(2, np.uint32))
x = gx.input("x", (4, 6), "float16")
image = gx.input("image", (1, 2, 4, 4), "float32")
labels = gx.input("labels", (4,), "int64")
table = gx.zeros((5, 2))

TAKING: dict[str, Callable[[Any], Node]] = {
    "dropout": lambda half: nn.dropout(KEY, x, half),
    "feature_dropout": lambda half: nn.feature_dropout(KEY, x, half),
    "alpha_dropout": lambda half: nn.alpha_dropout(KEY, x, half),
    "dilution": lambda half: nn.dilution(KEY, x, half, frozen=True),
    "rrelu": lambda half: nn.rrelu(KEY, x, half, half),
    "gumbel_softmax": lambda half: nn.gumbel_softmax(KEY, x, half),
    "label_smoothing": lambda half: nn.cross_entropy(x, labels, label_smoothing=half),
    "huber_loss": lambda half: nn.huber_loss(x, 0.0, delta=half),
    "smooth_l1_loss": lambda half: nn.smooth_l1_loss(x, 0.0, beta=half),
    "focal alpha": lambda half: nn.sigmoid_focal_loss(x, 0.0, half),
    "pairwise_distance": lambda half: nn.pairwise_distance(x, 0.0, half),
    "normalize": lambda half: nn.normalize(x, half),
    "softplus": lambda half: nn.softplus(x, half),
    "soft_shrink": lambda half: nn.soft_shrink(x, half),
    "hard_tanh": lambda half: nn.hard_tanh(x, 0, half),
    "celu": lambda half: nn.celu(x, half),
}
"""Functions of one option, of which a half is a value."""


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.parametrize(
    "half", [np.float16(0.5), np.float32(0.5), np.float64(0.5), Fraction(1, 2)]
)
def test_every_kind_of_number_is_that_number(name: str, half: Any) -> None:
    """Equal nodes are one node: neither value nor dtype depend on the kind."""
    want = TAKING[name](0.5)
    assert TAKING[name](half) is want


@pytest.mark.parametrize("name", TAKING)
@pytest.mark.parametrize("value", ["a", None, 1j, np.ones(2)])
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    if name == "focal alpha" and value is None:  # which stands for no weights
        return
    with pytest.raises(gx.GraphError, match="must be a") as error:
        TAKING[name](value)
    assert error.value.where is not None
    assert error.value.where.file == __file__


@pytest.mark.parametrize(
    "scale", [2, np.int8(2), 2.0, np.float32(2), Fraction(2), (2, np.float16(2))]
)
def test_scales(scale: Any) -> None:
    for mode in ("nearest", "linear"):
        assert nn.resize(image, scale=scale, mode=mode).shape == (1, 2, 8, 8)


def test_a_momentum_may_be_a_node() -> None:
    pace = gx.input("pace", (), "float64")
    moved = nn.batch_norm(np.ones((2, 1)), [0.0], [1.0], training=True, momentum=pace)  # type: ignore[arg-type]
    got = gx.compile([pace], [moved.running_mean])(np.float64(0.25))
    np.testing.assert_array_equal(got, [[0.25]])


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "padding_idx": (
        lambda: nn.embedding(labels, table, 1.5),  # type: ignore[arg-type]
        "embedding: padding_idx must be an integer or None, not 1.5",
    ),
    "padding_idx of a word": (
        lambda: nn.embedding(labels, table, "a"),  # type: ignore[arg-type]
        "embedding: padding_idx must be an integer or None, not 'a'",
    ),
    "ignore_index": (
        lambda: nn.cross_entropy(x, labels, ignore_index=1.5),  # type: ignore[arg-type]
        "cross_entropy: ignore_index must be an integer, not 1.5",
    ),
    "no ignore_index": (
        lambda: nn.negative_log_likelihood(x, labels, ignore_index=None),  # type: ignore[arg-type]
        "negative_log_likelihood: ignore_index must be an integer, not None",
    ),
    "sizes": (
        lambda: nn.resize(image, 2.5),  # type: ignore[arg-type]
        "resize: sizes must be an integer >= 1, or one for each of 2 spatial axes, not 2.5",
    ),
    "scale": (
        lambda: nn.resize(image, scale=np.inf),
        "resize: scale is a finite number > 0, or one for each of 2 axes, not inf",
    ),
    "scale of words": (
        lambda: nn.resize(image, scale="22"),  # type: ignore[arg-type]
        "resize: scale is a finite number > 0, or one for each of 2 axes, not '22'",
    ),
    "affine_grid": (
        lambda: nn.affine_grid(gx.zeros((1, 2, 3)), None),  # type: ignore[arg-type]
        "affine_grid: sizes must be two or three integers, not None",
    ),
    "momentum": (
        lambda: nn.batch_norm(x, gx.zeros(6), gx.ones(6), training=True, momentum=None),  # type: ignore[arg-type]
        "batch_norm: momentum must be a real number, not None",
    ),
    "groups": (
        lambda: nn.group_norm(x, "a"),  # type: ignore[arg-type]
        "group_norm: 'a' groups do not divide 6 channels",
    ),
    "neighbours": (
        lambda: nn.local_response_norm(x, None),  # type: ignore[arg-type]
        "local_response_norm: needs size >= 1 and axis 1, not None",
    ),
    "pieces": (
        lambda: nn.maxout(x, None),  # type: ignore[arg-type]
        "maxout: None pieces do not divide axis 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    assert message in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.file == __file__
