"""The words of `gx.linalg`: values against NumPy and SciPy."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from linalg_cases import inputs_for, nodes
from matrices import EPSILON, Array, assert_equal_matrices, conditioned, generator, largest, turned

import graphc as gx

L = gx.linalg


def run(call: Any, *arrays: Array, **options: Any) -> list[Array]:
    """The results of a word on arrays."""
    inputs = inputs_for(arrays)
    found: list[Array] = gx.compile(inputs, nodes(call(*inputs)), **options)(*arrays)
    return found


STEPS: dict[tuple[str, str], Any] = {}


def of_any_size(word: Any, *shapes: tuple[str, ...], dtype: str = "float64") -> Any:
    """A word compiled once for all sizes."""
    key = (word.__name__, dtype)
    if key not in STEPS:
        inputs = [gx.input(f"x{k}", shape, dtype) for k, shape in enumerate(shapes)]
        STEPS[key] = gx.compile(inputs, word(*inputs))
    return STEPS[key]


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 5, 17, 40, 300])
@pytest.mark.parametrize("condition", [1e1, 1e8, 1e14])
def test_solutions_of_ill_conditioned_systems(n: int, condition: float) -> None:
    random = generator("solve", n, condition)
    a, b = conditioned(random, (3, n, n), condition), random.normal(size=(3, n, 2))
    x = of_any_size(L.solve, ("b", "n", "n"), ("b", "n", "k"))(a, b)
    # Wilkinson: the residual is small whatever the condition, times a growth that is small.
    size = n * largest(a) * largest(x)
    assert largest(a @ x - b) <= 16 * EPSILON["float64"] * max(size, 1)
    assert largest(x - np.linalg.solve(a, b)) <= 64 * n * n * EPSILON["float64"] * condition * (
        1 + largest(x)
    )


@pytest.mark.parametrize("device", ["cpu", "reference"])
@pytest.mark.parametrize("n", [0, 1, 4, 19])
def test_solvers_and_determinants(n: int, device: str) -> None:
    random = generator("words", n)
    a, b = conditioned(random, (2, n, n)), random.normal(size=(2, n, 4))
    definite = a @ turned(a)
    words: list[tuple[Any, list[Array], Any]] = [
        (L.inv, [a], np.linalg.inv(a)),
        (L.det, [a], np.linalg.det(a)),
        (L.slogdet, [a], np.linalg.slogdet(a)),
        (L.solve, [a, b], np.linalg.solve(a, b)),
        (L.solve, [a[0], b], np.linalg.solve(a[0], b)),
        (L.solve, [a, b[0, :, 0]], np.linalg.solve(a, b[0, :, 0])),
        (L.cholesky, [definite], np.linalg.cholesky(definite)),
        (lambda x: L.cholesky(x, upper=True), [definite], turned(np.linalg.cholesky(definite))),
        (lambda x, y: L.cho_solve((L.cholesky(x), True), y), [definite, b],
         np.linalg.solve(definite, b)),
        (lambda x, y: L.cho_solve((L.cholesky(x, upper=True), False), y), [definite, b],
         np.linalg.solve(definite, b)),
    ]  # fmt: skip
    inputs = [inputs_for(operands, prefix=f"x{k}_") for k, (_, operands, _) in enumerate(words)]
    outputs = [nodes(word(*given)) for (word, _, _), given in zip(words, inputs, strict=True)]
    step = gx.compile([node for given in inputs for node in given], outputs, device=device)
    found = step(*(x for _, operands, _ in words for x in operands))
    for results, (_, _, want) in zip(found, words, strict=True):
        wanted = nodes(want) if isinstance(want, tuple) else [want]
        for got, expected in zip(results, wanted, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (5, 3), (3, 5), (2, 6, 3)])
def test_pseudo_inverses_ranks_and_norms(shape: tuple[int, ...]) -> None:
    random = generator("pinv", shape)
    a = random.normal(size=shape)
    close = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(run(L.pinv, a)[0], np.linalg.pinv(a), **close)
    np.testing.assert_array_equal(run(L.matrix_rank, a)[0], np.linalg.matrix_rank(a))
    b = random.normal(size=(shape[-2], 2))
    for x in (b, b[:, 0]):
        if len(shape) == 2 and a.size:
            solution, _, rank, values = run(L.lstsq, a, x)
            want = np.linalg.lstsq(a, x)
            np.testing.assert_allclose(solution, want[0], **close)
            assert rank == want[2]
            np.testing.assert_allclose(values, want[3], **close)
    for ord_ in ("nuc", 2, -2, "fro", 1, np.inf) if a.size else ("nuc", "fro"):
        for keepdims in (False, True):
            inputs = inputs_for([a])
            norm = L.matrix_norm(*inputs, ord=ord_, keepdims=keepdims)
            got = gx.compile(inputs, norm, device="reference")(a)
            want = np.linalg.matrix_norm(a, ord=ord_, keepdims=keepdims)
            np.testing.assert_allclose(got, want, **close)


def test_ranks_of_matrices_that_lack_some() -> None:
    random = generator("rank")
    low = random.normal(size=(3, 6, 2)) @ random.normal(size=(3, 2, 5))
    assert run(L.matrix_rank, low)[0].tolist() == [2, 2, 2]
    assert run(L.matrix_rank, np.zeros((4, 4)))[0] == 0
    values = conditioned(random, (1, 4, 4), 1e6)
    assert run(lambda x: L.matrix_rank(x, rtol=1e-3), values)[0].tolist() == [2]
    np.testing.assert_allclose(run(L.pinv, low)[0], np.linalg.pinv(low, rtol=1e-12), atol=1e-12)
    cut = run(lambda x: L.pinv(x, rtol=np.array([1e-3])), values)[0]
    np.testing.assert_allclose(cut, np.linalg.pinv(values, rtol=1e-3), rtol=1e-9, atol=1e-9)
    solution, rest, rank, _ = run(L.lstsq, low[0], np.arange(6.0))
    want = np.linalg.lstsq(low[0], np.arange(6.0))[0]
    np.testing.assert_allclose(solution, want, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(rest, np.sum((low[0] @ want - np.arange(6.0)) ** 2), rtol=1e-10)
    assert rank == 2


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (4, 4), (6, 3), (3, 6), (2, 17, 17)])
def test_permuted_triangles(shape: tuple[int, ...]) -> None:
    a = generator("lu", shape).normal(size=shape)
    p, lower, upper = run(L.lu, a)
    assert_equal_matrices(p @ lower @ upper, a, 8 * EPSILON["float64"], "P L U")
    if a.size and a.ndim == 2:
        for got, want in zip((p, lower, upper), scipy.linalg.lu(a), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
        for got, want in zip(run(L.lu_factor, a), scipy.linalg.lu_factor(a), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", ["reduced", "complete"])
@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (4, 4), (6, 3), (3, 6)])
def test_orthogonal_factors(shape: tuple[int, ...], mode: str) -> None:
    a = generator("qr", shape).normal(size=shape)
    q, r = run(lambda x: L.qr(x, mode=mode), a)
    want = np.linalg.qr(a, mode)  # type: ignore[call-overload]
    assert (q.shape, r.shape) == (want[0].shape, want[1].shape)
    np.testing.assert_allclose(q @ r, a, atol=1e-13)
    np.testing.assert_allclose(r, want[1], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", [0.0, 0.1, 1.0, 7.0, 60.0])
def test_exponentials_of_matrices(norm: float, dtype: str) -> None:
    for n in (0, 1, 5, 12):
        x = generator("expm", norm, n).normal(size=(3, n, n))
        x = (x * norm / max(np.abs(x).sum(-2).max(initial=0), 1e-9)).astype(dtype)
        x[:1] *= 0.01  # each is scaled by its own norm
        got = of_any_size(L.expm, ("b", "n", "n"), dtype=dtype)(x)
        want = scipy.linalg.expm(x.astype(np.float64)) if n else x
        assert got.dtype == dtype
        # The condition of exp is about the norm; squaring adds as many roundings again.
        allowed = 32 * (n + norm) * EPSILON[dtype] * np.exp(norm) * max(n, 1)
        assert largest(got - want) <= allowed


def test_exponentials_with_extreme_norms() -> None:
    nilpotent = np.array([[0.0, 1e4], [0, 0]])
    np.testing.assert_allclose(run(L.expm, nilpotent)[0], [[1, 1e4], [0, 1]], rtol=1e-9)
    x = np.stack([np.full((2, 2), np.nan), np.eye(2)])
    got = run(L.expm, x)[0]
    assert np.isnan(got[0]).all()
    np.testing.assert_allclose(got[1], np.e * np.eye(2), rtol=1e-14)


def test_powers_and_long_products() -> None:
    random = generator("powers")
    whole = np.array([[1, 1], [1, 0]])
    for n in (0, 1, 2, 7, 10):
        got = run(lambda x, n=n: L.matrix_power(x, n), whole)[0]
        assert got.dtype == np.int64
        assert np.array_equal(got, np.linalg.matrix_power(whole, n))
    np.testing.assert_allclose(run(lambda x: L.matrix_power(x, -3), whole)[0],
                               np.linalg.matrix_power(whole.astype(float), -3))  # fmt: skip
    chain = [random.normal(size=s) for s in ((7,), (7, 30), (30, 5), (5, 60), (60, 2), (2,))]
    for low, high in ((0, 6), (1, 6), (0, 5), (1, 3)):
        part = chain[low:high]
        got = run(lambda *x: L.multi_dot(x), *part)[0]
        np.testing.assert_allclose(got, np.linalg.multi_dot(part), rtol=1e-11)


def test_the_order_of_a_long_product_is_the_cheapest() -> None:
    inputs = [gx.input(f"x{k}", shape, "float32")
              for k, shape in enumerate([(100, 2), (2, 100), (100, 2), (2, 100)])]  # fmt: skip
    product = L.multi_dot(inputs)
    shapes = {node.shape for node in gx.Graph(tuple(inputs), (product,)).walk()
              if node.op.name == "matmul"}  # fmt: skip
    assert shapes in ({(2, 2), (100, 2), (100, 100)}, {(2, 2), (2, 100), (100, 100)})


@pytest.mark.parametrize("dtype", ["int32", "bool", "uint8", "int64"])
def test_integers_become_float64(dtype: str) -> None:
    x = np.array([[2, 0], [1, 1]]).astype(dtype)
    for word in (L.inv, L.det, L.svdvals, L.pinv, L.expm, L.eigvalsh, L.cholesky):
        (got,) = run(word, x, device="reference")
        assert got.dtype == np.float64
        (want,) = run(word, x.astype(np.float64), device="reference")
        np.testing.assert_array_equal(got, want)


def test_singular_matrices() -> None:
    x = np.stack([np.ones((3, 3)), np.diag([1.0, 0, 2]), np.zeros((3, 3)), np.eye(3)])
    assert run(L.det, x)[0].tolist() == [0, 0, 0, 1]
    signs, sizes = run(L.slogdet, x)
    assert signs.tolist() == [0, 0, 0, 1]
    assert sizes.tolist() == [-np.inf] * 3 + [0]
    inverse = run(L.inv, x)[0]
    assert not np.isfinite(inverse[:3]).all((-1, -2)).any()
    assert np.array_equal(inverse[3], np.eye(3))
