"""Products of matrices that are large, or of few rows: values, also for any number of threads."""

import numpy as np
import pytest
from calling import Array, with_any_threads

import graphc as gx

SHAPES = ((130, 512, 320), (257, 4096, 48), (200, 300, 736))
"""Rows, depth and columns: panels of 64, all columns in one panel, panels of 32."""


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
    np.testing.assert_array_equal(with_any_threads(step, x, w), want.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("outputs", [330, 448])
def test_a_gradient_of_weights(outputs: int, dtype: str) -> None:
    """The transposed operand lies in strips, which share panels of the other one's columns."""
    random = np.random.default_rng(outputs)
    x = random.integers(-3, 4, (600, 256)).astype(dtype)
    slope = random.integers(-3, 4, (600, outputs)).astype(dtype)
    left, right = gx.input("x", x.shape, dtype), gx.input("slope", slope.shape, dtype)
    old = random.integers(-3, 4, (256, outputs)).astype(dtype)
    weights = gx.variable(old, name="weights")
    step = gx.compile([left, right], [], updates={weights: weights - 2 * (left.T @ right)})

    def updated(*arguments: Array) -> Array:
        weights.value = old
        step(*arguments)
        return weights.value

    np.testing.assert_array_equal(with_any_threads(updated, x, slope), old - 2 * (x.T @ slope))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32"])
@pytest.mark.parametrize(("depth", "columns"), [(96, 3000), (101, 1024), (7, 40000), (64, 4097)])
def test_a_row_times_a_large_matrix(depth: int, columns: int, dtype: str) -> None:
    random = np.random.default_rng(depth)
    x, w = random.integers(-3, 4, (1, depth)), random.integers(-3, 4, (depth, columns))
    left, right = gx.input("left", x.shape, dtype), gx.input("right", w.shape, dtype)
    step = gx.compile([left, right], [left @ right, gx.sum(gx.abs(right), axis=0)])
    found = step(x.astype(left.dtype.numpy), w.astype(left.dtype.numpy))
    for array, want in zip(found, [x @ w, abs(w).sum(axis=0)], strict=True):
        np.testing.assert_array_equal(array, np.asarray(want).astype(array.dtype))


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7, 9, 17])
@pytest.mark.parametrize("columns", [10, 100, 192])
def test_few_rows_of_known_and_symbolic_sizes(rows: int, columns: int) -> None:
    random = np.random.default_rng(rows * columns)
    x = random.integers(-3, 4, (rows, 33)).astype("float32")
    w = random.integers(-3, 4, (33, columns)).astype("float32")
    for m, n in ((rows, columns), ("m", columns), (rows, "n"), ("m", "n")):
        left, right = gx.input("x", (m, 33), "float32"), gx.input("w", (33, n), "float32")
        np.testing.assert_array_equal(gx.compile([left, right], left @ right)(x, w), x @ w)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(15, 600, 450), (16, 500, 290), (41, 521, 300), (18, 8200, 70)])
def test_panels_of_known_and_symbolic_sizes(shape: tuple[int, int, int], dtype: str) -> None:
    rows, depth, columns = shape
    random = np.random.default_rng(rows)
    x, w = random.integers(-3, 4, (rows, depth)), random.integers(-3, 4, (depth, columns))
    for m, k, n in (shape, ("m", depth, columns), (rows, "k", "n"), ("m", "k", "n")):
        left, right = gx.input("x", (m, k), dtype), gx.input("w", (k, n), dtype)
        step = gx.compile([left, right], left @ right)
        found = with_any_threads(step, x.astype(left.dtype.numpy), w.astype(left.dtype.numpy))
        np.testing.assert_array_equal(found, (x @ w).astype(found.dtype))


def test_a_convolution_of_no_images() -> None:
    image, taps = gx.input("x", (0, 16, 9, 14), "float32"), gx.input("w", (1, 16, 2, 3), "float32")
    layer = gx.compile([image, taps], gx.nn.conv(image, taps))
    found = layer(np.ones(image.shape, np.float32), np.ones(taps.shape, np.float32))
    assert found.shape == (0, 1, 8, 12)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_a_batch_of_products_of_no_columns(dtype: str) -> None:
    x, w = gx.input("x", (7, "m"), dtype), gx.input("w", ("b", 7, 0), dtype)
    product = gx.compile([x, w], x.T @ w)
    assert product(np.ones((7, 3), dtype), np.ones((2, 7, 0), dtype)).shape == (2, 3, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int32"])
@pytest.mark.parametrize("shape", [(100, 70, 3), (33, 128, 1), (5, 64, 8), (0, 64, 2), (7, 100, 5)])
def test_few_columns_of_known_and_symbolic_sizes(shape: tuple[int, int, int], dtype: str) -> None:
    rows, depth, columns = shape
    random = np.random.default_rng(rows)
    x, w = random.integers(-3, 4, (rows, depth)), random.integers(-3, 4, (depth, columns))
    for m, k in ((rows, depth), ("m", depth), (rows, "k"), ("m", "k")):
        left, right = gx.input("x", (m, k), dtype), gx.input("w", (k, columns), dtype)
        step = gx.compile([left, right], gx.maximum(left @ right, 0))
        found = with_any_threads(step, x.astype(left.dtype.numpy), w.astype(left.dtype.numpy))
        np.testing.assert_array_equal(found, np.maximum(x @ w, 0).astype(found.dtype))


@pytest.mark.parametrize("turned", [(False, True), (True, False), (True, True)])
def test_few_columns_of_transposed_operands(turned: tuple[bool, bool]) -> None:
    random = np.random.default_rng(5)
    x, w = random.integers(-3, 4, (45, 90)), random.integers(-3, 4, (90, 3))
    arrays = [
        np.ascontiguousarray(a.T if turn else a, np.float32)
        for a, turn in zip((x, w), turned, strict=True)
    ]
    inputs = [gx.input(name, a.shape, "float32") for name, a in zip("xw", arrays, strict=True)]
    left, right = (i.T if turn else i for i, turn in zip(inputs, turned, strict=True))
    np.testing.assert_array_equal(gx.compile(inputs, left @ right)(*arrays), x @ w)


def test_few_columns_carry_nan_and_infinity_in_their_own_results_alone() -> None:
    x, w = np.ones((50, 37), np.float32), np.ones((37, 2), np.float32)
    x[3, 36], x[7, 0], w[5, 1] = np.nan, np.inf, -np.inf
    left, right = gx.input("x", x.shape, "float32"), gx.input("w", w.shape, "float32")
    with np.errstate(invalid="ignore"):
        want = x @ w
    np.testing.assert_array_equal(gx.compile([left, right], left @ right)(x, w), want)


@pytest.mark.cpu("machine code")
def test_vectors_on_the_stack_lie_in_lines_of_the_cache() -> None:
    left, right = gx.input("x", (96, 40), "float32"), gx.input("w", (40, 4), "float32")
    lines = gx.compile([left, right], left @ right).assembly.splitlines()
    assert not [line for line in lines if "vmovups" in line and "zmm" in line and "(%rsp)" in line]
