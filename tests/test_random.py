"""Random numbers: the generator's published answers, equal bits everywhere, distributions, keys."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from draws import COUNT, SMALLEST_P, chi_square, drawn, run

import graphc as gx
from graphc import random
from graphc.random.normal_quantile import normal_quantile
from graphc.random.threefry import counters, halves, threefry
from tests.refusing import check_refusal

Array = np.ndarray[Any, Any]

# --- the generator -------------------------------------------------------------------------------

# Random123, the file kat_vectors: threefry2x32 with 20 rounds.
ANSWERS = (
    ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
)


@pytest.mark.parametrize(("key", "counter", "answer"), ANSWERS)
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_published_answers(key: Any, counter: Any, answer: Any, device: str) -> None:
    inputs = [gx.input(name, (), "uint32") for name in "abcd"]
    words = threefry((inputs[0], inputs[1]), (inputs[2], inputs[3]))
    found = gx.compile(inputs, list(words), device=device)(*map(np.uint32, (*key, *counter)))
    assert tuple(map(int, found)) == answer


def test_counters_are_64_bits_wide() -> None:
    upper, lower = run(list(halves(gx.constant(np.uint64(0x0123456789ABCDEF)))))
    assert (int(upper), int(lower)) == (0x01234567, 0x89ABCDEF)
    assert counters(2**32 + 1)[0].type.rank == 1
    assert counters(2**32)[0].type.rank == 0


def test_a_key_is_the_seed() -> None:
    assert run(random.key(5)).tolist() == [0, 5]
    assert run(random.key(2**32 + 7)).tolist() == [1, 7]
    assert run(random.key(-1)).tolist() == [2**32 - 1] * 2
    assert run(random.key(gx.constant(np.int32(-1)))).tolist() == [2**32 - 1] * 2


def test_split_and_fold_in_are_threefry() -> None:
    keys = run(random.split(random.key(0)))
    assert tuple(keys[0]) == ANSWERS[0][2]
    assert tuple(run(random.fold_in(random.key(0), 0))) == ANSWERS[0][2]
    assert tuple(run(random.fold_in(random.key(0), 1))) == tuple(keys[1])
    step = gx.input("step", (), "int32")
    folded = gx.compile([step], random.fold_in(random.key(0), step))
    assert tuple(folded(np.int32(1))) == tuple(keys[1])


def test_split_unpacks_and_takes_sizes() -> None:
    first, second, third = random.split(random.key(3), 3)
    assert len({tuple(run(k)) for k in (first, second, third)}) == 3
    x = gx.input("x", ("n",), "float32")
    keys = gx.compile([x], random.split(random.key(3), x.shape[0]))(np.zeros(5, np.float32))
    assert keys.shape == (5, 2)
    assert len({tuple(row) for row in keys}) == 5
    assert (keys[:3] == run(random.split(random.key(3), 3))).all()


# --- equal bits ----------------------------------------------------------------------------------

EXACT: dict[str, Callable[[gx.Node], gx.Node]] = {
    "bits8": lambda k: random.bits(k, (100,), "uint8"),
    "bits16": lambda k: random.bits(k, (100,), "uint16"),
    "bits32": lambda k: random.bits(k, (7, 13)),
    "bits64": lambda k: random.bits(k, (100,), "uint64"),
    "uniform16": lambda k: random.uniform(k, (100,), "float16"),
    "uniform32": lambda k: random.uniform(k, (11, 9)),
    "uniform64": lambda k: random.uniform(k, (100,), "float64", -3, 5),
    "bernoulli": lambda k: random.bernoulli(k, 0.3, (100,)),
    "randint": lambda k: random.randint(k, (100,), -7, 1000),
    "split": lambda k: random.split(k, 9),
    "rademacher": lambda k: random.rademacher(k, (100,)),
}
"""What no transcendental function takes part in: the same bits in NumPy."""


@pytest.mark.parametrize("name", EXACT)
def test_the_same_bits_on_every_device(name: str) -> None:
    node = EXACT[name](random.key(42))
    machine, oracle = run(node), run(node, "reference")
    assert machine.dtype == oracle.dtype
    assert machine.tobytes() == oracle.tobytes()


def test_normal_numbers_agree_to_rounding() -> None:
    node = random.normal(random.key(42), (1000,), "float64")
    np.testing.assert_allclose(run(node), run(node, "reference"), 1e-14)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Set the number of threads; it is set back in the end."""
    before = gx.get_num_threads()
    yield gx.set_num_threads
    gx.set_num_threads(before)


