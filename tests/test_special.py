"""Special functions: published values, derivatives in the tails and at ends, closure, refusals."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.ir.node import Node
from graphc.ir.op import OPS
from graphc.passes.differentiate import grad, jvp


def evaluate(function: Any, x: Any, dtype: str = "float64") -> np.ndarray:
    """A function of one array, compiled."""
    given = np.asarray(x, dtype)
    node = gx.input("x", given.shape, dtype)
    return gx.compile([node], function(node))(given)


def slope(function: Any, order: int = 1) -> Any:
    """The derivative of an order of a function of each element."""

    def derived(x: Node) -> Node:
        y = function(x)
        for _ in range(order):
            y = grad(gx.sum(y), x)
        return y

    return derived


# Computed with 60 digits and rounded: by mpmath 1.3.
VALUES = {
    "erfc in the tail": (gx.erfc, 26.0, 5.663192408856143e-296),
    "erfc": (gx.erfc, 0.2500001, 0.7236735038303528),
    "erfcx": (gx.erfcx, 50.0, 0.011281536265323773),
    "ndtr in the tail": (gx.ndtr, -37.5, 4.605353009581955e-308),
    "log_ndtr in the tail": (gx.log_ndtr, -100.0, -5005.524208694205),
    "log_ndtr near 0": (gx.log_ndtr, 8.0, -6.220960574271786e-16),
    "erfinv near 0": (gx.erfinv, 1e-20, 8.86226925452758e-21),
    "erfinv near 1": (gx.erfinv, 1 - 2.0**-53, 5.8635847487551676),
    "erfcinv near 0": (gx.erfcinv, 1e-300, 26.209469960516124),
    "ndtri near 0": (gx.ndtri, 1e-300, -37.0470962993612),
    "gammaln near 1": (gx.gammaln, 1 + 2.0**-30, -5.375739784311044e-10),
    "gammaln near 2": (gx.gammaln, 2 + 2.0**-30, 3.937485957506932e-10),
    "gammaln of much": (gx.gammaln, 1e300, 6.897755278982137e302),
    "gammaln below 0": (gx.gammaln, -0.5, 1.2655121234846454),
    "digamma near its zero": (gx.digamma, 1.4616321449683622, -9.241265521729427e-17),
    "digamma near 0": (gx.digamma, 1e-300, -1e300),
    "trigamma": (lambda x: gx.polygamma(1, x), 1.0, 1.6449340668482264),
    "trigamma of much": (lambda x: gx.polygamma(1, x), 1e200, 1e-200),
    "polygamma 2": (lambda x: gx.polygamma(2, x), 0.5, -16.82879664423432),
    "polygamma 30": (lambda x: gx.polygamma(30, x), 1e-8, -2.652528598121909e280),
    "polygamma 100": (lambda x: gx.polygamma(100, x), 50.0, -2.7391048021902828e-14),
    "betaln of unlike": (lambda x: gx.betaln(x, 1.0), 1e15, -34.538776394910684),
    "betaln of large": (lambda x: gx.betaln(1e8, x), 1e8, -138629444.05681732),
    "betaln of half": (lambda x: gx.betaln(x, 0.5), 1e10, -10.940560522033028),
}


@pytest.mark.parametrize(("function", "x", "value"), VALUES.values(), ids=VALUES)
def test_values_of_many_digits(function: Any, x: float, value: float) -> None:
    # polygamma of a high order is wrong by as many units.
    np.testing.assert_allclose(evaluate(function, x), value, rtol=2e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [1, 2, 3, 10, 40, 100])
def test_polygamma_is_as_exact_as_documented(order: int, dtype: str) -> None:
    random = np.random.default_rng(order)
    x = np.concatenate([random.uniform(0, 40, 400), 10 ** random.uniform(-6, 6, 200)])
    got = evaluate(lambda v: gx.polygamma(order, v), x, dtype)
    with np.errstate(all="ignore"):
        want = OPS["polygamma"].reference(x.astype(dtype).astype(np.longdouble), order=order)
        rounded = np.abs(want).astype(dtype)
    normal = (rounded >= np.finfo(dtype).tiny) & np.isfinite(rounded)
    assert np.isinf(got[np.isinf(rounded)]).all()
    errors = np.abs(got - want)[normal] / np.spacing(rounded[normal])
    assert errors.max() <= 1.5 * order + 6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_words_are_as_exact_as_documented(dtype: str) -> None:
    random = np.random.default_rng(0)
    p = np.concatenate([random.uniform(0, 1, 2000), 10 ** random.uniform(-30, 0, 2000)])
    x = np.concatenate([random.uniform(-40, 9, 4000), -(10 ** random.uniform(-5, 6, 2000))])
    root = np.sqrt(np.longdouble(2))
    for word, points, reference in (
        (gx.ndtri, p.astype(dtype), lambda wide: -root * OPS["erfcinv"].reference(2 * wide)),
        (gx.log_ndtr, x.astype(dtype), OPS["log_ndtr"].reference),
    ):
        got, want = evaluate(word, points, dtype), reference(points.astype(np.longdouble))
        errors = np.abs(got - want) / np.spacing(np.abs(want).astype(dtype))
        assert errors.max() <= {gx.ndtri: 4, gx.log_ndtr: 6}[word]


def test_betaln_is_as_exact_as_documented() -> None:
    random = np.random.default_rng(0)
    first, second = (10 ** random.uniform(-3, 6, 3000).astype("float32") for _ in "ab")
    a, b = (gx.input(name, first.shape, "float32") for name in "ab")
    got = gx.compile([a, b], gx.betaln(a, b))(first, second)
    wide = [part.astype(np.longdouble) for part in (first, second)]
    gammaln = OPS["gammaln"].reference
    want = gammaln(wide[0]) + gammaln(wide[1]) - gammaln(wide[0] + wide[1])
    errors = np.abs(got - want) / np.spacing(np.maximum(np.abs(want), 1).astype("float32"))
    assert errors.max() <= 32


# --- derivatives ---------------------------------------------------------------------------------


def test_the_gamma_functions_derive_into_each_other() -> None:
    x = np.array([0.3, 1.0, 2.5, 30.0, -0.7])
    for order in range(1, 4):
        got = evaluate(slope(gx.gammaln, order), x)
        np.testing.assert_allclose(got, scipy.special.polygamma(order - 1, x), rtol=1e-12)
    got = evaluate(slope(lambda v: gx.polygamma(4, v)), x)
    np.testing.assert_allclose(got, scipy.special.polygamma(5, x), rtol=1e-12)


def test_slopes_in_the_tail_are_relatively_accurate() -> None:
    x = np.array([-1000.0, -30.0, -5.0, 0.0, 3.0, 30.0])
    mills = math.sqrt(2 / math.pi) / scipy.special.erfcx(-x / math.sqrt(2))
    np.testing.assert_allclose(evaluate(slope(gx.log_ndtr), x), mills, rtol=1e-12)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(evaluate(slope(gx.ndtr), x), density, rtol=1e-12)
    p = np.array([1e-200, 1e-5, 0.3, 0.9])
    inverse = 1 / (np.exp(-(scipy.special.ndtri(p) ** 2) / 2) / math.sqrt(2 * math.pi))
    np.testing.assert_allclose(evaluate(slope(gx.ndtri), p), inverse, rtol=1e-11)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_sinc_has_its_derivatives_everywhere(order: int) -> None:
    # Those of the integral of cos(pi x t) over t from 0 to 1.
    x = np.array([0.0, 1e-9, -0.1, 0.2499, 0.2501, 1.0, 5.3])
    t, weights = np.polynomial.legendre.leggauss(60)
    t, weights = (t + 1) / 2, weights / 2
    terms = (np.pi * t) ** order * np.cos(np.pi * x[:, None] * t + order * np.pi / 2)
    np.testing.assert_allclose(evaluate(slope(gx.sinc, order), x), terms @ weights, atol=2e-10)


@pytest.mark.parametrize("pairs", [(3.0, 3.0), (0.5, 4.0), (12.0, 12.0), (200.0, 3.0), (1e9, 2.0)])
def test_betaln_derives_as_the_gamma_function_does(pairs: tuple[float, float]) -> None:
    a, b = (gx.input(name, (), "float64") for name in "ab")
    first = grad(gx.betaln(a, b), [a, b])
    second = [grad(first[0], a), grad(first[0], b)]
    got = gx.compile([a, b], [*first, *second])(*map(np.float64, pairs))
    x, y = pairs
    psi, psi1 = scipy.special.digamma, lambda v: scipy.special.polygamma(1, v)
    want = [psi(x) - psi(x + y), psi(y) - psi(x + y), psi1(x) - psi1(x + y), -psi1(x + y)]
    np.testing.assert_allclose(got, want, rtol=1e-6 if x > 1e8 else 1e-10)


@pytest.mark.parametrize(("word", "least"), [(gx.xlogy, 0.0), (gx.xlog1py, -1.0)])
def test_logarithms_times_zero_have_gradients_that_are_no_nan(word: Any, least: float) -> None:
    x, y = (gx.input(name, (4,), "float64") for name in "xy")
    value = gx.sum(word(x, y))
    first = grad(value, [x, y])
    along = jvp(value, [x, y], [gx.ones_like(x), gx.ones_like(y)])
    mixed = grad(gx.sum(first[0]), y)
    given = np.array([0.0, 0, 0, 2]), np.array([least, math.inf, least + 2, least + 3])
    dx, dy, dxy, pushed = gx.compile([x, y], [*first, mixed, along])(*given)
    np.testing.assert_allclose(dx, [0, 0, math.log(2), math.log(3)])
    np.testing.assert_allclose(dy, [0, 0, 0, 2 / 3])
    np.testing.assert_allclose(dxy, [0, 0, 1 / 2, 1 / 3])
    np.testing.assert_allclose(pushed, np.sum(dx + dy))


def test_relative_entropy_of_nearly_equal_numbers_keeps_its_digits() -> None:
    x, y = np.array([1.0, 0.3]), np.array([1.0, 0.3]) * (1 + 2.0**-30)
    node = gx.input("x", (2,), "float64")
    got = gx.compile([node], gx.rel_entr(node, gx.constant(y)))(x)
    np.testing.assert_allclose(got, x * np.log1p((x - y) / y), rtol=1e-15)


def test_a_remainder_derives_as_its_line_does() -> None:
    x, y = (gx.input(name, (4,), "float64") for name in "xy")
    slopes = grad(gx.sum(gx.fmod(x, y)), [x, y])
    got = gx.compile([x, y], slopes)(np.array([7.0, -7, 7, 0]), np.array([3.0, 3, -3, 3]))
    np.testing.assert_array_equal(got, [[1, 1, 1, 1], [-2, 2, 2, 0]])


# --- shapes that calls decide --------------------------------------------------------------------


def test_divisors_run_through_symbolic_sizes_and_batches() -> None:
    k = gx.input("k", ("n",), "int64")
    each = gx.vmap(lambda v: gx.gcd(v, 12))(k)
    given = np.array([8, 9, 0, -30])
    for got in gx.compile([k], [gx.gcd(k, 12), each])(given):
        np.testing.assert_array_equal(got, np.gcd(given, 12))


def test_equality_of_arrays_asks_for_shapes_that_are_decided() -> None:
    m, n = (gx.input(name, (name,), "float32") for name in ("m", "n"))
    rows = gx.input("rows", ("m", 2), "float32")
    assert gx.array_equal(m, rows).op.name == "constant"
    assert gx.array_equal(m, m[:]).op.name == "all"
    with pytest.raises(gx.GraphError, match="decided by each call"):
        gx.array_equal(m, n)
