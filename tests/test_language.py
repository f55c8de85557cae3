"""Creation, movement, indexing, reduction and products in the language, against NumPy."""

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.ir.graph import Graph
from graphc.runtime.reference.evaluate import evaluate

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
RANDOM = np.random.default_rng(2024)


def array(*shape: int, dtype: str = "float64") -> Array:
    """Random numbers: normal floats, small integers, coin flips."""
    if dtype == "bool":
        return RANDOM.random(shape) < 0.5
    values = RANDOM.standard_normal(shape) * (1 if dtype.startswith("float") else 3)
    return np.abs(values).astype(dtype) if dtype[0] == "u" else values.astype(dtype)


def evaluated(build: Function, arrays: Sequence[Array], symbolic: bool = False) -> Any:
    """The value of what is built on inputs of the arrays' types.

    With symbolic sizes every size but 1 is a name, equal sizes the same one.
    """
    inputs = [
        gx.input(f"x{place}", sizes(a.shape) if symbolic else a.shape, a.dtype)
        for place, a in enumerate(arrays)
    ]
    output = build(*inputs)
    return evaluate(Graph(tuple(inputs), (output,)), dict(zip(inputs, arrays, strict=True)))[0]


def sizes(shape: Sequence[int]) -> tuple[int | str, ...]:
    """A shape with names for its sizes."""
    return tuple(1 if size == 1 else f"n{size}" for size in shape)


def check(ours: Function, numpys: Function, arrays: Sequence[Array], tolerance: float = 0) -> None:
    """Both give one value and one dtype, with static sizes and with symbolic ones."""
    expected = np.asarray(numpys(*arrays))
    for symbolic in (False, True):
        value = evaluated(ours, arrays, symbolic)
        assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(value, expected, tolerance, tolerance)


def each(*cases: Any) -> pytest.MarkDecorator:
    """Parametrize (name, ours, NumPy's) with the name as the test's."""
    return pytest.mark.parametrize(
        ("ours", "numpys"), [case[1:] for case in cases], ids=[case[0] for case in cases]
    )


# --- creation ------------------------------------------------------------------------------------


@each(
    ("zeros", gx.zeros((2, 3)), np.zeros((2, 3))),
    ("ones", gx.ones(4, dtype="int32"), np.ones(4, "int32")),
    ("full", gx.full((2, 2), 7), np.full((2, 2), 7)),
    ("full float", gx.full((), 0.5, "float32"), np.full((), 0.5, "float32")),
    ("full node", gx.full((2,), gx.constant(3.0)), np.full((2,), 3.0)),
    ("zeros_like", gx.zeros_like(np.ones((2, 3), "float32")), np.zeros((2, 3), "float32")),
    ("ones_like", gx.ones_like(np.ones((0, 3)), "int8"), np.ones((0, 3), "int8")),
    ("full_like", gx.full_like(np.ones(3, "int16"), 5), np.full(3, 5, "int16")),
    ("arange", gx.arange(5), np.arange(5)),
    ("arange step", gx.arange(2, 11, 3), np.arange(2, 11, 3)),
    ("arange down", gx.arange(5, -2, -3), np.arange(5, -2, -3)),
    ("arange none", gx.arange(3, 1), np.arange(3, 1)),
    ("arange float", gx.arange(0.5, 3.0, 0.5), np.arange(0.5, 3.0, 0.5)),
    ("arange dtype", gx.arange(3, dtype="float32"), np.arange(3, dtype="float32")),
    ("linspace", gx.linspace(0, 1, 7), np.linspace(0, 1, 7)),
    ("linspace open", gx.linspace(2, 1, 4, endpoint=False), np.linspace(2, 1, 4, endpoint=False)),
    ("linspace one", gx.linspace(2, 3, 1, dtype="float32"), np.linspace(2, 3, 1, dtype="float32")),
    ("eye", gx.eye(3), np.eye(3)),
    ("eye wide", gx.eye(2, 4, k=1, dtype="int64"), np.eye(2, 4, k=1, dtype="int64")),
    ("eye below", gx.eye(4, k=-2), np.eye(4, k=-2)),
    ("constant", gx.constant([1, 2], "float32"), np.array([1, 2], "float32")),
)
def test_creation(ours: Any, numpys: Array) -> None:
    value = evaluated(lambda: ours, [])
    assert value.dtype == numpys.dtype
    np.testing.assert_allclose(value, numpys, 1e-15)


