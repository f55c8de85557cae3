"""Every word of the language on the cpu against its NumPy counterpart: value, shape and dtype."""

import numpy as np
import pytest
from closeness import assert_values, spacing
from functions import Call
from functions_of_arrays import CALLS
from functions_of_the_standard import NO_ELEMENTS
from sample import Array

import graphc as gx
import graphc.lang
from graphc.ir.types import as_dtype


def test_every_word_has_calls() -> None:
    assert set(CALLS) == set(graphc.lang.__all__) - NO_ELEMENTS
    assert all(CALLS.values())


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("name", sorted(CALLS))
def test_word(name: str, device: str) -> None:
    inputs, arrays, outputs = [], [], []
    for number, call in enumerate(CALLS[name]):
        nodes = [
            gx.input(f"x{number}_{place}", array.shape, array.dtype)
            for place, array in enumerate(call.operands)
        ]
        inputs += nodes
        arrays += call.operands
        outputs.append(call.word(*nodes))
    results = gx.compile(inputs, outputs, device=device)(*arrays)
    for number, (call, got) in enumerate(zip(CALLS[name], results, strict=True)):
        check(f"{name}, call {number}", call, got, slack=4.0 if device == "reference" else 0.0)


def check(what: str, call: Call, got: Array, slack: float) -> None:
    """The result has NumPy's dtype and shape, and the value that a wider type gives."""
    with np.errstate(all="ignore"):
        plain = np.asarray(call.numpy(*call.operands))
        operands = [widened(array) if call.ulp else array for array in call.operands]
        want = np.asarray(call.numpy(*operands))
    expected = call.dtype or plain.dtype
    if plain.dtype != np.longdouble:
        assert got.dtype == expected, what
    assert got.shape == want.shape, what
    if got.dtype.kind not in "fV":
        np.testing.assert_array_equal(got, want, what)
        return
    kind = as_dtype(got.dtype)
    magnitude = want if call.scale is None else np.broadcast_to(call.scale(*operands), want.shape)
    allowed = (call.ulp + slack * bool(call.ulp)) * spacing(magnitude, kind)
    assert_values(got, want, allowed, what)


def widened(array: Array) -> Array:
    """Floats in the next wider type."""
    if array.dtype.kind != "f":
        return array
    return array.astype(np.longdouble if array.dtype == np.float64 else np.float64)
