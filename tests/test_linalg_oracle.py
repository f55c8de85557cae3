"""The functions of `gx.linalg` against PyTorch: values, first and second derivatives, at random.

Bounds follow from the precision, the size and the condition of operands: a derivative divides once
more by what the condition is the inverse of, a second one twice.
"""

from typing import Any

import numpy as np
import pytest
from linalg_cases import FUNCTIONS, Function
from matrices import EPSILON, Array, generator, largest

import graphc as gx

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

ROUNDS = 3
COMPARED = [function for function in FUNCTIONS if function.torch is not None]


def as_list(results: Any) -> list[Any]:
    """One or several results as a list."""
    return list(results) if isinstance(results, list | tuple) else [results]


def ours(function: Function, arrays: list[Array], weights: list[list[Array]]) -> list[list[Array]]:
    """Results, gradients of their weighted sum, and gradients of the weighted sum of those."""
    inputs = [gx.input(f"x{k}", x.shape, "float64") for k, x in enumerate(arrays)]
    results = as_list(function.call(*inputs))
    total = sum(gx.sum(r * w) for r, w in zip(results, weights[0], strict=True))
    first = gx.grad(total, inputs)
    total = sum(gx.sum(g * w) for g, w in zip(first, weights[1], strict=True))
    second = gx.grad(total, inputs)
    step = gx.compile(inputs, [results, first, second], device="reference")
    found: list[list[Array]] = step(*arrays)
    return found


def theirs(
    function: Function, arrays: list[Array], weights: list[list[Array]]
) -> list[list[Array]]:
    """The same by PyTorch."""
    assert function.torch is not None
    inputs = [torch.tensor(x, requires_grad=True) for x in arrays]
    results = as_list(function.torch(*inputs))
    total = sum((r * torch.tensor(w)).sum() for r, w in zip(results, weights[0], strict=True))
    first = torch.autograd.grad(total, inputs, create_graph=True)
    total = sum((g * torch.tensor(w)).sum() for g, w in zip(first, weights[1], strict=True))
    second = torch.autograd.grad(total, inputs, materialize_grads=True)
    groups = (results, first, second)
    return [[part.detach().numpy() for part in group] for group in groups]


@pytest.mark.parametrize("function", COMPARED, ids=lambda f: f.name)
def test_values_and_derivatives(function: Function) -> None:
    for attempt in range(ROUNDS):
        random = generator("oracle", function.name, attempt)
        n = int(random.integers(2, 13))
        arrays = function.make(random, n)
        shapes = [r.shape for r in as_list(function.call(*(gx.constant(x) for x in arrays)))]
        weights = [
            [random.uniform(0.5, 1.5, shape) for shape in shapes],
            [random.uniform(0.5, 1.5, x.shape) for x in arrays],
        ]
        pairs = zip(ours(function, arrays, weights), theirs(function, arrays, weights), strict=True)
        for order, (got, want) in enumerate(pairs):
            allowed = 32 * n * n * EPSILON["float64"] * function.condition ** (1 + order / 2)
            for one, other in zip(got, want, strict=True):
                error = largest(one - np.reshape(other, one.shape))
                assert error <= allowed * max(largest(other), 1), (n, order, error, allowed)
