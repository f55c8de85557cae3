"""The operators on matrices: decompositions and triangular systems, by what defines their results.

`matrix_cases.py` has the operators and what must hold.
"""

from typing import Any

import numpy as np
import pytest
from calling import with_any_threads
from matrices import EPSILON, conditioned, generator, positive, turned
from matrix_cases import CASES, Case

import graphc as gx
from graphc.errors import TypeRuleError
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.ir.op import OPS
from graphc.ir.parser import parse
from graphc.ir.printer import print_text
from graphc.ir.types import DTYPES, TensorType, TupleType, as_dtype
from graphc.ir.verify import verify


def results_of(node: Node) -> list[Node]:
    """The results of a node, one or several."""
    if isinstance(node.type, TupleType):
        return [apply("item", node, index=k) for k in range(len(node.type.items))]
    return [node]


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
FEW = [case for case in CASES if case.name != "triangular_solve" or case.attrs["lower"]]
STEPS: dict[tuple[str, str, str], Any] = {}
few_cases = pytest.mark.parametrize("case", FEW, ids=lambda case: case.title)
SIZES = [(0, 0), (1, 1), (2, 2), (3, 5), (7, 7), (8, 8), (9, 4), (16, 17), (25, 25), (40, 33)]


def applied(
    case: Case, *shapes: tuple[Any, ...], dtype: str = "float64"
) -> tuple[list[Node], Node]:
    """Inputs of these shapes, and the operator on them."""
    inputs = [gx.input(f"x{k}", shape, dtype) for k, shape in enumerate(shapes)]
    return inputs, apply(case.name, *inputs, **case.attrs)


def symbolic_step(case: Case, dtype: str, device: str = "cpu") -> Any:
    """The operator for any sizes, compiled once."""
    key = (case.title, dtype, device)
    if key not in STEPS:
        matrix = ("b", "n", "n") if case.square else ("b", "m", "n")
        shapes = [matrix, ("b", "n", "k")] if case.name == "triangular_solve" else [matrix]
        inputs, node = applied(case, *shapes, dtype=dtype)
        STEPS[key] = gx.compile(inputs, results_of(node), device=device)
    return STEPS[key]


def shape_of(case: Case, batch: int, sizes: tuple[int, int]) -> tuple[int, ...]:
    """Sizes as the operator takes them."""
    return (batch, sizes[0], sizes[0] if case.square else sizes[1])


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["cpu", "reference"])
@every_case
def test_one_compilation_serves_every_size(case: Case, device: str, dtype: str) -> None:
    step = symbolic_step(case, dtype, device)
    for sizes in SIZES:
        for m, n in {sizes, sizes[::-1]}:
            shape = shape_of(case, 3, (m, n))
            operands = [x.astype(dtype) for x in case.make(generator(case.title, shape), shape)]
            wide = [x.astype(np.float64) for x in operands]
            results = [r.astype(np.float64) if r.dtype.kind == "f" else r for r in step(*operands)]
            case.check(wide, results, case.attrs, EPSILON[dtype])


@few_cases
def test_known_sizes(case: Case) -> None:
    for sizes in ((0, 0), (1, 6), (4, 0), (17, 16)):
        shape = shape_of(case, 2, sizes)
        operands = case.make(generator("known", case.title, shape), shape)
        inputs, node = applied(case, *(x.shape for x in operands))
        case.check(operands, gx.compile(inputs, results_of(node))(*operands), case.attrs,
                   EPSILON["float64"])  # fmt: skip


@few_cases
def test_operands_need_not_be_contiguous(case: Case) -> None:
    shape = shape_of(case, 2, (5, 5))
    operands = case.make(generator("views", case.title), shape)
    inputs, node = applied(case, *(x.shape for x in operands))
    step = gx.compile(inputs, results_of(node))
    views = [np.repeat(np.asfortranarray(x), 2, axis=-1)[..., ::2] for x in operands]
    for got, want in zip(step(*views), step(*operands), strict=True):
        assert np.array_equal(got, want)


@few_cases
def test_a_matrix_is_the_same_alone_and_in_a_batch(case: Case) -> None:
    shape = (5, 4, 4)
    operands = case.make(generator("alone", case.title), shape)
    many = symbolic_step(case, "float64")
    whole = many(*operands)
    for place in range(5):
        alone = many(*(x[place : place + 1] for x in operands))
        for one, all_ in zip(alone, whole, strict=True):
            assert np.array_equal(one[0], all_[place])


@few_cases
def test_the_same_bits_on_any_number_of_threads(case: Case) -> None:
    operands = case.make(generator("threads", case.title), (40, 12, 12))
    with_any_threads(symbolic_step(case, "float64"), *operands)


