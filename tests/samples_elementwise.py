"""Samples of the operators that work on each element."""

from typing import Any

import numpy as np
from sample import Array, N, Row, Sample, Shape, numbers

import graphc as gx
from graphc.ir.op import OPS
from graphc.ir.types import DTYPES, TensorType
from graphc.passes.math import ULP_BOUND

SHAPES: tuple[Shape, ...] = ((), (1,), (0,), (7,), (3, 5), (2, 0), (2, 1, 9), (70,), (N,), (N, 3))


def elementwise(
    accepts: str,
    arity: int = 1,
    ulp: float = 0.0,
    smooth: tuple[float, float] | None = (-2, 2),
    **options: Any,
) -> Row:
    """An operator of each element."""
    samples = tuple(Sample((shape,) * arity) for shape in SHAPES)
    refused = (Sample(((3,),) * (arity + 1)),)
    if arity > 1:
        refused += (Sample(((3,),)), Sample(((3,), (4,))), Sample(((3,), (1,))))
    options.setdefault("interval", smooth or (-3, 3))
    return Row(accepts, samples, refused, ulp, smooth=smooth, elementwise=True, **options)


REAL_ONLY = {
    "cbrt", "erf", "erfc", "erfcinv", "erfcx", "erfinv", "exp2", "ndtr", "rsqrt", "sigmoid",
    "softplus",
}  # fmt: skip
"""Functions that have no complex formula."""


def bounded(name: str, *smooth: float) -> Row:
    """A function whose error passes/math states; that of its complex formula is a few roundings."""
    worst = max(ULP_BOUND[name].values())
    low, high = smooth
    accepts = "float" if name in REAL_ONLY else "inexact"
    return elementwise(accepts, 1, worst, (low, high), complex_error=8)


def below_zero(name: str) -> Row:
    """A function that has zeros between its poles below zero: its error is that of x there."""

    def scale(x: Array, **_: Any) -> Array:
        with np.errstate(all="ignore"):
            sizes = np.maximum(np.abs(OPS[name].reference(x)), np.abs(x))
        return np.maximum(np.where(np.isfinite(sizes), sizes, 0), 1)

    return elementwise("float", 1, 6, (0.2, 6), interval=(-6, 9), scale=scale)


def logaddexp_scale(x: Array, y: Array, **_: Any) -> Array:
    """The larger operand and the logarithm that is added to it may cancel."""
    larger = np.maximum(x, y)
    return np.abs(np.where(np.isfinite(larger), larger, 0)) + np.log(2)


def shift_counts(random: np.random.Generator, tensor: TensorType, place: int) -> Array | None:
    """Counts that are mostly below the width, and some that are not."""
    if place == 0:
        return None
    low = -2 if tensor.dtype.kind == "int" else 0
    shape = numbers(tensor.shape)
    return random.integers(low, tensor.dtype.bits + 3, shape).astype(tensor.dtype.numpy)


def divisors(random: np.random.Generator, tensor: TensorType, place: int) -> Array | None:
    """Integers with zeros among them in the second place."""
    if place == 0 or tensor.dtype.is_float:
        return None
    low = -3 if tensor.dtype.kind == "int" else 0
    return random.integers(low, 4, numbers(tensor.shape)).astype(tensor.dtype.numpy)


def exponents(random: np.random.Generator, tensor: TensorType, place: int) -> Array | None:
    """Small exponents for integers; any for floats."""
    if place == 0 or tensor.dtype.is_inexact:
        return None
    low = -2 if tensor.dtype.kind == "int" else 0
    return random.integers(low, 9, numbers(tensor.shape)).astype(tensor.dtype.numpy)


def casts() -> tuple[Sample, ...]:
    """A conversion to every dtype, in shapes that fill vectors and leave a rest."""
    return tuple(
        Sample((shape,), {"dtype": target})
        for target in DTYPES
        for shape in (((37,), (N, 3), (0,)) if target == gx.float32 else ((37,),))
    )


