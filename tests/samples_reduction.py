"""Samples of the reductions and of the matrix product."""

from typing import Any

import numpy as np
from sample import Array, B, N, Row, Sample, Shape


def sum_scale(x: Array, axes: Any) -> Array:
    """The sum of magnitudes, once for each addition."""
    length = np.prod([x.shape[a] for a in axes])
    return np.asarray(np.sum(np.abs(x), axis=axes) * length)


def prod_scale(x: Array, axes: Any) -> Array:
    """The product's magnitude, once for each multiplication."""
    length = np.prod([x.shape[a] for a in axes])
    return np.asarray(np.abs(np.prod(x, axis=axes)) * length)


def matmul_scale(x: Array, y: Array) -> Array:
    """The sum of magnitudes, once for each multiplication and addition."""
    return np.asarray(np.matmul(np.abs(x), np.abs(y)) * x.shape[-1])


REDUCED: tuple[tuple[Shape, tuple[int, ...]], ...] = (
    ((7,), (0,)),
    ((3, 5), (0,)),
    ((3, 5), (1,)),
    ((3, 5), (0, 1)),
    ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (1,)),
    ((4, 300), (1,)),
    ((41, 33), (0,)),
    ((1,), (0,)),
    ((3, 1), (1,)),
    ((0, 3), (1,)),
    ((N, 3), (1,)),
    ((3, N, 2), (0, 2)),
)
EMPTY: tuple[tuple[Shape, tuple[int, ...]], ...] = (
    ((0,), (0,)),
    ((0, 3), (0,)),
    ((2, 0), (0, 1)),
)
"""Reductions over nothing, which those that choose an element refuse."""
RUN_TIME: tuple[tuple[Shape, tuple[int, ...]], ...] = (((N, 3), (0,)), ((2, N), (0, 1)))
NO_AXES = (((3,), (1,)), ((3, 5), (1, 0)), ((3,), ()))


def reduction(accepts: str, empty: bool, **options: Any) -> Row:
    """A reduction over axes; `empty` tells whether there may be no element."""
    allowed = (*REDUCED, *RUN_TIME, *(EMPTY if empty else ()))
    refused = (*NO_AXES, *(() if empty else EMPTY))
    return Row(
        accepts,
        tuple(Sample((shape,), {"axes": axes}) for shape, axes in allowed),
        tuple(Sample((shape,), {"axes": axes}) for shape, axes in refused),
        signed_zero=False,
        **options,
    )


def position() -> Row:
    """argmax and argmin."""
    allowed = [
        ((7,), 0), ((3, 5), 0), ((3, 5), 1), ((2, 3, 4), 1), ((4, 300), 1), ((41, 33), 0),
        ((1,), 0), ((0, 3), 1), ((N, 3), 1), ((N, 3), 0),
    ]  # fmt: skip
    refused = [((0,), 0), ((3, 0), 1), ((3,), 1), ((3,), -1)]
    return Row(
        "number",
        tuple(Sample((shape,), {"axis": axis}) for shape, axis in allowed),
        tuple(Sample((shape,), {"axis": axis}) for shape, axis in refused),
        smooth=None,
    )


def products(*pairs: tuple[Shape, Shape]) -> tuple[Sample, ...]:
    """Matrix products."""
    return tuple(Sample(pair) for pair in pairs)


MATMUL = Row(
    "numeric",
    products(
        ((2, 3), (3, 4)),
        ((1, 1), (1, 1)),
        ((1, 7), (7, 1)),
        ((5, 17), (17, 33)),
        ((2, 3, 4), (2, 4, 5)),
        ((70, 65), (65, 40)),
        ((3, 0), (0, 2)),
        ((0, 3), (3, 2)),
        ((2, 3), (3, 0)),
        ((N, 3), (3, 4)),
        ((4, N), (N, 3)),
        ((B, N, 2), (B, 2, N)),
    ),
    products(((2, 3), (4, 2)), ((3,), (3,)), ((2, 3, 4), (3, 4, 5)), ((2, 3, 4), (4, 5))),
    ulp=None,
    scale=matmul_scale,
    signed_zero=False,
)

REDUCTIONS = {
    "sum": reduction("numeric", True, ulp=None, scale=sum_scale),
    "prod": reduction("numeric", True, ulp=None, scale=prod_scale, interval=(0.8, 1.2)),
    "max": reduction("number", False),
    "min": reduction("number", False),
    "any": reduction("bool", True, smooth=None),
    "all": reduction("bool", True, smooth=None),
    "argmax": position(),
    "argmin": position(),
    "matmul": MATMUL,
}
