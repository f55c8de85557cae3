"""How near a computed value must be to the exact one, and the check that it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sample import Array, Row, largest

from graphc.ir.types import DType, as_dtype, float32

SIGNIFICANT_BITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
LOWEST_EXPONENT = {"float16": -13, "bfloat16": -125, "float32": -125, "float64": -1021}
"""Of normal numbers as `frexp` counts it."""


def spacing(values: Array, dtype: DType) -> Array:
    """One unit in the last place of a float dtype at some values."""
    finite = np.where(np.isfinite(values), values, 0).astype(np.longdouble)
    exponent = np.maximum(np.frexp(finite)[1], LOWEST_EXPONENT[dtype.name])
    return np.asarray(np.ldexp(np.longdouble(1), exponent - SIGNIFICANT_BITS[dtype.name]))


def wider(array: Array, row: Row) -> Array:
    """An operand in the dtype in which NumPy's own error does not count."""
    if array.dtype.kind not in "fV" or row.own_dtype:
        return array
    if row.ulp == 0:  # exact, or rounded once, in NumPy too
        return array.astype(np.float32) if array.dtype.itemsize == 2 else array
    is_wide = array.dtype == np.float64 and row.ulp is not None
    return array.astype(np.longdouble if is_wide else np.float64)


def tolerance(
    row: Row, arrays: Sequence[Array], attrs: Mapping[str, Any], want: Array, dtype: DType
) -> Array:
    """How far the computed value may be from the exact one."""
    if row.ulp == 0:
        return np.zeros(want.shape)
    narrow = dtype.bits == 16
    inner = float32 if narrow else dtype
    final = spacing(want, dtype) * (0.5 * row.formulas if narrow else 0.5)
    if row.ulp is None:  # both sides round to the accumulator again and again
        assert row.scale is not None
        magnitude = row.scale(*arrays, **attrs)
        return np.asarray(final + 2 * magnitude * np.ldexp(1.0, -SIGNIFICANT_BITS[inner.name]))
    magnitude = want if row.scale is None else row.scale(*arrays, **attrs)
    return np.asarray(final * narrow + row.ulp * spacing(magnitude, inner))


def assert_values(
    got: Array, want: Array, allowed: Array, what: str, signed_zero: bool = False
) -> None:
    """Equal, or both NaN, or no further apart than is allowed."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        near = np.abs(got.astype(want.dtype) - want) <= allowed
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        beyond = np.abs(want) + allowed > largest(as_dtype(got.dtype))
        good = same | near | (np.isinf(got) & beyond & (np.sign(got) == np.sign(want)))
    if signed_zero:
        good &= ~((got == 0) & (rounded == 0) & (np.signbit(got) != np.signbit(rounded)))
    bad = np.argwhere(~good)
    assert not len(bad), report(what, tuple(map(int, bad[0])), got, want, allowed)


def report(what: str, at: tuple[int, ...], got: Array, want: Array, allowed: Array) -> str:
    """The first element that is wrong."""
    limit = float(np.broadcast_to(allowed, got.shape)[at])
    return f"{what} at {at}: {got[at]!r}, not {want[at]!r} (may differ by {limit:.3g})"