def test_creation_of_symbolic_sizes() -> None:
    x = array(3, 4)
    check(lambda n: gx.arange(n.shape[0]) + gx.zeros_like(n[:, 0]), lambda n: np.arange(3.0), [x])
    check(
        lambda n: n + gx.arange(1, n.shape[0] + 1)[:, None],
        lambda n: n + np.array([[1], [2], [3]]),
        [x],
    )
    check(lambda n: n @ gx.eye(n.shape[1], k=1), lambda n: n @ np.eye(4, k=1), [x])


def test_a_variable_is_a_copy_of_its_first_value() -> None:
    first = np.array([1.0, 2.0], "float32")
    w = gx.variable(first, name="layer.w")
    first[0] = 9
    assert (w.dtype, w.shape, w.attrs["name"]) == (gx.float32, (2,), "layer.w")
    np.testing.assert_array_equal(w.value, [1, 2])
    assert gx.variable(1.0).attrs["name"] != gx.variable(1.0).attrs["name"]


# --- movement ------------------------------------------------------------------------------------


@each(
    ("flat", lambda x: gx.reshape(x, -1), lambda x: x.reshape(-1)),
    ("first", lambda x: gx.reshape(x, (-1, x.shape[2])), lambda x: x.reshape(-1, 4)),
    ("last", lambda x: x.reshape(x.shape[0], -1), lambda x: x.reshape(2, 12)),
    ("ones", lambda x: gx.reshape(x, (1, *x.shape, 1)), lambda x: x.reshape(1, 2, 3, 4, 1)),
    ("permute", lambda x: gx.permute_dims(x, (2, 0, -2)), lambda x: x.transpose(2, 0, 1)),
    ("transpose", lambda x: x.mT, lambda x: x.swapaxes(1, 2)),
    ("moveaxis", lambda x: gx.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1)),
    ("moveaxes", lambda x: gx.moveaxis(x, (2, 0), (0, 1)), lambda x: x.transpose(2, 0, 1)),
    ("expand", lambda x: gx.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1))),
    ("squeeze", lambda x: gx.squeeze(x[:, None], 1), lambda x: x),
    ("squeeze all", lambda x: gx.squeeze(x[None, ..., None]), lambda x: x),
    ("flip", gx.flip, np.flip),
    ("flip axes", lambda x: gx.flip(x, (0, -1)), lambda x: np.flip(x, (0, -1))),
    ("pad", lambda x: gx.pad(x, 1), lambda x: np.pad(x, 1)),
    ("pad value", lambda x: gx.pad(x, (1, 2), 2.5),
     lambda x: np.pad(x, (1, 2), constant_values=2.5)),
    ("pad each", lambda x: gx.pad(x, ((0, 1), (2, 0), (0, 0))),
     lambda x: np.pad(x, ((0, 1), (2, 0), (0, 0)))),
    ("concat", lambda x: gx.concat([x, x, 2 * x], -1), lambda x: np.concatenate([x, x, 2 * x], -1)),
    ("concat flat", lambda x: gx.concat([x, x[0]], None),
     lambda x: np.concatenate([x, x[0]], None)),
    ("stack", lambda x: gx.stack([x, -x], 1), lambda x: np.stack([x, -x], 1)),
    ("stack last", lambda x: gx.stack([x, -x], -1), lambda x: np.stack([x, -x], -1)),
    ("repeat", lambda x: gx.repeat(x, 3, 1), lambda x: np.repeat(x, 3, 1)),
    ("repeat flat", lambda x: gx.repeat(x, 2), lambda x: np.repeat(x, 2)),
    ("tile", lambda x: gx.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3))),
    ("tile more", lambda x: gx.tile(x[0], (2, 1, 3)), lambda x: np.tile(x[0], (2, 1, 3))),
    ("tile last", lambda x: gx.tile(x, 2), lambda x: np.tile(x, 2)),
)  # fmt: skip
def test_movement(ours: Function, numpys: Function) -> None:
    check(ours, numpys, [array(2, 3, 4)])