def test_a_thousand_small_matrices() -> None:
    for case in CASES:
        operands = case.make(generator("many", case.title), (1000, 4, 4))
        inputs, node = applied(case, *(x.shape for x in operands))
        results = gx.compile(inputs, results_of(node))(*operands)
        case.check(operands, results, case.attrs, EPSILON["float64"])


@pytest.mark.parametrize("name", ["cholesky", "lu", "qr", "eigh"])
def test_a_large_matrix(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    operands = case.make(generator("large", name), (300, 300))
    inputs, node = applied(case, (300, 300))
    results = gx.compile(inputs, results_of(node))(*operands)
    case.check(operands, results, case.attrs, EPSILON["float64"])


# --- hard cases ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [c for c in CASES if c.name in ("qr", "svd", "lu")],
                         ids=lambda case: case.title)  # fmt: skip
def test_matrices_of_deficient_rank(case: Case) -> None:
    random = generator("rank", case.title)
    tall, step = conditioned(random, (1, 9, 2)), symbolic_step(case, "float64")
    low = tall @ random.normal(size=(1, 2, 6))
    with_zeros = low * np.array([1, 0, 1, 1, 0, 1])
    for x in (low, turned(low), with_zeros, turned(with_zeros), np.zeros((1, 4, 6)),
              np.ones((1, 5, 5)), np.eye(5)[None] * 1e-200):  # fmt: skip
        case.check([x], step(x), case.attrs, EPSILON["float64"])


@pytest.mark.parametrize("name", ["eigh", "svd", "qr", "cholesky"])
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_scales_near_the_ends_of_the_range(name: str, scale: float) -> None:
    case = next(case for case in CASES if case.name == name)
    (x,) = case.make(generator("scale", name), (1, 6, 6))
    step = symbolic_step(case, "float64")
    plain, scaled = step(x), step(x * scale)
    power = {"eigh": (1, 0), "svd": (0, 1, 0), "qr": (0, 1), "cholesky": (0.5,)}[name]
    for one, other, exponent in zip(plain, scaled, power, strict=True):
        np.testing.assert_allclose(other / scale**exponent, one, rtol=1e-12, atol=1e-13)


def test_clustered_and_equal_eigenvalues() -> None:
    (case,) = (case for case in CASES if case.name == "eigh")
    step, random = symbolic_step(case, "float64"), generator("clusters")
    q = np.linalg.qr(random.normal(size=(12, 12)))[0]
    for values in (np.ones(12), np.repeat([1.0, 2.0, 3.0], 4), 1 + 1e-14 * np.arange(12),
                   np.geomspace(1, 1e-30, 12), np.r_[np.zeros(11), 1.0]):  # fmt: skip
        x = (q * values @ q.T + (q * values @ q.T).T)[None] / 2
        case.check([x], step(x), case.attrs, EPSILON["float64"])
    tridiagonal = (np.diag(np.ones(11), 1) + np.diag(np.ones(11), -1))[None]
    wilkinson = tridiagonal + np.diag(np.abs(np.arange(12) - 5.5))
    for x in (tridiagonal, wilkinson, np.diag(np.arange(12.0))[None], np.eye(12)[None]):
        case.check([x], step(x), case.attrs, EPSILON["float64"])


def test_small_singular_values_are_as_exact_as_large_ones() -> None:
    (case, _) = (case for case in CASES if case.name == "svd")
    random, step = generator("graded"), symbolic_step(case, "float64")
    x = random.normal(size=(1, 8, 8)) * np.geomspace(1, 1e-40, 8)
    _, values, _ = step(x)
    exact = np.sort(np.abs(np.linalg.qr(x[0])[1].diagonal()))[::-1]  # to the order of magnitude
    assert (np.abs(np.log10(values[0]) - np.log10(exact)) < 1).all()
    assert abs(np.sum(np.log(values)) - np.linalg.slogdet(x)[1][0]) < 1e-11


