"""Random graphs compiled for the cpu: values against the reference, gradients against differences.

Each case is one compiled step: outputs, next values of variables, and the gradients of a number
that all of them count in. `pytest -rP` shows how many graphs were checked, and their seed.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from exact import Array, compare, exact
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_builder import SEED, RandomGraph
from random_graphs import random_graph
from random_orders import random_order

import graphc as gx
from graphc.ir.graph import Graph, walk
from graphc.ir.node import Node
from graphc.ir.printer import print_text

CASES, CHUNKS, ORDERS = 2000, 20, 60
OTHER_SIZES = (1, 7, 0, 2)
STEP = 2.0**-14
UNDECIDED = 0.05
"""How many of the gradients may be too near to a kink for differences to tell."""


def check_values(case: RandomGraph) -> None:
    """Outputs, gradients and next values agree with the reference, for two sizes of n."""
    sources = case.sources
    gradients = gx.grad(case.total, sources) if sources else []
    outputs = [*case.outputs, *gradients]
    step = gx.compile(case.inputs, outputs, case.updates)
    roots = [*outputs, *case.updates.values()]
    random = np.random.default_rng([SEED, case.number, 1])
    for arrays, sizes in settings_of(case):
        for variable in case.variables:
            variable.value = arrays[variable]
        got = step(*(arrays[node] for node in case.inputs))
        got += [variable.value for variable in case.updates]
        exactly = {node: widened(array) for node, array in arrays.items()}
        wrong = compare(got, exactly, roots, sizes, random)
        assert wrong is None, describe(case, wrong, roots, sizes)


def settings_of(case: RandomGraph) -> list[tuple[dict[Node, Array], dict[str, int]]]:
    """Arguments and sizes: those that the graph was made with, and others where n is symbolic."""
    found = [(case.given, case.sizes)]
    if case.is_symbolic:
        n = OTHER_SIZES[case.number % len(OTHER_SIZES)]
        resized = {node: to_size(node, array, n) for node, array in case.given.items()}
        found.append((resized, {"n": n}))
    return found


def to_size(node: Node, array: Array, n: int) -> Array:
    """The array with its symbolic axis cut or repeated to n elements."""
    if node.ndim and not isinstance(node.shape[0], int):
        return np.resize(array, (n, *array.shape[1:]))
    return array


def widened(array: Array) -> Array:
    """Floats as float64."""
    return array.astype(np.float64) if array.dtype.kind in "fV" else array


def describe(case: RandomGraph, wrong: str, roots: Sequence[Node], sizes: Mapping[str, int]) -> str:
    """What to look at."""
    text = print_text(Graph(tuple(case.inputs), tuple(roots)))
    return f"random graph {case.number}, {dict(sizes)}: {wrong}\n{text}"


def check_gradient(case: RandomGraph) -> bool:
    """The gradient along a random direction agrees with differences, all in float64.

    False where the differences of two lengths do not agree with each other: a kink is near.
    """
    sources, total = case.sources, case.total
    if not sources:
        return True
    random = np.random.default_rng([SEED, case.number, 2])
    start = {node: widened(array) for node, array in case.given.items()}
    along = {node: random.normal(size=start[node].shape) for node in sources}
    values = dict(start)
    gradients = gx.grad(total, sources)
    exact(values, gradients, case.sizes)
    terms = [values[g] * along[node] for g, node in zip(gradients, sources, strict=True)]
    slope = sum(float(np.sum(part)) for part in terms)
    heights = [height(case, total, start, along, steps * STEP) for steps in (-2, -1, 1, 2)]
    near, far = (heights[2] - heights[1]) / (2 * STEP), (heights[3] - heights[0]) / (4 * STEP)
    scale = max(1.0, float(np.max(np.abs(heights))), sum(float(np.sum(abs(p))) for p in terms))
    error = abs(near - far) / 4 + 1e-10 * scale
    if abs(near - far) > 1e-3 * scale:
        return False
    difference = abs((4 * near - far) / 3 - slope)
    assert difference <= error, describe(
        case, f"slope {slope}, by differences {near}, may differ by {error}", [total], case.sizes
    )
    return True


def height(
    case: RandomGraph,
    total: Node,
    start: Mapping[Node, Array],
    along: Mapping[Node, Array],
    distance: float,
) -> float:
    """The total at some distance along a direction."""
    values = {n: a + distance * along[n] if n in along else a for n, a in start.items()}
    exact(values, [total], case.sizes)
    return float(values[total])


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_graphs(chunk: int) -> None:
    numbers = range(chunk, CASES, CHUNKS)
    nodes = decided = 0
    for number in numbers:
        case = random_graph(number)
        check_values(case)
        decided += check_gradient(random_graph(number, dtype="float64"))
        nodes += len(walk(case.outputs))
    assert decided >= (1 - UNDECIDED) * len(numbers)
    print(
        f"{len(numbers)} of {CASES} random graphs from seed {SEED} agree with the reference, "
        f"{decided} of their gradients with differences; {nodes / len(numbers):.0f} nodes each"
    )


@pytest.mark.parametrize("chunk", range(3))
def test_random_graphs_of_words_across_an_axis(chunk: int) -> None:
    cases = [random_order(number) for number in range(chunk, ORDERS, 3)]
    for case in cases:
        check_values(case)
    decided = sum(check_gradient(random_order(case.number, dtype="float64")) for case in cases)
    assert decided >= (1 - UNDECIDED) * len(cases)
    names = {node.op.name for node in walk(itertools.chain(*(case.outputs for case in cases)))}
    assert names >= {"sort", "cumulative_sum", "convolution", "cholesky", "scatter"}


@given(
    number=st.integers(0, 2**31 - 1),
    most=st.integers(3, 25),
    kept=st.lists(st.integers(0, 4), max_size=1),
)
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_random_graphs_that_shrink(number: int, most: int, kept: list[int]) -> None:
    case = random_graph(number, most)
    for place in kept:
        case = replace(case, outputs=[case.outputs[place % len(case.outputs)]])
    check_values(case)
    check_gradient(random_graph(number, most, "float64"))


def test_a_case_is_made_from_its_number_alone() -> None:
    for number in range(20):
        one, other = random_graph(number), random_graph(number)
        texts = [print_text(Graph(tuple(c.inputs), tuple(c.outputs))) for c in (one, other)]
        assert texts[0] == texts[1]


def test_the_cases_hold_every_kind_of_word() -> None:
    cases = [random_graph(number) for number in range(300)]
    names = {node.op.name for node in walk(itertools.chain(*(case.outputs for case in cases)))}
    assert names >= {
        "exp", "sum", "max", "matmul", "permute_dims", "slice", "flip", "pad", "concat", "where",
        "gather", "scatter", "cast", "broadcast", "reshape", "argmax", "stop_gradient", "prod",
    }  # fmt: skip
    assert sum(case.is_symbolic for case in cases) > 60
    assert sum(bool(case.updates) for case in cases) > 60
    assert sum(len(case.outputs) > 1 for case in cases) > 150


def test_a_wrong_result_is_noticed() -> None:
    case = next(c for c in map(random_graph, range(100)) if c.dtype == gx.float32)
    exactly = {node: widened(array) for node, array in case.given.items()}
    values = dict(exactly)
    exact(values, case.outputs, case.sizes)
    got = [values[node].astype(node.dtype.numpy) for node in case.outputs]
    random = np.random.default_rng(0)
    assert compare(got, exactly, case.outputs, case.sizes, random) is None
    for place, array in enumerate(got):
        wrong = [a * 1.0001 + 1e-4 if k == place else a for k, a in enumerate(got)]
        wrong = [a.astype(g.dtype) for a, g in zip(wrong, got, strict=True)]
        if array.dtype.kind == "f" and array.size:
            assert compare(wrong, exactly, case.outputs, case.sizes, random)
