"""Scatter: order, threads, precision, derivatives among ties and zeros, and what it costs."""

from collections.abc import Iterator

import numpy as np
import pytest

import graphc as gx
from graphc.passes.derivatives import hessian
from graphc.passes.differentiate import grad, jvp

VOCABULARY, WIDTH, TOKENS = 50_000, 64, 512


@pytest.fixture
def threads() -> Iterator[None]:
    """The number of threads is as before afterwards."""
    before = gx.get_num_threads()
    yield
    gx.set_num_threads(before)


# --- order ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("threads")
def test_the_bits_do_not_depend_on_threads() -> None:
    random = np.random.default_rng(0)
    x, u = gx.input("x", (50, 700), "float32"), gx.input("u", (900, 700), "float32")
    i, j = gx.input("i", (900,), "int64"), gx.input("j", (50, 900), "int64")
    outputs = [
        x.at[i].add(u),
        x.at[i].set(u),
        x.at[i, 3:5].multiply(u[:, :2]),
        gx.put_along_axis(x, j, u[:50] @ gx.ones((700, 900), "float32")),
        grad(gx.sum(gx.take_along_axis(x, j) ** 2), x),
    ]
    step = gx.compile([x, u, i, j], outputs)
    arrays = [random.normal(size=(50, 700)).astype("float32"),
              random.normal(size=(900, 700)).astype("float32"),
              random.integers(0, 50, 900), random.integers(0, 700, (50, 900))]  # fmt: skip
    gx.set_num_threads(1)
    alone = step(*arrays)
    for count in (2, 4):
        gx.set_num_threads(count)
        for got, want in zip(step(*arrays), alone, strict=True):
            np.testing.assert_array_equal(got, want)
    want = arrays[0].copy()
    want[arrays[2]] = arrays[1]
    np.testing.assert_array_equal(alone[1], want)
    np.add.at(want := arrays[0].copy(), arrays[2], arrays[1])
    np.testing.assert_array_equal(alone[0], want)  # the same order, so the same bits


def test_updates_are_added_in_their_order() -> None:
    """1e16 + 1 - 1e16 is 0 in float64, and 1 in another order."""
    u = gx.input("u", (3,), "float64")
    total = gx.zeros(2).at[[1, 1, 1]].add(u)
    step = gx.compile([u], total)
    assert step([1e16, 1.0, -1e16]).tolist() == [0, 0]
    assert step([1e16, -1e16, 1.0]).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_added_in_a_wider_dtype(dtype: str) -> None:
    """Of 3000 ones added one by one in 16 bits most would be lost."""
    i = gx.input("i", (3000,), "int64")
    counts = gx.segment_sum(gx.ones(3000, dtype), i, 2)
    assert gx.compile([i], counts.astype("float32"))(np.ones(3000, int)).tolist() == [0, 3008.0 if
        dtype == "bfloat16" else 3000.0]  # fmt: skip


def test_nan_stays_and_zero_keeps_its_sign() -> None:
    x, u = gx.input("x", (4,), "float32"), gx.input("u", (5,), "float32")
    places = [0, 0, 1, 2, 2]
    step = gx.compile([x, u], [x.at[places].max(u), x.at[places].add(u), x.at[1:3].add(u[:2])])
    largest, total, window = step([1, np.nan, 2, -0.0], [np.nan, 3, 5, -0.0, 7])
    np.testing.assert_array_equal(largest, [np.nan, np.nan, 7, 0])
    np.testing.assert_array_equal(total, [np.nan, np.nan, 9, 0])
    np.testing.assert_array_equal(window, [1, np.nan, 5, 0])
    assert np.signbit([largest[3], total[3], window[3]]).all()


# --- derivatives ---------------------------------------------------------------------------------


def test_factors_that_are_zero_have_exact_derivatives() -> None:
    """The product of a place with zeros among its factors, to second order."""
    u = gx.input("u", (5,), "float64")
    product = gx.full((2,), 2.0).at[gx.constant([0, 0, 0, 1, 7])].multiply(u)
    total = product[0] + 3 * product[1]
    array = np.array([0.0, 0.0, 5.0, 0.0, 4.0])
    first, second = gx.compile([u], [grad(total, u), hessian(total, u)])(array)
    np.testing.assert_array_equal(first, [0, 0, 0, 6, 0])
    want = np.zeros((5, 5))
    want[0, 1] = want[1, 0] = 10
    np.testing.assert_array_equal(second, want)


