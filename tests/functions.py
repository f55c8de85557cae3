"""For every word of the language, calls of it and of its NumPy counterpart.

`CALLS` is the table that `test_every_function.py` walks: a word without a row fails the tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sample import Array, seed_of

import graphc as gx
from graphc.ir.node import LANGUAGE
from graphc.passes.math import ULP_BOUND

Function = Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """A word on nodes, NumPy on arrays, and operands for both.

    The result may be wrong by `ulp` units in the last place of the largest magnitude that
    `scale` gives for the operands (None: of the result itself, element by element).
    """

    word: Function
    numpy: Function
    operands: tuple[Array, ...]
    ulp: float = 0.0
    scale: Function | None = None
    dtype: Any = None


def made(name: str, *shape: int, dtype: str = "float32", low: float = -3, high: float = 3) -> Array:
    """Random elements that depend on a name alone."""
    random = np.random.default_rng(seed_of(name, shape, dtype))
    if dtype == "bool":
        return random.random(shape) < 0.5
    if "int" in dtype:
        return random.integers(max(0, low) if dtype[0] == "u" else low, high + 1, shape).astype(
            dtype
        )
    return random.uniform(low, high, shape).astype(dtype)


def call(name: str, *operands: Array, numpy: Any = None, ulp: float = 0, **options: Any) -> Call:
    """A word and NumPy's function (of its own name, or the given one) with the same options."""
    word, function = LANGUAGE[name], numpy or getattr(np, name)
    scale, dtype = options.pop("scale", None), options.pop("dtype_of_result", None)
    numpys = partial(function, **options)
    return Call(partial(word, **options), numpys, operands, ulp, scale, dtype)


def pair(word: Function, numpy: Function, *operands: Array, ulp: float = 0, **more: Any) -> Call:
    """Calls that are written differently."""
    return Call(word, numpy, operands, ulp, **more)


# --- elementwise ---------------------------------------------------------------------------------

DOMAIN = {
    "acosh": (1, 9), "acos": (-1, 1), "asin": (-1, 1), "atanh": (-0.99, 0.99), "log": (0.01, 9),
    "log1p": (-0.9, 9), "log2": (0.01, 9), "log10": (0.01, 9), "sqrt": (0, 9), "rsqrt": (0.1, 9),
    "power": (0.1, 3), "pow": (0.1, 3), "ceil": (-20, 20), "floor": (-20, 20), "round": (-20, 20),
    "trunc": (-20, 20),
}  # fmt: skip


def erf(x: Array) -> Array:
    """The error function by its series, in the widest type there is."""
    x = x.astype(np.longdouble)
    total = term = 2 * x / np.sqrt(np.longdouble(np.pi))
    for n in range(1, 120):
        term = -term * x * x / n
        total = total + term / (2 * n + 1)
    return total


UNARY: dict[str, tuple[Function | None, float]] = {
    **{n: (None, max(ULP_BOUND[n].values())) for n in (
        "acosh", "acos", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log",
        "log1p", "sin", "sinh", "tan", "tanh")},
    **dict.fromkeys(
        ("abs", "ceil", "floor", "negative", "positive", "sign", "sqrt", "square", "trunc",
         "reciprocal"), (None, 0)),
    "round": (np.rint, 0),
    "log2": (None, 3), "log10": (None, 3),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.6),
    "erf": (erf, 1.9),
    "relu": (lambda x: np.maximum(x, 0), 0),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2.4),
    "softplus": (lambda x: np.log1p(np.exp(x)), 2.2),
    "stop_gradient": (lambda x: x, 0),
    "isnan": (None, 0), "isinf": (None, 0), "isfinite": (None, 0), "signbit": (None, 0),
}  # fmt: skip
WHOLE = (
    "abs",
    "ceil",
    "floor",
    "negative",
    "positive",
    "sign",
    "square",
    "trunc",
    "round",
    "relu",
    "stop_gradient",
)


def unary(name: str) -> list[Call]:
    """A function of one operand, of floats of both widths, integers, bools and an empty array."""
    numpy, ulp = UNARY[name]
    low, high = DOMAIN.get(name, (-3, 3))
    options = {"low": low, "high": high}
    floats = [made(name, 3, 5, **options), made(name, 21, dtype="float64", **options),
              made(name, 0, 2, **options), made(name, **options)]  # fmt: skip
    function = numpy or getattr(np, name)
    calls = [call(name, x, numpy=function, ulp=ulp) for x in floats]
    near = [int(np.ceil(low)), int(high)]
    whole = np.arange(near[0], near[1] + 1, dtype=np.int64)
    if name in WHOLE:
        return [*calls, call(name, whole, numpy=function, dtype_of_result=np.int64)]
    wide = pair(LANGUAGE[name], lambda k: function(k.astype(float)), whole, ulp=ulp)
    return [*calls, wide]


BINARY: dict[str, tuple[Function | None, float]] = {
    **dict.fromkeys(
        ("add", "subtract", "multiply", "divide", "maximum", "minimum", "copysign", "equal",
         "not_equal", "less", "less_equal", "greater", "greater_equal"), (None, 0)),
    "atan2": (None, 1.9), "hypot": (None, 3.25),
    "power": (None, 1.2), "pow": (None, 1.2),
}  # fmt: skip
OF_INTEGERS = (
    "add", "subtract", "multiply", "maximum", "minimum", "equal", "not_equal", "less",
    "less_equal", "greater", "greater_equal",
)  # fmt: skip


