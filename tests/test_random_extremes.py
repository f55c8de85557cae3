"""Random numbers at the ends of what a dtype holds: bounds, weights, logits, parameters."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from draws import run

import graphc as gx
from graphc import random
from tests.refusing import check_refusal

KEY = random.key(3)
INFINITY = float("inf")


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("int8", -100, 100), ("int8", 0, 128), ("uint8", 0, 256), ("int16", -30_000, 30_000),
        ("int32", -(2**31), 2**31), ("int64", 0, 2**32), ("int64", -(2**63), -(2**63) + 9),
        ("uint64", 2**64 - 5, 2**64 - 1),
    ],
)  # fmt: skip
def test_integers_between_nodes_are_those_between_numbers(dtype: str, low: int, high: int) -> None:
    kind = "int64" if high < 2**63 else "uint64"
    first, last = gx.input("first", (), kind), gx.input("last", (), kind)
    step = gx.compile([first, last], random.randint(KEY, (5000,), first, last, dtype))
    found = step(np.array(low, kind), np.array(high, kind))
    np.testing.assert_array_equal(found, run(random.randint(KEY, (5000,), low, high, dtype)))
    whole = found.astype(object)
    assert low <= min(whole) <= max(whole) < high
    assert max(whole) - min(whole) > 0.99 * (high - low) - 1.5


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("float16", -4e4, 4e4), ("float32", -3e38, 3e38), ("float64", -1e308, 1.5e308)],
)
@pytest.mark.parametrize("nodes", [False, True])
def test_uniform_numbers_of_a_range_beyond_the_dtype(
    dtype: str, low: float, high: float, nodes: bool
) -> None:
    bounds = (gx.constant(np.array(low, dtype)), gx.constant(np.array(high, dtype)))
    found = run(random.uniform(KEY, (5000,), dtype, *(bounds if nodes else (low, high))))
    parts = np.histogram(found.astype(np.float64) / high, 10, (low / high, 1.0))[0]
    assert parts.sum() == 5000
    assert np.abs(parts - 500).max() < 110  # five standard deviations


def test_classes_of_large_logits_are_as_likely_as_of_small_ones() -> None:
    for logits in (np.float32([1e9, 1e9]), np.float64([1e18, 1e18]), np.float16([6e4, 6e4])):
        found = run(random.categorical(KEY, logits, shape=(2000,)))
        assert 880 < found.sum() < 1120
    small = np.float32([-np.inf, 0, 1])
    found = run(random.categorical(KEY, small, shape=(2000,)))
    np.testing.assert_array_equal(
        found, run(random.categorical(KEY, small + np.float32(64), shape=(2000,)))
    )
    assert set(found) == {1, 2}


THIRDS = ([1e308] * 3, [1 / 3] * 3)
HALVES = ([5e-324, 5e-324, 0], [0.5, 0.5, 0])
QUARTERS = ([0, 1, 3], [0, 0.25, 0.75])


@pytest.mark.parametrize(("weights", "chances"), [THIRDS, HALVES, QUARTERS])
def test_choice_by_weights_of_any_scale(weights: list[float], chances: list[float]) -> None:
    found = run(random.choice(KEY, 3, (4000,), p=np.array(weights)))
    counts = np.bincount(found, minlength=3)
    assert len(counts) == 3
    assert np.abs(counts / 4000 - chances).max() < 0.04


def test_choice_of_symbolic_parts_without_replacement() -> None:
    x = gx.input("x", ("n",), "float32")
    step = gx.compile([x], random.choice(KEY, x, (3,), replace=False))
    found = step(np.arange(5, dtype=np.float32))
    assert found.shape == (3,)
    assert len(set(found)) == 3
    with pytest.raises(gx.GraphError, match=r"takes 3 elements .* which has 2"):
        step(np.arange(2, dtype=np.float32))


def test_nothing_of_nothing_can_be_chosen() -> None:
    assert run(random.choice(KEY, 0, (0,))).shape == (0,)
    assert run(random.choice(KEY, 4, (0, 2))).shape == (0, 2)


def test_counts_beyond_the_dtype_are_its_largest_number() -> None:
    assert set(run(random.poisson(KEY, 1000.0, (9,), "int8"))) == {127}
    assert set(run(random.binomial(KEY, 100_000, 0.5, (9,), "int16"))) == {32767}
    assert set(run(random.multinomial(KEY, 1000, [0.0, 1.0], dtype="uint8"))) == {0, 255}
    assert set(run(random.poisson(KEY, -1.0, (9,), "int8"))) == {-1}
    assert set(run(random.poisson(KEY, -1.0, (9,), "uint8"))) == {255}


def test_geometric_numbers_of_no_probability_are_marked() -> None:
    found = run(random.geometric(KEY, np.array([np.nan, 1.5, -0.1, 1.0, 0.0])))
    assert list(found[:4]) == [-1, -1, -1, 1]
    assert found[4] == 2**63 - 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers_far_out(dtype: str) -> None:
    end = 12.5 if dtype == "float32" else 37.0
    for low, high in ((end, INFINITY), (-INFINITY, -end), (end, end + 0.05), (-end - 0.05, -end)):
        found = np.abs(run(random.truncated_normal(KEY, low, high, (4000,), dtype)))
        assert np.isfinite(found).all()
        assert found.min() >= end
        mean = found.mean() - end  # of an exponential number of that rate, nearly
        expected = 1 / end - (0.05 / np.expm1(0.05 * end) if abs(high - low) < 1 else 0)
        assert abs(mean / expected - 1) < 0.08


REFUSED: Sequence[tuple[Callable[[], Any], str]] = (
    (lambda: random.truncated_normal(KEY, 14, INFINITY), "float32 has no number for its prob"),
    (lambda: random.truncated_normal(KEY, -16, -15), "[-16, -15] is so far out that float32"),
    (lambda: random.truncated_normal(KEY, 39, 40, (), "float64"), "that float64 has no number"),
    (lambda: random.uniform(KEY, (), low=0, high=INFINITY), "0 and inf are not both numbers of"),
    (lambda: random.uniform(KEY, (), "float16", 0, 1e5), "not both numbers of float16"),
    (lambda: random.rademacher(KEY, (2,), "uint8"), "rademacher: uint8 has no -1"),
    (lambda: random.rademacher(KEY, (2,), "bool"), "rademacher: bool has no -1"),
    (lambda: random.choice(KEY, 0, (2,)), "choice: there is nothing to take 2 parts of"),
    (
        lambda: random.randint(KEY, (), gx.constant(np.int64(0)), 300, "uint8"),
        "numbers up to 299 do not fit uint8",
    ),
    (
        lambda: random.randint(KEY, (), -1, gx.constant(np.int64(0)), "uint8"),
        "numbers from -1 on do not fit uint8",
    ),
)


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call: Callable[[], Any], message: str) -> None:
    check_refusal(call, message, __file__)