def test_those_that_tie_share_the_gradient() -> None:
    x, u = gx.input("x", (3,), "float64"), gx.input("u", (5,), "float64")
    largest = x.at[[0, 0, 0, 1, 2]].max(u)
    by_x, by_u = grad(gx.sum(largest * [6, 1, 1]), [x, u])
    pushed = jvp(largest, [x, u], [np.ones(3), np.arange(5.0)])
    step = gx.compile([x, u], [by_x, by_u, pushed])
    by_x, by_u, pushed = step([2.0, 7, np.nan], [2.0, 1, 2, 8, 0])
    np.testing.assert_array_equal(by_x, [2, 0, 0])
    np.testing.assert_array_equal(by_u, [2, 0, 2, 1, 0])
    np.testing.assert_array_equal(pushed, [1, 3, 0])


def test_an_update_that_is_overwritten_or_dropped_has_no_gradient() -> None:
    x, u, i = gx.input("x", (4,), "float64"), gx.input("u", (4,), "float64"), [1, 1, 9, -1]
    places = gx.input("i", (4,), "int64")
    by_x, by_u = grad(gx.sum(x.at[places].set(u) * [1, 2, 3, 4]), [x, u])
    by_x, by_u = gx.compile([x, u, places], [by_x + 0 * x, by_u + 0 * u])(np.ones(4), np.ones(4), i)
    np.testing.assert_array_equal(by_x, [1, 0, 3, 0])
    np.testing.assert_array_equal(by_u, [0, 2, 0, 4])


def test_elements_out_of_range_pass_no_gradient_in_either_mode() -> None:
    x, i = gx.input("x", (3,), "float64"), gx.input("i", (3,), "int64")
    taken = x[i]
    step = gx.compile([x, i], [taken, grad(gx.sum(taken), x), jvp(taken, x, np.ones(3))])
    value, gradient, tangent = step([1.0, 2, 3], [1, 3, 1])
    np.testing.assert_array_equal(value, [2, np.nan, 2])
    np.testing.assert_array_equal(gradient, [0, 2, 0])
    np.testing.assert_array_equal(tangent, [1, 0, 1])


# --- costs ---------------------------------------------------------------------------------------


def test_an_embedding_learns_with_one_table_of_memory() -> None:
    """Its gradient is a table, which the update reads; the rest is as small as the batch."""
    table = gx.variable(np.zeros((VOCABULARY, WIDTH), "float32"), name="table")
    ids = gx.input("ids", ("tokens",), "int64")
    target = gx.input("target", ("tokens", WIDTH), "float32")
    loss = gx.mean(gx.square(gx.nn.embedding(ids, table) - target))
    step = gx.compile([ids, target], loss, updates={table: table - 0.1 * grad(loss, table)})
    arena = step.memory(tokens=TOKENS).peak - VOCABULARY * WIDTH * 4
    assert arena < VOCABULARY * WIDTH * 4 + 4 * TOKENS * WIDTH * 4
    assert ("update in place", "%table") in {(d.choice, d.subject) for d in step.decisions}
    random = np.random.default_rng(0)
    chosen = random.integers(0, VOCABULARY, TOKENS)
    wanted = random.normal(size=(TOKENS, WIDTH)).astype("float32")
    step(chosen, wanted)
    want = np.zeros((VOCABULARY, WIDTH), "float32")
    np.add.at(want, chosen, 0.2 / (TOKENS * WIDTH) * wanted)
    np.testing.assert_allclose(table.value, want, 1e-5, 1e-9)


def test_elements_are_used_where_they_are_taken() -> None:
    table, ids = gx.input("t", (100, 8), "float32"), gx.input("i", ("n",), "int64")
    step = gx.compile([table, ids], gx.sum(gx.exp(table[ids] * 2 + 1), axis=1))
    assert len(step.program.kernels) == 1


def test_one_update_for_each_row_is_a_choice_that_fuses() -> None:
    """The gradient of a cross entropy is one kernel over the scores, without a table of zeros."""
    scores, labels = gx.input("x", ("n", 10), "float32"), gx.input("y", ("n",), "int64")
    loss = gx.mean(gx.softmax_cross_entropy(scores, labels))
    step = gx.compile([scores, labels], grad(loss, scores))
    assert not any("scatter" in kernel.name for kernel in step.program.kernels)
    assert step.memory(n=100).peak < 2 * 100 * 10 * 4
