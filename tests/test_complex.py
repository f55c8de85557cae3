"""Complex numbers: promotion, memory, formulas at their limits, loops; the pass that splits them.

Values of every operator on complex numbers are in `test_every_op.py`, derivatives in
`test_complex_derivatives.py`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from closeness import assert_complex_values

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.types import REAL_DTYPES
from graphc.passes.lower import lower
from graphc.passes.split_complex import split_complex
from graphc.runtime.sizes import walk_inside

Array = np.ndarray[Any, Any]
every_device = pytest.mark.parametrize("device", ["cpu", "reference"])
every_complex = pytest.mark.parametrize("dtype", ["complex64", "complex128"])


def normal(seed: int, *shape: int) -> Array:
    """Random complex numbers."""
    parts = np.random.default_rng(seed).normal(size=(2, *shape))
    return np.asarray(parts[0] + 1j * parts[1])


# --- dtypes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", REAL_DTYPES, ids=str)
@every_complex
def test_promotion_is_numpys(dtype: str, other: gx.DType) -> None:
    x, y = gx.input("x", (), dtype), gx.input("y", (), other)
    if other != gx.bfloat16:
        assert (x + y).dtype.name == np.result_type(dtype, other.name).name
    assert (1j * y).dtype.name == ("complex64" if other.bits <= 32 and other.is_float
                                   else "complex128")  # fmt: skip
    for number in (True, 2, 2.5, 1j):
        assert (x * number).dtype.name == dtype


def test_questions_about_dtypes() -> None:
    assert gx.isdtype("complex64", "complex floating")
    assert gx.isdtype("complex64", "numeric")
    assert not gx.isdtype("complex64", "real floating")
    assert gx.can_cast("float32", "complex64")
    assert not gx.can_cast("complex64", "float64")
    assert gx.result_type("complex64", "float64") == gx.complex128
    assert gx.result_type("float32", 1j) == gx.complex64
    assert gx.finfo("complex64").eps == np.finfo(np.float32).eps
    assert gx.zeros(2, complex).dtype == gx.complex128


@every_device
def test_every_real_dtype_becomes_complex(device: str) -> None:
    inputs = [gx.input(f"x{k}", (3,), dtype) for k, dtype in enumerate(REAL_DTYPES)]
    arrays = [np.array([0, 1, 1]).astype(dtype.numpy) for dtype in REAL_DTYPES]
    step = gx.compile(inputs, [x.astype("complex64") for x in inputs], device=device)
    for got in step(*arrays):
        np.testing.assert_array_equal(got, np.array([0, 1, 1], "complex64"))


@every_device
def test_complex_dtypes_convert_into_each_other(device: str) -> None:
    x, y = gx.input("x", (4,), "complex64"), gx.input("y", (4,), "complex128")
    given = normal(1, 4)
    up, down = gx.compile([x, y], [x.astype("complex128"), y.astype("complex64")], device=device)(
        given.astype("complex64"), given
    )
    np.testing.assert_array_equal(up, given.astype("complex64").astype("complex128"))
    np.testing.assert_array_equal(down, given.astype("complex64"))


# --- words ---------------------------------------------------------------------------------------

WORDS = {
    "conj": (gx.conj, np.conj),
    "angle": (gx.angle, np.angle),
    "sign": (gx.sign, np.sign),
    "mean": (gx.mean, np.mean),
    "var": (gx.var, np.var),
    "std": (lambda x: gx.std(x, axis=0), lambda x: np.std(x, axis=0)),
    "square": (gx.square, np.square),
    "reciprocal": (gx.reciprocal, np.reciprocal),
    "log2": (gx.log2, np.log2),
    "power": (lambda x: x**5, lambda x: x**5),
    "inverse power": (lambda x: x**-2, lambda x: x**-2),
    "no power": (lambda x: x**0, lambda x: x**0),
    "vector_norm": (gx.vector_norm, lambda x: np.linalg.norm(np.ravel(x))),
    "matrix_norm": (lambda x: gx.matrix_norm(x, ord=1), lambda x: np.linalg.norm(x, 1)),
    "vecdot": (lambda x: gx.vecdot(x, 1j * x), lambda x: np.vecdot(x, 1j * x)),
    "einsum": (lambda x: gx.einsum("ij,kj->ik", x, x), lambda x: np.einsum("ij,kj->ik", x, x)),
    "tensordot": (lambda x: gx.tensordot(x, x, 2), lambda x: np.tensordot(x, x, 2)),
    "outer": (lambda x: gx.outer(x[0], x[1]), lambda x: np.outer(x[0], x[1])),
    "pad": (lambda x: gx.pad(x, 1, 2j), lambda x: np.pad(x, 1, constant_values=2j)),
    "any": (gx.any, np.any),
    "count_nonzero": (lambda x: gx.count_nonzero(x * [0, 1, 1, 1]), lambda x: np.int64(9)),
    "roll": (lambda x: gx.roll(x, 1, 1), lambda x: np.roll(x, 1, 1)),
    "tril": (gx.tril, np.tril),
    "eye": (lambda x: x @ gx.eye(4, dtype="complex64"), lambda x: x),
    "cov": (gx.cov, lambda x: np.cov(x, dtype=x.dtype)),
    "corrcoef": (gx.corrcoef, lambda x: np.corrcoef(x, dtype=x.dtype)),
    "sinc": (gx.sinc, np.sinc),
    "segment_mean": (
        lambda x: gx.segment_mean(x, [1, 0, 1], 2),
        lambda x: np.stack([x[1], (x[0] + x[2]) / 2]),
    ),
    "interp": (
        lambda x: gx.interp([-1, 0.25, 3.5], [0, 1, 2, 4], x[0], right=2j),
        lambda x: np.interp([-1, 0.25, 3.5], [0, 1, 2, 4], x[0], right=2j),
    ),
    "division by reals": (lambda x: x / gx.abs(x), lambda x: x / np.abs(x)),
}
"""Words that are made of operators, and NumPy's."""


