"""Elementary functions: the error of compiled code in ULP, special values, what formulas hold."""

import ctypes
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special

import graphc.ops  # noqa: F401 (fills the table of operators)
from graphc.ir import dim, scalar
from graphc.ir.dim import Symbol
from graphc.ir.kernel import Buffer, For, Kernel, Store
from graphc.ir.op import OPS
from graphc.ir.types import DType, float32, float64
from graphc.passes.math import ULP_BOUND, expand, trigonometric
from graphc.runtime.cpu import emit, jit, target

Array = np.ndarray[Any, Any]

DTYPES = {"float32": float32, "float64": float64}
COUNT = {"float32": 1 << 19, "float64": 1 << 17}
"""How many points are compared."""
WIDE = {"float32": np.float64, "float64": np.longdouble}
ARITY = {"power": 2, "atan2": 2}

every_function = pytest.mark.parametrize("function", sorted(scalar.TRANSCENDENTAL))
every_dtype = pytest.mark.parametrize(
    "name",
    [
        "float32",
        pytest.param(
            "float64",
            marks=pytest.mark.skipif(
                np.finfo(np.longdouble).nmant < 63, reason="no type wider than float64 here"
            ),
        ),
    ],
)


SPECIAL = ("erfc", "erfcx", "ndtr", "erfinv", "erfcinv", "gammaln", "digamma")
UNLIKE_SCIPY = ("erfcinv", "gammaln")
"""erfcinv(1) is -0 there, and gammaln(-inf) -inf, where C and others have inf."""
WITH_ZEROS_BELOW_ZERO = ("gammaln", "digamma")
BELOW_ZERO = 6.0
"""Their error for negative x in units in the last place of the largest of the result, x and 1."""

# --- references ----------------------------------------------------------------------------------


def wide_erf(x: Array) -> Array:
    """2/sqrt(pi) e^-x² (x + 2/3 x³ + 4/15 x⁵ + ...): every term has the sign of x."""
    x = np.clip(x, -7, 7)
    term = total = x / np.sqrt(np.arctan(x.dtype.type(1)))
    for n in range(1, 200):
        term = term * (2 * x * x / (2 * n + 1))
        total = total + term
    return np.where(np.isnan(x), x, total * np.exp(-x * x))


def wide_sigmoid(x: Array) -> Array:
    y: Array = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, y, 1) / (1 + y)
    return result


def wide_softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def within_limit(function: Callable[[Array], Array], name: str) -> Callable[[Array], Array]:
    """The function inside the range of our reduction, NaN outside."""
    limit = trigonometric.LIMIT[DTYPES[name]]
    return lambda x: np.where(np.abs(x) < limit, function(x), np.nan)


def reference(function: str, name: str) -> Callable[..., Array]:
    """The function on a wider type."""
    own: dict[str, Callable[..., Array]] = {
        "erf": wide_erf,
        "sigmoid": wide_sigmoid,
        "softplus": wide_softplus,
        "rsqrt": lambda x: 1 / np.sqrt(x),
    }
    if function in SPECIAL:  # SciPy has nothing wider than float64
        theirs = name == "float32" and function not in UNLIKE_SCIPY
        return getattr(scipy.special, function) if theirs else OPS[function].reference
    if function in ("sin", "cos", "tan"):
        return within_limit(getattr(np, function), name)
    found: Callable[..., Array] = own.get(function) or getattr(np, numpy_name(function))
    return found


def numpy_name(function: str) -> str:
    return re.sub(r"^a(?=sin|cos|tan)", "arc", function)


# --- points --------------------------------------------------------------------------------------


def count(function: str, name: str) -> int:
    """How many points are compared; fewer where the reference is slow."""
    return COUNT[name] // 16 if function in SPECIAL else COUNT[name]


