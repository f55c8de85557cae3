"""Calls of the running results along an axis; see `functions.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from functions import MASK, X3, Call, K, V, X, call, made, pair
from sample import Array

import graphc as gx

SMALL = made("small", 3, 5, low=0.5, high=1.5)


def magnitude(x: Array) -> Any:
    """What the roundings of running sums are relative to."""
    return np.sum(np.abs(x))


def numpy_recurrence(factor: Array, term: Array) -> Array:
    """A loop along the last axis."""
    result = np.array(np.broadcast_to(term, factor.shape))
    for k in range(1, term.shape[-1]):
        result[..., k] += factor[..., k] * result[..., k - 1]
    return result


def numpy_logsumexp(x: Array) -> Array:
    """The formula as it stands, in a wide type."""
    return np.log(np.cumsum(np.exp(x.astype(np.longdouble)), -1))


CALLS: dict[str, Sequence[Call]] = {
    "cumulative_sum": [
        *(call("cumulative_sum", X3, axis=k, ulp=8, scale=magnitude) for k in (0, 1, -1)),
        call("cumulative_sum", V, include_initial=True, ulp=8, scale=magnitude),
        call("cumulative_sum", K, axis=1, include_initial=True),
        call("cumulative_sum", MASK, axis=0),
        call("cumulative_sum", K.astype("int8"), axis=0),
        call("cumulative_sum", K, axis=0, dtype="int16"),
    ],
    "cumulative_prod": [
        *(call("cumulative_prod", SMALL, axis=k, ulp=8) for k in (0, 1)),
        call("cumulative_prod", K, axis=1, include_initial=True),
    ],
    "cumulative_max": [
        pair(lambda x: gx.cumulative_max(x, axis=1), lambda x: np.maximum.accumulate(x, 1), X),
        pair(gx.cumulative_max, np.maximum.accumulate, np.array([1, 3, np.nan, 4], "float32")),
    ],
    "cumulative_min": [
        pair(lambda x: gx.cumulative_min(x, axis=0), lambda x: np.minimum.accumulate(x, 0), K),
    ],
    "cumulative_logsumexp": [
        pair(lambda x: gx.cumulative_logsumexp(x, axis=-1), numpy_logsumexp, SMALL, ulp=32,
             scale=lambda x: 4 + 0 * x),
    ],
    "linear_recurrence": [
        pair(lambda a, b: gx.linear_recurrence(a, b, axis=1), numpy_recurrence, SMALL, SMALL[:1],
             ulp=32, scale=lambda a, b: 100 + 0 * a * b),
    ],
}  # fmt: skip