@every_device
@every_complex
def test_words_are_numpys(dtype: str, device: str) -> None:
    x = gx.input("x", (3, 4), dtype)
    given = normal(2, 3, 4).astype(dtype)
    step = gx.compile([x], {name: word(x) for name, (word, _) in WORDS.items()}, device=device)
    for name, got in step(given).items():
        want = np.asarray(WORDS[name][1](given))
        assert got.dtype == want.dtype, name
        scale = np.max(np.abs(want)) * 16 * np.finfo(dtype).eps
        np.testing.assert_allclose(got, want, rtol=0, atol=scale, err_msg=name)


def test_words_on_real_arrays() -> None:
    x = gx.input("x", (3,), "float32")
    assert gx.real(x) is x
    assert gx.conj(x) is x
    got = gx.compile([x], [gx.imag(x), gx.angle(x), gx.complex(x, 2)])(np.float32([-1, 0, 2]))
    np.testing.assert_array_equal(got[0], [0, 0, 0])
    np.testing.assert_allclose(got[1], [np.pi, 0, 0], rtol=1e-7)
    np.testing.assert_array_equal(got[2], np.array([-1 + 2j, 2j, 2 + 2j], "complex64"))
    assert gx.complex(gx.input("h", (), "float16"), 1).dtype == gx.complex64
    assert gx.complex(1, 2).dtype == gx.complex128


# --- formulas at their limits --------------------------------------------------------------------

HUGE = {"complex64": np.float32(2.0**127), "complex128": 2.0**1023}
TINY = {"complex64": np.float32(2.0**-148), "complex128": 2.0**-1073}
LONG = {"complex64": np.complex128, "complex128": np.clongdouble}

LIMITS = {
    "abs": (gx.abs, np.abs, 2),
    "sqrt": (gx.sqrt, np.sqrt, 3),
    "log": (gx.log, np.log, 4),
    "quotient": (lambda x: x / (x * 0.25), lambda x: x / (x * x.dtype.type(0.25)), 4),
    "small quotient": (lambda x: 1 / x, lambda x: 1 / x, 4),
}