def test_the_symmetric_part_is_meant() -> None:
    random = generator("symmetric part")
    x = positive(random, (1, 5, 5))
    skew = random.normal(size=(1, 5, 5))
    for case in CASES:
        if case.name in ("cholesky", "eigh"):
            step = symbolic_step(case, "float64")
            pairs = zip(step(x), step(x + skew - turned(skew)), strict=True)
            for one, other in pairs:
                np.testing.assert_allclose(other, one, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("name", ["cholesky", "eigh", "svd"])
def test_what_is_not_finite_gives_nan_for_that_matrix_alone(
    name: str, device: str, bad: float
) -> None:
    case = next(case for case in CASES if case.name == name)
    (x,) = case.make(generator("nan", name), (4, 5, 5))
    x[1, 3, 2] = bad
    for result in symbolic_step(case, "float64", device)(x):
        assert np.isnan(result[1]).all()
        assert np.isfinite(result[[0, 2, 3]]).all()


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_a_matrix_that_is_not_positive_definite_has_no_root(device: str) -> None:
    step = symbolic_step(CASES[0], "float64", device)
    (u,) = step(
        np.stack([np.eye(3), -np.eye(3), np.ones((3, 3)) - 2 * np.eye(3), np.zeros((3, 3))])
    )
    assert np.array_equal(u[0], np.eye(3))
    assert np.isnan(u[1:]).all()


def test_elimination_goes_on_where_a_matrix_is_not_finite_or_singular() -> None:
    lu = next(case for case in CASES if case.name == "lu")
    packed, _, rows, _ = symbolic_step(lu, "float64")(np.diag([np.nan, 1, np.inf, 0])[None])
    assert np.isnan(packed[0, 0]).any()
    assert sorted(rows[0]) == [0, 1, 2, 3]
    solve = next(case for case in CASES if case.name == "triangular_solve")
    (x,) = symbolic_step(solve, "float64")(np.zeros((1, 2, 2)), np.ones((1, 2, 1)))
    assert not np.isfinite(x).any()


# --- types, text, what is on record --------------------------------------------------------------


@every_case
def test_type_rules(case: Case) -> None:
    op = OPS[case.name]
    extra = [(5, 2)] if case.name == "triangular_solve" else []
    for dtype in DTYPES:
        types = [TensorType(dtype, shape) for shape in [(5, 5), *extra]]
        if dtype.name in EPSILON:
            op.infer(*types, **case.attrs)
        else:
            with pytest.raises(TypeRuleError, match="takes float32 or float64"):
                op.infer(*types, **case.attrs)
    float64 = as_dtype("float64")
    refused = [[(5,)], [()]] + ([[(2, 3)]] if case.square else [])
    for shapes in refused:
        with pytest.raises(TypeRuleError):
            op.infer(*(TensorType(float64, shape) for shape in [*shapes, *extra]), **case.attrs)


@pytest.mark.parametrize("shapes", [((3, 3), (4, 1)), ((2, 3, 3), (3, 1)), ((3, 3), (3,))])
def test_right_hand_sides_that_do_not_fit(shapes: Any) -> None:
    case = next(case for case in CASES if case.name == "triangular_solve")
    types = [TensorType(as_dtype("float64"), shape) for shape in shapes]
    with pytest.raises(TypeRuleError):
        OPS[case.name].infer(*types, **case.attrs)
    mixed = [TensorType(as_dtype(d), (3, 3)) for d in ("float32", "float64")]
    with pytest.raises(TypeRuleError, match="differ in dtype"):
        OPS[case.name].infer(*mixed, **case.attrs)


@every_case
def test_text_reads_back(case: Case) -> None:
    extra = [("n", "k")] if case.name == "triangular_solve" else []
    inputs, node = applied(case, ("n", "n"), *extra)
    text = print_text(Graph(tuple(inputs), tuple(results_of(node))))
    again = parse(text)
    verify(again)
    assert print_text(again) == text


@few_cases
def test_kernels_are_well_formed_after_every_pass(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_VERIFY", "1")
    symbolic_step(case, "float32")


def test_permuted_rows() -> None:
    random = generator("permutation")
    x, weights = random.normal(size=(2, 2, 4, 3))
    order = np.stack([random.permutation(4) for _ in range(2)])
    inputs = [gx.input(name, ("b", "n", 3), "float64") for name in "xw"]
    orders = [gx.input(name, ("b", "n"), "int64") for name in "oi"]
    node = apply("permute_rows", inputs[0], *orders)
    gradient = gx.grad(gx.sum(node * inputs[1]), inputs[0])
    for device in ("cpu", "reference"):
        step = gx.compile([*inputs, *orders], [node, gradient], device=device)
        moved, back = step(x, weights, order, np.argsort(order, -1))
        assert np.array_equal(moved, np.take_along_axis(x, order[..., None], -2))
        assert np.array_equal(np.take_along_axis(back, order[..., None], -2), weights)


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((2, 3, 4), (2, 4))])
def test_orders_that_do_not_fit(shapes: Any) -> None:
    x, order = shapes
    given = TensorType(as_dtype("int64"), order)
    with pytest.raises(TypeRuleError):
        OPS["permute_rows"].infer(TensorType(as_dtype("float32"), x), given, given)
