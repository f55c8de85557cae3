"""Steps that each parameter scales by the size of its own past gradients.

For float16 and bfloat16 parameters all is computed in float32, what stands beside them too, and the
new parameter is rounded last. GraphError for a variable given twice, a gradient of another type
than its parameter, and options that are no real numbers.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError, shown
from graphc.ir.node import Node
from graphc.ir.state import Variable
from graphc.ir.types import DType
from graphc.lang.arithmetic import power, sqrt, square
from graphc.lang.creation import variable
from graphc.lang.operands import ArrayLike, to_node_dtype
from graphc.lang.reduction import widen
from graphc.nn.options import real
from graphc.optim.pairs import Updates, after_step, decayed, pairs, rate, zeros_beside

Betas = tuple[float, float]


def adam(
    parameters: Sequence[Variable],
    gradients: Sequence[Node],
    learning_rate: ArrayLike = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    bias_correction: bool = True,
) -> Updates:
    """w - learning_rate * m / (sqrt(v) + eps), m and v moving means of the gradient and its square.

    m and v are divided by 1 - beta**t at step t, unless bias_correction is off (Kingma, Ba: Adam,
    2015). weight_decay is added to the gradient. For 16-bit parameters m, v and the step are
    float32. GraphError unless betas are two numbers from 0 to below 1.
    """
    weight_decay = real(weight_decay, "adam: weight_decay")
    chosen = list(pairs(parameters, gradients, "adam"))
    decays = [decayed(*pair, weight_decay) for pair in chosen]
    checked = to_betas(betas, "adam")
    return adam_updates(chosen, decays, learning_rate, checked, eps, (0.0, bias_correction))


def adamw(
    parameters: Sequence[Variable],
    gradients: Sequence[Node],
    learning_rate: ArrayLike = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Updates:
    """Adam whose weight decay is a step of its own: w shrinks by learning_rate * weight_decay.

    Loshchilov, Hutter: Decoupled weight decay regularization (2019). For 16-bit parameters all is
    float32, as in `adam`; errors are those too.
    """
    shrink = real(weight_decay, "adamw: weight_decay")
    chosen = list(pairs(parameters, gradients, "adamw"))
    plain = [widen(gradient) for _, gradient in chosen]
    checked = to_betas(betas, "adamw")
    return adam_updates(chosen, plain, learning_rate, checked, eps, (shrink, True))


def to_betas(betas: Any, what: str) -> Betas:
    """The decays of both moments; GraphError unless they are two numbers from 0 to below 1."""
    given = tuple(betas) if isinstance(betas, list | tuple) else ()
    if len(given) != 2 or not all(isinstance(b, numbers.Real) and 0 <= float(b) < 1 for b in given):
        raise GraphError(f"{what}: betas must be two numbers from 0 to below 1, not {shown(betas)}")
    return float(given[0]), float(given[1])


def adam_updates(
    chosen: Sequence[tuple[Variable, Node]],
    gradients: Sequence[Node],
    learning_rate: ArrayLike,
    betas: Betas,
    eps: float,
    options: tuple[float, bool],
) -> Updates:
    """The updates of Adam; options are the decay that stands alone, and whether to correct."""
    shrink, correct = options
    updates: Updates = {}
    count = variable(np.zeros((), np.float64), "adam_step")
    if correct and chosen:
        updates[count] = count + 1
    for (parameter, _), gradient in zip(chosen, gradients, strict=True):
        mean, scale = (zeros_beside(parameter, word) for word in ("mean", "scale"))
        updates[mean] = betas[0] * mean + (1 - betas[0]) * gradient
        updates[scale] = betas[1] * scale + (1 - betas[1]) * square(gradient)
        first, second = (correction(beta, count, mean.dtype) if correct else 1.0 for beta in betas)
        step = updates[mean] * first / (sqrt(updates[scale] * second) + eps)
        pace = rate(learning_rate, parameter)
        wide = widen(parameter)
        kept = wide * (1 - pace * shrink) if shrink else wide
        updates[parameter] = after_step(parameter, kept, pace * step)
    return updates


def correction(beta: float, count: Node, dtype: DType) -> Node:
    """1 / (1 - beta**t) at the step after `count` others, computed in float64."""
    return to_node_dtype(1 / (1 - power(beta, count + 1)), dtype)


def rmsprop(
    parameters: Sequence[Variable],
    gradients: Sequence[Node],
    learning_rate: ArrayLike = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
) -> Updates:
    """w - learning_rate * g / (sqrt(v) + eps), v the moving mean of g*g.

    With momentum the quotient is added to a velocity, momentum * velocity + g / (...), and that is
    the step. Tieleman, Hinton: Lecture 6.5 (2012). For 16-bit parameters v, the velocity and the
    step are float32.
    """
    weight_decay = real(weight_decay, "rmsprop: weight_decay")
    momentum = real(momentum, "rmsprop: momentum")
    updates: Updates = {}
    for parameter, plain in pairs(parameters, gradients, "rmsprop"):
        gradient = decayed(parameter, plain, weight_decay)
        scale = zeros_beside(parameter, "scale")
        updates[scale] = alpha * scale + (1 - alpha) * square(gradient)
        step = gradient / (sqrt(updates[scale]) + eps)
        if momentum:
            velocity = zeros_beside(parameter, "velocity")
            updates[velocity] = momentum * velocity + step
            step = updates[velocity]
        pace = rate(learning_rate, parameter)
        updates[parameter] = after_step(parameter, widen(parameter), pace * step)
    return updates


def adagrad(
    parameters: Sequence[Variable],
    gradients: Sequence[Node],
    learning_rate: ArrayLike = 1e-2,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> Updates:
    """w - learning_rate * g / (sqrt(v) + eps), v the sum of all g*g.

    Duchi, Hazan, Singer: Adaptive subgradient methods (2011). For 16-bit parameters v and the step
    are float32.
    """
    weight_decay = real(weight_decay, "adagrad: weight_decay")
    updates: Updates = {}
    for parameter, plain in pairs(parameters, gradients, "adagrad"):
        gradient = decayed(parameter, plain, weight_decay)
        total = zeros_beside(parameter, "total")
        updates[total] = total + square(gradient)
        step = gradient / (sqrt(updates[total]) + eps)
        pace = rate(learning_rate, parameter)
        updates[parameter] = after_step(parameter, widen(parameter), pace * step)
    return updates
