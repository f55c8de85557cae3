"""Samples of the operators that sort, search and permute."""

import numpy as np
from sample import Array, B, N, Row, Sample, Shape, numbers

import graphc as gx
from graphc.ir.types import DType, TensorType

ALONG: tuple[tuple[Shape, int], ...] = (
    ((5,), 0),
    ((2, 5, 3), 1),
    ((1, 131), 1),
    ((131, 2), 0),
    ((1,), 0),
    ((2, 0), 1),
    ((0, 3), 1),
    ((35, N), 1),
    ((N, 2), 0),
)
"""Shapes and an axis of each: rows to count in, rows to sort by digits, and more than groups."""


def sorting(smooth: bool) -> Row:
    """An operator that sorts along an axis, in both directions in turn."""
    return Row(
        "real",
        tuple(
            Sample((shape,), {"axis": axis, "descending": number % 2 == 1})
            for number, (shape, axis) in enumerate(ALONG)
        ),
        (
            Sample(((3,),), {"axis": 1, "descending": False}),
            Sample(((),), {"axis": 0, "descending": False}),
        ),
        smooth=(-2, 2) if smooth else None,
    )


def permuted(shape: Shape, axis: int) -> Sample:
    """Elements along an axis, and an order of them."""
    return Sample((shape, shape), {"axis": axis}, {1: gx.int64})


def orders(random: np.random.Generator, tensor: TensorType, place: int) -> Array | None:
    """Orders along every axis as long as the last one."""
    if place == 0:
        return None
    shape = numbers(tensor.shape)
    order = random.permutation(shape[-1])
    return order[np.indices(shape).sum(axis=0) % max(shape[-1], 1)]


def searched(
    ordered: Shape, wanted: Shape, side: str = "left", dtypes: dict[int, DType] | None = None
) -> Sample:
    """Places in sorted rows."""
    return Sample((ordered, wanted), {"side": side}, dtypes or {})


SORTING = {
    "sort": sorting(smooth=True),
    "argsort": sorting(smooth=False),
    "permute_along_axis": Row(
        "any",
        (
            permuted((5,), 0),
            permuted((4, 4), 0),
            permuted((4, 4), 1),
            permuted((3, 3, 3), 1),
            permuted((1,), 0),
            permuted((0,), 0),
            permuted((N,), 0),
            permuted((N, N), 0),
        ),
        (
            permuted((3,), 1),
            Sample(((3,), (2,)), {"axis": 0}, {1: gx.int64}),
            Sample(((3,), (3,)), {"axis": 0}, {1: gx.float32}),
        ),
        choose=orders,
    ),
    "inverse_permutation": Row(
        "integer",
        tuple(Sample((shape,), {"axis": axis}) for shape, axis in ALONG),
        (Sample(((3,),), {"axis": 1}), Sample(((),), {"axis": 0})),
        smooth=None,
    ),
    "searchsorted": Row(
        "real",
        (
            searched((5,), (7,)),
            searched((5,), (7,), "right"),
            searched((65,), (2,)),
            searched((2, 3, 4), (2, 3, 6)),
            searched((1,), (1,)),
            searched((0,), (3,), "right"),
            searched((3,), (0,)),
            searched((N,), (5,)),
            searched((N,), (N,), "right"),
            searched((B, N), (B, 3)),
        ),
        (
            searched((5,), (7,), "middle"),
            searched((), (7,)),
            searched((5,), ()),
            searched((2, 5), (7,)),
            searched((2, 5), (3, 7)),
            searched((5,), (7,), dtypes={1: gx.int8}),
        ),
        smooth=None,
        ordered=(0,),
    ),
}
