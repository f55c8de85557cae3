"""Samples of the running results along an axis."""

from typing import Any

import numpy as np
from sample import Array, N, Row, Sample, Shape

WALKED: tuple[tuple[Shape, int, bool], ...] = (
    ((7,), 0, False),
    ((7,), 0, True),
    ((3, 5), 0, False),
    ((3, 5), 1, True),
    ((2, 3, 4), 1, False),
    ((3, 40), 0, True),
    ((1,), 0, False),
    ((3, 1), 1, False),
    ((0, 3), 0, False),
    ((0, 3), 1, True),
    ((N, 3), 0, True),
    ((N, 3), 1, False),
    ((3, N, 2), 1, False),
)
REFUSED: tuple[tuple[Shape, int], ...] = (((3,), 1), ((3,), -1), ((), 0))


def walked(accepts: str, operands: int = 1, **options: Any) -> Row:
    """A running result along an axis."""
    return Row(
        accepts,
        tuple(Sample((shape,) * operands, {"axis": axis, "reverse": reverse})
              for shape, axis, reverse in WALKED),
        tuple(Sample((shape,) * operands, {"axis": axis, "reverse": False})
              for shape, axis in REFUSED),
        signed_zero=False,
        **options,
    )  # fmt: skip


def steps(x: Array, axis: int, reverse: bool) -> Array:
    """How many elements stand up to each one."""
    count = np.arange(1, x.shape[axis] + 1)
    shape = [-1 if k == axis else 1 for k in range(x.ndim)]
    return (count[::-1] if reverse else count).reshape(shape)


def turned(x: Array, axis: int, reverse: bool) -> Array:
    """The elements in the order of the walk."""
    return np.flip(x, axis) if reverse else x


def sum_scale(x: Array, axis: int, reverse: bool) -> Array:
    """The sum of magnitudes, once for each addition."""
    total = turned(np.cumsum(turned(np.abs(x), axis, reverse), axis), axis, reverse)
    return np.asarray(total * steps(x, axis, reverse))


def prod_scale(x: Array, axis: int, reverse: bool) -> Array:
    """The product's magnitude, once for each multiplication."""
    total = turned(np.cumprod(turned(np.abs(x), axis, reverse), axis), axis, reverse)
    return np.asarray(total * steps(x, axis, reverse))


def recurrence_scale(factor: Array, term: Array, axis: int, reverse: bool) -> Array:
    """What the recurrence makes of magnitudes, once for each step."""
    factors = np.moveaxis(turned(np.abs(factor), axis, reverse), axis, 0)
    terms = np.moveaxis(turned(np.abs(term), axis, reverse), axis, 0)
    total = np.zeros_like(terms)
    for k in range(len(terms)):
        total[k] = terms[k] + (factors[k] * total[k - 1] if k else 0)
    total = turned(np.moveaxis(total, 0, axis), axis, reverse)
    return np.asarray(total * steps(term, axis, reverse))


def logsumexp_scale(x: Array, axis: int, reverse: bool) -> Array:
    """The magnitude of the largest operand or sum, once for each step, of a few roundings."""
    sums = np.logaddexp.accumulate(turned(np.abs(x), axis, reverse), axis)
    return np.asarray(4 * turned(sums, axis, reverse) * steps(x, axis, reverse) + 4)


CUMULATIVE = {
    "cumulative_sum": walked("numeric", ulp=None, scale=sum_scale),
    "cumulative_prod": walked("numeric", ulp=None, scale=prod_scale, interval=(0.8, 1.2)),
    "cumulative_max": walked("number"),
    "cumulative_min": walked("number"),
    "cumulative_logsumexp": walked("float", ulp=None, scale=logsumexp_scale),
    "linear_recurrence": walked("inexact", 2, ulp=None, scale=recurrence_scale),
}
