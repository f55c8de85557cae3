"""Random orders and choices: every one as likely as it should be."""

import numpy as np
from draws import SMALLEST_P, chi_square, drawn, run

import graphc as gx
from graphc import random


def test_every_order_is_equally_likely() -> None:
    keys = gx.input("keys", ("n", 2), "uint32")
    orders = gx.compile([keys], gx.vmap(lambda key: random.permutation(key, 4))(keys))(
        run(random.split(random.key(3), 24_000))
    )
    assert (np.sort(orders, axis=1) == np.arange(4)).all()
    found, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(found) == 24
    assert chi_square(counts, np.full(24, 1000.0)) > SMALLEST_P


def test_a_permutation_moves_whole_parts() -> None:
    x = gx.input("x", ("n", 3), "float64")
    moved = random.permutation(random.key(5), x)
    columns = random.permutation(random.key(5), x, axis=1)
    order = random.permutation(random.key(5), x.shape[0])
    gradient = gx.grad(gx.sum(moved * moved), x)
    step = gx.compile([x], [moved, columns, order, gradient])
    for rows in (0, 1, 200):
        array = np.arange(3.0 * rows).reshape(rows, 3)
        got, others, positions, slopes = step(array)
        np.testing.assert_array_equal(got, array[positions])
        np.testing.assert_array_equal(np.sort(others, axis=1), array)
        np.testing.assert_array_equal(slopes, 2 * array)
    assert (positions != np.arange(rows)).mean() > 0.9


def test_choice_with_replacement() -> None:
    weights = np.array([0.0, 3.0, 1.0, 0.0, 6.0, 0.0])
    places = drawn(random.choice, 6, (100, 500), p=weights)
    assert places.shape == (100, 500)
    counts = np.bincount(places.ravel(), minlength=6)
    assert (counts[weights == 0] == 0).all()
    assert chi_square(counts[weights > 0], 5000.0 * weights[weights > 0]) > SMALLEST_P
    even = np.bincount(drawn(random.choice, 7, (70_000,)), minlength=7)
    assert chi_square(even, np.full(7, 10_000.0)) > SMALLEST_P


def test_choice_without_replacement() -> None:
    weights = np.array([1.0, 2.0, 0.0, 5.0])
    keys = gx.input("keys", ("n", 2), "uint32")
    pairs = gx.compile(
        [keys],
        gx.vmap(lambda key: random.choice(key, 4, (2,), replace=False, p=weights))(keys),
    )(run(random.split(random.key(8), 20_000)))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert not (pairs == 2).any()
    chances = weights / weights.sum()
    expected = {
        (i, j): chances[i] * chances[j] / (1 - chances[i])
        for i in (0, 1, 3) for j in (0, 1, 3) if i != j
    }  # fmt: skip
    counts = np.array([(pairs == pair).all(axis=1).sum() for pair in expected])
    assert chi_square(counts, 20_000 * np.array([*expected.values()])) > SMALLEST_P
    every = drawn(random.choice, 50, (5, 10), replace=False)
    assert sorted(every.ravel()) == list(range(50))


def test_choice_takes_parts_of_an_array() -> None:
    array = np.arange(12.0).reshape(3, 4)
    got = drawn(random.choice, array, (2, 5), axis=1)
    assert got.shape == (3, 2, 5)
    assert (got[1:] - got[:-1] == 4).all()