ELEMENTWISE = {
    "abs": elementwise("numeric", smooth=(0.1, 2), interval=(-3, 3), complex_error=3.25),
    "add": elementwise("numeric", 2),
    "bitwise_and": elementwise("bits", 2, smooth=None),
    "bitwise_invert": elementwise("bits", smooth=None),
    "bitwise_left_shift": elementwise("integer", 2, smooth=None, choose=shift_counts),
    "bitwise_or": elementwise("bits", 2, smooth=None),
    "bitwise_right_shift": elementwise("integer", 2, smooth=None, choose=shift_counts),
    "bitwise_xor": elementwise("bits", 2, smooth=None),
    "ceil": elementwise("float", smooth=(0.1, 0.9), interval=(-30, 30)),
    "copysign": elementwise("float", 2, smooth=(0.1, 2), interval=(-2, 2)),
    "divide": elementwise("inexact", 2, smooth=(0.5, 2), interval=(-3, 3), complex_error=4),
    "equal": elementwise("any", 2, smooth=None),
    "floor": elementwise("float", smooth=(0.1, 0.9), interval=(-30, 30)),
    "floor_divide": elementwise("number", 2, smooth=None, interval=(-9, 9), choose=divisors),
    "greater": elementwise("number", 2, smooth=None),
    "greater_equal": elementwise("number", 2, smooth=None),
    # ratio, its square, + 1, the root and the product: 0.5 + 1.5 / 2 ... add up to this.
    "hypot": elementwise("float", 2, 3.25, (0.5, 2), interval=(-3, 3), formulas=5),
    "isfinite": elementwise("inexact", smooth=None),
    "isinf": elementwise("inexact", smooth=None),
    "isnan": elementwise("inexact", smooth=None),
    "less": elementwise("number", 2, smooth=None),
    "less_equal": elementwise("number", 2, smooth=None),
    "logaddexp": elementwise("float", 2, 4, (-2, 2), scale=logaddexp_scale, formulas=3),
    "logical_and": elementwise("bool", 2, smooth=None),
    "logical_not": elementwise("bool", smooth=None),
    "logical_or": elementwise("bool", 2, smooth=None),
    "logical_xor": elementwise("bool", 2, smooth=None),
    "maximum": elementwise("number", 2, signed_zero=False),
    "minimum": elementwise("number", 2, signed_zero=False),
    "multiply": elementwise("numeric", 2, complex_error=1.2),
    "negative": elementwise("numeric"),
    "not_equal": elementwise("any", 2, smooth=None),
    "power": elementwise(
        "numeric",
        2,
        max(ULP_BOUND["power"].values()),
        (0.5, 2),
        choose=exponents,
        complex_error=30,  # the exponent's error is that of w log z, which is up to 8 here
    ),
    "relu": elementwise("number", smooth=(0.1, 2), interval=(-3, 3), signed_zero=False),
    "remainder": elementwise(
        "number",
        2,
        smooth=(2.2, 2.8),
        smooth_second=(0.95, 1.05),
        interval=(-9, 9),
        choose=divisors,
    ),
    "round": elementwise("inexact", smooth=(0.6, 0.9), interval=(-30, 30)),
    "sign": elementwise("number", smooth=(0.1, 2), interval=(-3, 3)),
    "sqrt": elementwise("inexact", smooth=(0.2, 3), complex_error=3),
    "stop_gradient": elementwise("any", smooth=None),
    "subtract": elementwise("numeric", 2),
    "trunc": elementwise("float", smooth=(0.1, 0.9), interval=(-30, 30)),
    "acos": bounded("acos", -0.8, 0.8),
    "acosh": bounded("acosh", 1.3, 4),
    "asin": bounded("asin", -0.8, 0.8),
    "asinh": bounded("asinh", -4, 4),
    "atan": bounded("atan", -4, 4),
    "atan2": elementwise("float", 2, max(ULP_BOUND["atan2"].values()), (0.5, 2), interval=(-3, 3)),
    "atanh": bounded("atanh", -0.8, 0.8),
    "cos": bounded("cos", -5, 5),
    "cosh": bounded("cosh", -3, 3),
    "erf": bounded("erf", -2, 2),
    "exp": bounded("exp", -4, 4),
    "expm1": bounded("expm1", -4, 4),
    "log": bounded("log", 0.2, 9),
    "log1p": bounded("log1p", -0.5, 9),
    "rsqrt": bounded("rsqrt", 0.2, 9),
    "sigmoid": bounded("sigmoid", -6, 6),
    "sin": bounded("sin", -5, 5),
    "sinh": bounded("sinh", -3, 3),
    "softplus": bounded("softplus", -6, 6),
    "tan": bounded("tan", -1.2, 1.2),
    "tanh": bounded("tanh", -3, 3),
    "complex": elementwise("float", 2, without=("float16", "bfloat16")),
    "real": elementwise("complex"),
    "imag": elementwise("complex"),
}

ELEMENTWISE |= {
    "cbrt": bounded("cbrt", 0.3, 4),
    "digamma": below_zero("digamma"),
    "erfc": bounded("erfc", -2, 2),
    "erfcinv": bounded("erfcinv", 0.3, 1.7),
    "erfcx": bounded("erfcx", -2, 2),
    "erfinv": bounded("erfinv", -0.8, 0.8),
    "exp2": bounded("exp2", -4, 4),
    "gammaln": below_zero("gammaln"),
    "log_ndtr": elementwise("float", 1, 6, (-3, 3), formulas=4),
    "ndtr": bounded("ndtr", -3, 3),
    "nextafter": elementwise("float", 2, interval=(-3, 3), own_dtype=True),
}

POLYGAMMA = Row(
    "float",
    tuple(Sample((shape,), {"order": order}) for shape in SHAPES for order in (1, 2))
    + tuple(Sample(((7,),), {"order": order}) for order in (3, 8, 25)),
    (
        Sample(((3,), (3,)), {"order": 1}),
        *(Sample(((3,),), {"order": order}) for order in (0, -1, 101, 1.0, None)),
        Sample(((3,),)),
        Sample(((3,),), {"order": 1, "axis": 0}),
    ),
    30,
    interval=(0.1, 9),
    smooth=(0.7, 4),
)

CHOICES = tuple(Sample((s, s, s), dtypes={0: gx.bool}) for s in SHAPES)
WHERE = Row(
    "any",
    CHOICES,
    (
        Sample(((3,), (3,), (3,)), dtypes={0: gx.float32}),
        Sample(((3,), (3,), (4,)), dtypes={0: gx.bool}),
        Sample(((4,), (3,), (3,)), dtypes={0: gx.bool}),
        Sample(((3,), (3,), (3,)), dtypes={0: gx.bool, 2: gx.int8, 1: gx.float32}),
        Sample(((3,), (3,)), dtypes={0: gx.bool}),
    ),
    elementwise=True,
)
CAST = Row("real", casts(), (Sample(((3,), (3,)), {"dtype": gx.int8}),), interval=(0, 99))
