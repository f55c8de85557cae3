"""Derivatives of complex numbers: every operator against differences, functions against JAX.

The change of a real loss is the real part of the gradient times the change of a complex node, so
the gradient by x + iy is dL/dx - i dL/dy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sample import Array, Sample, draw, operands, seed_of
from samples import SAMPLES, accepted, infer, node_of
from samples_indexing import in_range

import graphc as gx
from graphc.ir.dim import product
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.types import TensorType
from graphc.passes.derivatives import vjp
from graphc.passes.differentiate import jvp
from graphc.runtime.reference.evaluate import evaluate

MOST_ELEMENTS = 40
STEP = 2.0**-13
SMOOTH = sorted(
    name
    for name, row in SAMPLES.items()
    if gx.complex128 in accepted(name) and row.smooth and row.samples[0].shapes
)


@dataclass
class Case:
    """An operator over inputs, with their values, directions of its operands, and a cotangent."""

    output: Node
    values: dict[Node, Array]
    along: dict[Node, Array]
    weight: Array

    @property
    def derivatives(self) -> list[Node]:
        """The derivative along the direction, and the gradient by each operand."""
        directions = [gx.constant(array) for array in self.along.values()]
        pushed = jvp(self.output, list(self.along), directions)
        return [pushed, *vjp(self.output, list(self.along), gx.constant(self.weight))]


def cases(name: str) -> list[Case]:
    """A case for each sample of an operator that has known sizes and a few elements."""
    found = []
    for number, sample in enumerate(SAMPLES[name].samples):
        shapes = [*sample.shapes, infer(name, sample, gx.complex128).shape]
        known = all(isinstance(size, int) for shape in shapes for size in shape)
        if not known or not 0 < sum(map(product, sample.shapes)) <= MOST_ELEMENTS:
            continue
        if sample.attrs.get("absent") != "nan" or 0 not in sample.shapes[0]:
            found.append(case(name, sample, number))
    return found


def case(name: str, sample: Sample, number: int) -> Case:
    """Smooth complex operands; indices stay inside, since beyond the range lies NaN."""
    random = np.random.default_rng(seed_of("complex", name, sample.shapes, sample.attrs))
    inputs, output = node_of(name, sample, gx.complex128, f"x{number}_")
    arrays = operands(SAMPLES[name], sample.types(gx.complex128), random, smooth=True)
    if sample.attrs.get("absent") == "nan":
        arrays = [arrays[0], *in_range(arrays, sample, {})]
    along = {node: any_values(random, node) for node in inputs if node.dtype.is_inexact}
    return Case(output, dict(zip(inputs, arrays, strict=True)), along, any_values(random, output))


@pytest.mark.parametrize("name", SMOOTH)
def test_both_modes_agree_with_differences_and_with_each_other(name: str) -> None:
    found = cases(name)
    values = {node: array for each in found for node, array in each.values.items()}
    step = gx.compile(list(values), [each.derivatives for each in found])
    for each, (forward, *backward) in zip(found, step(*values.values()), strict=True):
        want, error = difference(each)
        assert np.all(np.abs(forward - want) <= error), each.output
        one = np.sum(np.real(each.weight * forward))
        pairs = zip(backward, each.along.values(), strict=True)
        terms = [np.sum(np.real(gradient * direction)) for gradient, direction in pairs]
        size = np.sum(np.abs(each.weight * forward)) + np.sum(np.abs(terms))
        assert abs(one - sum(terms)) <= 1e-13 * size, each.output


def any_values(random: np.random.Generator, node: Node) -> Array:
    """Random values of a node's type."""
    return draw(random, TensorType(node.dtype, node.shape), (-1, 1))


def difference(case: Case) -> tuple[Array, Array]:
    """The derivative along a direction by differences of two lengths, and how wrong it may be."""
    graph = Graph(tuple(case.values), (case.output,))
    ends = []
    for steps in (-2, -1, 1, 2):
        moved = {node: case.values[node] + steps * STEP * d for node, d in case.along.items()}
        ends.append(evaluate(graph, {**case.values, **moved})[0])
    near, far = (ends[2] - ends[1]) / (2 * STEP), (ends[3] - ends[0]) / (4 * STEP)
    rounding = 64 * 2.0**-53 * max(1.0, float(np.max(np.abs(ends), initial=0))) / STEP
    return (4 * near - far) / 3, np.abs(near - far) / 8 + rounding


# --- the convention ------------------------------------------------------------------------------


def test_the_gradient_is_by_the_real_part_less_i_times_that_by_the_imaginary_part() -> None:
    z = gx.input("z", (), "complex128")
    x, y = gx.real(z), gx.imag(z)
    cases = {x * x * y: lambda z: 2 * z.real * z.imag - 1j * z.real**2,
             gx.abs(z) ** 2: lambda z: 2 * np.conj(z),
             gx.real(z**3): lambda z: 3 * z**2,
             gx.imag(z): lambda z: -1j}  # fmt: skip
    step = gx.compile([z], [gx.grad(loss, z) for loss in cases])
    for got, want in zip(step(0.5 - 2j), cases.values(), strict=True):
        np.testing.assert_allclose(got, want(0.5 - 2j), rtol=1e-15)