def test_movement_of_other_shapes() -> None:
    check(lambda x: x.T, lambda x: x.T, [array(2, 0)])
    x = array(4, 6)
    for values, shape in ((x, (3, -1, 2)), (x[:0], (0, 7)), (x[:0], (3, 0, 2)), (x[0, 0], (1, 1))):
        result = evaluated(lambda n, s=shape: gx.reshape(n, s), [values])
        np.testing.assert_array_equal(result, values.reshape(shape))
    for shift, axis in ((1, 0), (-2, 1), (7, -1), (5, None)):
        value = evaluated(lambda n, s=shift, a=axis: gx.roll(n, s, a), [x])
        np.testing.assert_array_equal(value, np.roll(x, shift, axis))


def test_concat_promotes() -> None:
    check(lambda x, y: gx.concat([x, y]), lambda x, y: np.concatenate([x, y]),
          [array(2, 3, dtype="float32"), array(4, 3, dtype="int64")])  # fmt: skip


@pytest.mark.parametrize("shape", [(), (4,), (1, 4), (3, 1), (2, 1, 1)])
def test_broadcasting(shape: tuple[int, ...]) -> None:
    x, y = array(*shape), array(2, 3, 4)
    expected = np.broadcast_to(x, y.shape)
    check(lambda a, b: gx.broadcast_to(a, b.shape), lambda a, b: expected, [x, y])
    check(lambda a, b: gx.broadcast_arrays(a, b)[0], lambda a, b: expected, [x, y])


# --- indexing ------------------------------------------------------------------------------------

KEYS = [
    0, -1, (1, -2), (..., 1), (slice(None), 2), None, (None, 0, ..., None), ..., (), (0, 1, 2),
    slice(1, None), slice(None, -1), slice(1, -1), slice(-3, None), slice(-2, -1), slice(20, None),
    slice(None, 20), slice(-20, 2), slice(3, 1), slice(None, None, 2), slice(1, None, 3),
    slice(None, None, -1), slice(None, None, -2), slice(3, 0, -1), slice(-1, -4, -2),
    slice(20, None, -3), slice(-2, None, -1), slice(0, 3, -1), slice(None, -2, -1),
    slice(None, -20, -1), (slice(1, 3), slice(None, None, -1), 0), (..., slice(0, 3, 2), None),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_getitem(key: Any) -> None:
    check(lambda x: x[key], lambda x: x[key], [array(5, 4, 3)])


@pytest.mark.parametrize("key", [key for key in KEYS if isinstance(key, slice)], ids=str)
@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
def test_slices_of_every_size_from_one_graph(key: slice, size: int) -> None:
    x = gx.input("x", ("n",), "float64")
    values = array(size)
    result = evaluate(Graph((x,), (x[key],)), {x: values})[0]
    np.testing.assert_array_equal(result, values[key])


def test_symbolic_bounds() -> None:
    x = array(6, 3)
    check(lambda n: n[n.shape[1] :], lambda n: n[3:], [x])
    check(lambda n: n[: n.shape[0] - 1], lambda n: n[:5], [x])
    check(lambda n: n[n.shape[1]], lambda n: n[3], [x])
    check(lambda n: n[n.shape[1] :: -1], lambda n: n[3::-1], [x])


def test_neighbours_have_one_size() -> None:
    check(lambda x: x[1:] - x[:-1], np.diff, [array(6)])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_along_axis(axis: int) -> None:
    x, indices = array(3, 4, 3, dtype="float32"), RANDOM.integers(-3, 3, (3, 4, 3))
    check(lambda a, i: gx.take_along_axis(a, i, axis),
          lambda a, i: np.take_along_axis(a, i, axis), [x, indices])  # fmt: skip
    few = indices[:1, :1, :1].astype("int8")
    check(lambda a, i: gx.take_along_axis(a, i, axis),
          lambda a, i: np.take_along_axis(a, i, axis), [x, few])  # fmt: skip


def test_indices_out_of_range_take_nan_or_zero() -> None:
    indices = np.array([0, 2, 3, -3, -4, 100])
    x = np.array([5.0, 6.0, 7.0])
    take = gx.take_along_axis
    np.testing.assert_array_equal(evaluated(take, [x, indices]), [5, 7, np.nan, 5, np.nan, np.nan])
    whole = evaluated(take, [x.astype("int32"), indices])
    np.testing.assert_array_equal(whole, [5, 7, 0, 5, 0, 0])
    np.testing.assert_array_equal(evaluated(take, [x[:0], indices]), np.full(6, np.nan))
    unsigned = np.array([2, 255], "uint8")
    np.testing.assert_array_equal(evaluated(take, [x, unsigned]), [7, np.nan])


def test_one_hot() -> None:
    labels = np.array([[0, 2], [1, 5], [-1, 0]])
    expected = (labels[..., None] == np.arange(3)).astype("float32")
    check(lambda x: gx.one_hot(x, 3, dtype="float32"), lambda x: expected, [labels])


# --- reduction -----------------------------------------------------------------------------------

AXES = [None, 0, 1, -1, (0, 2), (-1, 0, 1), ()]
DTYPES = ["bool", "int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32",
          "float64"]  # fmt: skip


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "var", "std", "any", "all"])
def test_reductions(name: str, axis: Any, keepdims: bool) -> None:
    for shape in ((2, 3, 4), (1, 3, 1)):
        check(lambda x: getattr(gx, name)(x, axis=axis, keepdims=keepdims),
              lambda x: getattr(np, name)(x, axis=axis, keepdims=keepdims),
              [array(*shape)], 1e-12)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "any", "all"])
