"""Steps against the gradient, with momentum."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import GraphError
from graphc.ir.node import Node
from graphc.ir.state import Variable
from graphc.lang.operands import ArrayLike
from graphc.lang.reduction import widen
from graphc.nn.options import real
from graphc.optim.pairs import Updates, after_step, decayed, pairs, rate, zeros_beside


def sgd(
    parameters: Sequence[Variable],
    gradients: Sequence[Node],
    learning_rate: ArrayLike,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> Updates:
    """w - learning_rate * v with v = momentum * v + (1 - dampening) * g, g the decayed gradient.

    Without momentum v is g. With nesterov the step is g + momentum * v (Sutskever et al.: On the
    importance of initialization and momentum, 2013). PyTorch does not dampen its first step, this
    does: with dampening 0 they agree. For 16-bit parameters all is computed in float32, v too.
    GraphError for a variable given twice, and a gradient of another type than its parameter.
    """
    momentum, dampening = real(momentum, "sgd: momentum"), real(dampening, "sgd: dampening")
    weight_decay = real(weight_decay, "sgd: weight_decay")
    if nesterov and (momentum <= 0 or dampening != 0):
        raise GraphError("sgd: nesterov needs a momentum above 0 and no dampening")
    updates: Updates = {}
    for parameter, plain in pairs(parameters, gradients, "sgd"):
        step = gradient = decayed(parameter, plain, weight_decay)
        if momentum:
            velocity = zeros_beside(parameter, "velocity")
            moved = momentum * velocity + (1 - dampening) * gradient
            updates[velocity] = moved
            step = gradient + momentum * moved if nesterov else moved
        pace = rate(learning_rate, parameter)
        updates[parameter] = after_step(parameter, widen(parameter), pace * step)
    return updates
