"""Lengths and distances of vectors in gx.nn: any norm, and 16-bit floats."""

import numpy as np
import pytest

import graphc as gx
from graphc.ir.types import as_dtype


@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
def test_distances_of_any_norm(p: float) -> None:
    a, b = gx.input("a", (3, 2), "float64"), gx.input("b", (3, 2), "float64")
    distance = gx.nn.pairwise_distance(a, b, p=p, eps=0.0)
    step = gx.compile([a, b], [distance, gx.grad(gx.sum(distance), a)])
    left, right = np.array([[4.0, -1], [0.5, 0.2], [1, -3]]), np.zeros((3, 2))
    got, slope = step(left, right)
    np.testing.assert_allclose(got, np.linalg.norm(left, p, axis=1), rtol=1e-14)
    if p == np.inf:
        np.testing.assert_array_equal(slope, [[1, 0], [1, 0], [0, -1]])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_lengths_of_halves_neither_overflow_nor_vanish(dtype: str) -> None:
    x = gx.input("x", (3, 4), dtype)
    length = gx.linalg.vector_norm(x, axis=1)
    outputs = [
        gx.nn.normalize(x),
        gx.nn.cosine_similarity(x, x),
        length,
        gx.nn.pairwise_distance(x, 0 * x),
        gx.nn.cosine_embedding_loss(x, x, np.ones(3, np.int64), reduction="none"),
        gx.grad(gx.sum(gx.astype(length, "float32")), x),
    ]
    step = gx.compile([x], [gx.astype(output, "float64") for output in outputs])
    rows = np.array([[0.0, 1000, 0, 500], [1e-3, 2e-3, 0, 0], [3, 4, 0, 0]])
    given = rows.astype(as_dtype(dtype).numpy)
    wide = np.asarray(given, np.float64)
    sizes = np.linalg.norm(wide, axis=1)
    units = wide / sizes[:, None]
    close = {"rtol": 1e-2, "atol": 1e-3}
    for got, want in zip(step(given), (units, np.ones(3), sizes, sizes, np.zeros(3), units),
                         strict=True):  # fmt: skip
        np.testing.assert_allclose(got, want, **close)