def test_dtypes_of_reductions(name: str, dtype: str) -> None:
    check(lambda x: getattr(gx, name)(x, axis=1), lambda x: getattr(np, name)(x, axis=1),
          [array(3, 5, dtype=dtype)], 1e-2 if dtype == "float16" else 1e-5)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES[1:])  # bool has no order in the Array API
@pytest.mark.parametrize("name", ["max", "min"])
def test_dtypes_of_extremes(name: str, dtype: str) -> None:
    check(lambda x: getattr(gx, name)(x, axis=1), lambda x: getattr(np, name)(x, axis=1),
          [array(3, 5, dtype=dtype)])  # fmt: skip


def test_sum_to_a_dtype() -> None:
    x = array(3, 5, dtype="int32")
    check(lambda n: gx.sum(n, dtype="float32"), lambda n: np.sum(n, dtype="float32"), [x])


def test_narrow_floats_are_added_up_in_float32() -> None:
    many = np.full(70_000, 1.0, "float16")
    assert evaluated(gx.mean, [many]) == 1
    narrow = np.full(1000, 0.1, ml_dtypes.bfloat16)
    expected = narrow.astype("float32").sum().astype(ml_dtypes.bfloat16)
    assert evaluated(gx.sum, [narrow]) == expected


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions(name: str, axis: Any, keepdims: bool) -> None:
    ties = np.array([[3, 1, 3], [1, 3, 3]])
    nans = np.array([[1, np.nan, 5, np.nan], [np.inf, 2, -np.inf, 0]])
    for x in (array(3, 4), ties, nans, ties == 3):
        check(lambda n: getattr(gx, name)(n, axis=axis, keepdims=keepdims),
              lambda n: getattr(np, name)(n, axis=axis, keepdims=keepdims), [x])  # fmt: skip


def test_nan_and_infinity_in_reductions() -> None:
    x = np.array([[1, np.nan], [np.inf, 2], [-np.inf, np.inf]])
    for name in ("sum", "prod", "max", "min", "mean"):
        with np.errstate(invalid="ignore"):
            check(lambda n, f=name: getattr(gx, f)(n, axis=1),
                  lambda n, f=name: getattr(np, f)(n, axis=1), [x])  # fmt: skip


