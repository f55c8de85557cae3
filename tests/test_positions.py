"""Which threads come upon the positions of an argmax in their order, and what they find then."""

import numpy as np
import pytest
from conftest import require_pocl

import graphc as gx
from graphc.ir.kernel import Kernel
from graphc.ir.parser import parse
from graphc.ir.positions import first_positions

CASES = {
    "one loop": ("for serial %i < n { accumulate %b load %x[%i] at %i }", True),
    "neighbours": (
        "for thread %i < 8 lanes 8 { for wide %j < 4 lanes 4 "
        "{ accumulate %b load %x[4*%i + %j] at 4*%i + %j } }",
        True,
    ),
    "rows of rows": (
        "for serial %i < n { for serial %j < 3 { accumulate %b load %x[3*%i + %j] at 3*%i + %j } }",
        True,
    ),
    "down the columns": (
        "for serial %i < 4 { for serial %j < 8 { accumulate %b load %x[%i + 4*%j] at %i + 4*%j } }",
        False,
    ),
    "steps shorter than rows": (
        "for serial %i < 4 { for serial %j < 4 { accumulate %b load %x[3*%i + %j] at 3*%i + %j } }",
        False,
    ),
    "the same again": (
        "for serial %i < 4 { for serial %j < 4 { accumulate %b load %x[%j] at %j } }",
        False,
    ),
    "backwards": ("for serial %i < 8 { accumulate %b load %x[7 - %i] at 7 - %i }", False),
    "a folded step": (
        "for serial %i < 8 { accumulate %b load %x[%i] at remainder(%i, 4) }",
        False,
    ),
    "rows of any length": (
        "for serial %i < 4 { for serial %j < n { accumulate %b load %x[n*%i + %j] at n*%i + %j } }",
        True,
    ),
    "by values": (
        "for serial %i < 4 { let %p: i64 = cast(i64, load %x[%i]) "
        "accumulate %b load %x[%i] at %p + 4*%i }",
        False,
    ),
    "two places": (
        "for serial %i < 4 { accumulate %b load %x[%i + 4] at %i + 4 } "
        "for serial %j < 4 { accumulate %b load %x[%j] at %j }",
        False,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_positions_grow(name: str) -> None:
    body, grows = CASES[name]
    head = "kernel @k(%x: f32[8*n + 32], write %y: i64[1]) { accumulator %b: f32 = argmax"
    kernel = parse(f"{head} {body} store %y[0] = %b }}")
    assert isinstance(kernel, Kernel)
    assert set(first_positions(kernel.body)) == ({"b"} if grows else set())


def test_an_accumulator_inside_a_loop_begins_anew() -> None:
    kernel = parse("""kernel @k(%x: f32[32], write %y: i64[4]) {
  for serial %i < 4 {
    accumulator %b: f32 = argmax
    for serial %j < 8 { accumulate %b load %x[8*%i + %j] at %j }
    store %y[%i] = %b
  }
}""")
    assert isinstance(kernel, Kernel)
    assert first_positions(kernel.body) == {"b": 0}


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("shape", [(3, 70), (2, 5000)])
def test_the_first_of_equal_elements_is_found_on_a_device(
    dtype: str, shape: tuple[int, int]
) -> None:
    require_pocl()
    x = gx.input("x", shape, dtype)
    outputs = [f(x, axis=axis) for f in (gx.argmax, gx.argmin) for axis in (0, 1)]
    step = gx.compile([x], [*outputs, gx.argmax(x)], device="opencl:Portable")
    rows = np.arange(np.prod(shape)).reshape(shape)
    for given in least_and_most(dtype, rows):
        wanted = [f(given, axis=axis) for f in (np.argmax, np.argmin) for axis in (0, 1)]
        for got, want in zip(step(given), [*wanted, np.argmax(given)], strict=True):
            np.testing.assert_array_equal(got, want)


def least_and_most(dtype: str, rows: np.ndarray) -> list[np.ndarray]:
    """Arrays of which all elements are one limit of the dtype, or the other, or in few places."""
    if dtype == "bool":
        low, high = False, True
    elif dtype.startswith("float"):
        low, high = -np.inf, np.inf
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    found = [np.full(rows.shape, value, dtype) for value in (low, high)]
    found += [np.where(rows % 7 == 3, low, high).astype(dtype)]
    found += [np.where(rows % 1001 > 2, low, high).astype(dtype)]
    if dtype.startswith("float"):
        found += [np.where(rows % 61 == 60, np.nan, a).astype(dtype) for a in found]
    return found
