"""What every optimizer begins with: parameters beside gradients, and variables of zeros."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from graphc.errors import GraphError
from graphc.ir.node import Node, describe
from graphc.ir.state import Variable
from graphc.lang.creation import variable
from graphc.lang.operands import ArrayLike, as_node, to_node_dtype

Updates: TypeAlias = dict[Node, Node]


def pairs(
    parameters: Sequence[Variable], gradients: Sequence[Node], what: str
) -> Iterator[tuple[Variable, Node]]:
    """Each parameter with its gradient; GraphError unless they are real variables and fit."""
    if len(parameters) != len(gradients):
        raise GraphError(f"{what}: {len(parameters)} parameters and {len(gradients)} gradients")
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if not isinstance(parameter, Variable):
            raise GraphError(f"{what}: parameters are made by gx.variable, this is {parameter!r}")
        if parameter.dtype.is_complex:
            raise GraphError(
                f"{what}: parameters are real, this is {parameter!r}: "
                f"make a variable of each of its parts{describe([parameter])}"
            )
        if gradient.type != parameter.type:
            raise GraphError(
                f"{what}: a parameter is {parameter.type}, its gradient {gradient.type}"
                f"{describe([parameter, gradient])}"
            )
        yield parameter, gradient


def zeros_beside(parameter: Variable, word: str) -> Variable:
    """A variable of zeros in a parameter's type, named after it."""
    zeros = np.zeros_like(parameter.value)
    return variable(zeros, f"{parameter.attrs['name']}.{word}")


def rate(value: ArrayLike, parameter: Variable) -> Node:
    """A learning rate, a number or a node without axes, in a parameter's dtype."""
    node = as_node(value, parameter.dtype)
    if node.shape:
        raise GraphError(f"a learning rate must have no axes{describe([node])}")
    return to_node_dtype(node, parameter.dtype)


def decayed(parameter: Variable, gradient: Node, weight_decay: float) -> Node:
    """The gradient of the loss with weight_decay / 2 times the squared parameters added."""
    return gradient + weight_decay * parameter if weight_decay else gradient
