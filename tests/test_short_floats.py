"""float16 and bfloat16: every operator rounds its result, fused or not, on every device."""

import numpy as np
import pytest

import graphc as gx

DTYPES = ("float16", "bfloat16")

# Formulas whose result depends on what their middle is rounded to.
FORMULAS = {
    "add": lambda x: (x + 1) - x,
    "multiply": lambda x: x * x * 0.0625 / x,
    "divide": lambda x: x / 3 + x,
    "sqrt": lambda x: gx.sqrt(gx.abs(x)) * gx.sqrt(gx.abs(x)) - gx.abs(x),
    "exact": lambda x: gx.maximum(-x, gx.floor(x)) * 0.1,
    "sum": lambda x: gx.sum(x * x * 0.1),
    "cast": lambda x: gx.cast(gx.cast(x, "float32") * 0.1, x.dtype) * 3,
}


def numbers(node: gx.Node) -> np.ndarray:
    """Numbers of many magnitudes."""
    random = np.random.default_rng(0)
    magnitudes = 10.0 ** random.uniform(-2, 3, node.shape)
    return (random.normal(size=node.shape) * magnitudes).astype(node.dtype.numpy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FORMULAS)
def test_fusion_keeps_the_rounding_of_each_operator(name, dtype):
    x = gx.input("x", (259,), dtype)
    y = FORMULAS[name](x)
    fused, expected = (gx.compile([x], y, device=d)(numbers(x)) for d in ("cpu", "reference"))
    tolerance = 2.0**-7 if name == "sum" else 0  # NumPy adds up in another order
    np.testing.assert_allclose(fused.astype("f8"), expected.astype("f8"), rtol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("word", ["hypot", "logaddexp"])
def test_formulas_of_several_steps_are_rounded_once(word, dtype):
    x, y = (gx.input(name, (259,), dtype) for name in "xy")
    values = numbers(x), numbers(y)[::-1]
    wide = getattr(np, word)(*(value.astype("f8") for value in values))
    result = gx.compile([x, y], getattr(gx, word)(x, y))(*values)
    np.testing.assert_array_equal(result, wide.astype(x.dtype.numpy))