def special_values(dtype: Any) -> Array:
    info = np.finfo(dtype)
    positive = [
        0, 0.5, 1, 1.5, 2, 3, 1e10, 2**24 - 1, 2**23 + 0.5, 2.0**53 - 1, 1 + info.eps,
        1 - info.eps / 2, info.tiny, info.smallest_subnormal, info.max, np.inf, np.nan,
    ]  # fmt: skip
    return np.array([sign * value for value in positive for sign in (1, -1)], dtype)


def points(function: str, name: str) -> tuple[Array, ...]:
    """Special values, then random ones: all magnitudes, those near one, and where it matters."""
    generate = np.random.default_rng(20)
    special = special_values(name)
    if ARITY.get(function) == 2:
        pairs = np.array(list(itertools.product(special, special))).T
        random = two_arguments(function, name, count(function, name) - pairs.shape[1], generate)
        return tuple(np.concatenate(both) for both in zip(pairs, random, strict=True))
    return (
        np.concatenate(
            [special, one_argument(name, count(function, name) - len(special), generate)]
        ),
    )


def log_uniform(low: float, high: float, count: int, generate: np.random.Generator) -> Array:
    return generate.choice([-1.0, 1.0], count) * 2.0 ** generate.uniform(low, high, count)


def one_argument(name: str, count: int, generate: np.random.Generator) -> Array:
    single = name == "float32"
    lowest, highest, digits = (-149, 127.99, 23) if single else (-1074, 1023.99, 52)
    kinds: list[Callable[[int], Array]] = [
        lambda n: log_uniform(lowest, highest, n, generate),
        lambda n: log_uniform(-12, 8, n, generate),
        lambda n: generate.uniform(-1, 1, n),
        lambda n: generate.uniform(-10, 10, n),
        lambda n: generate.uniform(0.7 * lowest, 0.7 * highest, n),
        lambda n: 1 + log_uniform(-digits, 0, n, generate),
        lambda n: np.round(log_uniform(0, digits - 2, n, generate)) * (math.pi / 2),
    ]
    parts = [kind(count // len(kinds) + 1) for kind in kinds]
    return np.concatenate(parts)[-count:].astype(name)


def two_arguments(
    function: str, name: str, count: int, generate: np.random.Generator
) -> tuple[Array, Array]:
    first = one_argument(name, count, generate)
    if function == "atan2":
        nearby = first / 2 ** generate.uniform(0, 8, count).astype(name)
        return first, np.where(generate.random(count) < 0.5, nearby, generate.permutation(first))
    # Exponents that lead to every magnitude of result, and small integers for negative bases.
    with np.errstate(divide="ignore"):
        logarithm = np.log(np.abs(first.astype(float)))
    wanted = generate.uniform(-1.1, 1.02, count) * np.log(np.finfo(name).max)
    safe = np.where(np.abs(logarithm) < 1e-20, 1.0, logarithm)
    second = np.where(first < 0, np.round(generate.uniform(-30, 30, count)), wanted / safe)
    return first, second.astype(name)


# --- compiled code -------------------------------------------------------------------------------


def compiled(function: str, dtype: DType, count: int) -> Callable[..., Array]:
    """The function over whole arrays, as a vector loop in machine code."""
    i = Symbol("i", "index", count)
    names = ["x", "y"][: ARITY.get(function, 1)]
    loads = (scalar.Load(dtype, name, dim.atom(i), None) for name in names)
    store = Store("result", dim.atom(i), scalar.call(function, *loads))
    buffers = (*(Buffer(n, dtype, count) for n in names), Buffer("result", dtype, count, True))
    lanes = target.host().vector_bits // dtype.bits
    kernel = Kernel(function, buffers, (For(i, "vector", (store,), lanes),))
    library = jit.load(emit.emit_kernel(kernel, target.host()).text)
    native = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (2 + len(buffers)))
    run = native(library.address(function))

    def call(*arguments: Array) -> Array:
        result = np.empty(count, dtype.numpy)
        run(None, None, *(array.ctypes.data for array in (*arguments, result)))
        assert library
        return result

    return call


def ulp_errors(got: Array, want: Array) -> Array:
    """Distances in units in the last place; infinite where NaN, inf or a zero's sign differ."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        errors = np.abs(got.astype(want.dtype) - want) / np.spacing(np.abs(rounded))
    finite = np.isfinite(rounded) & np.isfinite(got)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    errors = np.where(finite, errors, np.where(same, 0, np.inf))
    wrong_zero = (got == 0) & (rounded == 0) & (np.signbit(got) != np.signbit(rounded))
    return np.where(wrong_zero, np.inf, errors)


def errors_below_zero(x: Array, got: Array, want: Array) -> Array:
    """Errors in units of the largest of the result, x and 1: there are zeros between the poles."""
    finite = np.isfinite(want) & np.isfinite(got)
    with np.errstate(all="ignore"):
        units = np.spacing(np.maximum(np.maximum(np.abs(want).astype(x.dtype), np.abs(x)), 1))
        return np.where(finite, np.abs(got - want) / units, ulp_errors(got, want))


@every_dtype
@every_function
def test_error_is_within_the_published_bound(function: str, name: str) -> None:
    arguments = points(function, name)
    got = compiled(function, DTYPES[name], count(function, name))(*arguments)
    with np.errstate(all="ignore"):
        want = reference(function, name)(*(a.astype(WIDE[name]) for a in arguments))
    errors = ulp_errors(got, want)
    bound: Any = ULP_BOUND[function][name]
    if function in WITH_ZEROS_BELOW_ZERO:
        (x,) = arguments
        errors = np.where(x < 0, errors_below_zero(x, got, want), errors)
        bound = np.where(x < 0, BELOW_ZERO, bound)
    worst = int(np.argmax(errors / bound))
    place = ", ".join(repr(float(a[worst])) for a in arguments)
    told = f"{function}({place}) is {got[worst]!r}, not {want[worst]!r}"
    assert np.all(errors <= bound), f"{told}: {errors[worst]} ULP"


@every_dtype
@pytest.mark.parametrize("function", ["sin", "cos"])
def test_moderate_angles_are_more_accurate(function: str, name: str) -> None:
    (x,) = points(function, name)
    x[np.abs(x) > 2.0 ** {"float32": 18, "float64": 46}[name]] = 1
    got = compiled(function, DTYPES[name], COUNT[name])(x)
    with np.errstate(invalid="ignore"):
        want = getattr(np, function)(x.astype(WIDE[name]))
    assert ulp_errors(got, want).max() <= 1.8


# --- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DTYPES)
@every_function
def test_formulas_are_primitives_as_wide_as_the_float(function: str, name: str) -> None:
    dtype = DTYPES[name]
    arguments = tuple(scalar.Ref(dtype, n) for n in ["x", "y"][: ARITY.get(function, 1)])
    for value in scalar.walk([expand(function, arguments)]):
        assert value.dtype.kind == "bool" or value.dtype.bits == dtype.bits
        assert not isinstance(value, scalar.Call) or value.function in scalar.PRIMITIVES


OPERATIONS = {"exp": 15, "log": 30, "tanh": 26, "erf": 31, "sin": 24, "sigmoid": 17}
"""What the functions that training lives on may cost, bit casts not counted."""


@pytest.mark.parametrize("function", OPERATIONS)
def test_formulas_stay_short(function: str) -> None:
    formula = expand(function, (scalar.Ref(float32, "x"),))
    calls = [v for v in scalar.walk([formula]) if isinstance(v, scalar.Call)]
    assert sum(call.function != "bitcast" for call in calls) <= OPERATIONS[function]


def test_the_documentation_states_the_bounds() -> None:
    text = (Path(__file__).parent.parent / "docs" / "accuracy.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \|", text, re.MULTILINE)
    stated = {name: {"float32": float(a), "float64": float(b)} for name, a, b in rows}
    assert stated == ULP_BOUND
