"""Calls of the rest of the Array API's words and of the loops; see `functions.py`."""

from collections.abc import Sequence

import functions_of_cumulative as cumulative
import functions_of_special as special
import numpy as np
from functions import MASK, X3, Call, K, V, X, Y, call, made, pair

import graphc as gx

SQUARE = made("square", 5, 5)
SORTED = np.sort(made("sorted", 9))

STANDARD: dict[str, Sequence[Call]] = {
    "asarray": [pair(gx.asarray, np.asarray, X), pair(gx.asarray, np.asarray, K)],
    "count_nonzero": [
        call("count_nonzero", x, axis=axis) for x in (K, MASK) for axis in (None, 0, 1)
    ],
    "cross": [
        call("cross", made("left", 4, 3), made("right", 4, 3), ulp=4, scale=lambda x, y: 9 + 0 * x)
    ],
    **cumulative.CALLS,
    **special.CALLS,
    "diagonal": [call("diagonal", SQUARE), call("diagonal", X, offset=1)],
    "diff": [call("diff", X), call("diff", X, axis=0), call("diff", K, n=2)],
    "einsum": [
        pair(
            lambda x, y: gx.einsum("ij,kj->ik", x, y),
            lambda x, y: np.einsum("ij,kj->ik", x, y),
            X,
            Y,
            ulp=8,
            scale=lambda x, y: np.abs(x) @ np.abs(y).T,
        ),
        pair(lambda x: gx.einsum("ii->i", x), lambda x: np.einsum("ii->i", x), SQUARE),
    ],
    "ensure_shape": [pair(lambda x: gx.ensure_shape(x, x.shape), lambda x: x, X3)],
    "isin": [
        pair(gx.isin, np.isin, K, np.array([0, 2], K.dtype)),
        pair(gx.isin, np.isin, K, np.arange(-70, 0, 2)),
        pair(gx.isin, np.isin, np.append(SORTED, np.float32("nan")), np.append(np.repeat(SORTED, 9),
             np.float32("nan"))),
    ],
    "kron": [call("kron", X, made("block", 2, 2))],
    "matrix_norm": [pair(gx.matrix_norm, np.linalg.norm, X, ulp=16)],
    "meshgrid": [
        pair(lambda x, y: gx.stack(gx.meshgrid(x, y)), lambda x, y: np.stack(np.meshgrid(x, y)), V,
             SORTED)
    ],
    "searchsorted": [
        call("searchsorted", SORTED, V),
        call("searchsorted", SORTED, SORTED, side="right"),
        call("searchsorted", V, X, sorter=np.argsort(V)),
    ],
    "take": [
        call("take", X3, np.array([1, 0, 1]), axis=1),
        call("take", V, np.array([0, 2]), axis=0),
        call("take", X3, np.array([[0, -1], [2, 1]], "int8"), axis=1),
        call("take", V, np.array(-1, "int16")),
    ],
    "trace": [call("trace", SQUARE, ulp=8, scale=lambda x: np.abs(np.diagonal(x)).sum())],
    "tril": [call("tril", X), call("tril", SQUARE, k=-1), call("tril", K, k=1)],
    "triu": [call("triu", X), call("triu", SQUARE, k=2), call("triu", K)],
    "unstack": [pair(lambda x: gx.stack(gx.unstack(x, axis=1)), lambda x: np.moveaxis(x, 1, 0), X)],
    "vector_norm": [pair(gx.vector_norm, np.linalg.norm, V, ulp=16)],
    "scan": [
        pair(
            lambda x: gx.scan(lambda total, row: (total + row, total + row), np.zeros(x.shape[1:],
                              "float32"), x)[1],
            lambda x: np.cumsum(x, axis=0),
            X,
        )
    ],
    "map": [pair(lambda x: gx.map(lambda row: row * 2 - 1, x), lambda x: x * 2 - 1, X)],
    "fori_loop": [
        pair(lambda x: gx.fori_loop(0, 3, lambda i, y: y * 2, x), lambda x: x * 8, X)
    ],
    "while_loop": [
        pair(
            lambda x: gx.while_loop(lambda y: gx.max(y) < 100, lambda y: y * 2, gx.abs(x) + 1),
            lambda x: (abs(x) + 1) * 2 ** np.ceil(np.log2(100 / (abs(x) + 1).max())),
            V,
        )
    ],
    "cond": [
        pair(
            lambda x: gx.cond(gx.sum(x) > 0, lambda y: y + 1, lambda y: y - 1, x),
            lambda x: x + 1 if x.sum() > 0 else x - 1,
            operand,
        )
        for operand in (V, -V)
    ],
}  # fmt: skip

# Words about types and shapes, or whose elements are anything: test_array_words.py calls them.
NO_ELEMENTS = {
    "broadcast_shapes", "can_cast", "empty", "empty_like", "finfo", "iinfo", "isdtype",
    "result_type",
}  # fmt: skip