def test_gradients_stop_at_0_as_for_real_numbers() -> None:
    z = gx.input("z", (3,), "complex128")
    losses = [gx.sum(gx.abs(z)), gx.vector_norm(z), gx.sum(gx.real(z**2 + z**0))]
    for got in gx.compile([z], [gx.grad(loss, z) for loss in losses])(np.zeros(3)):
        np.testing.assert_array_equal(got, np.zeros(3))


def test_what_where_has_not_chosen_stays_out() -> None:
    z = gx.input("z", (2,), "complex128")
    loss = gx.sum(gx.abs(gx.where(gx.abs(z) > 0, gx.log(z), 0)) ** 2)
    got = gx.compile([z], gx.grad(loss, z))(np.array([0, np.e]))
    np.testing.assert_allclose(got, [0, 2 / np.e], rtol=1e-15)


def test_custom_rules_and_checkpoints_take_complex_numbers() -> None:
    z = gx.input("z", (3,), "complex128")

    def plain(v: Node) -> Node:
        return gx.sin(v) * gx.conj(v)

    doubled = gx.custom_gradient(lambda v: v * v, vjp=lambda a, r, g: (4 * a[0] * g,))
    again = gx.checkpoint(plain)
    losses = [gx.sum(gx.abs(f(z)) ** 2) for f in (plain, again)]
    one = gx.grad(gx.sum(gx.real(doubled(z))), z)
    given = np.array([1 + 1j, -0.5j, 0.25])
    first, second, third = gx.compile([z], [*(gx.grad(loss, z) for loss in losses), one])(given)
    np.testing.assert_allclose(first, second, rtol=1e-15)
    np.testing.assert_allclose(third, 4 * given, rtol=1e-15)


# --- against JAX ---------------------------------------------------------------------------------

Loss = Callable[[Any, Any, Any], Any]
LOSSES: dict[str, Loss] = {
    "abs": lambda g, x, y: g.sum(g.abs(x) * g.abs(y)),
    "sqrt": lambda g, x, y: g.sum(g.real(g.sqrt(x) * y)),
    "log": lambda g, x, y: g.sum(g.imag(g.log(x) / y)),
    "power": lambda g, x, y: g.sum(g.abs(x**y)),
    "conj": lambda g, x, y: g.sum(g.real(g.conj(x) * g.exp(y))),
    "angle": lambda g, x, y: g.sum(g.angle(x * y)),
    "hyperbolic": lambda g, x, y: g.sum(g.abs(g.tanh(x) - g.sin(y) * g.conj(x)) ** 2),
    "matmul": lambda g, x, y: g.sum(g.abs(x @ g.conj(y).T) ** 2),
    "prod": lambda g, x, y: g.abs(g.prod(x + g.conj(y))),
    "integer powers": lambda g, x, y: g.sum(g.real(x**3 / y**-2)),
    "where": lambda g, x, y: g.sum(g.abs(g.where(g.real(x) > 0, x * x, g.conj(y))) ** 2),
    "cast": lambda g, x, y: g.sum(g.abs(x * g.real(y)) ** 2),
    "fft": lambda g, x, y: g.sum(g.abs(g.fft.fft(x, axis=0) * g.fft.ifft(y)) ** 3),
    "irfft": lambda g, x, y: g.sum(g.fft.irfft(x, n=6) ** 2 * g.sum(g.real(y))),
    "rfft": lambda g, x, y: g.sum(g.abs(g.fft.rfft(g.real(x * y), n=5)) ** 2),
}
"""Losses of two matrices, written with names that JAX and we have in common."""


@pytest.mark.oracle
def test_losses_have_the_derivatives_of_jax() -> None:
    jax = pytest.importorskip("jax")
    random = np.random.default_rng(0)
    a, b, d = (random.normal(size=(3, 4)) + 1j * random.normal(size=(3, 4)) for _ in range(3))
    x, y, along = gx.input("x", (3, 4), complex), gx.input("y", (3, 4), complex), gx.constant(d)
    nodes = {}
    for name, loss in LOSSES.items():
        ours = loss(gx, x, y)
        second = gx.hvp(ours, x, along)
        nodes[name] = [ours, *gx.grad(ours, [x, y]), gx.jvp(ours, x, along), second]
    with jax.enable_x64(True):
        theirs = jax.jit(lambda *given: {n: of_jax(jax, f, *given) for n, f in LOSSES.items()})
        numbers = theirs(a, b, d)
    for name, results in gx.compile([x, y], nodes)(a, b).items():
        for got, want in zip(results, numbers[name], strict=True):
            scale = 1e-12 * np.max(np.abs(want))
            np.testing.assert_allclose(got, want, rtol=1e-11, atol=scale, err_msg=name)


def of_jax(jax: Any, loss: Loss, a: Any, b: Any, d: Any) -> Sequence[Any]:
    """JAX's value, gradients, derivative along a direction, and that of the gradient."""

    def of_first(x: Any) -> Any:
        return loss(jax.numpy, x, b)

    value, gradients = jax.value_and_grad(lambda x, y: loss(jax.numpy, x, y), (0, 1))(a, b)
    pushed = jax.jvp(of_first, (a,), (d,))[1]
    return [value, *gradients, pushed, jax.jvp(jax.grad(of_first), (a,), (d,))[1]]
