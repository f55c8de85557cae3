"""Normal numbers and others that are one formula of a uniform one.

Every function makes the numbers of one key and shape; scale and shift them with arithmetic, as in
`mean + deviation * normal(key, shape)`. float16 and bfloat16 are computed in float32.
"""

from __future__ import annotations

import math

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.types import DType, DTypeLike, float32
from graphc.lang.arithmetic import clip, minimum
from graphc.lang.exponential import log, log1p
from graphc.lang.operands import ArrayLike, to_node_dtype
from graphc.lang.selection import where
from graphc.lang.sizes import ShapeLike, to_shape
from graphc.lang.trigonometric import tan
from graphc.random.bits import (
    bits_of,
    inner_dtype,
    positive_fraction,
    to_float_dtype,
)
from graphc.random.normal_quantile import normal_quantile


def normal(key: ArrayLike, shape: ShapeLike = (), dtype: DTypeLike = float32) -> Node:
    """Normal numbers of mean 0 and variance 1.

    One bit is the sign; the others are the probability that the magnitude is exceeded, whose
    quantile is taken (the inverse error function, see `normal_quantile`). The probability is kept
    with its full precision near 0, so that the tails reach 6.3 sigma in float32, 9.2 in float64.
    """
    kind, sizes = to_float_dtype(dtype, "normal"), to_shape(shape, "normal")
    return to_node_dtype(standard_normal(key, sizes, inner_dtype(kind), "normal"), kind)


def standard_normal(key: ArrayLike, shape: tuple[Size, ...], dtype: DType, what: str) -> Node:
    """Normal numbers in float32 or float64."""
    word = bits_of(key, shape, dtype.bits, what)
    magnitude = normal_quantile(positive_fraction(word >> 1, dtype.bits - 1, dtype))
    return where((word & 1) == 0, magnitude, -magnitude)


def unit_positive(key: ArrayLike, shape: tuple[Size, ...], dtype: DType, what: str) -> Node:
    """Uniform numbers in (0, 1], precise near 0, in float32 or float64."""
    return positive_fraction(bits_of(key, shape, dtype.bits, what), dtype.bits, dtype)


def below_one(unit: Node) -> Node:
    """Numbers in (0, 1] kept below 1 by half a unit in its last place."""
    return minimum(unit, 1 - 2.0**-unit.dtype.precision)


def truncated_normal(
    key: ArrayLike, low: float, high: float, shape: ShapeLike = (), dtype: DTypeLike = float32
) -> Node:
    """Normal numbers given that they lie in [low, high], two numbers or infinities.

    By the quantile of a uniform part of the probability. The side that reaches further out keeps
    full precision, so that even (8, inf) is right; the other one resolves to 2**-24 (2**-53).
    GraphError where low is not below high, or the whole probability is below the smallest normal
    number: beyond 12.9 (37.5 in float64) either way.
    """
    kind, sizes = to_float_dtype(dtype, "truncated_normal"), to_shape(shape, "truncated_normal")
    if not low < high:
        raise GraphError(f"truncated_normal: low must be below high, not {low} and {high}")
    mirrored = math.fabs(high) > math.fabs(low)
    first, last = (-high, -low) if mirrored else (low, high)
    check_probable(float(last), inner_dtype(kind), f"[{low}, {high}]")
    unit = unit_positive(key, sizes, inner_dtype(kind), "truncated_normal")
    inside = clip(between(unit, float(first), float(last)), first, last)
    return to_node_dtype(-inside if mirrored else inside, kind)


def check_probable(last: float, dtype: DType, interval: str) -> None:
    """GraphError unless a dtype has normal numbers for the probability to be below a bound."""
    if math.erfc(-last / math.sqrt(2)) < dtype.smallest_normal:
        wider = "; float64 reaches further" if dtype == float32 else ""
        raise GraphError(
            f"truncated_normal: {interval} is so far out that {dtype.name} has no number for "
            f"its probability{wider}"
        )


def between(unit: Node, low: float, high: float) -> Node:
    """The normal quantile of a uniform part of the probability from low, the further out, to high.

    s is twice the probability of being below the result: its tail is s up to 1, then 2 - s.
    """
    start, end = (math.erfc(-bound / math.sqrt(2)) for bound in (low, high))
    s = start + (end - start) * unit
    least = 2.0 ** -(unit.dtype.precision + 1)
    z = normal_quantile(where(s <= 1, s, clip(2 - s, least, None)))
    return where(s <= 1, -z, z)


def exponential(key: ArrayLike, shape: ShapeLike = (), dtype: DTypeLike = float32) -> Node:
    """Exponential numbers of mean 1: -log(u) of a uniform u in (0, 1]; divide by a rate."""
    kind, sizes = to_float_dtype(dtype, "exponential"), to_shape(shape, "exponential")
    unit = unit_positive(key, sizes, inner_dtype(kind), "exponential")
    return to_node_dtype(-log(unit), kind)


def gumbel(key: ArrayLike, shape: ShapeLike = (), dtype: DTypeLike = float32) -> Node:
    """Gumbel numbers, exp(-exp(-x)) their distribution: -log of an exponential number.

    That is -log1p(-u), precise where it is small, since the largest numbers come from there.
    """
    kind, sizes = to_float_dtype(dtype, "gumbel"), to_shape(shape, "gumbel")
    unit = below_one(unit_positive(key, sizes, inner_dtype(kind), "gumbel"))
    return to_node_dtype(-log(-log1p(-unit)), kind)


def logistic(key: ArrayLike, shape: ShapeLike = (), dtype: DTypeLike = float32) -> Node:
    """Logistic numbers, whose distribution is the sigmoid: log(u) - log(1 - u)."""
    kind, sizes = to_float_dtype(dtype, "logistic"), to_shape(shape, "logistic")
    unit = below_one(unit_positive(key, sizes, inner_dtype(kind), "logistic"))
    return to_node_dtype(log(unit) - log1p(-unit), kind)


def laplace(key: ArrayLike, shape: ShapeLike = (), dtype: DTypeLike = float32) -> Node:
    """Laplace numbers of density exp(-|x|) / 2: an exponential number with a random sign."""
    kind, sizes = to_float_dtype(dtype, "laplace"), to_shape(shape, "laplace")
    inner = inner_dtype(kind)
    word = bits_of(key, sizes, inner.bits, "laplace")
    magnitude = -log(positive_fraction(word >> 1, inner.bits - 1, inner))
    return to_node_dtype(where((word & 1) == 0, magnitude, -magnitude), kind)


def cauchy(key: ArrayLike, shape: ShapeLike = (), dtype: DTypeLike = float32) -> Node:
    """Cauchy numbers of density 1 / (pi (1 + x*x)), without mean.

    One bit is the sign; the others are the probability v that the magnitude is exceeded, which is
    then 1 / tan(pi v / 2), precise far out.
    """
    kind = to_float_dtype(dtype, "cauchy")
    inner, sizes = inner_dtype(kind), to_shape(shape, "cauchy")
    word = bits_of(key, sizes, inner.bits, "cauchy")
    tail = positive_fraction(word >> 1, inner.bits - 1, inner)
    magnitude = 1 / tan(0.5 * math.pi * tail)
    return to_node_dtype(where((word & 1) == 0, magnitude, -magnitude), kind)