@every_complex
@pytest.mark.parametrize("name", LIMITS)
def test_neither_squares_nor_scales_overflow(name: str, dtype: str) -> None:
    word, exact, error = LIMITS[name]
    units = np.array([1, -1, 1j, 0.5 - 0.5j, -0.75 + 0.5j, 1e-5 + 1j, 1 - 1e-5j], dtype)
    scales = [HUGE[dtype] / 4, np.sqrt(HUGE[dtype]), 1]
    scales += [] if "quotient" in name else [TINY[dtype] * 256, np.sqrt(TINY[dtype])]
    given = np.concatenate([(units * scale).astype(dtype) for scale in scales])
    x = gx.input("x", given.shape, dtype)
    got = gx.compile([x], word(x))(given)
    want = np.asarray(exact(given.astype(LONG[dtype])))
    allowed = error * np.finfo(dtype).eps * np.abs(want) + float(TINY[dtype])
    assert_complex_values(got + 0j, want + 0j, allowed, name)


@every_complex
def test_logarithms_and_exponentials_are_precise_where_they_are_small(dtype: str) -> None:
    near = np.logspace(-6, -1, 40) * np.exp(1j * np.linspace(0, 6, 40))
    given = near.astype(dtype)
    x = gx.input("x", given.shape, dtype)
    words = [gx.log1p(x), gx.expm1(x), gx.log(1 + x), gx.asinh(x), gx.atanh(x), gx.tanh(x)]
    exact = given.astype(np.clongdouble)
    series = exact + exact * exact / 2
    rounded = (1 + given).astype(dtype).astype(np.clongdouble) - 1
    wants = [log_of_one_more(exact), np.expm1(exact), log_of_one_more(rounded), np.arcsinh(exact),
             np.arctanh(exact), np.tanh(exact)]  # fmt: skip
    assert np.all(np.abs(np.expm1(exact) - series) < np.abs(exact) ** 2)
    for got, want in zip(gx.compile([x], words)(given), wants, strict=True):
        assert_complex_values(got, want, 8 * np.finfo(dtype).eps * np.abs(want), "small")


def log_of_one_more(x: Array) -> Array:
    """log(1 + x) by its real part as a real log1p of |1 + x|**2 - 1."""
    size = 0.5 * np.log1p(x.real * (2 + x.real) + x.imag * x.imag)
    return size + 1j * np.arctan2(x.imag, 1 + x.real)


CUTS = {
    "sqrt": (gx.sqrt, np.sqrt, [-2]),
    "log": (gx.log, np.log, [-2]),
    "asin": (gx.asin, np.arcsin, [-2, 2]),
    "acos": (gx.acos, np.arccos, [-2, 2]),
    "acosh": (gx.acosh, np.arccosh, [-2, 0.5]),
    "atanh": (gx.atanh, np.arctanh, [-2, 2]),
    "asinh": (gx.asinh, np.arcsinh, [2j, -2j]),
    "atan": (gx.atan, np.arctan, [2j, -2j]),
}
"""Functions with branch cuts, and points on them."""


@pytest.mark.parametrize("name", CUTS)
def test_the_sign_of_zero_says_the_side_of_a_cut(name: str) -> None:
    word, exact, points = CUTS[name]
    sides = [complex(p.real or z, p.imag or z) for p in map(complex, points) for z in (0.0, -0.0)]
    given = np.array(sides)
    x = gx.input("x", given.shape, "complex128")
    np.testing.assert_allclose(gx.compile([x], word(x))(given), exact(given), rtol=1e-15)


def test_infinities_that_annex_g_defines() -> None:
    inf, nan = np.inf, np.nan
    cases = {
        gx.sqrt: {complex(1, inf): complex(inf, inf), complex(-inf, 1): complex(0, inf),
                  complex(inf, -1): complex(inf, -0.0), complex(nan, -inf): complex(inf, -inf)},
        gx.exp: {complex(-inf, 2): complex(-0.0, 0), complex(inf, 0): complex(inf, 0),
                 complex(nan, 0): complex(nan, 0)},
        gx.log: {complex(0, 0): complex(-inf, 0), complex(-inf, 1): complex(inf, np.pi),
                 complex(inf, inf): complex(inf, np.pi / 4)},
        gx.tanh: {complex(inf, 1): complex(1, 0), complex(-inf, 1): complex(-1, 0)},
        gx.abs: {complex(inf, nan): inf, complex(nan, -inf): inf},
        lambda x: x / complex(0, 0): {complex(1, -1): complex(inf, -inf)},
        lambda x: x * 2: {complex(inf, 1): complex(inf, 2)},
        lambda x: x ** (0 * x): {complex(0, 0): complex(1, 0)},
    }  # fmt: skip
    for word, table in cases.items():
        x = gx.input("x", (len(table),), "complex128")
        got = gx.compile([x], word(x))(np.array(list(table)))
        np.testing.assert_allclose(got, np.array(list(table.values())), rtol=1e-15)


