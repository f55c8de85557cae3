"""Derivatives of `gx.linalg`: against differences, of batches, and where others divide by 0."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from linalg_cases import FUNCTIONS, SYMBOLIC, Function, inputs_for, nodes
from matrices import EPSILON, Array, conditioned, generator

import graphc as gx
from graphc.ir.node import Node

L = gx.linalg
every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)

STEP = 2.0**-16
NATIVE = ("cholesky", "solve", "det", "qr", "eigh", "svd")


def weighted(node: Node, place: int) -> Node:
    """The elements of a result, each with a factor of its own."""
    return gx.reshape(node, (node.size,)) * gx.cos(gx.arange(0, node.size) * 1.0 + place)


class Derivatives:
    """A weighted sum of a function's results, its gradient, and the same of a sum of that.

    One step computes the number, its slope along a direction in forward and in reverse mode, and
    the same two for the number that the slope is.
    """

    def __init__(self, function: Function, n: int, symbolic: bool, device: str) -> None:
        self.random = generator("derivatives", function.name, n)
        self.arrays = function.make(self.random, n)
        self.directions = [self.random.normal(size=x.shape) for x in self.arrays]
        inputs = inputs_for(self.arrays, symbolic)
        along = [gx.input(f"d{k}", x.shape, x.dtype) for k, x in enumerate(inputs)]
        results = nodes(function.call(*inputs))
        total = sum((gx.sum(weighted(r, k)) for k, r in enumerate(results)), gx.constant(0.0))
        slopes = gx.grad(total, inputs)
        reverse = sum(gx.sum(s * d) for s, d in zip(slopes, along, strict=True))
        forward = gx.jvp(total, inputs, along)
        second = gx.jvp(reverse, inputs, along)
        outputs = [total, forward, reverse, second]
        self.step = gx.compile([*inputs, *along], outputs, device=device)

    def at(self, steps: float) -> list[float]:
        """The numbers at so many steps along the direction."""
        moved = [x + steps * STEP * d for x, d in zip(self.arrays, self.directions, strict=True)]
        return [float(value) for value in self.step(*moved, *self.directions)]


def slope(ends: Sequence[float]) -> tuple[float, float]:
    """The derivative from values at -2, -1, 1 and 2 steps, and how wrong it may be.

    The two lengths of central differences cancel their error of second order; what they differ by
    bounds the rest.
    """
    near, far = (ends[2] - ends[1]) / (2 * STEP), (ends[3] - ends[0]) / (4 * STEP)
    return (4 * near - far) / 3, abs(near - far) / 4


@every_function
def test_derivatives_agree_with_differences(function: Function) -> None:
    case = Derivatives(function, 4, False, "reference")
    total, forward, reverse, second = case.at(0)
    ends = np.array([case.at(steps) for steps in (-2, -1, 1, 2)])
    rounding = 64 * EPSILON["float64"] * function.condition
    size = max(1.0, abs(total), abs(forward))
    assert abs(forward - reverse) <= 64 * rounding * size
    want, error = slope(ends[:, 0])
    assert abs(forward - want) <= error + rounding * size / STEP
    want, error = slope(ends[:, 1])
    size = max(size, abs(second))
    assert abs(second - want) <= error + rounding * size * function.condition / STEP


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if f.name in NATIVE],
                         ids=lambda f: f.name)  # fmt: skip
def test_derivatives_as_machine_code_for_any_size(function: Function) -> None:
    native, plain = (
        Derivatives(function, SYMBOLIC, True, device).at(0) for device in ("cpu", "reference")
    )
    np.testing.assert_allclose(native, plain, rtol=1e-13 * function.condition**2)


@pytest.mark.parametrize("n", [0, 1])
@every_function
def test_gradients_of_empty_and_single_matrices(function: Function, n: int) -> None:
    if n == 0 and function.name in ("norm_2", "norm_-2", "multi_dot", "projector"):
        return  # the largest of nothing
    random = generator("small", function.name, n)
    arrays = [x + 1.0 if n else x for x in function.make(random, max(n, 1))]
    arrays = arrays if n else [x[..., :0, :0] if x.ndim > 1 else x[:0] for x in arrays]
    inputs = inputs_for(arrays)
    results = nodes(function.call(*inputs))
    total = sum((gx.sum(weighted(r, k)) for k, r in enumerate(results)), gx.constant(0.0))
    step = gx.compile(inputs, gx.grad(total, inputs), device="reference")
    for got, x in zip(step(*arrays), arrays, strict=True):
        assert got.shape == x.shape
        assert np.isfinite(got).all()


@every_function
def test_a_batch_is_as_each_example(function: Function) -> None:
    examples = [function.make(generator("vmap", function.name, k), 3) for k in range(3)]
    stacked = [np.stack(parts) for parts in zip(*examples, strict=True)]

    def with_gradient(*operands: Node) -> list[Node]:
        results = nodes(function.call(*operands))
        total = sum((gx.sum(weighted(r, k)) for k, r in enumerate(results)), gx.constant(0.0))
        return [*results, *gx.grad(total, list(operands))]

    inputs = inputs_for(stacked)
    whole = gx.compile(inputs, gx.vmap(with_gradient)(*inputs), device="reference")(*stacked)
    alone = inputs_for(examples[0])
    step = gx.compile(alone, with_gradient(*alone), device="reference")
    for k, example in enumerate(examples):
        for got, want in zip(whole, step(*example), strict=True):
            np.testing.assert_allclose(got[k], want, rtol=1e-7, atol=1e-9)


def gradient_of(call: Any, x: Array) -> Array:
    """The gradient of one number by a matrix."""
    (node,) = inputs_for([x])
    found: Array = gx.compile([node], gx.grad(call(node), node))(x)
    return found


def test_the_gradient_of_determinants_is_right_for_singular_matrices() -> None:
    random = generator("cofactors")
    low = random.normal(size=(4, 3)) @ random.normal(size=(3, 4))
    lower = random.normal(size=(4, 2)) @ random.normal(size=(2, 4))
    with_zeros = low * np.array([1.0, 0, 1, 1])
    for x in (low, lower, with_zeros, np.diag([1.0, 0, 2, 3]), np.zeros((4, 4)), np.eye(4, k=1)):
        minors = [[np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(4)]
                  for i in range(4)]  # fmt: skip
        want = np.array(minors) * np.where(np.indices((4, 4)).sum(0) % 2, -1, 1)
        np.testing.assert_allclose(gradient_of(L.det, x), want, atol=1e-12)


def test_what_equal_values_leave_open_does_not_reach_gradients() -> None:
    random = generator("degenerate")
    q, weights = np.linalg.qr(random.normal(size=(6, 6)))[0], random.normal(size=(6, 6))
    x = q * np.repeat([1.0, 2.0, 5.0], 2) @ q.T

    def projector(s: Node) -> Node:
        v = L.eigh(s).eigenvectors[:, :2]
        return v @ v.mT

    def polynomial(s: Node) -> Node:
        """That is 1 at 1 and 0 at 2 and 5, with slope 0 at all three: the projector near x."""
        one = gx.eye(6, dtype="float64")
        zeros = (s - 2 * one) @ (s - 2 * one) @ (s - 5 * one) @ (s - 5 * one)
        return zeros @ (one + 2.5 * (s - one)) / 16

    direct = gradient_of(lambda s: gx.sum(polynomial(s) * weights), x)
    found = gradient_of(lambda s: gx.sum(projector(s) * weights), x)
    np.testing.assert_allclose(found, (direct + direct.T) / 2, rtol=1e-9, atol=1e-10)
    found = gradient_of(lambda s: gx.sum(gx.exp(L.eigvalsh(s))), x)
    np.testing.assert_allclose(found, scipy.linalg.expm(x), rtol=1e-10, atol=1e-10)
    # U V^T of an orthogonal matrix is itself, and moves only within the orthogonal ones.
    polar = gradient_of(lambda s: gx.sum(L.svd(s).U @ L.svd(s).Vh * weights), q)
    np.testing.assert_allclose(polar, (weights - q @ weights.T @ q) / 2, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(gradient_of(lambda s: gx.sum(L.svdvals(s)), q), q, atol=1e-12)


def test_the_gradient_by_a_large_matrix() -> None:
    a = conditioned(generator("large"), (300, 300))
    gradient = gradient_of(lambda s: gx.sum(L.slogdet(s).logabsdet), a)
    np.testing.assert_allclose(gradient, np.linalg.inv(a).T, rtol=1e-8, atol=1e-9)


def test_sizes_of_which_none_is_known_to_be_larger() -> None:
    x = gx.input("x", ("m", "n"), "float64")
    total = gx.sum(L.svdvals(x)) + gx.sum(gx.square(L.svd(x).U)) + gx.sum(gx.square(L.pinv(x)))
    p, lower, upper = L.lu(x)
    step = gx.compile([x], [gx.grad(total, x), p @ lower @ upper, L.matrix_rank(x)])
    for m, n in ((2, 5), (5, 2), (3, 3), (1, 4)):
        a = conditioned(generator("either", m, n), (m, n), 4.0)
        gradient, product, rank = step(a)
        u, values, vh = np.linalg.svd(a, full_matrices=False)
        want = (u * (1 - 2 / values**3)) @ vh
        np.testing.assert_allclose(gradient, want, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(product, a, atol=1e-14)
        assert rank == min(m, n)
