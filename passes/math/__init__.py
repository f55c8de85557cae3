"""Elementary functions as formulas of primitives: on every device the same operations, so bits.

Each is straight-line code for vectors: no branch, no table, only integers as wide as the float.
Domains, special values and the method of the coefficients are told in docs/accuracy.md.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.scalar import Scalar
from graphc.passes.math.complementary_error_function import erfc, erfcx, ndtr
from graphc.passes.math.error_function import erf
from graphc.passes.math.exponential import cosh, exp, expm1, sigmoid, sinh, softplus, tanh
from graphc.passes.math.floating import square_root
from graphc.passes.math.gamma import digamma, gammaln
from graphc.passes.math.inverse_error_function import erfcinv, erfinv
from graphc.passes.math.inverse_trigonometric import acos, asin, atan, atan2
from graphc.passes.math.logarithm import acosh, asinh, atanh, log, log1p
from graphc.passes.math.power import cbrt, exp2, power
from graphc.passes.math.trigonometric import cos, sin, tan


def rsqrt(x: Scalar) -> Scalar:
    """1 / sqrt(x), two correctly rounded operations."""
    return 1.0 / square_root(x)


EXPANSIONS: dict[str, Callable[..., Scalar]] = {
    formula.__name__: formula
    for formula in (
        exp, expm1, log, log1p, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh,
        atanh, erf, sigmoid, softplus, rsqrt, power, atan2, exp2, cbrt, erfc, erfcx, ndtr, erfinv,
        erfcinv, gammaln, digamma,
    )
}  # fmt: skip


def expand(function: str, arguments: tuple[Scalar, ...]) -> Scalar:
    """A function of scalar.TRANSCENDENTAL of float32 or float64 values, in primitives alone."""
    return EXPANSIONS[function](*arguments)


# Function -> dtype -> the largest error in units in the last place; tests/test_math.py asserts it.
ULP_BOUND: dict[str, dict[str, float]] = {
    function: {"float32": single, "float64": double}
    for function, single, double in (
        ("exp", 1.0, 1.0),
        ("expm1", 1.4, 1.4),
        ("log", 1.0, 1.2),
        ("log1p", 1.6, 1.9),
        ("sin", 2.6, 2.6),
        ("cos", 2.6, 2.6),
        ("tan", 3.9, 3.9),
        ("asin", 2.5, 2.5),
        ("acos", 1.3, 1.3),
        ("atan", 1.7, 1.7),
        ("sinh", 2.3, 2.3),
        ("cosh", 1.6, 1.6),
        ("tanh", 1.7, 1.9),
        ("asinh", 2.0, 2.3),
        ("acosh", 2.4, 2.5),
        ("atanh", 2.3, 2.6),
        ("erf", 1.9, 1.9),
        ("sigmoid", 2.5, 2.5),
        ("softplus", 2.2, 2.2),
        ("rsqrt", 1.6, 1.6),
        ("power", 1.2, 1.2),
        ("atan2", 1.9, 1.9),
        ("exp2", 1.0, 1.0),
        ("cbrt", 0.9, 0.9),
        ("erfc", 4.0, 4.0),
        ("erfcx", 3.1, 2.8),
        ("ndtr", 4.2, 4.2),
        ("erfinv", 2.7, 2.7),
        ("erfcinv", 2.7, 2.7),
        ("gammaln", 4.2, 2.6),
        ("digamma", 3.3, 3.8),
    )
}
