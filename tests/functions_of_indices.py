"""Calls of the words that read and write by indices; see `functions.py`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from functions import MASK, X3, Call, K, V, X, Y, call, made, pair
from sample import Array

import graphc as gx

ROWS = made("rows", 7, dtype="int64", low=-4, high=3)
IDS = np.array([2, 0, 2, 5, -1, 0, 9, 2, 0, 5, 5, 3])
TABLE = made("table", 12, 3, dtype="float64")
LONG = made("long", 12, dtype="int32")
PLACES = made("places", 3, 2, dtype="int8", low=-4, high=3)
FLAGS = np.array([0, 3, 0, -1, 2, 0, 0, 1], "int16")
SQUARE = made("matrix", 4, 4)


def stacked(words: Callable[..., Any], numpys: Callable[..., Any], *arrays: Array) -> Call:
    """Words that give several arrays, as one."""
    return pair(lambda *a: gx.stack(list(words(*a))), lambda *a: np.stack(numpys(*a)), *arrays)


# --- segments ------------------------------------------------------------------------------------


def segmented(at: Callable[..., Any], start: float, count: int = 6) -> Callable[..., Array]:
    """A reduction of segments by the `at` of a ufunc."""

    def reduce(data: Array, ids: Array) -> Array:
        kept = (ids >= 0) & (ids < count)
        result = np.full((count, *data.shape[ids.ndim :]), start).astype(data.dtype)
        at(result, ids[kept], data[kept])
        return result

    return reduce


def numpy_segment_mean(data: Array, ids: Array) -> Array:
    """The sums by the counts, of which none is 0."""
    total = segmented(np.add.at, 0)(data, ids)
    counts = segmented(np.add.at, 0)(np.ones(ids.shape), ids)
    return total / np.maximum(counts, 1).reshape(-1, *(1,) * (total.ndim - 1))


def segments(name: str, at: Callable[..., Any], start: float, low: int) -> list[Call]:
    """Segments of rows and of numbers, and with ids along two axes."""
    word = getattr(gx, name)
    wide, limits = segmented(at, start), segmented(at, low)
    return [
        pair(
            lambda x, i: word(x, i, 6), wide, TABLE, IDS, ulp=8, scale=lambda x, i: 64 + 0 * x[:6]
        ),
        pair(lambda x, i: word(x, i, num_segments=6), limits, LONG, IDS),
        pair(
            lambda x, i: word(gx.reshape(x, (3, 4)), gx.reshape(i, (3, 4)), 6),
            limits,
            LONG,
            IDS.astype("uint8"),
        ),
    ]


INTEGERS = np.iinfo("int32")
SEGMENTS: dict[str, Sequence[Call]] = {
    "segment_sum": segments("segment_sum", np.add.at, 0, 0),
    "segment_prod": segments("segment_prod", np.multiply.at, 1, 1),
    "segment_max": segments("segment_max", np.maximum.at, -np.inf, INTEGERS.min),
    "segment_min": segments("segment_min", np.minimum.at, np.inf, INTEGERS.max),
    "segment_mean": [
        pair(lambda x, i: gx.segment_mean(x, i, 6), numpy_segment_mean, TABLE, IDS, ulp=8),
    ],
}

# --- masks ---------------------------------------------------------------------------------------


def sized(found: Array, size: int, fill: Any) -> Array:
    """The first rows of an array, filled up."""
    result = np.full((size, *found.shape[1:]), fill, found.dtype)
    result[: len(found)] = found[:size]
    return result


SIZED: dict[str, Sequence[Call]] = {
    "flatnonzero": [
        pair(
            lambda x, n=n: gx.flatnonzero(x, size=n, fill_value=-1),
            lambda x, n=n: sized(np.flatnonzero(x), n, -1),
            x,
        )
        for x in (FLAGS, MASK)
        for n in (0, 2, 9)
    ],
    "nonzero": [
        stacked(
            lambda x: gx.nonzero(x, size=8),
            lambda x: [sized(index, 8, 0) for index in np.nonzero(x)],
            x,
        )
        for x in (FLAGS, MASK, K)
    ],
    "argwhere": [
        pair(
            lambda x: gx.argwhere(x, size=5, fill_value=7),
            lambda x: sized(np.argwhere(x), 5, 7),
            MASK,
        )
    ],
    "compress": [
        pair(
            lambda c, x: gx.compress(c, x, axis=1, size=2, fill_value=9),
            lambda c, x: np.moveaxis(sized(np.compress(c, x, 1).swapaxes(0, 1), 2, 9), 0, 1),
            np.array(flags),
            X3,
        )
        for flags in ([True, True, True], [False, True], [False, False, True])
    ]
    + [
        pair(
            lambda x: gx.compress([True, False, True], x, size=3),
            lambda x: sized(np.compress([True, False, True], x), 3, 0),
            X,
        )
    ],
    "extract": [
        pair(
            lambda c, x: gx.extract(c, x, size=4, fill_value=0.5),
            lambda c, x: sized(np.extract(c, x), 4, 0.5),
            X > 0,
            X,
        )
    ],
}

# --- indices -------------------------------------------------------------------------------------


def put(x: Array, places: Array, values: Any, axis: int) -> Array:
    """numpy.put_along_axis on a copy."""
    result = x.copy()
    np.put_along_axis(result, places.astype(int), values, axis)
    return result


def filled(x: Array, value: Any) -> Array:
    """numpy.fill_diagonal on a copy."""
    result = x.copy()
    np.fill_diagonal(result, value)
    return result


def replaced(x: Array, part: Array, rows: slice) -> Array:
    """A copy with other rows."""
    result = x.copy()
    result[rows] = part
    return result


CHOSEN = made("chosen", 4, 5, dtype="int32", low=0, high=2)
ARRAYS: dict[str, Sequence[Call]] = {
    "put_along_axis": [
        pair(
            lambda x, i: gx.put_along_axis(x, i, 7, axis=1),
            lambda x, i: put(x, i, 7, 1),
            SQUARE,
            np.array([[1, 1], [-1, 0], [2, 3], [0, -4]]),
        ),
        pair(
            lambda x, i, v: gx.put_along_axis(x, i, v, axis=0),
            lambda x, i, v: put(x, i, v, 0),
            SQUARE,
            np.array([[1], [-1], [1]], "int8"),
            made("values", 3, 4),
        ),
    ],
    "indices": [
        pair(lambda: gx.indices((2, 3)), lambda: np.indices((2, 3))),
        pair(lambda: gx.indices((4,), "float32"), lambda: np.indices((4,), "float32")),
        pair(lambda: gx.indices(()), lambda: np.indices(())),
    ],
    "ix_": [
        pair(
            lambda x, i, j: x[gx.ix_(i, j)],
            lambda x, i, j: x[np.ix_(i, j)],
            SQUARE,
            np.array([0, 3, -1]),
            np.array([2, 2], "uint8"),
        )
    ],
    "unravel_index": [
        stacked(
            lambda i: gx.unravel_index(i, (3, 4, 2)),
            lambda i: np.unravel_index(i, (3, 4, 2)),
            np.arange(24).reshape(4, 6)[::-1].copy(),
        )
    ],
    "ravel_multi_index": [
        pair(
            lambda i, j: gx.ravel_multi_index((i, j), (4, 5)),
            lambda i, j: np.ravel_multi_index((i, j), (4, 5)),
            np.array([0, 3, 2]),
            np.array([4, 0, 1], "uint16"),
        )
    ],
    "tril_indices": [
        stacked(lambda: gx.tril_indices(3), lambda: np.tril_indices(3)),
        stacked(lambda: gx.tril_indices(3, 1, 5), lambda: np.tril_indices(3, 1, 5)),
    ],
    "triu_indices": [
        stacked(lambda: gx.triu_indices(3, m=2), lambda: np.triu_indices(3, m=2)),
        stacked(lambda: gx.triu_indices(4, -1), lambda: np.triu_indices(4, -1)),
    ],
    "diag_indices": [stacked(lambda: gx.diag_indices(3, 3), lambda: np.diag_indices(3, 3))],
    "dynamic_slice": [
        pair(lambda x, i: gx.dynamic_slice(x, (i, 1), (2, 3)), lambda x, i: x[1:3, 1:], X, start)
        for start in (np.array(1), np.array(-X.shape[0] + 1, "int8"))
    ],
    "dynamic_update_slice": [
        pair(
            lambda x, i: gx.dynamic_update_slice(x, x[:2] * 2, (i, 0)),
            lambda x, i: replaced(x, x[:2] * 2, slice(1, 3)),
            X,
            np.array(1, "uint32"),
        )
    ],
    "fill_diagonal": [
        pair(lambda x: gx.fill_diagonal(x, 5), lambda x: filled(x, 5), X),
        pair(gx.fill_diagonal, filled, SQUARE, SQUARE[0].copy()),
        pair(lambda x: gx.fill_diagonal(x, 0.5), lambda x: filled(x, 0.5), made("cube", 3, 3, 3)),
    ],
    "diag": [call("diag", V), call("diag", V, k=-2), call("diag", V, k=1), call("diag", X, k=1)],
    "diagflat": [call("diagflat", X, k=1)],
    "tri": [
        pair(lambda: gx.tri(3), lambda: np.tri(3)),
        pair(lambda: gx.tri(3, 5, -1, "int8"), lambda: np.tri(3, 5, -1, "int8")),
    ],
    "select": [
        pair(
            lambda x, y: gx.select([x > 1, y > 1], [x, y], -7),
            lambda x, y: np.select([x > 1, y > 1], [x, y], np.float32(-7)),
            X,
            Y,
        ),
        pair(lambda k: gx.select([k > 0], [k]), lambda k: np.select([k > 0], [k]), K),
    ],
    "choose": [
        pair(
            lambda k, x, v: gx.choose(k, [x, v, 1.5]),
            lambda k, x, v: np.choose(k, [x, v, np.float32(1.5)]),
            CHOSEN,
            made("option", 4, 5),
            made("row", 5),
        )
    ],
}

INDEXED: dict[str, Sequence[Call]] = {**SEGMENTS, **SIZED, **ARRAYS}
