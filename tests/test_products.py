"""Products of matrices large enough for panels: values, and the same bits on any thread count."""

import numpy as np
import pytest

import graphc as gx

SHAPES = ((130, 512, 320), (257, 4096, 48), (200, 300, 736))
"""Rows, depth and columns: panels of 32, all columns in one panel, panels of 32 and 16."""


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_product(shape: tuple[int, int, int], turned: bool, dtype: str) -> None:
    rows, depth, columns = shape
    random = np.random.default_rng(sum(shape))
    x = random.integers(-3, 4, (rows, depth)).astype(dtype)
    w = random.integers(-3, 4, (columns, depth) if turned else (depth, columns)).astype(dtype)
    left, right = gx.input("left", x.shape, dtype), gx.input("right", w.shape, dtype)
    step = gx.compile([left, right], left @ (right.T if turned else right) + 1)
    want = x.astype("float64") @ (w.T if turned else w).astype("float64") + 1
    before = gx.get_num_threads()
    try:
        for threads in (1, 2, 3):
            gx.set_num_threads(threads)
            np.testing.assert_array_equal(step(x, w), want.astype(dtype))
    finally:
        gx.set_num_threads(before)
