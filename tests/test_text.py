"""The text form of every level: what is printed reads back as the same thing."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphc as gx
from graphc.errors import GraphError
from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.graph import Graph
from graphc.ir.kernel import Buffer, Kernel, Let
from graphc.ir.lexer import Reader
from graphc.ir.literal import Literal
from graphc.ir.node import apply
from graphc.ir.parse_value import parse_size
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.types import DTYPES, float32, int64
from graphc.ir.verify import verify

HERE = Path(__file__).parent
TEXTS = sorted(path for path in HERE.rglob("*.gc") if "RUN: not" not in path.read_text())


def read_graph(text: str) -> Graph:
    graph = parse(text)
    assert isinstance(graph, Graph)
    return graph


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(HERE)))
def test_text_is_stable(path: Path) -> None:
    program = parse(path.read_text(), str(path))
    text = print_text(program)
    again = parse(text)
    assert print_text(again) == text
    if not isinstance(program, Graph):
        assert again == program


# --- sizes ---------------------------------------------------------------------------------------

VARIABLES = {"%i": dim.symbol("%i", "index", 8), "%v": dim.symbol("%v", "value")}
ATOMS = [*range(-9, 10), dim.symbol("n"), dim.symbol("batch"), *VARIABLES.values()]


def combine(sizes: st.SearchStrategy[Size]) -> st.SearchStrategy[Size]:
    divisors = st.sampled_from([2, 3, dim.symbol("n"), dim.symbol("n") + 1])
    return st.one_of(
        st.tuples(sizes, sizes).map(lambda pair: pair[0] + pair[1]),
        st.tuples(sizes, sizes).map(lambda pair: pair[0] - pair[1]),
        st.tuples(sizes, sizes).map(lambda pair: pair[0] * pair[1]),
        st.tuples(sizes, divisors).map(lambda pair: dim.floor_divide(*pair)),
        st.tuples(sizes, divisors).map(lambda pair: dim.remainder(*pair)),
        st.tuples(sizes, sizes).map(lambda pair: dim.maximum(*pair)),
    )


@given(st.recursive(st.sampled_from(ATOMS), combine, max_leaves=8))
def test_sizes_read_back(size: Size) -> None:
    reader = Reader(str(size), "<text>")
    assert parse_size(reader, VARIABLES) == size
    reader.end()


# --- literals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (65,)], ids=str)
def test_literals_read_back(dtype: gx.DType, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    size = int(np.prod(shape)) * dtype.numpy.itemsize
    values = np.frombuffer(random.bytes(size), np.uint8) & (1 if dtype == gx.bool else 255)
    literal = Literal(values.view(dtype.numpy).reshape(shape))
    graph = Graph((), (apply("constant", value=literal),))
    (node,) = read_graph(print_text(graph)).outputs
    assert node.attrs["value"] == literal


# --- graphs --------------------------------------------------------------------------------------


def test_equal_text_is_the_same_node() -> None:
    x = gx.input("x", ("n", 4), "float32")
    y = gx.softmax(gx.exp(x) @ gx.ones((4, 4), "float32"), axis=-1)
    text = print_text(Graph((x,), (y,)))
    assert print_text(read_graph(text)) == text


def test_nodes_stand_at_their_lines() -> None:
    text = "graph (%x: f32[2]) {\n  %0 = exp %x : f32[2]\n  return %0\n}\n"
    where = parse(text, "a.gc").outputs[0].where  # type: ignore[union-attr]
    assert where is not None
    assert where.describe() == "a.gc:2:8: %0 = exp %x : f32[2]"


def test_variables_are_read_as_zeros() -> None:
    graph = read_graph("graph () state (%w: f32[2, 3]) {\n  return %w\n}\n")
    (variable,) = graph.variables
    assert isinstance(variable, gx.Variable)
    assert np.array_equal(variable.value, np.zeros((2, 3), np.float32))


def test_names_are_made_unique() -> None:
    one, other = (gx.input("x", (2,), "float32") for _ in range(2))
    text = print_text(Graph((one, other), (one + other,)))
    assert text.startswith("graph (%x: f32[2], %x_1: f32[2]) {\n  %0 = add %x, %x_1 :")


def test_an_attribute_without_text_form_is_refused() -> None:
    x = gx.input("x", (2,), "float32")
    node = apply("reshape", x, shape=(2,))
    object.__setattr__(node, "attrs", {"shape": object()})
    with pytest.raises(GraphError, match="an attribute of type object has no text form"):
        print_text(Graph((x,), (node,)))


def test_a_long_chain_prints_parses_and_verifies() -> None:
    x = y = gx.input("x", (), "float32")
    for _ in range(10_000):
        y = y + x
    start = time.perf_counter()
    text = print_text(Graph((x,), (y,)))
    graph = read_graph(text)
    verify(graph)
    assert print_text(graph) == text
    assert time.perf_counter() - start < 20  # quadratic work would take minutes


# --- formulas ------------------------------------------------------------------------------------


def kernel_of(value: scalar.Scalar) -> Kernel:
    return Kernel("k", (Buffer("x", float32, 8),), (Let("t", value),))


def test_a_formula_with_shared_parts_prints_in_linear_length() -> None:
    value: scalar.Scalar = scalar.Load(float32, "x", 0, None)
    for _ in range(1000):
        value = value * value + value
    text = print_text(kernel_of(value))
    assert len(text) < 100_000
    kernel = parse(text)
    assert isinstance(kernel, Kernel)
    assert kernel.body[0].value is value  # type: ignore[union-attr]


def test_a_formula_may_be_deep() -> None:
    value: scalar.Scalar = scalar.Load(float32, "x", 0, None)
    for step in range(10_000):
        value = value + step
    kernel = kernel_of(value)
    verify(kernel)
    assert parse(print_text(kernel)) == kernel


def test_reductions_have_a_text_form() -> None:
    k = dim.symbol("%k", "index", 8)
    load = scalar.Load(float32, "x", k, scalar.index(k) < 4)
    kernel = kernel_of(scalar.Reduce(int64, "argmax", (k,), load))
    text = print_text(kernel)
    assert "reduce(argmax, %k < 8, load %x[%k] if less(index(%k), 4: i64))" in text
    assert parse(text) == kernel


@pytest.mark.parametrize("value", [0.1, -0.0, float("inf"), 1e-300, 1e22])
def test_constants_read_back(value: float) -> None:
    kernel = kernel_of(scalar.const(gx.float64, value))
    assert parse(print_text(kernel)) == kernel
