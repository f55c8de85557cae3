"""Words composed of others: against NumPy on the cpu, with gradients, and what they refuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir import dim
from graphc.ir.node import Node
from graphc.lang.contraction_order import best_splits, contraction_order, greedy
from graphc.passes.differentiate import grad, jvp

Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(3)


def normal(*shape: int) -> Array:
    """Random numbers of a shape."""
    return RANDOM.normal(size=shape)


M, WIDE, TALL, STACK = normal(4, 4), normal(3, 5), normal(5, 3), normal(2, 3, 4)
V, T = normal(6), normal(2, 3, 3)
INTS = np.array([[3, 0, -1], [0, 3, 7]])


def diag(array: Array, offset: int) -> Array:
    return np.diagonal(array, offset, -2, -1)


WORDS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Array, ...]]] = {
    "tril": (lambda x: gx.tril(x, k=1), lambda x: np.tril(x, 1), (STACK,)),
    "triu": (lambda x: gx.triu(x, k=-1), lambda x: np.triu(x, -1), (TALL,)),
    "diagonal": (gx.diagonal, lambda x: diag(x, 0), (STACK,)),
    "diagonal above": (lambda x: gx.diagonal(x, offset=2), lambda x: diag(x, 2), (WIDE,)),
    "diagonal below": (lambda x: gx.diagonal(x, offset=-2), lambda x: diag(x, -2), (TALL,)),
    "diagonal outside": (lambda x: gx.diagonal(x, offset=9), lambda x: diag(x, 9), (M,)),
    "trace": (lambda x: gx.trace(x, offset=1), lambda x: np.trace(x, 1, -2, -1), (STACK,)),
    "kron": (gx.kron, np.kron, (WIDE, M)),
    "kron ranks": (gx.kron, np.kron, (V, STACK)),
    "cross": (gx.cross, np.cross, (T, normal(3))),
    "cross axis": (
        lambda x, y: gx.cross(x, y, axis=0),
        lambda x, y: np.cross(x, y, axis=0),
        (WIDE, normal(3, 5)),
    ),
    "vector_norm": (lambda x: gx.vector_norm(x, axis=1), lambda x: norm(x, 2, 1), (WIDE,)),
    "vector_norm all": (gx.vector_norm, lambda x: norm(x.ravel()), (STACK,)),
    "vector_norm 1": (lambda x: gx.vector_norm(x, ord=1), lambda x: norm(x, 1), (V,)),
    "vector_norm 3": (lambda x: gx.vector_norm(x, ord=3), lambda x: norm(x, 3), (V,)),
    "vector_norm -1": (lambda x: gx.vector_norm(x, ord=-1), lambda x: norm(x, -1), (V,)),
    "vector_norm 0": (lambda x: gx.vector_norm(x, ord=0), lambda x: norm(x, 0), (V,)),
    "vector_norm inf": (lambda x: gx.vector_norm(x, ord=gx.inf), lambda x: norm(x, np.inf), (V,)),
    "matrix_norm": (gx.matrix_norm, lambda x: norm(x, "fro", (1, 2)), (STACK,)),
    "matrix_norm 1": (lambda x: gx.matrix_norm(x, ord=1), lambda x: norm(x, 1), (WIDE,)),
    "matrix_norm inf": (
        lambda x: gx.matrix_norm(x, ord=-gx.inf, keepdims=True),
        lambda x: norm(x, -np.inf).reshape(1, 1),
        (WIDE,),
    ),
    "diff": (lambda x: gx.diff(x, n=2, axis=1), lambda x: np.diff(x, 2, 1), (STACK,)),
    "roll": (lambda x: gx.roll(x, -5, 1), lambda x: np.roll(x, -5, 1), (STACK,)),
    "take": (
        lambda x: gx.take(x, [3, -1, 0, 0], axis=2),
        lambda x: np.take(x, [3, -1, 0, 0], 2),
        (STACK,),
    ),
    "meshgrid": (
        lambda x, y: gx.stack(gx.meshgrid(x, y)),
        lambda x, y: np.stack(np.meshgrid(x, y)),
        (V, normal(3)),
    ),
    "meshgrid ij": (
        lambda x, y, z: gx.stack(gx.meshgrid(x, y, z, indexing="ij")),
        lambda x, y, z: np.stack(np.meshgrid(x, y, z, indexing="ij")),
        (V, normal(3), normal(2)),
    ),
    "unstack": (
        lambda x: gx.unstack(x, axis=1)[2],
        lambda x: x[:, 2],
        (STACK,),
    ),
}
norm = np.linalg.norm


@pytest.mark.parametrize("name", WORDS)
def test_words_agree_with_numpy_and_have_gradients(name: str) -> None:
    word, reference, arrays = WORDS[name]
    inputs = [gx.input(f"x{k}", a.shape, "float64") for k, a in enumerate(arrays)]
    y = word(*inputs)
    want = reference(*arrays)
    along = [gx.constant(np.cos(a)) for a in arrays]
    outputs = [y, grad(gx.sum(y), inputs), jvp(gx.sum(y), inputs, along)]
    got, gradients, slope = gx.compile(inputs, outputs)(*arrays)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-15)
    ends = [reference(*(a + s * 1e-6 * np.cos(a) for a in arrays)).sum() for s in (1, -1)]
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-7)
    total = sum(np.sum(g * np.cos(a)) for g, a in zip(gradients, arrays, strict=True))
    np.testing.assert_allclose(total, slope, rtol=1e-12, atol=1e-13)


COUNTS: dict[str, tuple[Callable[[Node], Node], Callable[[Array], Any]]] = {
    "count_nonzero": (lambda x: gx.count_nonzero(x, axis=1), lambda x: np.count_nonzero(x, 1)),
    "isin": (lambda x: gx.isin(x, [3, 7, 7]), lambda x: np.isin(x, [3, 7])),
    "left": (
        lambda x: gx.searchsorted(np.array([-1, 0, 0, 3]), x),
        lambda x: np.searchsorted([-1, 0, 0, 3], x),
    ),
    "right": (
        lambda x: gx.searchsorted(np.array([-1, 0, 0, 3]), x, side="right"),
        lambda x: np.searchsorted([-1, 0, 0, 3], x, "right"),
    ),
    "asarray": (lambda x: gx.asarray(x, "int8") + gx.asarray([1]), lambda x: x + 1),
    "empty": (lambda x: gx.empty_like(x) * gx.empty((2, 3), "int64"), np.zeros_like),
    "tril": (gx.tril, np.tril),
    "trace": (lambda x: gx.trace(gx.cast(x, "int8")), np.trace),
}


@pytest.mark.parametrize("name", COUNTS)
def test_words_on_integers(name: str) -> None:
    word, reference = COUNTS[name]
    x = gx.input("x", INTS.shape, "int64")
    got, want = gx.compile([x], word(x))(INTS), reference(INTS)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == np.asarray(want).dtype


def test_words_on_symbolic_sizes() -> None:
    x = gx.input("x", ("n", "m"), "float64")
    outputs = [
        gx.roll(x, 2, 1), gx.roll(x, -7), gx.tril(x), gx.diff(x, axis=0), gx.count_nonzero(x, 0),
        gx.diagonal(x), gx.diagonal(x, offset=-1), grad(gx.trace(x), x),
    ]  # fmt: skip
    step = gx.compile([x], outputs)
    for shape in ((3, 5), (5, 3), (2, 2), (4, 1)):
        a = normal(*shape)
        wants = [
            np.roll(a, 2, 1), np.roll(a, -7), np.tril(a), np.diff(a, axis=0),
            np.count_nonzero(a, 0), diag(a, 0), diag(a, -1), np.eye(*shape),
        ]  # fmt: skip
        for got, want in zip(step(a), wants, strict=True):
            np.testing.assert_array_equal(got, want)


# --- einsum --------------------------------------------------------------------------------------

EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ii", (4, 4)),
    ("ii->i", (4, 4)),
    ("iji->j", (3, 4, 3)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->i", (3,), (3,)),
    ("i,i", (3,), (3,)),
    ("ij,kl->i", (3, 4), (2, 5)),
    (",ij->ji", (), (3, 4)),
    ("ijk,jl,kl->il", (2, 3, 4), (3, 5), (4, 5)),
    ("ab,bc,cd,de->ae", (2, 30), (30, 3), (3, 30), (30, 4)),
    ("a,ab,bc,cd,de,ef,f->", (2,), (2, 3), (3, 4), (4, 2), (2, 3), (3, 4), (4,)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("zi,zj,zk->ijk", (7, 2), (7, 3), (7, 4)),
]


@pytest.mark.parametrize("case", EINSUMS, ids=lambda case: case[0])
def test_einsum(case: Any) -> None:
    subscripts, *shapes = case
    arrays = [normal(*shape) for shape in shapes]
    inputs = [gx.input(f"x{k}", a.shape, "float64") for k, a in enumerate(arrays)]
    y = gx.einsum(subscripts, *inputs)
    got, gradients = gx.compile(inputs, [y, grad(gx.sum(y), inputs)])(*arrays)
    np.testing.assert_allclose(got, np.einsum(subscripts, *arrays), rtol=1e-12, atol=1e-13)
    total = sum(np.sum(g * a) for g, a in zip(gradients, arrays, strict=True))
    np.testing.assert_allclose(total, len(arrays) * np.sum(got), rtol=1e-11, atol=1e-12)


def test_einsum_of_integers_and_symbolic_sizes() -> None:
    x, y = gx.input("x", ("b", 3), "int64"), gx.input("y", (3, "c"), "int64")
    step = gx.compile([x, y], gx.einsum("bi,ic->cb", x, y))
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(step(a, b), (a @ b).T)


def products(order: Any, terms: list[str], output: str, sizes: dict[str, int]) -> int:
    """How many products an order takes."""
    terms, total = list(terms), 0
    for i, j in order:
        second, first = terms.pop(j), terms.pop(i)
        labels = {*first, *second}
        total += int(np.prod([sizes[label] for label in labels]))
        rest = set(output).union(*terms)
        terms.append("".join(sorted(labels & rest)))
    assert len(terms) == 1
    return total


def test_the_order_of_a_chain_is_the_best_one() -> None:
    terms, sizes = ["ab", "bc", "cd"], {"a": 10, "b": 100, "c": 5, "d": 50}
    assert contraction_order(terms, "ad", sizes) == [(0, 1), (0, 1)]
    order = contraction_order(terms, "ad", sizes)
    assert products(order, terms, "ad", sizes) == 10 * 100 * 5 + 10 * 5 * 50
    assert len(best_splits(terms, "ad", sizes)) == 4


@pytest.mark.parametrize("seed", range(20))
def test_the_best_order_is_never_worse_than_the_greedy_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    letters = "abcdefg"
    sizes = {label: int(random.integers(1, 9)) for label in letters}
    terms = ["".join(random.choice(list(letters), random.integers(1, 4), replace=False))
             for _ in range(random.integers(2, 7))]  # fmt: skip
    output = "".join(sorted(set("".join(terms)) & set("ab")))
    best = contraction_order(terms, output, sizes)
    quick = greedy(list(terms), output, sizes)
    assert products(best, terms, output, sizes) <= products(quick, terms, output, sizes)


# --- dtypes and shapes ---------------------------------------------------------------------------


def test_questions_about_dtypes() -> None:
    x = gx.input("x", (3,), "float32")
    assert gx.result_type("int8", "uint8") == gx.int16
    assert gx.result_type(x, gx.int8, 1.5) == gx.float32
    assert gx.result_type(x, np.zeros(2)) == gx.float64
    assert gx.can_cast("int8", "int32")
    assert not gx.can_cast(x, "float16")
    assert gx.isdtype("int8", "signed integer")
    assert gx.isdtype(x.dtype, ("bool", "real floating"))
    assert not gx.isdtype("float32", "integral")
    assert gx.isdtype("float32", gx.float32)
    assert gx.finfo(x).bits == 32
    assert gx.finfo("bfloat16").bits == 16
    assert gx.iinfo("uint8").max == 255


def test_questions_about_shapes() -> None:
    assert gx.broadcast_shapes((3, 1), 4, ()) == (3, 4)
    assert gx.broadcast_shapes(("n", 1), (2,)) == (dim.symbol("n"), 2)
    assert gx.ones((2,))[gx.newaxis].shape == (1, 2)
    assert gx.pi == np.pi


# --- refusals ------------------------------------------------------------------------------------

x = gx.input("x", (2, 3), "float32")
n = gx.input("n", ("batch", 3), "float32")
v = gx.input("v", (3,), "float32")
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "tril": (lambda: gx.tril(v), "tril: needs at least two axes, this is f32[3]"),
    "diagonal": (lambda: gx.diagonal(v), "diagonal: needs at least two axes, this is f32[3]"),
    "matrix_norm": (lambda: gx.matrix_norm(v), "matrix_norm: needs at least two axes"),
    "third": (
        lambda: gx.matrix_norm(x, ord=3),
        "matrix_norm: ord is 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not 3",
    ),
    "cross": (lambda: gx.cross(x, x, axis=0), "cross: axis 0 must have size 3"),
    "unstack": (lambda: gx.unstack(n), "unstack: axis 0 of f32[batch, 3] has a symbolic size"),
    "meshgrid": (lambda: gx.meshgrid(x), "meshgrid: takes vectors and indexing 'xy' or 'ij'"),
    "diff": (lambda: gx.diff(x, n=-1), "diff: n is an integer >= 0, not -1"),
    "searchsorted": (lambda: gx.searchsorted(x, v), "searchsorted: x1 must be a vector"),
    "side": (
        lambda: gx.searchsorted(v, x, side="up"),
        "searchsorted: side is 'left' or 'right', not 'up'",
    ),
    "take axis": (lambda: gx.take(x, [0]), "take: needs an axis where x has not exactly one"),
    "take dtype": (
        lambda: gx.take(v, [0.5]),
        "take: indices must be integers, these are float64",
    ),
    "einsum letters": (
        lambda: gx.einsum("...i->i", v),
        "einsum: subscripts are letters, commas and ->, not '...i->i'",
    ),
    "einsum count": (lambda: gx.einsum("i,i", v), "einsum: 'i,i' has 2 terms for 1 arrays"),
    "einsum axes": (lambda: gx.einsum("i", x), "einsum: 'i' names 1 axes"),
    "einsum sizes": (lambda: gx.einsum("ii", x), "einsum: 'i' is 2 in one array and 3 in another"),
    "einsum result": (lambda: gx.einsum("i->k", v), "einsum: the result's 'k' must stand once"),
    "einsum none": (lambda: gx.einsum("i"), "einsum: 'i' has 1 terms for 0 arrays"),
    "result_type": (gx.result_type, "result_type: needs at least one array or dtype"),
    "finfo": (lambda: gx.finfo("int8"), "finfo: int8 is not a floating-point dtype"),
    "iinfo": (lambda: gx.iinfo("float32"), "iinfo: float32 is not an integer dtype"),
    "shapes": (lambda: gx.broadcast_shapes((2,), (3,)), "shapes (2,) and (3,) do not broadcast"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_message(name: str) -> None:
    build, message = REFUSED[name]
    with pytest.raises(gx.GraphError) as caught:
        build()
    said, _, line = str(caught.value).rpartition("\n  at ")
    assert message in said  # which the user's line would hold in any case
    assert "test_array_words.py" in line, "the user's line is missing"
