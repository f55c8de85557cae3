"""What every optimizer has: parameters beside gradients, variables of zeros, and the last step.

float16 and bfloat16 parameters are computed in float32, in which the least numbers added to a
divisor are not 0 and squares of small gradients neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphError, shown
from graphc.ir.node import Node, describe
from graphc.ir.state import Variable
from graphc.lang.creation import variable
from graphc.lang.operands import ArrayLike, as_node, to_node_dtype
from graphc.lang.reduction import widen

Updates: TypeAlias = dict[Node, Node]


def pairs(
    parameters: Sequence[Variable], gradients: Sequence[Node], what: str
) -> Iterator[tuple[Variable, Node]]:
    """Each parameter with its gradient; GraphError unless they are real variables and fit."""
    if len(parameters) != len(gradients):
        raise GraphError(f"{what}: {len(parameters)} parameters and {len(gradients)} gradients")
    seen: set[Variable] = set()
    for parameter, gradient in zip(parameters, gradients, strict=True):
        check_parameter(parameter, what)
        if parameter in seen:
            raise GraphError(
                f"{what}: {parameter!r} is given twice: give it once, with the sum of its gradients"
                f"{describe([parameter])}"
            )
        seen.add(parameter)
        if not isinstance(gradient, Node):
            raise GraphError(f"{what}: gradients are made by gx.grad, this is {shown(gradient)}")
        if gradient.type != parameter.type:
            raise GraphError(
                f"{what}: a parameter is {parameter.type}, its gradient {gradient.type}"
                f"{describe([parameter, gradient])}"
            )
        yield parameter, gradient


def check_parameter(parameter: Any, what: str) -> None:
    """GraphError unless a parameter is a real variable."""
    if not isinstance(parameter, Variable):
        raise GraphError(f"{what}: parameters are made by gx.variable, this is {parameter!r}")
    if parameter.dtype.is_complex:
        raise GraphError(
            f"{what}: parameters are real, this is {parameter!r}: "
            f"make a variable of each of its parts{describe([parameter])}"
        )


def zeros_beside(parameter: Variable, word: str) -> Variable:
    """A variable of zeros in a parameter's type, widened, named after it."""
    zeros = np.zeros(parameter.value.shape, widen(parameter).dtype.numpy)
    return variable(zeros, f"{parameter.attrs['name']}.{word}")


def rate(value: ArrayLike, parameter: Variable) -> Node:
    """A learning rate, a number or a node without axes, in a parameter's dtype, widened."""
    dtype = widen(parameter).dtype
    node = as_node(value, dtype)
    if node.shape:
        raise GraphError(f"a learning rate must have no axes{describe([node])}")
    return to_node_dtype(node, dtype)


def decayed(parameter: Variable, gradient: Node, weight_decay: float) -> Node:
    """The gradient, widened, of the loss with weight_decay / 2 times the squared parameters."""
    wide = widen(gradient)
    return wide + weight_decay * widen(parameter) if weight_decay else wide


def after_step(parameter: Variable, kept: Node, step: Node) -> Node:
    """What is kept of a parameter less a step, in the parameter's dtype."""
    return to_node_dtype(kept - step, parameter.dtype)