def binary(name: str) -> list[Call]:
    """A function of two operands that broadcast, promote, or are a Python number."""
    numpy, ulp = BINARY[name]
    function = numpy or getattr(np, name)
    low, high = DOMAIN.get(name, (-3, 3))
    x, y = made(name, 3, 1, low=low, high=high), made(name + "y", 4, low=low, high=high)
    wide = made(name, 4, dtype="float64", low=low, high=high)
    calls = [call(name, a, b, numpy=function, ulp=ulp) for a, b in ((x, y), (y, y), (x, wide))]
    number = [
        pair(lambda a: LANGUAGE[name](a, 1.5), lambda a: function(a, a.dtype.type(1.5)), x, ulp=ulp)
    ]
    if name not in OF_INTEGERS:
        return calls + number
    k, j = made(name, 5, dtype="int32"), made(name + "y", 2, 5, dtype="int8")
    return [
        *calls,
        *number,
        call(name, k, j),
        pair(lambda a: LANGUAGE[name](2, a), lambda a: function(2, a), k),
    ]


def divisions(name: str) -> list[Call]:
    """Floor division and its remainder, of floats and integers."""
    x, y = made(name, 3, 4, low=-9, high=9), made(name + "y", 4, low=0.5, high=3)
    k, j = (
        made(name, 9, dtype="int64", low=-9, high=9),
        made(name + "y", 9, dtype="int64", low=1, high=4),
    )
    return [call(name, x, y), call(name, -x, y), call(name, k, j), call(name, k, -j),
            call(name, abs(k).astype("uint8"), j.astype("uint8"))]  # fmt: skip


def bits(name: str) -> list[Call]:
    """A function of bits."""
    k, j = (
        made(name, 3, 5, dtype="int32", low=0, high=9),
        made(name + "y", 5, dtype="int32", low=0, high=9),
    )
    calls = [call(name, k, j), call(name, k.astype("uint8"), j.astype("uint8"))]
    a, b = made(name, 4, dtype="bool"), made(name + "y", 4, dtype="bool")
    return calls if "shift" in name else [*calls, call(name, a, b)]


def logic(name: str) -> list[Call]:
    """A function of bools."""
    a, b = made(name, 3, 5, dtype="bool"), made(name + "y", 5, dtype="bool")
    return [call(name, a)] if name == "logical_not" else [call(name, a, b)]


X, Y = made("x", 3, 4), made("y", 3, 4)
Z = (X + 1j * Y).astype(np.complex64)
X3, V = made("x3", 2, 3, 4), made("v", 4)
K, MASK = made("k", 3, 4, dtype="int64", low=-5, high=5), made("mask", 3, 4, dtype="bool")
DOUBLE = made("double", 3, 4, dtype="float64")

ELEMENTWISE: dict[str, Sequence[Call]] = {
    **{name: unary(name) for name in UNARY},
    **{name: binary(name) for name in BINARY},
    **{name: divisions(name) for name in ("floor_divide", "remainder")},
    **{name: bits(name) for name in ("bitwise_and", "bitwise_or", "bitwise_xor",
                                     "bitwise_left_shift", "bitwise_right_shift")},
    **{name: logic(name) for name in ("logical_and", "logical_or", "logical_xor", "logical_not")},
    "complex": [pair(gx.complex, lambda x, y: x + np.complex64(1j) * y, X, Y),
                pair(lambda x: gx.complex(x, 2), lambda x: x + np.complex64(2j), X)],
    **{name: [call(name, Z), call(name, X)] for name in ("real", "imag", "conj")},
    "angle": [call("angle", Z, ulp=4), call("angle", X, ulp=4)],
    "bitwise_invert": [call("bitwise_invert", K), call("bitwise_invert", MASK)],
    "logaddexp": [call("logaddexp", X, Y, ulp=4, scale=lambda x, y: np.abs(x) + np.abs(y) + 1)],
    "clip": [
        pair(lambda x: gx.clip(x, -1, 1), lambda x: np.clip(x, -1, 1), X),
        pair(lambda x: gx.clip(x, max=0.5), lambda x: np.minimum(x, np.float32(0.5)), X),
        pair(gx.clip, np.maximum, X, Y),
        pair(lambda k: gx.clip(k, 0, 3), lambda k: np.clip(k, 0, 3), K),
    ],
    "where": [
        call("where", MASK, X, Y),
        pair(lambda m, x: gx.where(m, x, 0), lambda m, x: np.where(m, x, np.float32(0)), MASK, V),
        call("where", MASK, K, DOUBLE),
    ],
    "cast": [
        *(pair(lambda x, d=d: gx.cast(x, d), lambda x, d=d: x.astype(d), X * 9)
          for d in ("float64", "float16", "int32", "int8", "bool")),
        *(pair(lambda k, d=d: gx.cast(k, d), lambda k, d=d: k.astype(d), K)
          for d in ("float32", "uint8", "bool")),
    ],
    "astype": [pair(lambda x: gx.astype(x, "float16"), lambda x: x.astype("float16"), X)],
}  # fmt: skip
