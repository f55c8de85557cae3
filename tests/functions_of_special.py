"""Calls of special functions and of the rest of NumPy's and SciPy's elementwise ones."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.special
from functions import MASK, Call, K, V, X, Y, call, made, pair
from sample import Array

import graphc as gx

Function = Callable[..., Any]
SCIPY_ULP = 8.0
"""SciPy's own error, and that of arguments in float64 for results in float64."""
NAN, INF = np.nan, np.inf


def doubles(function: Function) -> Function:
    """A function that has nothing wider than float64."""

    def narrowed(*arrays: Any) -> Any:
        return function(*(a.astype("f8") if a.dtype == np.longdouble else a for a in arrays))

    return narrowed


def relative_entropy(name: str) -> Function:
    """A function of SciPy's that gives float64 for every float."""
    function = doubles(getattr(scipy.special, name))
    return lambda x, y: function(x, y).astype(np.result_type(x.dtype, "f4"))


def special(name: str, *intervals: tuple[float, float], edges: Sequence[Any] = ()) -> list[Call]:
    """A function of SciPy's: random operands of both widths, integers, and the edges given."""
    function = doubles(getattr(scipy.special, name))
    calls = []
    for dtype in ("float32", "float64"):
        operands = [made(f"{name}{k}", 3, 7, dtype=dtype, low=low, high=high)
                    for k, (low, high) in enumerate(intervals)]  # fmt: skip
        calls.append(call(name, *operands, numpy=function, ulp=SCIPY_ULP))
        if edges:
            given = [np.asarray(edge, dtype) for edge in edges]
            calls.append(call(name, *given, numpy=function, ulp=SCIPY_ULP))
    whole = [np.arange(int(np.ceil(low)), int(high) + 1)[:3] for low, high in intervals]
    if len({array.size for array in whole}) == 1:
        floats = lambda *k: function(*(a.astype(float) for a in k))  # noqa: E731
        calls.append(pair(getattr(gx, name), floats, *whole, ulp=SCIPY_ULP))
    return calls


def every_pair(values: Sequence[float]) -> tuple[Array, Array]:
    """Two columns in which the values meet in every combination."""
    first, second = np.meshgrid(values, values, indexing="ij")
    return first.ravel(), second.ravel()


def polygamma_calls() -> list[Call]:
    """Orders 0 to 4, at positive and negative arguments and at poles."""
    points = np.array([0.3, 1, 1.5, 7, 90, -0.6, -3.2, 0.0, -2.0, INF, NAN])
    return [
        pair(
            lambda x, n=n: gx.polygamma(n, x),
            doubles(lambda x, n=n: scipy.special.polygamma(n, x).astype(x.dtype)),
            points[:7].astype(dtype) if n == 0 else points.astype(dtype),
            ulp=32,
            scale=lambda x, n=n: np.maximum(np.abs(np.nan_to_num(
                scipy.special.polygamma(n, x.astype("f8")), posinf=0, neginf=0)), 1),
        )
        for n in range(5)
        for dtype in ("float32", "float64")
    ]  # fmt: skip


def digamma_scale(x: Array) -> Array:
    """Its own magnitude, and 1 where it has zeros."""
    return np.abs(np.nan_to_num(scipy.special.digamma(x.astype("f8")))) + 1


def scaled(name: str, scale: Function, *intervals: tuple[float, float]) -> list[Call]:
    """As `special`, where the error is that of a magnitude."""
    own = {"rel_entr": relative_entropy, "kl_div": relative_entropy}
    numpy = own.get(name, lambda name: doubles(getattr(scipy.special, name)))(name)
    return [
        call(
            name,
            *(made(f"{name}{k}", 3, 7, dtype=dtype, low=low, high=high)
              for k, (low, high) in enumerate(intervals)),
            numpy=numpy,
            ulp=16,
            scale=scale,
        )
        for dtype in ("float32", "float64")
    ]  # fmt: skip


