"""Statistics of elements with weights, and of several variables."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.node import Axes, Node, describe, word
from graphc.lang.arithmetic import clip, sqrt
from graphc.lang.complex_numbers import complex, conj, imag, real
from graphc.lang.linear_algebra import matmul
from graphc.lang.movement import concat, expand_dims, squeeze
from graphc.lang.operands import ArrayLike, along_axis, same_dtype, to_axis, to_float
from graphc.lang.reduction import degrees, max, mean, min, sum
from graphc.lang.triangles import diagonal


@word
def ptp(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Node:
    """The largest element less the smallest ("peak to peak"); GraphError where there is none."""
    return max(x, axis, keepdims) - min(x, axis, keepdims)


@word
def average(
    x: ArrayLike, /, axis: Axes = None, weights: ArrayLike | None = None, keepdims: bool = False
) -> Node:
    """The mean of the elements, each counted as often as its weight says; integers give float64.

    Weights have the shape of x, or are a vector along one axis. GraphError for others.
    """
    if weights is None:
        return mean(x, axis, keepdims)
    node, heavy = same_dtype(to_float(x), weights)
    if heavy.shape != node.shape:
        heavy = along(heavy, node, axis)
    total = sum(heavy + 0 * node, axis, keepdims=keepdims)
    return sum(node * heavy, axis, keepdims=keepdims) / total


def along(vector: Node, node: Node, axis: Axes) -> Node:
    """A vector as an array that broadcasts along one axis of a node."""
    if not isinstance(axis, int) or vector.ndim != 1:
        raise GraphError(
            "average: weights have the shape of x, or are a vector along one axis"
            f"{describe([node, vector])}"
        )
    return along_axis(vector, to_axis(axis, node.ndim, "average"), node.ndim)


@word
def cov(
    m: ArrayLike,
    y: ArrayLike | None = None,
    /,
    rowvar: bool = True,
    bias: bool = False,
    ddof: float | None = None,
) -> Node:
    """The covariances of variables, the rows of a matrix (its columns without `rowvar`).

    Those of y are further ones; a vector is one variable, and its own covariance has no axes. Sums
    of products are divided by the number of observations less ddof: by default 1, with `bias` 0.
    Integers give float64; complex numbers are multiplied by conjugates. GraphError for arrays of
    more than two axes.
    """
    variables = as_rows(m, rowvar)
    if y is not None:
        variables = concat([variables, as_rows(y, rowvar)], axis=0)
    correction = ddof if ddof is not None else 0 if bias else 1
    deviation = variables - mean(variables, axis=1, keepdims=True)
    free = degrees(variables.shape[1], correction, variables.dtype)
    found = matmul(deviation, conj(deviation).T) / free
    return squeeze(found) if found.shape == (1, 1) else found


def as_rows(values: ArrayLike, rowvar: bool) -> Node:
    """Variables as the rows of a matrix of floats."""
    node = to_float(values)
    if node.ndim not in (1, 2):
        raise GraphError(f"cov: takes a matrix or a vector{describe([node])}")
    if node.ndim == 1:
        return expand_dims(node, 0)
    return node if rowvar else node.T


@word
def corrcoef(x: ArrayLike, y: ArrayLike | None = None, /, rowvar: bool = True) -> Node:
    """The correlations of variables: their `cov` over their standard deviations; from -1 to 1.

    Of complex numbers both parts are.
    """
    found = cov(x, y, rowvar)
    if not found.shape:
        return found / found
    deviation = sqrt(real(diagonal(found)))
    scaled = found / expand_dims(deviation, 1) / deviation
    if scaled.dtype.is_complex:
        return complex(clip(real(scaled), -1, 1), clip(imag(scaled), -1, 1))
    return clip(scaled, -1, 1)
