"""One compilation serves all sizes, through the whole language; and sizes that cannot be do not.

What a function gives with symbolic sizes is compared with what NumPy gives for the same function
of arrays whose shapes are known, with its gradient too.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from sample import Array, seed_of
from symbolic_cases import CASES, FLOAT, Case, Shape

import graphc as gx
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.lang.sizes import to_shape
from graphc.runtime.reference.evaluate import evaluate
from graphc.structure import flatten

BINDINGS = (
    {"n": 4, "m": 6, "k": 3},
    {"n": 1, "m": 1, "k": 1},
    {"n": 0, "m": 2, "k": 1},
    {"n": 2, "m": 0, "k": 2},
    {"n": 7, "m": 5, "k": 1},
)


def results(function: Callable[..., Any], inputs: Sequence[Node]) -> list[Node]:
    """What a function gives, and the gradient of a sum over it by each input."""
    outputs = list(flatten(function(*inputs))[0])
    smooth = [gx.sum(gx.sin(o + 0.3)) for o in outputs if o.dtype.is_float]
    total = sum((gx.cast(value, "float64") for value in smooth), gx.constant(0.0))
    reached = [gx.sum(x) * 0 for x in inputs]  # so that every input has a gradient
    return outputs + list(gx.grad(sum(reached, total), list(inputs)))


def bound(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A shape with its symbols filled in."""
    return tuple(dim.evaluate(size, sizes) for size in to_shape(shape, "test"))


def expected(case: Case, arrays: Sequence[Array]) -> list[Array]:
    """The values by NumPy, of a graph in which every size is known."""
    inputs = [gx.input(f"x{k}", array.shape, FLOAT) for k, array in enumerate(arrays)]
    graph = Graph(tuple(inputs), tuple(results(case.function, inputs)))
    return evaluate(graph, dict(zip(inputs, arrays, strict=True)))


@pytest.mark.parametrize("name", CASES)
def test_one_compilation_serves_all_sizes(name: str) -> None:
    case = CASES[name]
    inputs = [gx.input(f"x{k}", shape, FLOAT) for k, shape in enumerate(case.shapes)]
    step = gx.compile(inputs, results(case.function, inputs))
    for sizes in BINDINGS:
        if not case.empty and 0 in sizes.values():
            continue
        random = np.random.default_rng(seed_of(name, sizes))
        arrays = [random.normal(size=bound(s, sizes)).astype(FLOAT) for s in case.shapes]
        for mine, right in zip(step(*arrays), expected(case, arrays), strict=True):
            assert mine.shape == right.shape
            np.testing.assert_allclose(mine, right, rtol=2e-3, atol=2e-4, err_msg=str(sizes))


def test_shapes_decide_symbols_together() -> None:
    x, y = gx.input("x", "n + m", FLOAT), gx.input("y", ("n - m", 2), FLOAT)
    step = gx.compile([x, y], [gx.arange(size) for size in to_shape(("n", "m"), "test")])
    rows, columns = step(np.zeros(8, FLOAT), np.zeros((2, 2), FLOAT))
    assert (rows.size, columns.size) == (5, 3)


