"""Words for special functions, with SciPy's meanings; integers and bools become float64."""

from __future__ import annotations

import math

from graphc.errors import GraphError, shown
from graphc.ir.node import Node, apply, word
from graphc.lang.arithmetic import abs, divide
from graphc.lang.comparison import equal, greater, greater_equal, isnan, less, less_equal
from graphc.lang.exponential import log, log1p
from graphc.lang.logic import logical_and, logical_or
from graphc.lang.operands import ArrayLike, to_float, together_as_floats
from graphc.lang.selection import where
from graphc.lang.trigonometric import atanh

# --- the error function and the normal distribution ----------------------------------------------


@word
def erfc(x: ArrayLike, /) -> Node:
    """1 - erf(x), without loss where it is small."""
    return apply("erfc", to_float(x))


@word
def erfcx(x: ArrayLike, /) -> Node:
    """exp(x*x) * erfc(x), which falls as 1/x where erfc has long underflowed."""
    return apply("erfcx", to_float(x))


@word
def erfinv(x: ArrayLike, /) -> Node:
    """The inverse of erf: infinite at -1 and 1, NaN beyond."""
    return apply("erfinv", to_float(x))


@word
def erfcinv(x: ArrayLike, /) -> Node:
    """The inverse of erfc, precise for small x: infinite at 0 and 2, NaN beyond."""
    return apply("erfcinv", to_float(x))


@word
def ndtr(x: ArrayLike, /) -> Node:
    """The probability that a normal number is below x, without loss where it is small."""
    return apply("ndtr", to_float(x))


@word
def log_ndtr(x: ArrayLike, /) -> Node:
    """The logarithm of `ndtr`, finite where that underflows."""
    return apply("log_ndtr", to_float(x))


@word
def ndtri(p: ArrayLike, /) -> Node:
    """The inverse of `ndtr`, the normal quantile: infinite at 0 and 1, NaN beyond."""
    return erfcinv(2 * to_float(p)) * -math.sqrt(2)


# --- the gamma function --------------------------------------------------------------------------


@word
def gammaln(x: ArrayLike, /) -> Node:
    """log |Γ(x)|; infinite at 0 and the negative integers. Its derivative is `digamma`."""
    return apply("gammaln", to_float(x))


@word
def digamma(x: ArrayLike, /) -> Node:
    """The derivative of `gammaln`; -inf at 0, inf at -0, NaN at the negative integers."""
    return apply("digamma", to_float(x))


HIGHEST_ORDER = 100
"""Of polygamma: beyond, float64 holds hardly any of its values, nor their factorials."""


@word
def polygamma(n: int, x: ArrayLike, /) -> Node:
    """The derivative of `digamma` of order n, an integer from 0 to 100 that is no node.

    At 0 and the negative integers it is infinite: positive for odd n, negative for even n > 0.
    GraphError for another n.
    """
    if type(n) is not int or not 0 <= n <= HIGHEST_ORDER:
        raise GraphError(
            f"polygamma: n must be an integer from 0 to {HIGHEST_ORDER}, not {shown(n)}"
        )
    return apply("polygamma", to_float(x), order=n) if n else digamma(x)


@word
def betaln(a: ArrayLike, b: ArrayLike, /) -> Node:
    """log |B(a, b)| = gammaln(a) + gammaln(b) - gammaln(a + b), which need not be near each other.

    Where the larger is at least 10, their Stirling series are subtracted term by term, as DiDonato
    and Morris do (ACM Transactions on Mathematical Software 18, 1992).
    """
    first, second = together_as_floats(a, b)
    swapped = greater(first, second)
    low, high = where(swapped, second, first), where(swapped, first, second)
    both = low + high
    plain = gammaln(low) + gammaln(high) - gammaln(both)
    far = logical_and(greater_equal(high, 10), greater_equal(both, 10))
    ratio = -(high - 0.5) * log1p(low / high) - low * (log(both) - 1)
    one = gammaln(low) + ratio + (stirling(high) - stirling(both))
    two = (
        (low - 0.5) * log(low / both)
        - high * log1p(low / high)
        + 0.5 * (math.log(2 * math.pi) - log(high))
        + (stirling(low) + stirling(high) - stirling(both))
    )
    return where(far, where(greater_equal(low, 10), two, one), plain)


STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
"""B_2j / (2j (2j - 1)): from 10 on the next term is below 2e-18."""


def stirling(x: Node) -> Node:
    """gammaln(x) - (x - 1/2) log(x) + x - log(2 pi) / 2, for x >= 10."""
    inverse = divide(1, x)
    square = inverse * inverse
    total = STIRLING[-1] * square
    for coefficient in reversed(STIRLING[1:-1]):
        total = (total + coefficient) * square
    return (total + STIRLING[0]) * inverse


# --- logarithms times what they are of -----------------------------------------------------------


@word
def xlogy(x: ArrayLike, y: ArrayLike, /) -> Node:
    """x * log(y), and 0 where x is 0, whatever y but NaN is.

    Where x is 0 and log(y) is not finite, both gradients are 0.
    """
    factor, argument = together_as_floats(x, y)
    return where(vanishes(factor, argument, 0), 0, factor * log(argument))


@word
def xlog1py(x: ArrayLike, y: ArrayLike, /) -> Node:
    """x * log1p(y), and 0 where x is 0, whatever y but NaN is.

    Where x is 0 and log1p(y) is not finite, both gradients are 0.
    """
    factor, argument = together_as_floats(x, y)
    return where(vanishes(factor, argument, -1), 0, factor * log1p(argument))


def vanishes(factor: Node, argument: Node, lowest: float) -> Node:
    """Where 0 times a logarithm must be said, since the logarithm is infinite or NaN.

    Elsewhere the product has the right value, and the right derivatives.
    """
    outside = logical_or(less_equal(argument, lowest), equal(argument, math.inf))
    return logical_and(equal(factor, 0), outside)


@word
def entr(x: ArrayLike, /) -> Node:
    """-x * log(x), the part of an entropy: 0 at 0, where the gradient is 0 too, -inf below."""
    node = to_float(x)
    return where(less(node, 0), -math.inf, -xlogy(node, node))


@word
def rel_entr(x: ArrayLike, y: ArrayLike, /) -> Node:
    """x * log(x / y), the part of a relative entropy: 0 where x is 0 <= y, infinite outside.

    Where x is 0 the gradients are 0. Near x = y it keeps its relative accuracy.
    """
    first, second = together_as_floats(x, y)
    ratio = first / second
    near = logical_and(greater(ratio, 0.5), less(ratio, 2))
    logarithm = where(near, log1p((first - second) / second), log(ratio))
    inside = logical_and(greater(first, 0), greater(second, 0))
    nothing = logical_and(equal(first, 0), greater_equal(second, 0))
    unknown = logical_or(isnan(first), isnan(second))
    outside = where(nothing, 0, where(unknown, first + second, math.inf))
    return where(inside, first * logarithm, outside)


@word
def kl_div(x: ArrayLike, y: ArrayLike, /) -> Node:
    """rel_entr(x, y) - x + y, which is never negative; infinite outside of x, y >= 0."""
    first, second = together_as_floats(x, y)
    return rel_entr(first, second) - first + second


@word
def logit(p: ArrayLike, /) -> Node:
    """log(p / (1 - p)), the inverse of `sigmoid`: infinite at 0 and 1, NaN beyond."""
    node = to_float(p)
    near = less(abs(node - 0.5), 0.2)
    return where(near, 2 * atanh(2 * node - 1), log(node) - log1p(-node))
