"""Calls of the words that sort, bin, summarise and interpolate; see `functions.py`."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from functions import DOUBLE, MASK, X3, Call, K, V, X, Y, call, made, pair
from sample import Array

import graphc as gx
from graphc.ir.node import LANGUAGE
from graphc.lang.quantiles import METHODS

HOLES = np.where(made("holes", 3, 4) > 1, np.float32("nan"), X)
"""Floats, some of them NaN."""
NO_NUMBER = np.array([[np.nan, np.nan], [1, np.nan]], "float32")
EXTREMES = np.array([np.nan, np.inf, -np.inf, -0.0, 3, 0, np.nan], "float32")
LONG, WHOLE = made("long", 200), made("whole", 40, dtype="int64", low=0, high=9)
EDGES = np.array([-2, -0.5, 0.25, 2], "float32")
POINTS, VALUES = np.sort(made("points", 6)), made("values", 6)
PLACES = made("places", 3, 5, low=-5, high=5)
ANGLES = np.cumsum(made("angles", 3, 9, low=-2, high=4), axis=1).astype("float32") % 6


def largest(*arrays: Array, **_: Any) -> Any:
    """The largest magnitude among the operands: what an interpolation's error grows with."""
    return max(np.nanmax(np.abs(array), initial=1) for array in arrays)


def in_order(name: str) -> list[Call]:
    """sort and argsort, which are NumPy's stable ones."""
    word, function = LANGUAGE[name], getattr(np, name)
    stable = [
        pair(lambda x, a=axis: word(x, axis=a), lambda x, a=axis: function(x, a, kind="stable"), x)
        for x in (X3, K, MASK, DOUBLE, HOLES, LONG[None])
        for axis in (0, -1)
    ]
    sign = 1 if name == "argsort" else -1
    return [
        *stable,
        pair(word, lambda x: function(x, kind="stable"), EXTREMES),
        pair(
            lambda k: word(k, descending=True), lambda k: sign * function(-k, kind="stable"), WHOLE
        ),
    ]


def quantiles(name: str, *levels: Any) -> list[Call]:
    """quantile or percentile: levels of several shapes, axes, methods."""

    def of(x: Array, q: Any, **options: Any) -> Call:
        word, function = LANGUAGE[name], getattr(np, name)
        return pair(
            lambda x: word(x, q, **options),
            lambda x: function(x, q, **options),
            x,
            ulp=8,
            scale=largest,
        )

    return [
        *(of(x, levels[0], axis=axis) for x in (X3, DOUBLE) for axis in (None, 0, (0, 1))),
        of(X3, levels[0], axis=1, keepdims=True),
        of(K, levels[0], axis=0),
        of(HOLES, levels[0], axis=1),
        *(of(DOUBLE, q, axis=1) for q in levels),
        *(of(LONG, levels[0], method=method) for method in METHODS),
    ]


def numpy_interp(*arrays: Array, **options: Any) -> Any:
    """numpy.interp, which takes nothing wider than float64."""
    return np.interp(*(array.astype(float) for array in arrays), **options)


def quiet(function: Any) -> Any:
    """NumPy's function without its warnings, which say what the result says."""

    def called(*arrays: Array, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arrays, **options)

    return called


def over_axes(name: str, ulp: float, *arrays: Array, **options: Any) -> list[Call]:
    """A reduction over one axis, several or all."""
    function = quiet(getattr(np, name))
    return [
        call(name, x, numpy=function, axis=axis, keepdims=keepdims, ulp=ulp, **options)
        for x in arrays
        for axis, keepdims in ((None, False), (0, False), (1, True))
    ]