def test_an_operator_decides_a_symbol() -> None:
    x = gx.input("x", "n", FLOAT)
    blocks = gx.reshape(gx.ensure_shape(x, "4*k"), (4, -1))
    assert str(blocks.shape[1]) == "k"
    step = gx.compile([x], [blocks, gx.arange(blocks.shape[1])])
    assert step(np.arange(8, dtype=FLOAT))[0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert step.memory(n=8).offsets == step.memory(k=2).offsets


def test_requirements_have_a_text() -> None:
    x, y = gx.input("x", "n", FLOAT), gx.input("y", ("m", "2*m + 1"), FLOAT)
    graph = Graph((x, y), (gx.ensure_shape(x, "m") + y[:, 0], gx.reshape(x, (-1, 4))))
    assert print_text(parse(print_text(graph))) == print_text(graph)


def test_requirements_hold_inside_of_loops() -> None:
    x, y = gx.input("x", ("b", "n"), FLOAT), gx.input("y", "m", FLOAT)
    step = gx.compile([x, y], gx.map(lambda row: row + gx.ensure_shape(y * row.sum(), "n"), x))
    assert step(np.ones((2, 3), FLOAT), np.ones(3, FLOAT)).tolist() == [[4, 4, 4]] * 2
    with pytest.raises(gx.GraphError, match=r"n is 3 by 'x' \(axis 1\), but m is 4 by 'y'"):
        step(np.ones((2, 3), FLOAT), np.ones(4, FLOAT))


def test_requirements_pass_through_derivatives_and_batches() -> None:
    x, y = gx.input("x", ("b", "n"), FLOAT), gx.input("y", "m", FLOAT)
    square = gx.vmap(lambda row: gx.sum((row * gx.ensure_shape(y, "n")) ** 2))
    step = gx.compile([x, y], [gx.grad(gx.sum(square(x)), y), gx.jvp(square(x), x, x)])
    slope, change = step(2 * np.ones((3, 4), FLOAT), np.ones(4, FLOAT))
    assert slope.tolist() == [24, 24, 24, 24]
    assert change.tolist() == [32, 32, 32]


def test_equalities_that_contradict_each_other_are_refused_when_compiling() -> None:
    x = gx.input("x", "n", FLOAT)
    with pytest.raises(gx.GraphError, match=r"n is 2 by ensure_shape .*, but must be 3"):
        gx.compile([x], [gx.ensure_shape(x, 2), gx.ensure_shape(x, 3)])


def test_an_empty_axis_may_leave_a_factor_open() -> None:
    x, y = gx.input("x", "n*m", FLOAT), gx.input("y", "n", FLOAT)
    step = gx.compile([x, y], [gx.zeros("m"), x, y])
    assert step(np.zeros(6, FLOAT), np.zeros(2, FLOAT))[0].size == 3
    with pytest.raises(gx.GraphError, match=r"leave the size 'm' open: m\*n of 'x' \(axis 0\)"):
        step(np.zeros(0, FLOAT), np.zeros(0, FLOAT))


TEXTS = {
    "batch": "batch",
    " 2*n + 1 ": "2*n + 1",
    "n // 4": "floor_divide(n, 4)",
    "n % 3 - -m": "m + remainder(n, 3)",
    "maximum(n - 2, 0)": "maximum(n - 2, 0)",
    "(n + 1) * (n - 1)": "n*n - 1",
    "12": "12",
}


@pytest.mark.parametrize("key", [(), slice(None), slice(None, None, -1), (..., slice(1))], ids=str)
def test_an_axis_of_which_everything_is_taken_keeps_its_size(key: Any) -> None:
    x = gx.input("x", ("n - 2", 3), FLOAT)
    assert x[key].shape[0] == x.shape[0]


def test_a_transposed_convolution_beside_an_axis_that_may_be_too_short() -> None:
    x, w = gx.input("x", (2, 3, "n", 7), FLOAT), gx.input("w", (3, 1, 2, 1), FLOAT)
    y = gx.nn.conv_transpose(x, w, stride=(1, 2), padding=((1, 1), (0, 0)))
    random = np.random.default_rng(0)
    shapes = [(2, 3, 5, 7), (3, 1, 2, 1)]
    arrays = [random.normal(size=shape).astype(FLOAT) for shape in shapes]
    got, want = (gx.compile([x, w], y, device=device)(*arrays) for device in ("cpu", "reference"))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", TEXTS)
def test_text_of_a_size(text: str) -> None:
    (size,) = gx.input("x", text, FLOAT).shape
    assert str(size) == TEXTS[text]
    assert gx.input("x", str(size), FLOAT).shape == (size,)


@pytest.mark.parametrize(
    "text", ["", "batch size", "_n", "1n", "n / 2", "n ** 2", "2.5", "n // 0", "n % (m - m)",
             "f(n)", "f(n, 2)", "maximum(n)", "minimum(n, m, k=1)", "True", "n and m", "-3", "é",
             "a.b"],
)  # fmt: skip
def test_text_that_is_no_size(text: str) -> None:
    with pytest.raises(gx.GraphError, match=r"input: .* size"):
        gx.input("x", text, FLOAT)
