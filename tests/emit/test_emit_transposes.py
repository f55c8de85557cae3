"""Transposes in registers as machine code: strips of loads and of stores, against NumPy."""

from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir import dim, scalar, types
from graphc.ir.dim import Dim
from graphc.ir.kernel import Buffer, Kernel, Let, Statement, Store, loop
from graphc.ir.scalar import Load, Ref
from graphc.ir.types import DType, float32
from graphc.runtime.cpu.emit import emit_kernel
from graphc.runtime.cpu.target import host

random = np.random.default_rng(3)
Run = Callable[..., None]
Body = Callable[[Dim, Dim], tuple[Statement, ...]]


def tile(rows: int, columns: int, body: Body, dtype: DType = float32, lanes: int = 32) -> Kernel:
    """A kernel from x to y of rows side by side around a vector loop over columns."""
    row, column = dim.symbol("r", "index", rows), dim.symbol("c", "index", columns)
    vectors = loop("c", columns, "vector", body(row, column), lanes)
    size = rows * columns
    buffers = (Buffer("x", dtype, size), Buffer("y", dtype, size, True))
    return Kernel("t", buffers, (loop("r", rows, "unrolled", (vectors,)),))


def stores(rows: int, columns: int, dtype: DType = float32) -> Body:
    """Reads along the columns and writes along the rows."""
    return lambda r, c: (Store("y", c * rows + r, Load(dtype, "x", r * columns + c, None)),)


def loads(rows: int, columns: int, dtype: DType = float32) -> Body:
    """Reads along the rows and writes along the columns."""
    return lambda r, c: (Store("y", r * columns + c, Load(dtype, "x", c * rows + r, None)),)


def values(rows: int, columns: int, dtype: DType) -> np.ndarray:
    """An array of bits, or of whole numbers."""
    return random.integers(0, 2, (rows, columns)).astype(dtype.numpy)


@pytest.mark.parametrize("rows", [2, 3, 7, 8, 14, 16, 17, 37])
@pytest.mark.parametrize("columns", [1, 5, 16, 32, 41])
@pytest.mark.parametrize("bits", [512, 256, 128])
def test_blocks_of_any_size(run: Run, rows: int, columns: int, bits: int) -> None:
    x = random.normal(size=(rows, columns)).astype(np.float32)
    y, back = np.zeros((columns, rows), np.float32), np.zeros((rows, columns), np.float32)
    run(tile(rows, columns, stores(rows, columns)), x, y, bits=bits)
    np.testing.assert_array_equal(y, x.T)
    run(tile(rows, columns, loads(rows, columns)), y, back, bits=bits)
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize(
    "dtype", [types.float64, types.float16, types.bfloat16, types.int8, types.bool_], ids=str
)
def test_elements_of_any_size(run: Run, dtype: DType) -> None:
    x = values(9, 40, dtype)
    y, back = np.zeros((40, 9), dtype.numpy), np.zeros((9, 40), dtype.numpy)
    run(tile(9, 40, stores(9, 40, dtype), dtype), x, y)
    np.testing.assert_array_equal(y, x.T)
    run(tile(9, 40, loads(9, 40, dtype), dtype), y, back)
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("body", [loads(8, 32), stores(8, 32)], ids=["loads", "stores"])
def test_no_element_is_moved_by_itself(body: Body) -> None:
    text = emit_kernel(tile(8, 32, body), host()).text
    assert "gather" not in text
    assert "scatter" not in text


def test_what_is_stored_first_is_loaded_after_it(run: Run) -> None:
    rows, columns = 8, 16

    def body(r: Dim, c: Dim) -> tuple[Statement, ...]:
        again = Load(float32, "y", c * rows + r, None)
        double = Ref(float32, "a") + Ref(float32, "a")
        return (
            Let("a", Load(float32, "x", r * columns + c, None)),
            Store("y", c * rows + r, double),
            Store("y", c * rows + r, again + scalar.const(float32, 1)),
        )

    x = random.normal(size=(rows, columns)).astype(np.float32)
    y = np.zeros((columns, rows), np.float32)
    run(tile(rows, columns, body), x, y)
    np.testing.assert_array_equal(y, (x + x + 1).T)


def test_what_a_tile_adds_to_is_loaded_before_it_is_stored(run: Run) -> None:
    rows, columns = 14, 32

    def body(r: Dim, c: Dim) -> tuple[Statement, ...]:
        at = c * rows + r
        total = Load(float32, "y", at, None) + Load(float32, "x", r * columns + c, None)
        return (Store("y", at, total),)

    x = random.normal(size=(rows, columns)).astype(np.float32)
    y = random.normal(size=(columns, rows)).astype(np.float32)
    expected = y + x.T
    run(tile(rows, columns, body), x, y)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("apart", [12, 24, 48])
def test_rows_that_lie_apart_are_no_strip(run: Run, apart: int) -> None:
    rows, columns = 4, 16

    def body(r: Dim, c: Dim) -> tuple[Statement, ...]:
        return (Store("y", r * 3 + c * apart, Load(float32, "x", r * columns + c, None)),)

    x = random.normal(size=(rows, columns)).astype(np.float32)
    y = np.zeros((columns, apart), np.float32)
    kernel = tile(rows, columns, body)
    buffers = (kernel.buffers[0], Buffer("y", float32, y.size, True))
    run(Kernel("t", buffers, kernel.body), x, y)
    np.testing.assert_array_equal(y[:, : 3 * rows : 3], x.T)
    assert np.count_nonzero(y) == x.size
