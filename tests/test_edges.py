"""Where a derivative or a proof must not follow the usual rule."""

import numpy as np
import pytest

import graphc as gx
from graphc.ir import dim


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_power_has_no_slope_by_its_exponent_where_the_base_is_zero(device):
    x, y = (gx.input(name, (3,), "float64") for name in "xy")
    slope = gx.compile([x, y], gx.grad(gx.sum(x**y), y), device=device)
    np.testing.assert_array_equal(slope(np.zeros(3), np.array([-1.0, 0.0, 2.0])), np.zeros(3))


def test_a_factor_that_may_be_negative_bounds_nothing():
    size, i = dim.symbol("n"), dim.symbol("i", "index", 8)
    perhaps_negative = dim.minimum(size - 5, 3)
    assert dim.upper_bound(i * perhaps_negative) is None
    assert dim.lower_bound(i * perhaps_negative) is None
    assert dim.upper_bound(i + perhaps_negative) == perhaps_negative + 7
    assert dim.upper_bound(i * dim.minimum(size, 3)) == 7 * dim.minimum(size, 3)


@pytest.mark.parametrize("shift", [0, -5])
def test_the_bounds_of_a_quotient(shift: int) -> None:
    i, j = dim.symbol("i", "index", 9), dim.symbol("j", "index", 5)
    quotient = dim.floor_divide(i + shift, 4)
    values = [(number + shift) // 4 for number in range(9)]
    assert dim.upper_bound(quotient) == max(values)
    assert dim.lower_bound(quotient) == min(values)
    assert dim.lower_bound(3 - 2 * quotient) == 3 - 2 * max(values)
    of_product = dim.upper_bound(j * quotient)
    assert isinstance(of_product, int)
    assert of_product >= 4 * max(values)


def test_what_lies_within_a_divisor_is_its_own_remainder() -> None:
    thread, step = dim.symbol("t", "index", 256), dim.symbol("s", "index", 4)
    place = 4 * step + dim.floor_divide(thread, 64)
    assert dim.remainder(place, 16) == place
    assert dim.floor_divide(place + 48 * thread, 48) == thread
    assert dim.remainder(place, 15) != place


def test_slices_of_slices_have_short_sizes():
    x = gx.input("x", ("n",), "float32")
    assert x[1:][1:].shape == x[2:].shape
    assert x[1:][:-2].shape == x[:-3].shape
    deep = x
    for _ in range(1000):
        deep = deep[1:]
    assert deep.shape == x[1000:].shape
    step = gx.compile([x], x[1:][1:] + x[2:])
    for count in (0, 1, 2, 3, 9):
        values = np.arange(count, dtype="float32")
        np.testing.assert_array_equal(step(values), 2 * values[2:])


@pytest.mark.parametrize(
    ("wide", "narrow", "size"),
    [
        ("int32", "int8", 17),
        ("int32", "int16", 33),
        ("int64", "int32", 9),
        ("int16", "uint8", 33),
        ("float32", "bfloat16", 17),
    ],
)
def test_nothing_is_written_behind_a_narrow_result(wide, narrow, size):
    """One element is left for the last vector, whose lanes are wider before they are stored."""
    x = gx.input("x", (size,), wide)
    step = gx.compile([x], gx.astype(x, narrow))
    given = np.full(size, -3, wide)
    expected = step(given)
    memory = np.full((size + 8) * expected.itemsize, 85, np.uint8)
    inside = memory[: expected.nbytes]
    step(given, out=inside.view(expected.dtype))
    assert inside.tobytes() == expected.tobytes()
    assert (memory[expected.nbytes :] == 85).all()


def test_a_column_that_is_left_over_leaves_the_next_row_alone():
    a, b = gx.input("a", (17, 600), "bfloat16"), gx.input("b", (600, 17), "bfloat16")
    given = [np.full(node.shape, 1, node.dtype.numpy) for node in (a, b)]
    assert (gx.compile([a, b], a @ b)(*given) == 600).all()