ORDER: dict[str, Sequence[Call]] = {
    "sort": in_order("sort"),
    "argsort": in_order("argsort"),
    "top_k": [
        pair(lambda x: gx.top_k(x, 2)[0], lambda x: -np.sort(-x)[..., :2], X3),
        pair(lambda x: gx.top_k(x, 2, axis=1)[1], lambda x: np.argsort(-x, 1)[:, :2], X3),
        pair(lambda x: gx.top_k(x, 3, largest=False)[0], lambda x: np.sort(x)[..., :3], HOLES),
        pair(lambda x: gx.top_k(x, 0)[1], lambda x: np.argsort(x)[..., :0], K),
    ],
    "median": [
        call("median", x, axis=axis, ulp=2, scale=largest)
        for x in (X3, LONG, K, HOLES, np.append(LONG, np.float32("inf")))
        for axis in (None, 0, -1)
    ],
    "quantile": quantiles("quantile", 0.3, [0.0, 0.25, 1.0], np.array([[0.1], [0.9]])),
    "percentile": quantiles("percentile", 37.5, [0, 50, 100]),
    "digitize": [
        call("digitize", PLACES, EDGES),
        call("digitize", EDGES, EDGES, right=True),
        call("digitize", EXTREMES, EDGES),
        call("digitize", K, np.array([0, 3])),
    ],
    "bincount": [
        pair(lambda k: gx.bincount(k, length=12), lambda k: np.bincount(k, minlength=12), WHOLE),
        pair(lambda k: gx.bincount(k, length=4), lambda k: np.bincount(k)[:4], WHOLE),
        pair(
            lambda k, w: gx.bincount(k, w, length=12),
            lambda k, w: np.bincount(k, w.astype(float), 12),
            WHOLE,
            made("weights", 40, dtype="float64"),
            ulp=40,
            scale=largest,
        ),
    ],
    "histogram": [
        pair(
            lambda *x, at=at, o=options: gx.histogram(*x, **o)[at],
            lambda *x, at=at, o=options: np.histogram(*x, **o)[at],
            *operands,
            ulp=2 * at,
        )
        for at in (0, 1)
        for operands, options in (
            ((LONG,), {"bins": 7, "range": (-2.5, 2)}),
            ((X3,), {}),
            ((WHOLE,), {"bins": 9}),
            ((np.ones(3, "float32"),), {"bins": 2}),
            ((np.append(EDGES, EXTREMES), EDGES), {}),
        )
    ]
    + [
        pair(
            lambda x, w, d=density: gx.histogram(x, EDGES, weights=w, density=d)[0],
            lambda x, w, d=density: np.histogram(x, EDGES, weights=w, density=d)[0],
            np.append(LONG[:36], EDGES).astype("float64"),
            np.linspace(0.5, 1, 40),
            ulp=80,
        )
        for density in (False, True)
    ]
    + [
        pair(
            lambda x: gx.histogram(x, 4, (-3, 3), density=True)[0],
            lambda x: np.histogram(x, 4, (-3, 3), density=True)[0],
            LONG.astype("float64"),
            ulp=4,
        ),
    ],
    "nan_to_num": [
        call("nan_to_num", x, **options)
        for x in (HOLES, EXTREMES, K, EXTREMES.astype("float64"))
        for options in ({}, {"nan": 2.5, "posinf": 7.0, "neginf": -1.0})
    ],
    "nansum": over_axes("nansum", 12, HOLES, K, scale=largest),
    "nanprod": over_axes("nanprod", 12, HOLES, K),
    "nanmax": over_axes("nanmax", 0, HOLES, K, NO_NUMBER),
    "nanmin": over_axes("nanmin", 0, HOLES, K, NO_NUMBER),
    "nanmean": over_axes("nanmean", 12, HOLES, K, NO_NUMBER, scale=largest),
    "nanvar": over_axes("nanvar", 40, HOLES, K, NO_NUMBER, scale=largest)
    + [
        pair(
            lambda x: gx.nanvar(x, axis=1, correction=1),
            lambda x: quiet(np.nanvar)(x, axis=1, ddof=1),
            x,
            ulp=40,
            scale=largest,
        )
        for x in (HOLES, NO_NUMBER)
    ],
    "nanstd": over_axes("nanstd", 40, HOLES, K, scale=largest),
    "average": [
        call("average", X, ulp=12, scale=largest),
        call("average", X, weights=np.abs(Y), ulp=24, scale=largest),
        call("average", X3, axis=1, weights=np.array([1, 2, 0.5], "f"), ulp=24, scale=largest),
        call("average", K, axis=1, keepdims=True, ulp=12, scale=largest),
    ],
    "ptp": [call("ptp", x, axis=axis) for x in (X, K) for axis in (None, 0, 1)],
    "cov": [
        call("cov", DOUBLE, ulp=60, scale=lambda *x, **_: 9.0),
        call("cov", DOUBLE, rowvar=False, ulp=60, scale=lambda *x, **_: 9.0),
        call("cov", DOUBLE[0], DOUBLE[1], bias=True, ulp=60, scale=lambda *x, **_: 9.0),
        call("cov", LONG.astype("float64"), ddof=2, ulp=400, scale=lambda *x, **_: 9.0),
        call("cov", K, ulp=60, scale=lambda *x, **_: 9.0),
    ],
    "corrcoef": [
        call("corrcoef", DOUBLE, ulp=60, scale=lambda *x, **_: 1.0),
        call("corrcoef", DOUBLE[0], DOUBLE[1], ulp=60, scale=lambda *x, **_: 1.0),
        call("corrcoef", DOUBLE[0], ulp=2),
    ],
    "interp": [
        pair(gx.interp, numpy_interp, *map(np.float64, operands), ulp=64, scale=largest)
        for operands in (
            (PLACES, POINTS, VALUES),
            (POINTS, POINTS, VALUES),
            (EXTREMES, POINTS, VALUES),
            (PLACES, np.array([1.0]), np.array([2.0])),
        )
    ]
    + [
        pair(
            lambda *x, o=options: gx.interp(*x, **o),
            lambda *x, o=options: numpy_interp(*x, **o),
            *(array.astype("float64") for array in (PLACES, POINTS, VALUES)),
            ulp=256,
            scale=largest,
        )
        for options in ({"left": -7.0, "right": 9.0}, {"period": 2.5})
    ],
    "trapezoid": [
        call("trapezoid", X3, ulp=12, scale=largest),
        call("trapezoid", X3, dx=0.5, axis=1, ulp=12, scale=largest),
        call("trapezoid", X, POINTS[:4], ulp=24, scale=largest),
        call("trapezoid", X, np.sort(Y), axis=0, ulp=24, scale=largest),
        call("trapezoid", K, ulp=4),
    ],
    "gradient": [
        call("gradient", VALUES, ulp=4, scale=largest),
        pair(
            lambda x: gx.gradient(x, 0.5, edge_order=2),
            lambda x: np.gradient(x, 0.5, edge_order=2),
            VALUES,
            ulp=16,
            scale=largest,
        ),
        call("gradient", K, axis=1, ulp=2),
        pair(
            lambda x: gx.stack(gx.gradient(x, 0.5, 2.0)),
            lambda x: np.stack(np.gradient(x, 0.5, 2.0)),
            X,
            ulp=8,
            scale=largest,
        ),
    ],
    "unwrap": [
        call("unwrap", ANGLES, ulp=64, scale=largest),
        call("unwrap", ANGLES, axis=0, ulp=64, scale=largest),
        call("unwrap", WHOLE.astype("float64"), period=6, discont=4, ulp=8, scale=largest),
    ],
    "polyval": [
        call("polyval", VALUES, PLACES, ulp=64, scale=lambda p, x: 5 * 5.0**6),
        call("polyval", np.array([2, -1, 3]), K),
    ],
    "vander": [
        call("vander", VALUES.astype("float64"), ulp=8),
        pair(lambda x: gx.vander(x, 3), lambda x: np.vander(x, 3), K[0]),
        call("vander", V.astype("float64"), increasing=True, ulp=8),
    ],
}  # fmt: skip
