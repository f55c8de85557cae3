"""Gamma numbers, and those made of them: beta, Dirichlet, chi-square, and Student's."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.types import DType, DTypeLike, float32, int8
from graphc.lang.arithmetic import maximum, sqrt
from graphc.lang.exponential import exp, log, sigmoid
from graphc.lang.indexing import take_along_axis
from graphc.lang.movement import expand_dims, stack
from graphc.lang.normalization import softmax
from graphc.lang.operands import ArrayLike, as_node, to_node_dtype
from graphc.lang.reduction import argmax
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import ShapeLike
from graphc.random.bits import inner_dtype, parameters, to_float_dtype
from graphc.random.continuous import standard_normal, unit_positive
from graphc.random.keys import split

PROPOSALS = 10
"""Marsaglia and Tsang accept a proposal with probability above 0.951 for every shape from 1 on, so
that all of ten are refused with probability below 7e-14; then the first is taken all the same."""


def gamma(
    key: ArrayLike, a: ArrayLike, shape: ShapeLike | None = None, dtype: DTypeLike = float32
) -> Node:
    """Gamma numbers of shape parameter a > 0 and scale 1; the shape defaults to that of a.

    Marsaglia, Tsang: A simple method for generating gamma variables (2000), with ten proposals
    for each number, of which the first accepted is taken; below a = 1 that of a + 1 times
    u**(1/a). All are refused, and the number is wrong, with probability below 7e-14. No gradient
    flows to a.
    """
    kind = to_float_dtype(dtype, "gamma")
    return to_node_dtype(exp(log_gamma(key, [a], shape, kind, "gamma")[0]), kind)


def beta(
    key: ArrayLike, a: ArrayLike, b: ArrayLike, shape: ShapeLike | None = None,
    dtype: DTypeLike = float32,
) -> Node:  # fmt: skip
    """Beta numbers, x / (x + y) of gamma numbers with a and b; the shape defaults to theirs.

    It is computed from their logarithms, so that small parameters do not give 0 / 0. No gradient
    flows to a and b.
    """
    kind = to_float_dtype(dtype, "beta")
    x, y = log_gamma(key, [a, b], shape, kind, "beta")
    return to_node_dtype(sigmoid(x - y), kind)


def dirichlet(
    key: ArrayLike, a: ArrayLike, shape: ShapeLike | None = None, dtype: DTypeLike = float32
) -> Node:
    """Dirichlet numbers: gamma numbers divided by their sum along the last axis of a.

    The shape is that of the result and defaults to that of a. No gradient flows to a.
    """
    kind, node = to_float_dtype(dtype, "dirichlet"), as_node(a)
    if not node.shape:
        raise GraphError("dirichlet: a must have at least one axis")
    return to_node_dtype(softmax(log_gamma(key, [node], shape, kind, "dirichlet")[0]), kind)


def chi_square(
    key: ArrayLike, df: ArrayLike, shape: ShapeLike | None = None, dtype: DTypeLike = float32
) -> Node:
    """Sums of squares of df normal numbers, df > 0 and whole or not: twice a gamma of df / 2.

    The shape defaults to that of df, to which no gradient flows.
    """
    kind = to_float_dtype(dtype, "chi_square")
    half = 0.5 * as_node(df, inner_dtype(kind))
    return to_node_dtype(2 * exp(log_gamma(key, [half], shape, kind, "chi_square")[0]), kind)


def student_t(
    key: ArrayLike, df: ArrayLike, shape: ShapeLike | None = None, dtype: DTypeLike = float32
) -> Node:
    """Student's numbers: a normal one divided by sqrt(c / df) of a chi-square number c.

    The shape defaults to that of df > 0, to which no gradient flows.
    """
    kind = to_float_dtype(dtype, "student_t")
    half = 0.5 * as_node(df, inner_dtype(kind))
    first, second = split(as_node(key))
    logs = log_gamma(second, [half], shape, kind, "student_t")[0]
    z = standard_normal(first, logs.shape, logs.dtype, "student_t")
    return to_node_dtype(z * exp(0.5 * (log(stop_gradient(half)) - logs)), kind)


def log_gamma(
    key: ArrayLike, values: list[ArrayLike], shape: ShapeLike | None, dtype: DType, what: str
) -> list[Node]:
    """Logarithms of gamma numbers for each parameter, independent of each other.

    All are made at once, along a first axis, so that the formula stands in the graph once.
    """
    wide = parameters(values, shape, inner_dtype(dtype), what)
    together = stack(wide)
    logs = all_log_gamma(as_node(key), together, together.shape, what)
    return [logs[row] for row in range(len(wide))]


def all_log_gamma(key: Node, a: Node, shape: tuple[Size, ...], what: str) -> Node:
    """Logarithms of gamma numbers: those of at least 1, and what makes up for smaller ones."""
    proposing, boosting = split(key)
    boost = log(unit_positive(boosting, shape, a.dtype, what)) / a
    large = log(accepted(proposing, where(a < 1, a + 1, a), shape, what))
    return large + where(a < 1, boost, 0)


def accepted(key: Node, a: Node, shape: tuple[Size, ...], what: str) -> Node:
    """Gamma numbers for parameters of at least 1: d v of the first proposal that is accepted."""
    several = (PROPOSALS, *shape)
    first, second = split(key)
    x = standard_normal(first, several, a.dtype, what)
    d = a - 1 / 3
    v = (1 + x / sqrt(9 * d)) ** 3
    positive = maximum(v, 1e-30)
    limit = 0.5 * x * x + d * (1 - positive + log(positive))
    good = (v > 0) & (log(unit_positive(second, several, a.dtype, what)) < limit)
    chosen = argmax(to_node_dtype(good, int8), axis=0)
    return d * take_along_axis(positive, expand_dims(chosen, 0), axis=0)[0]