# --- memory --------------------------------------------------------------------------------------


@every_device
@every_complex
def test_inputs_variables_and_results_of_any_shape(dtype: str, device: str) -> None:
    for shape in ((), (1,), (0, 3), (3, 0), (7,), (2, 3, 37)):
        given = normal(3, *shape).astype(dtype)
        x = gx.input("x", shape, dtype)
        v = gx.variable(given, name="v")
        step = gx.compile([x], [x, v, x * v, gx.real(x)], updates={v: v + x}, device=device)
        got = step(given.copy(order="F"))
        for result, want in zip(got, [given, given, given * given, given.real], strict=True):
            assert result.dtype == want.dtype
            assert result.shape == shape
            np.testing.assert_allclose(result, want, rtol=8 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(v.value, given + given)
        v.value = given
        np.testing.assert_array_equal(step(given)[1], given)


def test_results_do_not_share_memory() -> None:
    x = gx.input("x", (3,), "complex64")
    pairs, one = gx.stack([gx.real(x), gx.imag(x)], -1), np.float32([1, 0])  # as in memory
    first, second, third = gx.compile([x], [x + 1, x + 1, pairs + one])(np.ones(3, "complex64"))
    assert third.shape == (3, 2)
    first[0] = 5
    assert second[0] == 2


def test_arguments_become_complex() -> None:
    x = gx.input("x", (2,), "complex64")
    step = gx.compile([x], x * 1j)
    for given in ([1j, 2], np.float32([1, 2]), [True, False], np.array([1, 2], np.int8)):
        np.testing.assert_array_equal(step(given), np.asarray(given) * np.complex64(1j))
    with pytest.raises(gx.GraphError, match="complex128"):
        step(np.ones(2, "complex128"))


# --- loops, branches, batches --------------------------------------------------------------------


@every_device
def test_loops_and_branches_carry_complex_numbers(device: str) -> None:
    x = gx.input("x", (5, 3), "complex128")
    n = gx.input("n", (), "int64")

    def step(carry: Any, row: Any) -> Any:
        total, count = carry
        chosen = gx.cond(count % 2 == 0, lambda r: (r * r, r), lambda r: (gx.conj(r), -r), row)
        return (total * 0.5 + chosen[0], count + 1), chosen[1]

    (last, _), stacked = gx.scan(step, (gx.zeros(3, "complex128"), n), x)
    powers = gx.while_loop(lambda z: gx.abs(z[0]) < 9, lambda z: z * (1 + 1j), x[0] + 1)
    run = gx.compile([x, n], [last, stacked, powers], device=device)
    given = normal(4, 5, 3)
    got = run(given, 0)
    total, rows = np.zeros(3, complex), []
    for count, row in enumerate(given):
        a, b = (row * row, row) if count % 2 == 0 else (np.conj(row), -row)
        total, rows = total * 0.5 + a, [*rows, b]
    z = given[0] + 1
    while abs(z[0]) < 9:
        z = z * (1 + 1j)
    for result, want in zip(got, [total, rows, z], strict=True):
        np.testing.assert_allclose(result, want, rtol=1e-14)


def test_a_loop_over_reals_with_complex_numbers_inside() -> None:
    x = gx.input("x", (4,), "float64")
    turned = gx.map(lambda angle: gx.real(gx.exp(1j * angle) ** 3), x)
    given = np.linspace(0, 1, 4)
    np.testing.assert_allclose(gx.compile([x], turned)(given), np.cos(3 * given), rtol=1e-14)


def test_no_complex_number_is_left_by_the_pass() -> None:
    x = gx.input("x", (3, "n"), "complex64")
    v = gx.variable(np.ones(3, "complex64"), name="v")
    total, rows = gx.scan(lambda c, r: (c + gx.exp(r), c), v[0], gx.sum(x, axis=1))
    graph = Graph((x,), (total, gx.prod(rows)), ((v, v * total),))
    found = split_complex(graph)
    assert not any(
        kind.dtype.is_complex
        for node in walk_inside(found)
        for kind in getattr(node.type, "items", (node.type,))
        if node.op.name != "complex"
    )
    assert str(found.inputs[0].type) == "f32[3, n, 2]"


def test_complex_numbers_are_not_lowered() -> None:
    x = gx.input("x", (3,), "complex64")
    with pytest.raises(gx.GraphError, match="is complex: run split_complex before"):
        lower(Graph((x,), (x + 1,)))


def test_a_graph_of_reals_stays_as_it_is() -> None:
    x = gx.input("x", ("n",), "float32")
    total, rows = gx.scan(lambda c, r: (c + r, c * r), gx.sum(x), x)
    graph = Graph((x,), (total, rows))
    assert split_complex(graph).outputs == graph.outputs


def test_batches() -> None:
    x = gx.input("x", ("b", 4), "complex128")
    given = normal(5, 3, 4)
    got = gx.compile([x], gx.vmap(lambda v: gx.grad(gx.abs(gx.vecdot(v, v**2)), v))(x))(given)
    one = gx.input("one", (4,), "complex128")
    single = gx.compile([one], gx.grad(gx.abs(gx.vecdot(one, one**2)), one))
    np.testing.assert_allclose(got, [single(row) for row in given], rtol=1e-13)


def test_the_same_bits_for_any_number_of_threads() -> None:
    x = gx.input("x", (64, 300), "complex64")
    step = gx.compile([x], [gx.fft.fft(x), x @ gx.conj(x).T, gx.sum(x, axis=0)])
    given = normal(6, 64, 300).astype("complex64")
    before = gx.get_num_threads()
    try:
        gx.set_num_threads(1)
        one = step(given)
        gx.set_num_threads(3)
        for left, right in zip(one, step(given), strict=True):
            assert left.tobytes() == right.tobytes()
    finally:
        gx.set_num_threads(before)


def test_gathers_updates_and_running_results_of_complex_numbers() -> None:
    z, k = gx.input("z", ("n", 3), "complex64"), gx.input("k", (4,), "int32")
    words: list[Callable[[Any], Any]] = [
        lambda x: x[k],
        lambda x: x.at[k].add(x[0]),
        lambda x: x.at[k, 1].set(2j),
        lambda x: gx.cumulative_sum(x, axis=0),
        lambda x: gx.cumulative_prod(x, axis=1),
        lambda x: gx.segment_sum(x[k], k, num_segments=3),
        lambda x: gx.nansum(x, axis=0),
    ]
    random = np.random.default_rng(0)
    array = (random.normal(size=(5, 3)) + 1j * random.normal(size=(5, 3))).astype("complex64")
    array[3, 2] = complex(np.nan, 1)
    places = np.array([2, 0, 2, 4], "int32")
    outputs = [word(z) for word in words]
    slopes = [gx.grad(gx.sum(gx.real(y * y)), z) for y in outputs[:-1]]
    got = gx.compile([z, k], [*outputs, *slopes])(array, places)
    want = gx.compile([z, k], [*outputs, *slopes], device="reference")(array, places)
    added, put = array.copy(), array.copy()
    np.add.at(added, places, array[0])
    put[places, 1] = 2j
    np.testing.assert_array_equal(got[0], array[places])
    np.testing.assert_allclose(got[1], added, rtol=1e-6)
    np.testing.assert_array_equal(got[2], put)
    np.testing.assert_allclose(got[3], np.cumsum(array, 0), rtol=1e-5)
    np.testing.assert_allclose(got[4], np.cumprod(array, 1), rtol=1e-5)
    np.testing.assert_allclose(got[6], np.nansum(array, 0), rtol=1e-5)
    for mine, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
