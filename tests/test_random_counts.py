"""Random counts: probabilities against SciPy's, extreme parameters, equal bits, refusals."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import random
from graphc.random.rejection import poisson_logarithm
from tests.refusing import check_refusal

Array = np.ndarray[Any, Any]

COUNT = 100_000
"""How many numbers a distribution is judged by."""
SMALLEST_P = 1e-4
"""Below it a test fails: seeds are fixed, so it either always does or never."""


def drawn(
    function: Callable[..., gx.Node], *arguments: Any, seed: int = 1, **options: Any
) -> Array:
    """Numbers of a seed, which is an input, so that nothing is known when compiling."""
    key = gx.input("key", (2,), "uint32")
    step = gx.compile([key], function(key, *arguments, **options))
    return np.asarray(step(np.array([0, seed], np.uint32)))


@cache
def sampler(name: str) -> gx.Executable:
    """One compilation of a function of a key and of tables of parameters."""
    function, dtypes = TABLES[name]
    key = gx.input("key", (2,), "uint32")
    given = [gx.input(f"p{k}", ("rows", "columns"), dtype) for k, dtype in enumerate(dtypes)]
    return gx.compile([key, *given], function(key, *given))


TABLES: dict[str, tuple[Callable[..., gx.Node], tuple[str, ...]]] = {
    "poisson": (random.poisson, ("float64",)),
    "binomial": (random.binomial, ("int64", "float64")),
    "geometric": (random.geometric, ("float64",)),
}


def table(name: str, *parameters: Any, rows: int = 1) -> Array:
    """Counts for each of some parameters, in columns."""
    arrays = [np.atleast_1d(parameter) for parameter in parameters]
    wide = [np.repeat(np.broadcast_to(a, arrays[0].shape)[None], rows, 0) for a in arrays]
    return np.asarray(sampler(name)(np.array([0, 1], np.uint32), *wide))


# --- distributions -------------------------------------------------------------------------------

POISSON = (0.0, 0.2, 4.0, 9.9, 10.0, 13.7, 300.0, 1e5)
BINOMIAL = (
    (1, 0.5), (12, 0.2), (12, 0.9), (2000, 0.003), (24, 0.5), (60, 0.3), (60, 0.7), (5000, 0.45),
    (10**6, 0.02), (7, 0.0), (7, 1.0),
)  # fmt: skip


def goodness(counts: Array, probabilities: Callable[[Array], Array]) -> float:
    """The probability of a deviation at least as large, by chi-square over cells of equal size."""
    stats = pytest.importorskip("scipy.stats")
    quantiles = np.unique(np.quantile(counts, np.linspace(0, 1, 41)[1:-1]).astype(int))
    edges = np.concatenate([[-1], quantiles, [int(counts.max()) + 10**7]])
    below = probabilities(edges)
    expected = np.diff(below) * counts.size
    observed = np.histogram(counts, edges + 0.5)[0]
    kept = expected > 5
    if kept.sum() < 2:
        return float(abs(observed - expected).max() < 5 * math.sqrt(counts.size))
    rest = [observed[~kept].sum()], [expected[~kept].sum() + 1e-9]
    both = [
        np.concatenate([part[kept], left])
        for part, left in zip((observed, expected), rest, strict=True)
    ]
    value = float(((both[0] - both[1]) ** 2 / np.maximum(both[1], 5)).sum())
    return float(stats.chi2(kept.sum() - 1).sf(value))


def test_poisson() -> None:
    stats = pytest.importorskip("scipy.stats")
    rates = np.array(POISSON)
    counts = table("poisson", rates, rows=COUNT)
    assert counts.dtype == np.int64
    for column, rate in enumerate(rates):
        known, numbers = stats.poisson(rate), counts[:, column]
        assert goodness(numbers, known.cdf) > SMALLEST_P, rate
        # The mean of so many numbers is normal: five deviations are a chance of 6e-7.
        assert abs(numbers.mean() - rate) <= 5 * math.sqrt(rate / COUNT)


def test_binomial() -> None:
    stats = pytest.importorskip("scipy.stats")
    n, p = np.array([n for n, _ in BINOMIAL]), np.array([p for _, p in BINOMIAL])
    counts = table("binomial", n, p, rows=COUNT)
    for column, (trials, chance) in enumerate(BINOMIAL):
        known, numbers = stats.binom(trials, chance), counts[:, column]
        assert numbers.min() >= 0
        assert numbers.max() <= trials
        assert goodness(numbers, known.cdf) > SMALLEST_P, (trials, chance)
        assert abs(numbers.mean() - known.mean()) <= 5 * known.std() / math.sqrt(COUNT)


def test_geometric() -> None:
    stats = pytest.importorskip("scipy.stats")
    p = np.array([0.001, 0.3, 0.9, 1.0])
    counts = table("geometric", p, rows=COUNT)
    assert counts.min() == 1
    assert (counts[:, 3] == 1).all()
    for column, chance in enumerate(p[:3]):
        assert goodness(counts[:, column], stats.geom(chance).cdf) > SMALLEST_P


def test_multinomial() -> None:
    p = np.array([0.1, 0.0, 0.5, 0.4, 0.0])
    counts = drawn(random.multinomial, 30, p * 7, (20_000, 5))
    assert (counts.sum(-1) == 30).all()
    assert (counts[:, p == 0] == 0).all()
    for column in (0, 2, 3):
        deviation = math.sqrt(30 * p[column] * (1 - p[column]) / len(counts))
        assert abs(counts[:, column].mean() - 30 * p[column]) < 5 * deviation
    assert np.corrcoef(counts[:, 0], counts[:, 2])[0, 1] < 0
    each = drawn(random.multinomial, np.array([0, 5]), np.full((2, 3), 1 / 3))
    assert each.sum(-1).tolist() == [0, 5]


OTHERS: dict[str, tuple[Callable[..., gx.Node], tuple[Any, ...], str, tuple[Any, ...]]] = {
    "cauchy": (random.cauchy, (), "cauchy", ()),
    "chi_square": (random.chi_square, (3.0,), "chi2", (3,)),
    "student_t": (random.student_t, (2.5,), "t", (2.5,)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_continuous(name: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    function, arguments, family, parameters = OTHERS[name]
    numbers = drawn(function, *arguments, (20_000,))
    assert numbers.dtype == np.float32
    known = getattr(stats, family)(*parameters)
    assert stats.kstest(numbers.astype(float), known.cdf).pvalue > SMALLEST_P


# --- extremes ------------------------------------------------------------------------------------


def test_what_is_no_rate_and_no_probability_gives_minus_one() -> None:
    rates = np.array([-1.0, np.nan, np.inf, -np.inf, 2.0])
    (counts,) = table("poisson", rates)
    assert counts[:4].tolist() == [-1] * 4
    assert counts[4] >= 0
    n, p = np.array([-1, 5, 5, 5]), np.array([0.5, -0.1, 1.1, np.nan])
    assert table("binomial", n, p).tolist() == [[-1] * 4]


def test_large_rates() -> None:
    rates = np.array([1e9, 1e15])
    z = (table("poisson", rates, rows=10_000) - rates) / np.sqrt(rates)
    assert (np.abs(z.mean(0)) < 0.05).all()
    assert (np.abs(z.std(0) - 1) < 0.04).all()
    z = (table("binomial", 10**12, 0.5, rows=10_000) - 5e11) / math.sqrt(2.5e11)
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.04


def test_logarithms_of_probabilities() -> None:
    special = pytest.importorskip("scipy.special")
    k = np.array([*range(40), 100, 1000, 10**5], float)
    for mean in (0.5, 12.0, 900.0):
        node = gx.input("k", k.shape, "float64")
        got = gx.compile([node], poisson_logarithm(node, gx.full_like(node, mean)))(k)
        want = k * math.log(mean) - mean - special.gammaln(k + 1)
        np.testing.assert_allclose(got, want, 1e-12, 1e-12)


# --- keys, shapes, derivatives -------------------------------------------------------------------


def test_the_same_bits_for_any_number_of_threads() -> None:
    before, found = gx.get_num_threads(), []
    for count in (1, 2):
        gx.set_num_threads(count)
        found.append(table("poisson", [20.0, 3.0], rows=50_000).tobytes())
    gx.set_num_threads(before)
    assert found[0] == found[1]


def test_a_number_depends_on_its_place_alone() -> None:
    """Neighbours that wait longer for an accepted proposal change nothing."""
    alone = table("poisson", [30.0, 3.0])
    beside = table("poisson", [30.0, 3.0, 1e6, 11.0, 0.0])
    assert alone[0].tolist() == beside[0, :2].tolist()


def test_shapes_and_dtypes() -> None:
    x = gx.input("x", ("n", 3), "float64")
    step = gx.compile([x], random.poisson(random.key(0), x, dtype="int32"))
    for rows in (0, 1, 4):
        got = step(np.full((rows, 3), 12.0))
        assert got.dtype == np.int32
        assert got.shape == (rows, 3)
    assert random.binomial(random.key(0), np.array([[3], [4]]), [0.1, 0.2]).shape == (2, 2)


def test_no_gradient_flows_to_parameters() -> None:
    rate = gx.input("rate", (), "float64")
    count = random.poisson(random.key(0), rate).astype("float64")
    loss = gx.square(rate - count)
    value, slope = gx.compile([rate], [count, gx.grad(loss, rate)])(14.0)
    assert slope == 2 * (14.0 - value)


KEY = random.key(0)
REFUSED: Sequence[tuple[Callable[[], Any], str]] = (
    (lambda: random.poisson(gx.zeros(2), 1.0), "poisson: the key must be u32[2], this is f64[2]"),
    (lambda: random.poisson(KEY, 1.0, (), "float32"), "poisson: the dtype must be an integer"),
    (lambda: random.poisson(KEY, gx.zeros(3), ()), "poisson: a parameter is f64[3], which is"),
    (lambda: random.binomial(KEY, 2.0, 0.5), "binomial: n must be integers"),
    (lambda: random.binomial(KEY, [1, 2], [0.1, 0.2, 0.3]), "do not broadcast"),
    (lambda: random.geometric(KEY, 0.5, (-1,)), "geometric: a size is an integer >= 0"),
    (lambda: random.multinomial(KEY, 3, 0.5), "p have an axis of classes"),
    (lambda: random.multinomial(KEY, gx.zeros(2, "int64"), gx.ones(2)), "a parameter is i64[2]"),
    (lambda: random.cauchy(KEY, (), "int32"), "cauchy: the dtype must be a floating-point one"),
    (lambda: random.student_t(KEY, 1.0, (), "int8"), "student_t: the dtype must be a floating"),
    (lambda: random.chi_square(KEY, gx.ones(3), ()), "chi_square: a parameter is"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call: Callable[[], Any], message: str) -> None:
    check_refusal(call, message, __file__)
