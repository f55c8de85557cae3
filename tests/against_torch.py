"""A function against PyTorch's: value, first and second derivatives, with bounds that follow.

PyTorch computes in float64. Each function here is a sum of products of its operands' elements (or
chooses elements), so the same function of the magnitudes is what rounding errors are relative to.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sample import Array

import graphc as gx
from graphc.ir.graph import walk
from graphc.ir.node import Node

SIGNIFICANT_BITS = {"float32": 24, "float64": 53}


def compare(
    torch: Any,
    ours: Callable[..., Node],
    theirs: Callable[..., Any],
    arrays: Sequence[Array],
    length: float,
    choosing: bool = False,
    floor: float = 0.0,
) -> None:
    """Check value, gradient and the gradient of the gradient along a direction.

    length is how many products are added up to an element, at most. Where elements are chosen
    by comparing, `choosing`, magnitudes must not change the choice. Where weights are computed
    that may be any part of 1, errors are relative to elements of at least `floor` beside them.
    """
    random = np.random.default_rng(len(arrays) + arrays[0].size)
    dtype = arrays[0].dtype
    inputs = [gx.input(f"x{k}", array.shape, dtype) for k, array in enumerate(arrays)]
    value = ours(*inputs)
    weights = gx.input("weights", value.shape, dtype)
    along = [gx.input(f"along{k}", array.shape, dtype) for k, array in enumerate(arrays)]
    drawn = [random.normal(size=node.shape).astype(dtype) for node in (weights, *along)]
    got = our_derivatives(value, inputs, weights, along, [*arrays, *drawn])
    want = their_derivatives(torch, theirs, arrays, drawn)
    sizes = arrays if choosing else [np.abs(array) for array in arrays]
    magnitudes = their_derivatives(torch, theirs, sizes, [np.abs(array) for array in drawn])
    unit = 2.0 ** -SIGNIFICANT_BITS[dtype.name]
    for place, (mine, right, size) in enumerate(zip(got, want, magnitudes, strict=True)):
        assert mine.shape == right.shape, (place, mine.shape, right.shape)
        allowed = 2 * (length + 8) * unit * np.maximum(np.abs(size), floor)
        worst = np.max(np.abs(mine - right) - allowed, initial=-1)
        assert worst <= 0, f"result {place} is {worst} beyond what it may differ by"


def our_derivatives(
    value: Node, inputs: list[Node], weights: Node, along: list[Node], arrays: list[Array]
) -> list[Array]:
    """Value, gradients, and gradients of their product with directions (zeros where unreached)."""
    first = gx.grad(gx.sum(value * weights), inputs)
    products = [gx.sum(part * way) for part, way in zip(first, along, strict=True)]
    total = sum(products[1:], products[0])
    below = set(walk([total]))
    second = [node for node in (*inputs, weights) if node in below]
    step = gx.compile([*inputs, weights, *along], [value, *first, *gx.grad(total, second)])
    results = list(step(*arrays))
    rest = iter(results[1 + len(inputs) :])
    zeros = (np.zeros(node.shape) for node in (*inputs, weights))
    twice = [
        next(rest) if n in below else z for n, z in zip((*inputs, weights), zeros, strict=True)
    ]
    return [*results[: 1 + len(inputs)], *twice]


def their_derivatives(
    torch: Any, function: Callable[..., Any], arrays: Sequence[Array], drawn: Sequence[Array]
) -> list[Array]:
    """The same of a PyTorch function."""
    inputs = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in arrays]
    given = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in drawn]
    value = function(*inputs)
    first = torch.autograd.grad((value * given[0]).sum(), inputs, create_graph=True)
    total = sum((part * way).sum() for part, way in zip(first, given[1:], strict=True))
    reached = [*inputs, given[0]]
    second = torch.autograd.grad(total, reached, allow_unused=True)
    filled = [
        torch.zeros_like(node) if part is None else part
        for node, part in zip(reached, second, strict=True)
    ]
    return [part.detach().numpy() for part in (value, *first, *filled)]