def test_empty_reductions() -> None:
    x = array(0, 3)
    for name in ("sum", "prod", "any", "all"):
        check(lambda n, f=name: getattr(gx, f)(n, axis=0),
              lambda n, f=name: getattr(np, f)(n, axis=0), [x])  # fmt: skip
    n = gx.input("x", ("n", 3), "float32")
    outputs = (gx.max(n, axis=0), gx.min(n, axis=0), gx.argmax(n, axis=0), gx.mean(n, axis=0))
    largest, smallest, place, mean = evaluate(Graph((n,), outputs), {n: x.astype("float32")})
    assert (largest == -np.inf).all()
    assert (smallest == np.inf).all()
    assert (place == 0).all()
    assert np.isnan(mean).all()


@pytest.mark.parametrize("correction", [0, 1, 0.5])
def test_correction(correction: float) -> None:
    x = array(4, 5) + 1e6
    check(lambda n: gx.var(n, axis=0, correction=correction),
          lambda n: np.var(n, axis=0, ddof=correction), [x], 1e-9)  # fmt: skip
    check(lambda n: gx.std(n, correction=correction), lambda n: np.std(n, ddof=correction),
          [x], 1e-9)  # fmt: skip


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)], ids=str)
def test_softmax_and_its_kin(axis: Any) -> None:
    special = scipy.special
    large = array(2, 3, 4) * 1000
    masked = np.where(array(2, 3, 4, dtype="bool"), -np.inf, array(2, 3, 4))
    masked[0] = -np.inf
    for x in (array(2, 3, 4), array(2, 3, 4, dtype="float32"), large, masked):
        for name in ("softmax", "log_softmax", "logsumexp"):
            with np.errstate(all="ignore"):
                check(lambda n, f=name: getattr(gx, f)(n, axis=axis),
                      lambda n, f=name: getattr(special, f)(n, axis=axis), [x], 1e-5)  # fmt: skip


def test_softmax_of_integers_is_float64() -> None:
    check(gx.softmax, lambda x: scipy.special.softmax(x, -1), [np.array([[1, 2], [3, 9]])], 1e-12)


def test_softmax_cross_entropy() -> None:
    for shape in ((5,), (4, 5), (2, 3, 5)):
        x, labels = array(*shape, dtype="float32"), RANDOM.integers(0, 5, shape[:-1])
        picked = np.take_along_axis(scipy.special.log_softmax(x, -1), labels[..., None], -1)
        check(gx.softmax_cross_entropy, lambda x, t, p=picked: -p[..., 0], [x, labels], 1e-5)
    wrong = evaluated(gx.softmax_cross_entropy, [array(2, 3), np.array([3, 0])])
    np.testing.assert_array_equal(np.isnan(wrong), [True, False])


# --- products ------------------------------------------------------------------------------------

PRODUCTS = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)), ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)), ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((1, 1), (1, 1)), ((7, 0, 3), (3, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), PRODUCTS, ids=str)
def test_matmul(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    for dtype in ("float64", "int32"):
        x, y = array(*left, dtype=dtype), array(*right, dtype=dtype)
        check(lambda a, b: a @ b, lambda a, b: a @ b, [x, y], 1e-12)


def test_matmul_promotes_and_adds_narrow_floats_up_in_float32() -> None:
    x, y = array(2, 3, dtype="float32"), array(3, 2, dtype="int64")
    check(gx.matmul, np.matmul, [x, y], 1e-12)
    ones = np.full((1, 4096), 1.0, "float16")
    assert evaluated(lambda a: a @ a.T, [ones]) == 4096


def test_other_products() -> None:
    x, y = array(2, 3, 4), array(3, 4, 2)
    check(gx.vecdot, lambda a, b: (a * b).sum(-1), [x, x + 1], 1e-12)
    check(lambda a, b: gx.vecdot(a, b, axis=0), lambda a, b: (a * b).sum(0),
          [x, x[:, :1, :1]], 1e-12)  # fmt: skip
    check(gx.outer, np.outer, [x, y], 1e-12)
    for axes in (0, 1, 2, ([1, 2], [0, 1]), ([0], [-1])):
        other = array(4, 5) if axes == 1 else y
        check(lambda a, b, over=axes: gx.tensordot(a, b, over),
              lambda a, b, over=axes: np.tensordot(a, b, over), [x, other], 1e-12)  # fmt: skip
