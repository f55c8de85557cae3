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
    if array.dtype.kind == "c" and row.complex_error:
        return array.astype(np.clongdouble if array.dtype == np.complex128 else np.complex128)
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
    if any(array.dtype.kind == "c" for array in arrays):
        return np.asarray(row.complex_error * spacing(want, dtype))
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


def complex_tolerance(
    row: Row, arrays: Sequence[Array], attrs: Mapping[str, Any], want: Array, dtype: DType
) -> Array:
    """How far a computed complex value may be from the exact one, beside its magnitude."""
    epsilon = np.ldexp(1.0, 1 - SIGNIFICANT_BITS[dtype.part.name])
    if row.ulp is None:
        assert row.scale is not None
        return np.asarray(2 * epsilon * np.real(row.scale(*arrays, **attrs)))
    return np.asarray(row.complex_error * epsilon * np.abs(want))


def assert_complex_values(got: Array, want: Array, allowed: Array, what: str) -> None:
    """Equal in both parts, NaN like NaN, or no further apart than is allowed."""
    with np.errstate(all="ignore"):
        near = np.abs(got.astype(want.dtype) - want) <= allowed
        pairs = ((got.real, want.real.astype(got.real.dtype)),
                 (got.imag, want.imag.astype(got.real.dtype)))  # fmt: skip
        same = [(g == w) | (np.isnan(g) & np.isnan(w)) for g, w in pairs]
    bad = np.argwhere(~(near | (same[0] & same[1])))
    assert not len(bad), report(what, tuple(map(int, bad[0])), got, want, allowed)


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
