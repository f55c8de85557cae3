"""Words for arithmetic, powers and roots.

Operands are nodes, arrays, nested lists or Python numbers. They broadcast as in NumPy and promote
by the Array API's table; a Python number takes the dtype of the other operand where that can hold
its kind. Where a function needs a float, integers and bools become float64.
"""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, say, word
from graphc.lang.operands import ArrayLike, as_node, same_dtype, same_shape, to_float, together


def together_as_floats(*values: ArrayLike) -> tuple[Node, ...]:
    """Operands as nodes of one floating-point dtype and one shape."""
    return same_shape(*map(to_float, same_dtype(*values)))


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
