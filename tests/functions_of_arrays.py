"""Calls of the words that create, move, reduce and multiply arrays; see `functions.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from functions import DOUBLE, ELEMENTWISE, MASK, X3, Call, K, V, X, Y, call, made, pair
from functions_of_indices import INDEXED
from functions_of_order import ORDER
from functions_of_the_standard import STANDARD
from sample import Array

import graphc as gx

# --- reductions ----------------------------------------------------------------------------------


def magnitude(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    """The sum of magnitudes: what a sum's error grows with."""
    return np.sum(np.abs(x), axis=axis, keepdims=keepdims)


def reductions(name: str, ulp: float, scale: Any = None) -> list[Call]:
    """A reduction over one axis, several or all, with and without the axes kept."""
    calls = []
    for x in (X3, X3.astype("float64"), K):
        for axis in (None, 0, -1, (0, -1)):
            for keepdims in (False, True):
                wide = None if scale is None else lambda a, k=(axis, keepdims): scale(a, *k)
                options = {"axis": axis, "keepdims": keepdims}
                calls.append(call(name, x, ulp=ulp, scale=wide, **options))
    return calls


def spread(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    """The size of squared deviations."""
    return np.max(np.square(x), axis=axis, keepdims=keepdims) + 1


def positions(name: str) -> list[Call]:
    """argmax and argmin."""
    axes = (None, 0, 1, -1)
    calls = [call(name, x, axis=axis) for x in (X3, K) for axis in axes]
    with_nan = np.array([1, np.nan, 3, np.nan], "float32")
    return [*calls, call(name, with_nan), call(name, X, axis=1, keepdims=True), call(name, MASK)]


def truths(name: str) -> list[Call]:
    """any and all."""
    return [call(name, MASK, axis=axis) for axis in (None, 0, (0, 1))] + [
        call(name, np.zeros((0, 3), bool), axis=0),
        call(name, K, axis=1, keepdims=True),
    ]


def numpy_logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    """The formula as it stands, in a wide type."""
    wide = x.astype(np.longdouble)
    return np.log(np.sum(np.exp(wide), axis=axis, keepdims=keepdims))


def numpy_softmax(x: Array, axis: Any = -1) -> Any:
    """The formula as it stands, in a wide type."""
    powers = np.exp(x.astype(np.longdouble))
    return powers / np.sum(powers, axis=axis, keepdims=True)


def numpy_log_softmax(x: Array, axis: Any = -1) -> Any:
    """The logarithm of softmax, in a wide type."""
    return x - np.log(np.sum(np.exp(x.astype(np.longdouble)), axis=axis, keepdims=True))


REDUCTIONS: dict[str, Sequence[Call]] = {
    "sum": [
        *reductions("sum", 12, magnitude),
        call("sum", MASK),
        call("sum", K.astype("int8")),
        call("sum", np.abs(K).astype("uint8"), axis=0),
        pair(lambda x: gx.sum(x, dtype="float64"), lambda x: np.sum(x, dtype="float64"), X, ulp=12),
        call("sum", np.zeros((0, 3), "float32"), axis=0),
    ],
    "prod": [*reductions("prod", 24), call("prod", np.zeros((2, 0), "float32"), axis=1)],
    "mean": reductions("mean", 14, lambda x, a, k: np.max(np.abs(x)) + 0 * magnitude(x, a, k)),
    "max": reductions("max", 0),
    "min": reductions("min", 0),
    "var": [
        *reductions("var", 40, spread),
        call("var", X, axis=1, correction=1, ulp=20, scale=lambda x: spread(x, 1)),
    ],
    "std": [
        *reductions("std", 40, spread),
        call("std", X, axis=1, correction=1, ulp=20, scale=lambda x: spread(x, 1)),
    ],
    "argmax": positions("argmax"),
    "argmin": positions("argmin"),
    "any": truths("any"),
    "all": truths("all"),
    "logsumexp": [
        call(
            "logsumexp",
            x,
            numpy=numpy_logsumexp,
            ulp=20,
            axis=axis,
            scale=lambda x: np.max(np.abs(x)) + 1,
        )
        for x in (X3, DOUBLE)
        for axis in (None, 0, (0, 1))
    ],
    "softmax": [
        call("softmax", x, numpy=numpy_softmax, ulp=24, axis=a)
        for x in (X3, DOUBLE)
        for a in (-1, 0)
    ],
    "log_softmax": [
        call(
            "log_softmax",
            x,
            numpy=numpy_log_softmax,
            ulp=24,
            axis=a,
            scale=lambda x: np.max(np.abs(x)) + 3,
        )
        for x in (X3, DOUBLE)
        for a in (-1, 0)
    ],
}


# --- creation ------------------------------------------------------------------------------------


def nothing(word: Any, numpy: Any, ulp: float = 0) -> Call:
    """Arrays made from their description alone."""
    return pair(lambda: word(gx), lambda: numpy(np), ulp=ulp)


def alike(make: Any) -> Call:
    """The same text for both."""
    return nothing(make, make)


CREATION: dict[str, Sequence[Call]] = {
    "constant": [
        nothing(lambda m: m.constant([[1, 2], [3, 4]]), lambda m: np.array([[1, 2], [3, 4]]))
    ],
    "input": [pair(lambda x: x, lambda x: x, X)],
    "variable": [nothing(lambda m: m.variable(X, name="w") + 0, lambda m: X)],
    "arange": [
        alike(lambda m: m.arange(7)),
        alike(lambda m: m.arange(2, 9, 3)),
        alike(lambda m: m.arange(5, -4, -2)),
        alike(lambda m: m.arange(0.5, 3.0, 0.25)),
        alike(lambda m: m.arange(3, dtype="float32")),
        alike(lambda m: m.arange(3, 3)),
    ],
    "logspace": [
        pair(lambda: gx.logspace(-1, 2, 7), lambda: np.logspace(-1, 2, 7), ulp=8),
        pair(
            lambda: gx.logspace(0, 3, 4, endpoint=False, base=2, dtype="float32"),
            lambda: np.logspace(0, 3, 4, endpoint=False, base=2, dtype="float32"),
            ulp=4,
        ),
    ],
    "geomspace": [
        pair(lambda: gx.geomspace(1, 1000, 4), lambda: np.geomspace(1, 1000, 4), ulp=8),
        pair(lambda: gx.geomspace(-2, -32, 5), lambda: np.geomspace(-2, -32, 5), ulp=8),
        pair(lambda: gx.geomspace(3, 5, 1), lambda: np.geomspace(3, 5, 1), ulp=8),
    ],
    "linspace": [
        nothing(lambda m: m.linspace(0, 1, 7), lambda m: m.linspace(0, 1, 7), ulp=2),
        nothing(
            lambda m: m.linspace(-2, 5, 4, endpoint=False),
            lambda m: m.linspace(-2, 5, 4, endpoint=False),
            ulp=4,
        ),
        alike(lambda m: m.linspace(3, 4, 1)),
    ],
    "eye": [
        alike(lambda m: m.eye(3)),
        alike(lambda m: m.eye(2, 5, k=1, dtype="float32")),
        alike(lambda m: m.eye(4, 3, k=-2, dtype="int64")),
    ],
    "full": [
        alike(lambda m: m.full((2, 3), 7)),
        alike(lambda m: m.full((4,), 1.5, dtype="float32")),
    ],
    "zeros": [alike(lambda m: m.zeros((2, 3))), alike(lambda m: m.zeros((0, 2), dtype="bool"))],
    "ones": [alike(lambda m: m.ones((2, 3))), alike(lambda m: m.ones((), dtype="int8"))],
    "full_like": [pair(lambda x: gx.full_like(x, 2), lambda x: np.full_like(x, 2), X)],
    "zeros_like": [call("zeros_like", X), call("zeros_like", K)],
    "ones_like": [
        call("ones_like", X),
        pair(lambda x: gx.ones_like(x, dtype="int8"), lambda x: np.ones_like(x, dtype="int8"), X),
    ],
}


# --- movement and choice -------------------------------------------------------------------------


def both(make: Any, *operands: Array) -> Call:
    """The same text for both, over operands."""
    return pair(lambda *x: make(gx, *x), lambda *x: make(np, *x), *operands)


def numpy_one_hot(k: Array, n: int) -> Array:
    """Rows of the unit matrix; none for what is out of range."""
    return np.asarray(k[..., None] == np.arange(n)).astype(float)


INDICES = made("indices", 3, 2, dtype="int64", low=-4, high=3)
LABELS = made("labels", 3, dtype="int32", low=0, high=3)

MOVEMENT: dict[str, Sequence[Call]] = {
    "reshape": [
        both(lambda m, x: m.reshape(x, (4, 6)), X3),
        both(lambda m, x: m.reshape(x, (-1, 3)), X3),
    ],
    "permute_dims": [
        both(lambda m, x: m.permute_dims(x, (2, 0, 1)), X3),
        both(lambda m, x: m.permute_dims(x, (-1, 0)), X),
    ],
    "matrix_transpose": [call("matrix_transpose", X3)],
    "split": [
        pair(lambda x: gx.split(x, 2, axis=1)[1], lambda x: np.split(x, 2, axis=1)[1], X),
        pair(lambda x: gx.split(x, [1, 2], axis=-1)[1], lambda x: np.split(x, [1, 2], -1)[1], X),
        pair(lambda x: gx.concat(gx.split(x, [0, 2, 2])), lambda x: x, K),
    ],
    "swapaxes": [pair(lambda x: gx.swapaxes(x, 0, -1), lambda x: np.swapaxes(x, 0, -1), X3)],
    "moveaxis": [
        both(lambda m, x: m.moveaxis(x, 0, -1), X3),
        both(lambda m, x: m.moveaxis(x, (0, 1), (2, 0)), X3),
    ],
    "expand_dims": [
        both(lambda m, x: m.expand_dims(x, axis=(0, 2)), X),
        both(lambda m, x: m.expand_dims(x, axis=-1), X),
    ],
    "squeeze": [
        both(lambda m, x: m.squeeze(x, axis=1), X[:, None]),
        both(lambda m, x: m.squeeze(x), X[None, :, None]),
    ],
    "broadcast_to": [
        both(lambda m, x: m.broadcast_to(x, (2, 3, 4)), X),
        both(lambda m, x: m.broadcast_to(x, (3, 4)), X[:, :1]),
    ],
    "broadcast_arrays": [
        pair(
            lambda x, y, at=at: gx.broadcast_arrays(x, y)[at],
            lambda x, y, at=at: np.broadcast_arrays(x, y)[at],
            X[:, :1],
            V,
        )
        for at in (0, 1)
    ],
    "flip": [both(lambda m, x, a=a: m.flip(x, axis=a), X3) for a in (None, 1, (0, -1))],
    "roll": [
        both(lambda m, x: m.roll(x, 2), X3),
        both(lambda m, x: m.roll(x, -1, axis=1), X3),
        both(lambda m, x: m.roll(x, 9, axis=-1), X3),
    ],
    "concat": [
        both(lambda m, x, y: m.concat([x, y, x], axis=1), X, Y),
        both(lambda m, x, y: m.concat([x, y], axis=0), X, K),
        both(lambda m, x, y: m.concat([x, y], axis=None), X, V),
    ],
    "stack": [both(lambda m, x, y, a=a: m.stack([x, y], axis=a), X, Y) for a in (0, 1, -1)],
    "pad": [
        both(lambda m, x: m.pad(x, ((1, 2), (0, 3))), X),
        pair(lambda x: gx.pad(x, 2, 1.5), lambda x: np.pad(x, 2, constant_values=1.5), X),
        both(lambda m, x: m.pad(x, (1, 0)), MASK),
    ],
    "repeat": [both(lambda m, x: m.repeat(x, 3), X), both(lambda m, x: m.repeat(x, 2, axis=1), X3)],
    "tile": [both(lambda m, x: m.tile(x, 2), X), both(lambda m, x: m.tile(x, (2, 1, 3)), X)],
    "take_along_axis": [
        both(lambda m, x, k: m.take_along_axis(x, k, axis=1), X, INDICES),
        both(lambda m, x, k: m.take_along_axis(x, k, axis=-1), K, INDICES),
    ],
    "one_hot": [
        pair(lambda k: gx.one_hot(k, 4), lambda k: numpy_one_hot(k, 4), LABELS),
        pair(lambda k: gx.one_hot(k, 3), lambda k: numpy_one_hot(k, 3), INDICES),
    ],
}


# --- products and losses -------------------------------------------------------------------------


def product_scale(x: Array, y: Array) -> Any:
    """A product of magnitudes."""
    return np.matmul(np.abs(x), np.abs(y))


def products(*pairs: tuple[Array, Array]) -> list[Call]:
    """Matrix products of all ranks."""
    return [call("matmul", x, y, ulp=x.shape[-1] + 1, scale=product_scale) for x, y in pairs]


def numpy_cross_entropy(x: Array, labels: Array) -> Array:
    """-log(softmax(x)[label])."""
    return -np.take_along_axis(numpy_log_softmax(x), labels[..., None].astype(int), -1)[..., 0]


W, U = made("w", 4, 5), made("u", 2, 4, 3)
TALL, WIDE = made("tall", 33, 70, dtype="float64"), made("wide", 70, 19, dtype="float64")

PRODUCTS: dict[str, Sequence[Call]] = {
    "matmul": [
        *products(
            (X, W),
            (V, W),
            (X, V),
            (V, V),
            (X3, W),
            (X3, U),
            (V, U),
            (X3, V),
            (TALL, WIDE),
            (X, W.astype("float64")),
        ),
        *products((made("a", 2, 1, 3, 4), made("b", 5, 4, 2))),
        call("matmul", K, K.T.copy()),
    ],
    "vecdot": [
        call("vecdot", X, V, ulp=8, scale=lambda x, y: np.sum(np.abs(x * y), -1)),
        both(lambda m, k, j: m.vecdot(k, j), K, K),
        call("vecdot", X, Y, axis=0, ulp=8, scale=lambda x, y: np.sum(np.abs(x * y), 0)),
    ],
    "outer": [call("outer", V, X), call("outer", K, K)],
    "tensordot": [
        call("tensordot", X3, W, axes=1, ulp=8, scale=lambda x, y: np.tensordot(abs(x), abs(y), 1)),
        call(
            "tensordot", X3, X, axes=2, ulp=24, scale=lambda x, y: np.tensordot(abs(x), abs(y), 2)
        ),
        call(
            "tensordot",
            X3,
            U,
            axes=([0, 2], [0, 1]),
            ulp=16,
            scale=lambda x, y: np.tensordot(abs(x), abs(y), ([0, 2], [0, 1])),
        ),
    ],
    "softmax_cross_entropy": [
        pair(
            gx.softmax_cross_entropy,
            numpy_cross_entropy,
            x,
            LABELS,
            ulp=24,
            scale=lambda x, _: np.max(np.abs(x)) + 3,
        )
        for x in (X, DOUBLE)
    ],
}

CALLS: dict[str, Sequence[Call]] = {
    **ELEMENTWISE,
    **REDUCTIONS,
    **CREATION,
    **MOVEMENT,
    **PRODUCTS,
    **STANDARD,
    **ORDER,
    **INDEXED,
}
