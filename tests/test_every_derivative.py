"""Derivatives of every operator of the table: gradient, second order, forward against reverse.

Everything is computed in float64 on the cpu and compared with central differences of the
reference; how far they may differ follows from two step lengths and the size of what is added up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from sample import Array, Sample, bind, bound_types, draw, operands, seed_of
from samples import SAMPLES, accepted, node_of
from samples_indexing import in_range

import graphc as gx
from graphc.ir.graph import Graph, walk
from graphc.ir.node import Node
from graphc.ir.types import TensorType
from graphc.passes.differentiate import grad, jvp
from graphc.runtime.reference.evaluate import evaluate

SIZES = {"n": 3, "b": 2}
MOST_ELEMENTS = 60
"""Larger samples would need too many differences."""
STEP = 2.0**-13
EPSILON = 2.0**-53

FLOATS = [n for n in SAMPLES if gx.float64 in accepted(n) and SAMPLES[n].samples[0].shapes]
every_smooth = pytest.mark.parametrize("name", sorted(n for n in FLOATS if SAMPLES[n].smooth))
every_flat = pytest.mark.parametrize("name", sorted(n for n in FLOATS if not SAMPLES[n].smooth))


@dataclass
class Case:
    """An operator over inputs, weights of its elements, directions, and values for all of them."""

    inputs: list[Node]
    output: Node
    weights: Node
    directions: list[Node]
    values: dict[Node, Array]

    @property
    def smooth(self) -> list[Node]:
        """The inputs that have derivatives."""
        return [node for node in self.inputs if node.dtype.is_float]

    @property
    def total(self) -> Node:
        """One number, in which each element counts differently."""
        return gx.real(gx.sum(self.output * self.weights))


def cases(name: str) -> list[Case]:
    """A case for each small sample with elements."""
    small = [s for s in SAMPLES[name].samples if 0 < elements(s) <= MOST_ELEMENTS]
    if name == "cast":
        small = [s for s in small if s.attrs["dtype"].is_float]
    if name == "gather":  # of no elements all are out of range
        small = [s for s in small if s.attrs["absent"] == "zero" or 0 not in s.shapes[0]]
    return [case(name, sample, number) for number, sample in enumerate(small)]


def elements(sample: Sample) -> int:
    """How many elements the operands have."""
    return sum(int(np.prod(bind(shape, SIZES))) for shape in sample.shapes)


def case(name: str, sample: Sample, number: int) -> Case:
    """A sample with smooth operands; `number` keeps the names of inputs apart."""
    random = np.random.default_rng(seed_of("derivative", name, sample.shapes, sample.attrs))
    inputs, output = node_of(name, sample, gx.float64, f"x{number}_")
    arrays = operands(SAMPLES[name], bound_types(sample, gx.float64, SIZES), random, smooth=True)
    if sample.attrs.get("absent") == "nan":
        arrays = [arrays[0], *in_range(arrays, sample, SIZES)]
    values = dict(zip(inputs, arrays, strict=True))
    directions = [direction(node, random, values) for node in inputs if node.dtype.is_float]
    weights = gx.input(f"w{number}", output.shape, output.dtype)
    values[weights] = draw(random, TensorType(output.dtype, bind(output.shape, SIZES)), (0.5, 1.5))
    return Case(inputs, output, weights, directions, values)


def direction(node: Node, random: np.random.Generator, values: dict[Node, Array]) -> Node:
    """A new input for a direction in which an input moves."""
    result = gx.input(f"d_{node.attrs['name']}", node.shape, node.dtype)
    values[result] = random.normal(size=bind(node.shape, SIZES))
    return result


def compute(found: Sequence[Case], outputs: Sequence[Sequence[Node]]) -> list[list[Array]]:
    """Nodes of several cases in one step on the cpu."""
    inputs = {node: array for case in found for node, array in case.values.items()}
    step = gx.compile(list(inputs), [list(nodes) for nodes in outputs])
    results: list[list[Array]] = step(*inputs.values())
    return results


def assert_gradient(case: Case, scalar: Node, by: Node, got: Array, precision: float) -> None:
    """A gradient agrees with central differences of the reference."""
    want, error = differences(case.values, scalar, by, precision)
    worst = np.max(np.abs(got - want) - error, initial=-1)
    assert worst <= 0, f"{case.output!r} by {by!r}: {got} against {want}, may differ by {error}"


def differences(
    values: Mapping[Node, Array], scalar: Node, by: Node, precision: float
) -> tuple[Array, Array]:
    """The gradient by central differences of two lengths, and how wrong it may be.

    The two lengths together cancel the second-order error, and what they differ by bounds the
    rest. What is added up has a relative error of `precision`.
    """
    graph = Graph(tuple(values), (scalar,))
    result, error = np.zeros_like(values[by]), np.zeros_like(values[by])
    size = max(1.0, float(np.max(np.abs(evaluate(graph, values)[0]))))
    for place in np.ndindex(result.shape):
        ends = []
        for steps in (-2, -1, 1, 2):
            moved = values[by].copy()
            moved[place] += steps * STEP
            ends.append(float(evaluate(graph, {**values, by: moved})[0]))
        near, far = (ends[2] - ends[1]) / (2 * STEP), (ends[3] - ends[0]) / (4 * STEP)
        result[place] = (4 * near - far) / 3
        error[place] = abs(near - far) / 8 + 64 * size * precision / STEP
    return result, error


def precision_of(case: Case) -> float:
    """The relative error of a case's values: float64's, or that of a narrower result."""
    bits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[case.output.dtype.part.name]
    return float(2.0**-bits)


# --- tests ---------------------------------------------------------------------------------------


@every_smooth
def test_gradient(name: str) -> None:
    found = [case for case in cases(name) if case.output.dtype.part == gx.float64]
    results = compute(found, [grad(case.total, case.smooth) for case in found])
    assert found
    for case, gradients in zip(found, results, strict=True):
        for node, got in zip(case.smooth, gradients, strict=True):
            assert_gradient(case, case.total, node, got, EPSILON)


@every_smooth
def test_second_order(name: str) -> None:
    found = [case for case in cases(name) if case.output.dtype == gx.float64]
    firsts = [first_order(case) for case in found]
    kept = [(c, f, by) for c, f in zip(found, firsts, strict=True) if (by := reached(c, f))]
    if not kept:  # the gradient is constant
        return
    results = compute([c for c, _, _ in kept], [grad(f, by) for _, f, by in kept])
    for (case, first, by), gradients in zip(kept, results, strict=True):
        for node, got in zip(by, gradients, strict=True):
            assert_gradient(case, first, node, got, EPSILON)


def first_order(case: Case) -> Node:
    """One number made of all gradients."""
    parts = zip(grad(case.total, case.smooth), case.directions, strict=True)
    total, *others = [gx.sum(gradient * along) for gradient, along in parts]
    for other in others:
        total = total + other
    return total


def reached(case: Case, scalar: Node) -> list[Node]:
    """The inputs that a number depends on."""
    below = set(walk([scalar]))
    return [node for node in case.smooth if node in below]


@every_smooth
def test_forward_agrees_with_reverse(name: str) -> None:
    found = cases(name)
    nodes = []
    for case in found:
        pushed = jvp(case.output, case.smooth, case.directions)
        nodes.append([pushed, *grad(case.total, case.smooth)])
    for case, (pushed, *pulled) in zip(found, compute(found, nodes), strict=True):
        forward = np.real(case.values[case.weights] * pushed).astype(np.float64)
        along = [case.values[node] for node in case.directions]
        reverse = [a * b for a, b in zip(pulled, along, strict=True)]
        terms = np.concatenate([np.ravel(part) for part in (forward, *reverse)])
        allowed = 16 * (len(terms) + 16) * precision_of(case) * np.max(np.abs(terms), initial=0)
        difference = np.sum(forward) - sum(np.sum(part) for part in reverse)
        assert abs(difference) <= allowed, f"{case.output!r}: {difference}"


@every_flat
def test_where_there_is_no_derivative_none_is_passed_on(name: str) -> None:
    sample = SAMPLES[name].samples[0]
    inputs, output = node_of(name, sample, gx.float64)
    gradient = gx.ones_like(output)
    assert list(output.op.vjp(output, gradient)) == [None] * len(inputs)
    assert output.op.jvp(output, [gx.ones_like(node) for node in inputs]) is None