def of_pairs(name: str, dtypes: Sequence[str], values: Sequence[float], **more: Any) -> list[Call]:
    """A NumPy function of two operands: random ones, a Python number's dtype, and given values."""
    calls = []
    for dtype in dtypes:
        first, second = (made(name + side, 3, 5, dtype=dtype, low=-9, high=9) for side in "xy")
        if "u" not in dtype:
            calls.append(call(name, first, second, **more))
        edges = (array.astype(dtype) for array in every_pair(values))
        calls.append(call(name, *edges, **more))
    return calls


def modf(x: Array) -> Array:
    """Both parts, stacked."""
    return np.stack(np.modf(x))


FLOATS = ("float32", "float64")
EDGES = [-INF, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, INF, NAN]
WIDE_AND_SMALL = (np.array([0.1, 5, 1e8, 3e4, 12]), np.array([2, 1e9, 0.5, 5e4, 11.5]))
POLES = np.array([0.0, -0.0, -3, 1, 2, INF, NAN])
HEAD = np.array([1.0, INF, NAN, -INF, 2.0, 0.0])
NEAR = np.array([1.00001, INF, NAN, INF, 2.1, 1e-9])

CALLS: dict[str, Sequence[Call]] = {
    "erfc": special("erfc", (-3, 3), edges=[EDGES]) + special("erfc", (3, 4)),
    "erfcx": special("erfcx", (-3, 9), edges=[EDGES]),
    "erfinv": special("erfinv", (-1, 1), edges=[[-1, 1, -0.0, 2, NAN]]),
    "erfcinv": special("erfcinv", (0.01, 2), edges=[[0, 2, -1, 3, NAN, 1e-30]]),
    "ndtr": special("ndtr", (-3, 3), edges=[[-INF, 0, INF, NAN]]),
    "log_ndtr": special("log_ndtr", (-40, 3), edges=[[-INF, -1, 2, NAN]]),
    "ndtri": special("ndtri", (0.01, 0.49), edges=[[0, 1, 0.5, -1, 2, NAN, 1e-30]]),
    "gammaln": [
        *scaled("gammaln", lambda x: np.abs(x) + 1, (-5, 40)),
        call("gammaln", POLES, numpy=doubles(scipy.special.gammaln), ulp=4),
    ],
    "digamma": [
        *scaled("digamma", digamma_scale, (-5, 40)),
        call("digamma", POLES, numpy=doubles(scipy.special.digamma), ulp=4),
    ],
    "polygamma": polygamma_calls(),
    "betaln": [
        *scaled("betaln", lambda x, y: 4 + 0 * x, (0.1, 9), (0.1, 9)),
        call("betaln", *WIDE_AND_SMALL, numpy=doubles(scipy.special.betaln), ulp=16),
    ],
    "xlogy": special("xlogy", (0, 3), (0.1, 3)) + of_pairs(
        "xlogy", FLOATS, EDGES, numpy=doubles(scipy.special.xlogy), ulp=4),
    "xlog1py": special("xlog1py", (0, 3), (0.1, 3)) + of_pairs(
        "xlog1py", FLOATS, EDGES, numpy=doubles(scipy.special.xlog1py), ulp=4),
    "entr": special("entr", (1.2, 3), edges=[EDGES]),
    "rel_entr": [
        *scaled("rel_entr", lambda x, y: 3 + 0 * x, (0, 3), (0, 3)),
        call("rel_entr", *every_pair([-1.0, 0.0, 1.0, NAN]), numpy=relative_entropy("rel_entr")),
    ],
    "kl_div": [
        *scaled("kl_div", lambda x, y: 3 + 0 * x, (0, 3), (0, 3)),
        call("kl_div", *every_pair([-1.0, 0.0, 1.0, NAN]), numpy=relative_entropy("kl_div")),
    ],
    "logit": special("logit", (0.01, 0.45), edges=[[0, 1, -0.1, 1.1, NAN, 0.5]])
    + special("logit", (0.55, 0.99)),
    # --- NumPy's ---
    "exp2": [call("exp2", x, ulp=1) for x in (X * 9, X.astype("f8"), np.array(EDGES))],
    "logaddexp2": [
        call("logaddexp2", X, Y, ulp=4, scale=lambda x, y: np.abs(x) + np.abs(y) + 1),
        call("logaddexp2", *every_pair([-INF, 1.0, INF, NAN]), ulp=2),
    ],
    "cbrt": [call("cbrt", x, ulp=1) for x in (X * 9, X.astype("f8") * 1e9, np.array(EDGES))],
    "sinc": [
        call("sinc", made("sinc", 33, dtype=dtype, low=-0.9, high=0.9), ulp=6) for dtype in FLOATS
    ] + [call("sinc", np.array([0.0, NAN, INF])),
         pair(gx.sinc, lambda k: (k == 0) * 1.0, np.array([-9.0, 0, 1, 2, 3e9]))],
    "deg2rad": [call("deg2rad", x, ulp=1) for x in (X, X.astype("f8"))],
    "rad2deg": [call("rad2deg", x, ulp=1) for x in (X, X.astype("f8"))],
    "heaviside": of_pairs("heaviside", FLOATS, EDGES),
    "nextafter": of_pairs("nextafter", FLOATS, EDGES),
    "fmax": of_pairs("fmax", FLOATS, EDGES) + of_pairs("fmax", ["int32"], [-3, 0, 5]),
    "fmin": of_pairs("fmin", FLOATS, EDGES) + of_pairs("fmin", ["int32"], [-3, 0, 5]),
    "fmod": of_pairs("fmod", FLOATS, EDGES)
    + of_pairs("fmod", ["int8", "int64"], [-128, -7, -3, 1, 3, 100, 127])
    + of_pairs("fmod", ["uint8"], [1, 7, 100, 200]),
    "divmod": [pair(lambda x, y: gx.stack(gx.divmod(x, y)), lambda x, y: np.stack(np.divmod(x, y)),
                    *operands) for operands in ((X * 3, Y), (K, K[::-1]))],
    "modf": [pair(lambda x: gx.stack(gx.modf(x)), modf, x)
             for x in (X * 3, np.array(EDGES), np.array(EDGES, "f4"))],
    "float_power": [pair(gx.float_power, np.float_power, abs(X).astype("f4"), V, ulp=1.2),
                    pair(gx.float_power, np.float_power, abs(K) + 1, K, ulp=1.2)],
    "gcd": of_pairs("gcd", ["int8", "int64"], [-128, -127, -12, 0, 18, 89, 55, 127])
    + of_pairs("gcd", ["uint8"], [0, 12, 18, 144, 233, 255])
    + [call("gcd", np.array([2971215073, 7540113804746346429]),
            np.array([4807526976, 4660046610375530309]))],
    "lcm": of_pairs("lcm", ["int32", "int64"], [-12, 0, 18, 8, 21]),
    "isposinf": [call("isposinf", np.array(EDGES)), call("isposinf", X)],
    "isneginf": [call("isneginf", np.array(EDGES)), call("isneginf", X)],
    "isclose": [
        call("isclose", HEAD, NEAR),
        call("isclose", HEAD, NEAR, rtol=0.1, equal_nan=True),
        call("isclose", K, K + 1, atol=0, rtol=0.25),
        call("isclose", MASK, MASK),
    ],
    "allclose": [
        pair(gx.allclose, np.allclose, X, X),
        pair(lambda x, y: gx.allclose(x, y, atol=3), lambda x, y: np.allclose(x, y, atol=3), X, Y),
        pair(gx.allclose, np.allclose, HEAD, HEAD),
        call("allclose", HEAD, HEAD, equal_nan=True),
    ],
    "array_equal": [
        pair(gx.array_equal, np.array_equal, X, X),
        pair(gx.array_equal, np.array_equal, X, X.T.copy()),
        pair(gx.array_equal, np.array_equal, HEAD, HEAD),
        call("array_equal", HEAD, HEAD, equal_nan=True),
        call("array_equal", K, K, equal_nan=True),
    ],
}  # fmt: skip
