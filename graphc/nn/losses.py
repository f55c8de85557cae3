"""Losses of numbers against numbers: differences, and likelihoods of distributions.

Names and options are PyTorch's (`mean_squared_error` is its `mse_loss`). Operands broadcast.
`reduction` is "mean", "sum" or "none"; a mean over no element is NaN.
"""

from __future__ import annotations

import math

from graphc.errors import GraphError
from graphc.ir.node import Node
from graphc.lang.arithmetic import abs, minimum, square
from graphc.lang.exponential import exp, log
from graphc.lang.operands import ArrayLike, to_node_dtype, together_as_floats
from graphc.lang.reduction import mean, sum, widen
from graphc.lang.selection import stop_gradient, where
from graphc.lang.sizes import size_value
from graphc.lang.special import xlogy
from graphc.nn.options import is_infinite, real

REDUCTIONS = ("mean", "sum", "none")


def reduced(loss: Node, reduction: str, what: str) -> Node:
    """The mean or the sum of a loss, or all of it; GraphError for another word."""
    if reduction not in REDUCTIONS:
        raise GraphError(f'{what}: reduction must be "mean", "sum" or "none", not {reduction!r}')
    if reduction == "none":
        return loss
    return mean(loss) if reduction == "mean" else sum(loss)


def mean_squared_error(input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Node:
    """(input - target)**2."""
    x, y = together_as_floats(input, target)
    return reduced(square(x - y), reduction, "mean_squared_error")


def l1_loss(input: ArrayLike, target: ArrayLike, reduction: str = "mean") -> Node:
    """|input - target|; where they are equal the sub-gradient is 0."""
    x, y = together_as_floats(input, target)
    return reduced(abs(x - y), reduction, "l1_loss")


def huber_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", delta: float = 1.0
) -> Node:
    """d*d / 2 for d = |input - target| up to delta, beyond it delta * (d - delta / 2).

    Huber: Robust estimation of a location parameter (1964). GraphError unless delta > 0.
    """
    delta = real(delta, "huber_loss: delta")
    if not delta > 0:
        raise GraphError(f"huber_loss: delta must be positive, not {delta}")
    x, y = together_as_floats(input, target)
    d = abs(x - y)
    if is_infinite(delta, d.dtype):  # beyond it is nothing, which infinity must not multiply
        return reduced(0.5 * square(d), reduction, "huber_loss")
    # The part of d up to delta and the rest, so that no branch squares an infinity.
    near = minimum(d, delta)
    return reduced(0.5 * square(near) + delta * (d - near), reduction, "huber_loss")


def smooth_l1_loss(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", beta: float = 1.0
) -> Node:
    """d*d / (2 beta) for d = |input - target| up to beta, beyond it d - beta / 2; l1_loss for 0.

    Girshick: Fast R-CNN (2015). GraphError for a negative beta.
    """
    beta = real(beta, "smooth_l1_loss: beta")
    if not beta >= 0:
        raise GraphError(f"smooth_l1_loss: beta must not be negative, not {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    x, y = together_as_floats(input, target)
    d = abs(x - y)
    near = minimum(d, beta)
    return reduced(0.5 / beta * square(near) + (d - near), reduction, "smooth_l1_loss")


def kl_divergence(
    input: ArrayLike, target: ArrayLike, reduction: str = "mean", log_target: bool = False
) -> Node:
    """target * (log(target) - input) for logarithms of probabilities as input, PyTorch's kl_div.

    The sum over a distribution is the divergence of Kullback and Leibler (1951). A target of 0
    adds 0, whatever the input. With log_target the target is a logarithm too. The reduction
    "batchmean" is the sum over the size of the first axis, in float32 for 16-bit operands.
    """
    x, y = together_as_floats(input, target)
    weight, entropy = (exp(y), exp(y) * finite_at_0(y, exp(y))) if log_target else (y, xlogy(y, y))
    loss = entropy - weight * finite_at_0(x, weight)
    if reduction != "batchmean":
        return reduced(loss, reduction, "kl_divergence")
    if not loss.shape:
        raise GraphError("kl_divergence: batchmean needs a first axis")
    wide = widen(loss)  # neither the sum nor the size need fit into 16 bits
    return to_node_dtype(sum(wide) / size_value(loss.shape[0], wide.dtype), loss.dtype)


def finite_at_0(x: Node, y: Node) -> Node:
    """x, but 0 where it is -inf beside a weight y of 0: 0 * -inf would be NaN."""
    return where((y == 0) & (x == -math.inf), 0, x)


def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Node:
    """(log(var) + (input - target)**2 / var) / 2, plus log(2 pi) / 2 if full.

    The negative logarithm of the normal density with mean input (Nix, Weigend, 1994). var is kept
    from falling below eps, and receives its gradient there too.
    """
    x, y, given = together_as_floats(input, target, var)
    variance = given + stop_gradient(where(given < eps, eps - given, 0))
    loss = 0.5 * (log(variance) + square(x - y) / variance)
    loss = loss + 0.5 * math.log(2 * math.pi) if full else loss
    return reduced(loss, reduction, "gaussian_nll_loss")


def poisson_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Node:
    """exp(input) - target * input, or without log_input: input - target * log(input + eps).

    The negative logarithm of the Poisson probability of a count; with full its constant is added
    by Stirling's formula, target * log(target) - target + log(2 pi target) / 2 above 1.
    """
    x, y = together_as_floats(input, target)
    loss = exp(x) - y * x if log_input else x - y * log(x + eps)
    if full:
        above = where(y > 1, y, 1)
        stirling = above * log(above) - above + 0.5 * log(2 * math.pi * above)
        loss = loss + where(y > 1, stirling, 0)
    return reduced(loss, reduction, "poisson_nll_loss")
