"""Sorting, searching, quantiles and histograms: large arrays, derivatives, batches, any size."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sample import special_values

import graphc as gx
from graphc.ir.graph import walk
from graphc.ir.node import Node
from graphc.ir.types import REAL_DTYPES, DType
from graphc.ops.radix_sort import SHORT
from graphc.ops.sorting import GROUPS

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(5)


def normal(*shape: int) -> Array:
    """Random numbers of a shape."""
    return RANDOM.normal(size=shape)


# --- values --------------------------------------------------------------------------------------


def many(dtype: DType, count: int) -> Array:
    """All kinds of values of a dtype, and small ones that occur again and again."""
    special = special_values(dtype)
    bits = RANDOM.integers(0, 256, count * dtype.bytes, np.uint8)
    raw = (bits % 2 == 1) if dtype.kind == "bool" else bits.view(dtype.numpy)
    small = RANDOM.integers(0, 9, count).astype(dtype.numpy)
    chosen = RANDOM.permutation(np.concatenate([special, raw, small]))[:count]
    return np.ascontiguousarray(chosen)


@pytest.mark.parametrize("dtype", REAL_DTYPES, ids=lambda dtype: dtype.name)
def test_rows_of_every_length_are_in_order(dtype: DType) -> None:
    x = gx.input("x", ("rows", "n"), dtype)
    falling = gx.argsort(x, descending=True)
    step = gx.compile([x], [gx.sort(x), gx.argsort(x), falling])
    for rows, count in ((1, 5000), (GROUPS + 3, 3), (3, SHORT), (3, SHORT + 1), (0, 4), (4, 0)):
        array = many(dtype, rows * count).reshape(rows, count)
        with np.errstate(invalid="ignore"):  # some NaN signal
            wide = array.astype(np.float64) if dtype.is_float else array
        order = np.argsort(wide, axis=1, kind="stable")
        got, positions, down = step(array)
        np.testing.assert_array_equal(positions, order)
        same_bits(got, np.take_along_axis(array, order, 1))
        check_falling(wide, down)


def same_bits(got: Array, want: Array) -> None:
    """Equal down to the sign of 0; NaN may have other bits."""
    with np.errstate(invalid="ignore"):
        numbers = np.equal(want, want)
        np.testing.assert_array_equal(np.equal(got, got), numbers)
    np.testing.assert_array_equal(got[numbers].view(np.uint8), want[numbers].view(np.uint8))


def check_falling(array: Array, order: Array) -> None:
    """The positions fall in value, rise among equal ones, and end with those of NaN."""
    every = np.broadcast_to(np.arange(array.shape[1]), order.shape)
    np.testing.assert_array_equal(np.sort(order, axis=1), every)
    values = np.take_along_axis(array, order, 1)
    before, after = values[:, :-1], values[:, 1:]
    ends = np.isnan(after) if array.dtype.kind == "f" else np.zeros(after.shape, bool)
    same = (before == after) | (ends & ~np.equal(before, before))
    assert np.all((before > after) | same | ends)
    assert np.all(np.diff(order, axis=1)[same] > 0)


def test_a_digit_that_is_everywhere_the_same_is_no_reason_to_stop() -> None:
    x = gx.input("x", ("n",), "int64")
    step = gx.compile([x], [gx.sort(x), gx.argsort(x)])
    for low, scale in ((5, 1), (0, 2**40), (-3, 2**56)):
        array = RANDOM.integers(low, low + 4, 3000) * scale
        got, positions = step(array)
        np.testing.assert_array_equal(got, np.sort(array))
        np.testing.assert_array_equal(positions, np.argsort(array, kind="stable"))


def test_memory_to_work_in_does_not_grow_with_the_number_of_rows() -> None:
    x = gx.input("x", ("rows", 500), "float32")
    step = gx.compile([x], gx.argsort(x))
    few, some, lots = (step.memory(rows=rows).arena for rows in (1, GROUPS, 10_000))
    assert few < some == lots


def test_the_number_of_threads_changes_nothing() -> None:
    array = RANDOM.integers(0, 50, (67, 400)).astype(np.float32)
    x = gx.input("x", array.shape, "float32")
    step = gx.compile([x], [gx.argsort(x), gx.argsort(x, axis=0), gx.searchsorted(array[0], x)])
    before = gx.get_num_threads()
    results = []
    for threads in (1, 3):
        gx.set_num_threads(threads)
        results.append(step(array))
    gx.set_num_threads(before)
    for one, three in zip(*results, strict=True):
        np.testing.assert_array_equal(one, three)


def test_searching_long_rows() -> None:
    ordered, wanted = np.sort(RANDOM.integers(0, 3000, 5000)), RANDOM.integers(-5, 3005, 999)
    x, y = gx.input("x", ("n",), "int64"), gx.input("y", ("m",), "int64")
    sides = ("left", "right")
    step = gx.compile([x, y], [gx.searchsorted(x, y, side=side) for side in sides])
    for count in (0, 1, 2, 4095, 4096, 5000):
        for got, side in zip(step(ordered[:count], wanted), sides, strict=True):
            np.testing.assert_array_equal(got, np.searchsorted(ordered[:count], wanted, side))


def test_top_k_takes_nan_last_and_the_first_of_equals_first() -> None:
    x = gx.input("x", (6,), "float64")
    step = gx.compile([x], [*gx.top_k(x, 4), *gx.top_k(x, 4, largest=False)])
    nan = np.nan
    values, positions, lows, places = step(np.array([2, nan, 7, 2, 7, nan]))
    assert (values.tolist(), positions.tolist()) == ([7, 7, 2, 2], [2, 4, 0, 3])
    assert (lows.tolist(), places.tolist()) == ([2, 2, 7, 7], [0, 3, 2, 4])


# --- derivatives ---------------------------------------------------------------------------------

HOLES = np.where(normal(3, 5) > 1, np.nan, normal(3, 5))
POINTS, WEIGHTS = np.sort(normal(7)), np.abs(normal(3, 5)) + 0.1
BINS = np.array([0, 3, 3, 9, 1])

Words = dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Array, ...]]]
WORDS: Words = {
    "sort": (lambda x: gx.sort(x, axis=0), lambda x: np.sort(x, 0), (normal(4, 3),)),
    "sort falling": (lambda x: gx.sort(x, descending=True), lambda x: -np.sort(-x), (normal(150),)),
    "top_k": (lambda x: gx.top_k(x, 2)[0], lambda x: -np.sort(-x)[..., :2], (normal(3, 5),)),
    "median": (lambda x: gx.median(x, axis=1), lambda x: np.median(x, 1), (normal(3, 6),)),
    "quantile": (
        lambda x: gx.quantile(x, [0.1, 0.5, 1.0], axis=(0, 2)),
        lambda x: np.quantile(x, [0.1, 0.5, 1.0], axis=(0, 2)),
        (normal(3, 2, 3),),
    ),
    "level": (lambda q: gx.quantile(POINTS, q), lambda q: np.quantile(POINTS, q), (np.array(0.4),)),
    "infinities": (
        lambda x: gx.median(gx.concat([x, [-np.inf, np.inf, np.inf]])),
        lambda x: np.median(np.append(x, [-np.inf, np.inf, np.inf])),
        (normal(4),),
    ),
    "nansum": (lambda x: gx.nansum(x, axis=0), lambda x: np.nansum(x, 0), (HOLES,)),
    "nanmax": (lambda x: gx.nanmax(x, axis=1), lambda x: np.nanmax(x, 1), (HOLES,)),
    "nanmean": (lambda x: gx.nanmean(x, axis=1), lambda x: np.nanmean(x, 1), (HOLES,)),
    "nanstd": (lambda x: gx.nanstd(x, axis=1), lambda x: np.nanstd(x, 1), (HOLES,)),
    "nan_to_num": (
        lambda x: gx.nan_to_num(x, 7.0, 3.0),
        lambda x: np.nan_to_num(x, True, 7.0, 3.0),
        (np.array([1, np.nan, np.inf, -2]),),
    ),
    "fmax": (gx.fmax, np.fmax, (HOLES, normal(3, 5))),
    "average": (
        lambda x, w: gx.average(x, axis=1, weights=w),
        lambda x, w: np.average(x, axis=1, weights=w),
        (normal(3, 5), WEIGHTS),
    ),
    "cov": (gx.cov, np.cov, (normal(3, 5),)),
    "corrcoef": (gx.corrcoef, np.corrcoef, (normal(2, 5),)),
    "interp": (gx.interp, np.interp, (normal(6), POINTS, normal(7))),
    "trapezoid": (gx.trapezoid, np.trapezoid, (normal(3, 7), POINTS)),
    "gradient": (
        lambda x: gx.gradient(x, 0.5, axis=1, edge_order=2),
        lambda x: np.gradient(x, 0.5, axis=1, edge_order=2),
        (normal(2, 5),),
    ),
    "unwrap": (lambda x: gx.unwrap(4 * x), lambda x: np.unwrap(4 * x), (normal(7),)),
    "polyval": (gx.polyval, np.polyval, (normal(4), normal(2, 3))),
    "vander": (gx.vander, np.vander, (normal(4),)),
    "bincount": (
        lambda w: gx.bincount(BINS, w, length=10),
        lambda w: np.bincount(BINS, w, 10),
        (normal(5),),
    ),
    "histogram": (
        lambda w: gx.histogram(BINS, 3, weights=w)[0],
        lambda w: np.histogram(BINS, 3, weights=w)[0],
        (normal(5),),
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_derivatives(name: str) -> None:
    word, reference, arrays = WORDS[name]
    inputs = [gx.input(f"x{k}", a.shape, "float64") for k, a in enumerate(arrays)]
    y = word(*inputs)
    known = [np.cos(np.nan_to_num(a, nan=2.0, posinf=1.0)) for a in arrays]
    weights = np.cos(np.arange(np.size(reference(*arrays)))).reshape(y.shape)
    total = gx.sum(y * weights)
    outputs = [y, gx.grad(total, inputs), gx.jvp(total, inputs, [gx.constant(a) for a in known])]
    got, gradients, slope = gx.compile(inputs, outputs)(*arrays)
    np.testing.assert_allclose(got, reference(*arrays), rtol=1e-12, atol=1e-14)
    ends = [
        np.sum(reference(*(a + s * 1e-6 * c for a, c in zip(arrays, known, strict=True))) * weights)
        for s in (1, -1)
    ]
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-7)
    along = sum(np.sum(g * c) for g, c in zip(gradients, known, strict=True))
    np.testing.assert_allclose(along, slope, rtol=1e-11, atol=1e-12)


def operators(node: Node) -> set[str]:
    """The names of the operators that a node is made of."""
    return {each.op.name for each in walk([node])}


def test_derivatives_of_sorting_permute_and_compare_nothing_with_everything() -> None:
    x = gx.input("x", (5,), "float64")
    ordered = gx.sort(x)
    first = gx.grad(gx.sum(ordered * ordered * ordered * np.arange(5.0)), x)
    second = gx.grad(gx.sum(first * np.arange(1.0, 6.0)), x)
    for node in (first, second, gx.grad(gx.sum(gx.square(gx.top_k(x, 2)[0])), x)):
        assert "permute_along_axis" in operators(node)
        assert not operators(node) & {"gather", "scatter", "equal", "iota"}
    array = np.array([3.0, -1, 2, 0, 5])
    rank = np.argsort(np.argsort(array))
    got, again = gx.compile([x], [first, second])(array)
    np.testing.assert_allclose(got, 3 * array**2 * rank)
    np.testing.assert_allclose(again, 6 * array * rank * np.arange(1, 6))


def test_a_batch_equals_the_loop() -> None:
    x, y = gx.input("x", ("b", 6), "float64"), gx.input("y", ("b", 3), "float64")
    table = np.sort(normal(9))

    def of_one(x: Node, y: Node) -> list[Node]:
        slope = gx.grad(gx.median(x) + gx.sum(gx.top_k(x, 2)[0] ** 2), x)
        counts, edges = gx.histogram(x, 4)
        return [slope, gx.searchsorted(table, y), gx.searchsorted(gx.sort(x), y), counts, edges]

    whole = gx.compile([x, y], gx.vmap(of_one)(x, y))
    a, b = gx.input("a", (6,), "float64"), gx.input("b", (3,), "float64")
    single = gx.compile([a, b], of_one(a, b))
    xs, ys = normal(4, 6), normal(4, 3)
    rows = [single(*pair) for pair in zip(xs, ys, strict=True)]
    for place, got in enumerate(whole(xs, ys)):
        np.testing.assert_array_equal(got, np.stack([row[place] for row in rows]))


# --- sizes that each call decides ----------------------------------------------------------------


def test_words_on_symbolic_sizes() -> None:
    x, k = gx.input("x", ("n",), "float64"), gx.input("k", ("n",), "int64")
    outputs = [
        gx.median(x), gx.quantile(x, [0.2, 0.9], method="hazen"), *gx.histogram(x, 5, (-1, 1)),
        gx.bincount(k, length="n"), gx.isin(k, k[::2]), gx.interp([0.1, 9], gx.sort(x), x),
        gx.trapezoid(x), gx.gradient(x), gx.vander(x), gx.top_k(x, 2)[1], gx.nanvar(x),
        gx.unwrap(x * 9), gx.cov(x), gx.histogram(x, 3, weights=x)[0],
    ]  # fmt: skip
    step = gx.compile([x, k], outputs)
    for count in (2, 3, 200):
        a, j = normal(count), RANDOM.integers(0, count, count)
        wants = [
            np.median(a), np.quantile(a, [0.2, 0.9], method="hazen"), *np.histogram(a, 5, (-1, 1)),
            np.bincount(j, minlength=count), np.isin(j, j[::2]), np.interp([0.1, 9], np.sort(a), a),
            np.trapezoid(a), np.gradient(a), np.vander(a), np.argsort(-a)[:2], np.nanvar(a),
            np.unwrap(a * 9), np.cov(a), np.histogram(a, 3, weights=a)[0],
        ]  # fmt: skip
        for got, want in zip(step(a, j), wants, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_nothing_to_sort(device: str) -> None:
    x = gx.input("x", ("n",), "float32")
    outputs = [gx.sort(x), gx.median(x), gx.isin(x, x), gx.histogram(x, 2, (0, 1))[0],
               gx.nansum(x), gx.searchsorted(x, np.float32([1]))]  # fmt: skip
    got = gx.compile([x], outputs, device=device)(np.zeros(0, np.float32))
    wants: list[list[float]] = [[], np.nan, [], [0, 0], 0, [0]]  # type: ignore[list-item]
    for value, want in zip(got, wants, strict=True):
        np.testing.assert_array_equal(value, want)


# --- refusals ------------------------------------------------------------------------------------

X, VECTOR = gx.input("x", (2, 3), "float32"), gx.input("v", (3,), "float32")
COUNTS = gx.input("k", (3,), "int64")
KEY = gx.constant([0, 1], "uint32")

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "axis": (lambda: gx.argsort(VECTOR, axis=1), "axis 1 is out of range"),
    "k": (lambda: gx.top_k(VECTOR, -1), "a size is an integer >= 0"),
    "side": (lambda: gx.searchsorted(VECTOR, X, side="middle"), "side is 'left' or 'right'"),
    "method": (lambda: gx.quantile(X, 0.5, method="best"), "method is one of inter.*nearest, not"),
    "percent": (lambda: gx.percentile(X, [50, 101]), "q must be from 0 to 1"),
    "bounds": (lambda: gx.digitize(X, [1, 0]), "the bins must rise"),
    "bounds in rows": (lambda: gx.digitize(X, X), "the bins must be a vector"),
    "weights": (lambda: gx.bincount(COUNTS, X, length=4), "a weight for each element"),
    "no bin": (lambda: gx.histogram(X, 0), "there must be a bin, not 0"),
    "range": (lambda: gx.histogram(X, 3, (2, 1)), "the range must rise, not from 2 to 1"),
    "few weights": (lambda: gx.histogram(X, 3, weights=VECTOR), "a weight for each element"),
    "average": (lambda: gx.average(X, weights=VECTOR), "a vector along one axis"),
    "cov": (lambda: gx.cov(gx.ones((2, 2, 2))), "takes a matrix or a vector"),
    "observations": (lambda: gx.cov(X, gx.ones((2, 4))), "concat"),
    "one point": (lambda: gx.gradient(gx.ones(1)), "needs 2 points along axis 0"),
    "spacings": (lambda: gx.gradient(X, 1.0, 2.0, 3.0), "3 spacings for 2 axes"),
    "coordinates": (lambda: gx.gradient(VECTOR, VECTOR), "a spacing is one number"),
    "edge order": (lambda: gx.gradient(X, edge_order=3), "edge_order is 1 or 2, not 3"),
    "coefficients": (lambda: gx.polyval(X, VECTOR), "p must be a vector of known length"),
    "powers": (lambda: gx.vander(X), "vander: takes a vector"),
    "choice": (lambda: gx.random.choice(KEY, 3, 4, replace=False), "of 3 parts, 4 cannot be taken"),
    "chances": (lambda: gx.random.choice(KEY, 4, p=VECTOR), "needs 4 weights"),
    "permutation": (lambda: gx.random.permutation(KEY, VECTOR, axis=1), "axis 1 is out of range"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    mistake, message = REFUSED[name]
    with pytest.raises(gx.GraphError, match=message):
        mistake()


@pytest.mark.parametrize("row", [
    [np.inf, 1, np.inf, 2], [-np.inf, 1, 2, np.inf], [-np.inf, -np.inf, 1, 2], [1, np.inf],
    [-np.inf, 3], [-np.inf, np.inf], [np.inf, np.inf], [1, np.nan],
])  # fmt: skip
def test_medians_of_infinities(row: list[float]) -> None:
    x = gx.input("x", (len(row),), "float64")
    with np.errstate(invalid="ignore"):
        want = np.median(row)
    got = gx.compile([x], [gx.median(x), gx.quantile(x, 0.5, method="midpoint")])(np.array(row))
    np.testing.assert_array_equal(got, [want, want])