def test_the_same_bits_for_any_number_of_threads(threads: Callable[[int], None]) -> None:
    functions = (random.normal, random.uniform, random.gumbel)
    key = gx.input("key", (2,), "uint32")
    step = gx.compile([key], [function(key, (300_000,)) for function in functions])
    found = []
    for count in (1, 2):
        threads(count)
        found.append([array.tobytes() for array in step(np.array([0, 9], np.uint32))])
    assert found[0] == found[1]


def test_symbolic_shapes_give_the_same_numbers() -> None:
    x = gx.input("x", ("n", 3), "float32")
    step = gx.compile([x], random.normal(random.key(1), x.shape))
    for rows in (0, 1, 5, 1000):
        got = step(np.zeros((rows, 3), np.float32))
        assert got.tobytes() == run(random.normal(random.key(1), (rows, 3))).tobytes()


# --- distributions -------------------------------------------------------------------------------

CONTINUOUS: dict[str, tuple[Callable[..., gx.Node], tuple[Any, ...], str, tuple[Any, ...]]] = {
    "uniform": (random.uniform, (), "uniform", ()),
    "uniform between": (
        lambda k, shape, dtype: random.uniform(k, shape, dtype, -2.0, 3.0), (), "uniform", (-2, 5),
    ),
    "normal": (random.normal, (), "norm", ()),
    "exponential": (random.exponential, (), "expon", ()),
    "gumbel": (random.gumbel, (), "gumbel_r", ()),
    "logistic": (random.logistic, (), "logistic", ()),
    "laplace": (random.laplace, (), "laplace", ()),
    "truncated": (random.truncated_normal, (-2, 2), "truncnorm", (-2, 2)),
    "truncated above": (random.truncated_normal, (-1, 5), "truncnorm", (-1, 5)),
    "truncated far out": (random.truncated_normal, (8, math.inf), "truncnorm", (8, math.inf)),
    "truncated below": (random.truncated_normal, (-math.inf, -3), "truncnorm", (-math.inf, -3)),
    "gamma 0.3": (random.gamma, (0.3,), "gamma", (0.3,)),
    "gamma 1": (random.gamma, (1.0,), "gamma", (1.0,)),
    "gamma 20": (random.gamma, (20.0,), "gamma", (20.0,)),
    "beta": (random.beta, (0.5, 2.0), "beta", (0.5, 2.0)),
}  # fmt: skip
"""Function, its parameters, SciPy's distribution, and its parameters."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_distribution(name: str, dtype: str) -> None:
    stats = pytest.importorskip("scipy.stats")
    function, arguments, family, parameters = CONTINUOUS[name]
    count = COUNT // 10 if family in ("gamma", "beta") else COUNT
    numbers = drawn(function, *arguments, (count,), dtype, seed=7)
    assert numbers.dtype == dtype
    known = getattr(stats, family)(*parameters)
    assert stats.kstest(numbers.astype(float), known.cdf).pvalue > SMALLEST_P
    # The mean of so many numbers is normal: five deviations are a chance of 6e-7.
    assert abs(numbers.mean(dtype=float) - known.mean()) < 5 * known.std() / math.sqrt(count)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes(dtype: str) -> None:
    for function in (random.uniform, random.normal, random.exponential, random.gumbel):
        numbers = drawn(function, (10_000,), dtype)
        assert numbers.dtype.name == dtype
        assert np.isfinite(numbers.astype(float)).all()
    unit = drawn(random.uniform, (10_000,), dtype).astype(float)
    assert unit.min() >= 0
    assert unit.max() < 1
    assert abs(unit.mean() - 0.5) < 0.02


def test_moments_of_normal_numbers() -> None:
    x = drawn(random.normal, (1_000_000,), "float64")
    for power, (want, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert abs((x**power).mean() - want) < 5 * math.sqrt(variance / x.size)


def test_quantile_of_the_normal_distribution() -> None:
    special = pytest.importorskip("scipy.special")
    for dtype, least, bound in (("float32", 1e-37, 4e-7), ("float64", 1e-300, 2e-15)):
        tail = np.geomspace(least, 0.5, 20_001).astype(dtype)
        node = gx.input("tail", tail.shape, dtype)
        got = gx.compile([node], normal_quantile(node))(tail)
        want = -special.ndtri(tail.astype(np.float64) / 2)
        np.testing.assert_allclose(got, want, bound)


def test_uniform_never_reaches_the_end() -> None:
    # 1 + u * 2**-23 rounds to one of two neighbours: to the upper one never.
    high = float(np.nextafter(np.float32(1), np.float32(2)))
    assert set(drawn(random.uniform, (1000,), "float32", 1.0, high)) == {np.float32(1)}


def test_bits_are_equally_likely() -> None:
    words = drawn(random.bits, (COUNT,))
    for place in range(32):
        ones = int(((words >> place) & 1).sum())
        assert abs(ones - COUNT / 2) < 5 * math.sqrt(COUNT) / 2
    counts = np.bincount(words >> 24, minlength=256)
    assert chi_square(counts, np.full(256, COUNT / 256)) > SMALLEST_P


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [(-3, 7, "int8"), (0, 6, "uint8"), (5, 105, "int64")]
)
def test_randint_is_equally_likely(low: int, high: int, dtype: str) -> None:
    numbers = drawn(random.randint, (COUNT,), low, high, dtype)
    assert numbers.dtype == dtype
    assert (numbers.min(), numbers.max()) == (low, high - 1)
    counts = np.bincount(numbers.astype(int) - low, minlength=high - low)
    assert chi_square(counts, np.full(high - low, COUNT / (high - low))) > SMALLEST_P


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32"])
def test_randint_of_a_whole_dtype(dtype: str) -> None:
    limits = np.iinfo(dtype)
    numbers = drawn(random.randint, (5000,), int(limits.min), int(limits.max) + 1, dtype)
    spread = float(limits.max) - float(limits.min)
    assert abs(numbers.astype(float).mean() - (limits.min + spread / 2)) < 0.03 * spread


def test_randint_between_nodes() -> None:
    low, high = (gx.input(name, (), "int32") for name in ("low", "high"))
    step = gx.compile([low, high], random.randint(random.key(2), (1000,), low, high))
    got = step(np.int32(-5), np.int32(9))
    assert (got == run(random.randint(random.key(2), (1000,), -5, 9))).all()


def test_bernoulli() -> None:
    for p in (0.0, 0.1, 0.5, 1.0):
        count = int(drawn(random.bernoulli, p, (COUNT,)).sum())
        assert abs(count - p * COUNT) <= 5 * math.sqrt(COUNT * p * (1 - p))
    each = drawn(random.bernoulli, np.array([0.0, 1.0], np.float32), (100, 2))
    assert (each == [False, True]).all()


def test_categorical() -> None:
    weights = np.array([0.1, 0.2, 0.3, 0.4, 0.0])
    with np.errstate(divide="ignore"):
        logits = np.log(weights).astype(np.float32)
    got = drawn(random.categorical, logits, shape=(COUNT,))
    counts = np.bincount(got, minlength=5)
    assert counts[4] == 0
    assert chi_square(counts[:4], weights[:4] * COUNT) > SMALLEST_P
    table = np.zeros((3, 4), np.float32)
    assert drawn(random.categorical, table).shape == (3,)
    assert drawn(random.categorical, table, axis=0).shape == (4,)


def test_dirichlet() -> None:
    a = np.array([0.5, 1.0, 2.5])
    got = drawn(random.dirichlet, a, (20_000, 3), "float64")
    np.testing.assert_allclose(got.sum(-1), 1, 1e-14)
    np.testing.assert_allclose(got.mean(0), a / a.sum(), 0, 0.01)


def test_gamma_takes_a_parameter_for_each_number() -> None:
    a = np.array([0.01, 1.0, 100.0])
    got = drawn(random.gamma, a, (20_000, 3), "float64")
    assert (got >= 0).all()
    assert (np.abs(got.mean(0) - a) < 5 * np.sqrt(a / 20_000)).all()


# --- independence --------------------------------------------------------------------------------


def correlation(x: Array, y: Array) -> float:
    """How many deviations the correlation of two samples is from 0."""
    return abs(float(np.corrcoef(x, y)[0, 1])) * math.sqrt(x.size)


def test_split_keys_are_independent() -> None:
    keys = random.split(random.key(11), 4)
    samples = run([random.normal(keys[row], (50_000,)) for row in range(4)])
    samples += run([random.normal(random.key(seed), (50_000,)) for seed in (11, 12)])
    for one in range(len(samples)):
        for other in range(one):
            assert correlation(samples[one], samples[other]) < 5


def test_neighbours_are_independent() -> None:
    x = drawn(random.uniform, (COUNT,))
    for lag in (1, 2, 3, 64, 1024):
        assert correlation(x[:-lag], x[lag:]) < 5


def test_pairs_fill_the_square() -> None:
    x = (drawn(random.uniform, (COUNT,)) * 16).astype(int)
    counts = np.bincount(x[::2] * 16 + x[1::2], minlength=256)
    assert chi_square(counts, np.full(256, COUNT / 512)) > SMALLEST_P


def test_different_keys_differ() -> None:
    first, second = drawn(random.bits, (1000,), seed=1), drawn(random.bits, (1000,), seed=2)
    differing = sum(int(word).bit_count() for word in first ^ second)
    assert abs(differing - 16_000) < 5 * math.sqrt(32_000) / 2


# --- derivatives and refusals --------------------------------------------------------------------


def test_gradients_flow_to_parameters_alone() -> None:
    mean, deviation = (gx.input(name, (), "float64") for name in ("mean", "deviation"))
    z = random.normal(random.key(0), (50,), "float64")
    slopes = gx.grad(gx.sum(mean + deviation * z), [mean, deviation])
    got = gx.compile([mean, deviation], [*slopes, gx.sum(z)])(0.0, 1.0)
    assert got[0] == 50
    np.testing.assert_allclose(got[1], got[2], 1e-13)
    low, high = (gx.input(name, (), "float64") for name in ("low", "high"))
    u = random.uniform(random.key(0), (50,), "float64", low, high)
    by_low, by_high = gx.compile([low, high], gx.grad(gx.sum(u), [low, high]))(0.0, 1.0)
    np.testing.assert_allclose(by_low + by_high, 50, 1e-13)


KEY = random.key(0)
REFUSED: Sequence[tuple[Callable[[], Any], str]] = (
    (lambda: random.key(1.5), "key: the seed must be an integer without axes, this is f64[]"),
    (lambda: random.bits(gx.zeros(2), (3,)), "bits: the key must be u32[2], this is f64[2]"),
    (lambda: random.normal(random.split(KEY), (3,)), "normal: the key must be u32[2], this"),
    (lambda: random.bits(KEY, (3,), "int32"), "the dtype must be an unsigned integer, not int32"),
    (lambda: random.normal(KEY, (3,), "int32"), "normal: the dtype must be a floating-point one"),
    (lambda: random.normal(KEY, (-1,)), "normal: a size is an integer >= 0 or a name, not -1"),
    (lambda: random.uniform(KEY, (), low=1, high=1), "low must be below high, not 1 and 1"),
    (lambda: random.uniform(KEY, (), low=gx.zeros(3)), "which is larger than the shape"),
    (lambda: random.truncated_normal(KEY, 2, 1), "low must be below high, not 2 and 1"),
    (lambda: random.randint(KEY, (), 0, 0), "high - low must be from 1 to 2**32, not 0"),
    (lambda: random.randint(KEY, (), 0, 300, "int8"), "numbers up to 299 do not fit int8"),
    (lambda: random.randint(KEY, (), 0, 3, "float32"), "the dtype must be an integer"),
    (lambda: random.randint(KEY, (), gx.zeros(()), 3), "a bound must be an integer"),
    (lambda: random.categorical(KEY, gx.zeros((2, 3)), shape=(4,)), "do not broadcast"),
    (lambda: random.dirichlet(KEY, 1.0), "dirichlet: a must have at least one axis"),
    (lambda: random.fold_in(KEY, 0.5), "fold_in: the data must be an integer"),
)  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call: Callable[[], Any], message: str) -> None:
    check_refusal(call, message, __file__)
