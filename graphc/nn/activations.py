"""Activation functions: elementwise, and a few that take pieces of an axis together.

Names and options are PyTorch's (`hard_tanh` is its `hardtanh`, and so on). At a corner the
sub-gradient is PyTorch's too, where the docstring says nothing else. Integers become float64.
"""

from __future__ import annotations

import math

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size
from graphc.ir.node import Node, describe
from graphc.lang.arithmetic import abs
from graphc.lang.exponential import erf, expm1, sigmoid
from graphc.lang.exponential import softplus as log_of_1_plus_exp
from graphc.lang.movement import reshape
from graphc.lang.normalization import softmax
from graphc.lang.operands import ArrayLike, as_node, to_axis, to_float
from graphc.lang.reduction import max
from graphc.lang.selection import where
from graphc.lang.sizes import is_integer
from graphc.lang.trigonometric import tanh
from graphc.nn.options import real

# Klambauer et al.: Self-normalizing neural networks (2017), appendix.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def gelu(x: ArrayLike, /, approximate: str = "none") -> Node:
    """x times the normal distribution function of x, x * (1 + erf(x / sqrt(2))) / 2.

    approximate="tanh": x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x**3))) / 2. Hendrycks, Gimpel:
    Gaussian error linear units (2016). GraphError for another word.
    """
    node = to_float(x)
    if approximate == "none":
        return 0.5 * node * (1 + erf(node * math.sqrt(0.5)))
    if approximate != "tanh":
        raise GraphError(f'gelu: approximate must be "none" or "tanh", not {approximate!r}')
    inner = math.sqrt(2 / math.pi) * (node + 0.044715 * node * node * node)
    return 0.5 * node * (1 + tanh(inner))


def silu(x: ArrayLike, /) -> Node:
    """x * sigmoid(x), also called swish (Elfwing, Uchibe, Doya: Sigmoid-weighted linear units)."""
    node = to_float(x)
    return node * sigmoid(node)


def mish(x: ArrayLike, /) -> Node:
    """x * tanh(softplus(x)) (Misra: Mish, 2019)."""
    node = to_float(x)
    return node * tanh(log_of_1_plus_exp(node))


def elu(x: ArrayLike, /, alpha: float = 1.0) -> Node:
    """x above 0, else alpha * (exp(x) - 1) (Clevert, Unterthiner, Hochreiter, 2015)."""
    node = to_float(x)
    return where(node > 0, node, alpha * expm1(not_above_0(node)))


def celu(x: ArrayLike, /, alpha: float = 1.0) -> Node:
    """x above 0, else alpha * (exp(x / alpha) - 1) (Barron, 2017); its slope has no jump at 0."""
    alpha = real(alpha, "celu: alpha")
    if alpha == 0:
        raise GraphError("celu: alpha must not be 0")
    node = to_float(x)
    return where(node > 0, node, alpha * expm1(not_above_0(node) / alpha))


def selu(x: ArrayLike, /) -> Node:
    """1.0507 times elu(x, 1.6733), which keeps mean 0 and variance 1 (Klambauer et al., 2017)."""
    return SELU_SCALE * elu(x, SELU_ALPHA)


def not_above_0(x: Node) -> Node:
    """x where it is at most 0, else 0: what a branch for negative numbers may see of others.

    A choice, not a minimum, so that at 0 the whole gradient passes; and the branch that is not
    taken has no infinity that a gradient of 0 would turn into NaN.
    """
    return where(x > 0, 0, x)


def leaky_relu(x: ArrayLike, /, negative_slope: float = 0.01) -> Node:
    """x above 0, else negative_slope * x (Maas, Hannun, Ng, 2013)."""
    node = to_float(x)
    return where(node > 0, node, negative_slope * node)


def prelu(x: ArrayLike, weight: ArrayLike, /) -> Node:
    """x above 0, else weight * x with learned weights (He et al., 2015).

    A weight is one number, or one for each channel: axis 1 of x, as in PyTorch.
    """
    node = to_float(x)
    slope = as_node(weight, node.dtype)
    if slope.shape not in ((), (1,)) and node.ndim > 1:
        slope = reshape(slope, (*slope.shape, *(1,) * (node.ndim - 2)))
    return where(node > 0, node, slope * node)


def threshold(x: ArrayLike, /, threshold: float, value: float) -> Node:
    """x above the threshold, else the value."""
    node = to_float(x)
    return where(node > threshold, node, value)


def hard_tanh(x: ArrayLike, /, min_val: float = -1.0, max_val: float = 1.0) -> Node:
    """x kept between two numbers; at these the gradient is 0. NaN stays NaN."""
    min_val, max_val = real(min_val, "hard_tanh: min_val"), real(max_val, "hard_tanh: max_val")
    if not min_val < max_val:
        raise GraphError(f"hard_tanh: min_val {min_val} must be below max_val {max_val}")
    node = to_float(x)
    return where(node <= min_val, min_val, where(node >= max_val, max_val, node))


