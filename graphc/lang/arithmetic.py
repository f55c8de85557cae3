"""Words for arithmetic, powers and roots.

Operands are nodes, arrays, nested lists or Python numbers. They broadcast as in NumPy and promote
by the Array API's table; a Python number takes the dtype of the other operand where that can hold
its kind. Where a function needs a float, integers and bools become float64.
"""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, say, word
from graphc.ir.types import float64
from graphc.lang.operands import (
    ArrayLike,
    as_node,
    to_float,
    to_node_dtype,
    together,
    together_as_floats,
)


@word
def add(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The sum of two arrays."""
    return apply("add", *together(x1, x2))


@word
def subtract(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The first array less the second."""
    return apply("subtract", *together(x1, x2))


@word
def multiply(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The elementwise product of two arrays."""
    return apply("multiply", *together(x1, x2))


@word
def divide(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The quotient of two arrays; float64 for integers, as in NumPy."""
    return apply("divide", *together_as_floats(x1, x2))


@word
def floor_divide(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The quotient rounded down; an integer divided by 0 gives 0. Its derivative is 0."""
    return apply("floor_divide", *together(x1, x2))


@word
def remainder(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """What floor division leaves, with the divisor's sign; 0 for an integer divided by 0.

    Its derivative by x1 is 1 everywhere, at its jumps too.
    """
    return apply("remainder", *together(x1, x2))


@word
def divmod(x1: ArrayLike, x2: ArrayLike, /) -> tuple[Node, Node]:
    """The quotient rounded down and what it leaves: `floor_divide` and `remainder`."""
    return floor_divide(x1, x2), remainder(x1, x2)


@word
def fmod(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """What division rounded towards 0 leaves, with the dividend's sign, as C's; exact.

    0 for an integer divided by 0. Its derivative by x1 is 1 everywhere, at its jumps too.
    """
    first, second = together(x1, x2)
    rest = apply("remainder", first, second)
    if first.dtype.is_float:
        minus = signbit(first)
        rest = apply("remainder", say("where", minus, -first, first), abs(second))
        return say("where", minus, -rest, rest)
    turned = say("logical_and", rest != 0, say("not_equal", first < 0, rest < 0))
    return say("where", turned, rest - second, rest)


@word
def modf(x: ArrayLike, /) -> tuple[Node, Node]:
    """The fractional and the integer part, each with the sign of x; integers become float64.

    The first one's derivative is 1, the other's 0; an infinity has the fraction 0.
    """
    node = to_float(x)
    whole = say("trunc", node)
    fraction = say("where", say("isinf", node), 0, node - whole)
    return say("where", fraction == 0, copysign(fraction, node), fraction), whole


@word
def negative(x: ArrayLike, /) -> Node:
    """The array with its sign changed; unsigned integers wrap around."""
    return apply("negative", as_node(x))


@word
def positive(x: ArrayLike, /) -> Node:
    """The array as it is."""
    return as_node(x)


@word
def abs(x: ArrayLike, /) -> Node:
    """The array without its sign, or its distance from 0; at 0 the sub-gradient is 0."""
    return apply("abs", as_node(x))


@word
def sign(x: ArrayLike, /) -> Node:
    """-1, 0 or 1 as each element is negative, zero or positive, NaN for NaN; derivative 0.

    A complex number is divided by its distance from 0, 0 stays 0; this has derivatives.
    """
    node = as_node(x)
    if node.dtype.is_complex:
        size = abs(node)
        return node / say("where", size == 0, 1, size)
    return apply("sign", node)


@word
def copysign(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The magnitude of the first with the sign of the second, as floats; gradient 0 at 0."""
    return apply("copysign", *together_as_floats(x1, x2))


@word
def signbit(x: ArrayLike, /) -> Node:
    """Whether each element's sign is minus, that of a zero included; bool."""
    return copysign(1, x) < 0


@word
def maximum(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The larger of two elements, NaN if either is; each gets half the gradient of a tie."""
    return apply("maximum", *together(x1, x2))


@word
def minimum(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The smaller of two elements, NaN if either is; each gets half the gradient of a tie."""
    return apply("minimum", *together(x1, x2))


@word
def fmax(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The larger of two elements, or the one that is not NaN; half the gradient of a tie each."""
    return ignoring_nan("maximum", x1, x2)


@word
def fmin(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The smaller of two elements, or the one that is not NaN; half the gradient of a tie each."""
    return ignoring_nan("minimum", x1, x2)


def ignoring_nan(name: str, x1: ArrayLike, x2: ArrayLike) -> Node:
    """An operator of two elements, or the other one where one is NaN."""
    first, second = together(x1, x2)
    if not first.dtype.is_float:
        return apply(name, first, second)
    kept = say("where", say("isnan", second), first, apply(name, first, second))
    return say("where", say("isnan", first), second, kept)


@word
def heaviside(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """0 where x1 is negative, x2 where it is 0, 1 where it is positive, NaN for NaN.

    Its derivative by x1 is 0, at the jump too; integers become float64.
    """
    first, second = together_as_floats(x1, x2)
    side = say("where", first > 0, 1, say("where", first < 0, 0, say("stop_gradient", first)))
    return say("where", first == 0, second, side)


@word
def nextafter(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The float next to x1 on the way to x2; x2 where they are equal, NaN if either is.

    Its derivative by x1 is 1, by x2 it is 0.
    """
    return apply("nextafter", *together_as_floats(x1, x2))


@word
def clip(x: ArrayLike, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Node:
    """The array kept between two bounds, None for no bound; at a bound half the gradient passes.

    Where min is above max the result is max, as in NumPy.
    """
    raised = as_node(x) if min is None else maximum(x, min)
    return raised if max is None else minimum(raised, max)


@word
def relu(x: ArrayLike, /) -> Node:
    """max(x, 0); at 0 the sub-gradient is 0."""
    return apply("relu", as_node(x))


@word
def square(x: ArrayLike, /) -> Node:
    """x * x."""
    node = as_node(x)
    return apply("multiply", node, node)


@word
def reciprocal(x: ArrayLike, /) -> Node:
    """1 / x; float64 for integers."""
    return divide(1, to_float(x))


@word
def sqrt(x: ArrayLike, /) -> Node:
    """The square root, NaN below 0; float64 for integers. Its gradient is infinite at 0."""
    return apply("sqrt", to_float(x))


@word
def rsqrt(x: ArrayLike, /) -> Node:
    """1 / sqrt(x); float64 for integers."""
    return apply("rsqrt", to_float(x))


@word
def cbrt(x: ArrayLike, /) -> Node:
    """The cube root, negative below 0; float64 for integers. Its gradient is infinite at 0."""
    return apply("cbrt", to_float(x))


@word
def hypot(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """sqrt(x1*x1 + x2*x2) without overflow of the squares; at the origin the sub-gradient is 0."""
    return apply("hypot", *together_as_floats(x1, x2))


@word
def power(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """x1**x2, integers staying integers; GraphError for an integer to a negative Python number.

    The gradient by x1 is 0 where x2 is 0, the one by x2 is 0 where x1 is 0. A complex number to
    the power of a Python integer of at most 64 is multiplied out; others are exp(x2 * log(x1)).
    """
    base, exponent = together(x1, x2)
    if base.dtype.is_complex and isinstance(x2, int) and -64 <= x2 <= 64:
        return multiplied_out(base, x2)
    if isinstance(x2, int | float) and x2 == 2:
        return square(base)
    if base.dtype.is_integer and isinstance(x2, int) and x2 < 0:
        raise GraphError(
            f"power: {base.dtype.name} to the power {x2} is no integer; cast it to a float first"
        )
    return apply("power", base, exponent)


def multiplied_out(base: Node, exponent: int) -> Node:
    """A power by repeated squaring, of the reciprocal where the exponent is negative."""
    if exponent < 0:
        return multiplied_out(reciprocal(base), -exponent)
    result: Node | None = None
    while exponent:
        if exponent % 2:
            result = base if result is None else result * base
        exponent //= 2
        base = base * base if exponent else base
    return say("ones_like", base) if result is None else result


@word
def pow(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The Array API's name of `power`."""
    return power(x1, x2)


@word
def float_power(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """x1**x2 in float64, whatever the operands are."""
    return power(*(to_node_dtype(node, float64) for node in together(x1, x2)))