def relu6(x: ArrayLike, /) -> Node:
    """x kept between 0 and 6 (Krizhevsky: Convolutional deep belief networks on CIFAR-10, 2010)."""
    return hard_tanh(x, 0.0, 6.0)


def hard_sigmoid(x: ArrayLike, /) -> Node:
    """(x + 3) / 6 kept between 0 and 1; at these the gradient is 0."""
    return relu6(to_float(x) + 3.0) / 6


def hard_swish(x: ArrayLike, /) -> Node:
    """x * hard_sigmoid(x) (Howard et al.: Searching for MobileNetV3, 2019); 0 for -inf.

    At -3 its sub-gradient is 0, at 3 it is 1.
    """
    node = to_float(x)
    inner = where((node <= -3) | (node >= 3), 0, node)
    middle = inner * (inner + 3) / 6
    return where(node <= -3, 0, where(node >= 3, node, middle))


def softsign(x: ArrayLike, /) -> Node:
    """x / (1 + |x|); NaN for infinities, as in PyTorch."""
    node = to_float(x)
    return node / (1 + abs(node))


def softplus(x: ArrayLike, /, beta: float = 1.0) -> Node:
    """log(1 + exp(beta * x)) / beta, for every x without overflow; GraphError unless beta > 0."""
    beta = real(beta, "softplus: beta")
    if not beta > 0:
        raise GraphError(f"softplus: beta must be positive, not {beta}")
    node = to_float(x)
    return log_of_1_plus_exp(beta * node) / beta


def log_sigmoid(x: ArrayLike, /) -> Node:
    """log(sigmoid(x)), as -softplus(-x), which neither overflows nor loses digits."""
    return -log_of_1_plus_exp(-to_float(x))


def hard_shrink(x: ArrayLike, /, lambd: float = 0.5) -> Node:
    """x where it is beyond lambd on either side, else 0."""
    node = to_float(x)
    return where(abs(node) <= lambd, 0, node)


def soft_shrink(x: ArrayLike, /, lambd: float = 0.5) -> Node:
    """x moved towards 0 by lambd, and 0 where it would cross it."""
    lambd = real(lambd, "soft_shrink: lambd")
    if not lambd >= 0:
        raise GraphError(f"soft_shrink: lambd must be at least 0, not {lambd}")
    node = to_float(x)
    return where(node > lambd, node - lambd, where(node < -lambd, node + lambd, node * 0))


def tanh_shrink(x: ArrayLike, /) -> Node:
    """x - tanh(x)."""
    node = to_float(x)
    return node - tanh(node)


def softmin(x: ArrayLike, /, axis: int = -1) -> Node:
    """The softmax of -x along an axis."""
    return softmax(-to_float(x), axis)


def glu(x: ArrayLike, /, axis: int = -1) -> Node:
    """a * sigmoid(b) for the halves a and b of an axis (Dauphin et al., 2016).

    GraphError unless the axis has an even size, such as "2*n".
    """
    node = to_float(x)
    at = to_axis(axis, node.ndim, "glu")
    pieces = split_axis(node, at, 2, "glu")
    first, second = (pieces[(slice(None),) * at + (half,)] for half in range(2))
    return first * sigmoid(second)


def maxout(x: ArrayLike, /, pieces: int, axis: int = -1) -> Node:
    """The largest of each `pieces` numbers that follow one another along an axis.

    (..., n * pieces, ...) becomes (..., n, ...) (Goodfellow et al.: Maxout networks, 2013). Ties
    share the gradient equally. GraphError unless the pieces divide the axis.
    """
    node = as_node(x)
    at = to_axis(axis, node.ndim, "maxout")
    size = node.shape[at]
    if not is_integer(pieces) or pieces < 1 or size % pieces != 0:
        raise GraphError(
            f"maxout: {shown(pieces)} pieces do not divide axis {at}{describe([node])}"
        )
    return max(split_axis(node, at, size // pieces, "maxout"), axis=at + 1)


def split_axis(x: Node, axis: int, parts: Size, what: str) -> Node:
    """An axis as two: as many parts, and what each holds; GraphError where they don't fit."""
    size = x.shape[axis]
    if parts != 0 and size % parts != 0:
        raise GraphError(f"{what}: axis {axis} must be a multiple of {parts}{describe([x])}")
    inner = size // parts if parts != 0 else 1
    return reshape(x, (*x.shape[:axis], parts, inner, *x.shape[axis + 1 :]))
