"""Samples of the operators that move elements, and of those that make arrays from nothing."""

from collections.abc import Sequence
from typing import Any

from sample import Attrs, B, N, Row, Sample, Shape

import graphc as gx


def moved(*pairs: tuple[Any, Attrs], refused: Sequence[tuple[Any, Attrs]] = ()) -> Row:
    """An operator that moves elements: (shapes of all operands, attributes) for each sample."""
    return Row(
        "any",
        tuple(Sample(tuple(shapes), attrs) for shapes, attrs in pairs),
        tuple(Sample(tuple(shapes), attrs) for shapes, attrs in refused),
    )


def key(name: str, *pairs: tuple[Shape, tuple[Any, ...]]) -> list[tuple[Any, Attrs]]:
    """Samples of one operand that differ in one attribute."""
    return [((shape,), {name: value}) for shape, value in pairs]


def window(shape: Shape, starts: Any, sizes: Any, steps: Any) -> tuple[Any, Attrs]:
    """A slice."""
    return ((shape,), {"starts": starts, "sizes": sizes, "steps": steps})


def margin(shape: Shape, low: Any, high: Any, interior: Any) -> tuple[Any, Attrs]:
    """A pad."""
    return ((shape,), {"low": low, "high": high, "interior": interior})


def stretched(shape: Shape, into: Shape, axes: tuple[int, ...]) -> tuple[Any, Attrs]:
    """A broadcast."""
    return ((shape,), {"shape": into, "axes": axes})


HALF, OTHER_HALF = N // 2, (N + 1) // 2

MOVEMENT = {
    "reshape": moved(
        *key(
            "shape",
            ((2, 3), (6,)),
            ((6,), (2, 3)),
            ((2, 3, 4), (4, 6)),
            ((4, 6), (3, 8)),
            ((1, 5), (5,)),
            ((5,), (1, 5, 1)),
            ((), (1,)),
            ((1, 1), ()),
            ((0, 3), (0,)),
            ((3, 0), (5, 0, 2)),
            ((N, 3), (3 * N,)),
            ((N, 4, 3), (N, 2, 6)),
            ((N, 2), (2, N)),
            ((HALF + OTHER_HALF, 3), (3, N)),
        ),
        refused=key("shape", ((2, 3), (5,)), ((N, 3), (N,)), ((), (2,)), ((2 * N + 1,), (B, 2))),
    ),
    "ensure_shape": moved(
        *key(
            "shape",
            ((2, 3), (2, 3)),
            ((1,), (1,)),
            ((), ()),
            ((0, 3), (0, 3)),
            ((HALF + OTHER_HALF, 3), (N, 3)),
            ((3, N), (3, HALF + OTHER_HALF)),
            ((N, N - HALF), (N, OTHER_HALF)),
        ),
        refused=key("shape", ((2, 3), (3, 2)), ((2, 3), (6,)), ((N,), (N + 1,)), ((N, 2), (N, 1))),
    ),
    "permute_dims": moved(
        *key(
            "axes",
            ((2, 3), (1, 0)),
            ((2, 3, 4), (2, 0, 1)),
            ((2, 3, 4), (0, 2, 1)),
            ((33, 40), (1, 0)),
            ((1, 3), (1, 0)),
            ((), ()),
            ((0, 3), (1, 0)),
            ((N, 3), (1, 0)),
            ((3, N, 2), (1, 2, 0)),
        ),
        refused=key("axes", ((2, 3), (0, 0)), ((2, 3), (0,)), ((2,), (1,))),
    ),
    "broadcast": moved(
        stretched((3,), (2, 3), (1,)),
        stretched((3,), (3, 2), (0,)),
        stretched((), (4,), ()),
        stretched((2, 4), (2, 3, 4), (0, 2)),
        stretched((1,), (1, 5), (0,)),
        stretched((3,), (0, 3), (1,)),
        stretched((0,), (2, 0), (1,)),
        stretched((3,), (N, 3), (1,)),
        stretched((N,), (N, 3), (0,)),
        stretched((3,), (3,), (0,)),
        refused=[
            stretched((3,), (2, 4), (1,)),
            stretched((3,), (3, 2), (1,)),
            stretched((2, 3), (3, 2), (1, 0)),
            stretched((3,), (3,), ()),
        ],
    ),
    "flip": moved(
        *key(
            "axes",
            ((7,), (0,)),
            ((3, 5), (1,)),
            ((3, 5), (0, 1)),
            ((2, 3, 37), (0, 2)),
            ((1,), (0,)),
            ((0, 3), (0,)),
            ((N, 3), (0,)),
            ((3, N), (0, 1)),
        ),
        refused=key("axes", ((3,), (1,)), ((3, 5), (1, 0)), ((3, 5), (0, 0))),
    ),
    "slice": moved(
        window((7,), (2,), (3,), (1,)),
        window((1,), (0,), (1,), (1,)),
        window((7,), (6,), (4,), (-2,)),
        window((4, 70), (1, 3), (2, 33), (2, 2)),
        window((4, 5), (3, 0), (4, 5), (-1, 1)),
        window((3,), (0,), (0,), (1,)),
        window((0,), (0,), (0,), (1,)),
        window((), (), (), ()),
        window((N, 5), (0, 4), (N, 3), (1, -2)),
        window((N, 3), (N - 1, 0), (N, 3), (-1, 1)),
        refused=[
            window((7,), (2,), (6,), (1,)),
            window((7,), (-1,), (2,), (1,)),
            window((7,), (1,), (3,), (-1,)),
            window((7,), (0,), (3,), (0,)),
            window((7,), (0, 0), (3, 3), (1, 1)),
            window((7,), (3,), (-1,), (1,)),
        ],
    ),
    "pad": moved(
        margin((3,), (1,), (2,), (0,)),
        margin((3,), (1,), (0,), (2,)),
        margin((2, 33), (0, 3), (1, 0), (1, 0)),
        margin((2, 3), (1, 0), (1, 2), (0, 1)),
        margin((1,), (0,), (0,), (3,)),
        margin((0,), (1,), (2,), (0,)),
        margin((2, 0), (1, 1), (1, 1), (0, 0)),
        margin((), (), (), ()),
        margin((N, 3), (1, 0), (2, 1), (0, 1)),
        margin((3, N), (0, 2), (0, 0), (0, 0)),
        refused=[
            margin((3,), (-1,), (0,), (0,)),
            margin((3,), (0,), (0,), (-1,)),
            margin((3,), (0, 0), (0, 0), (0, 0)),
        ],
    ),
    "concat": moved(
        (((3,), (4,)), {"axis": 0}),
        (((2, 3), (2, 1), (2, 37)), {"axis": 1}),
        (((2, 3), (0, 3), (1, 3)), {"axis": 0}),
        (((2, 3),), {"axis": 0}),
        (((0,), (0,)), {"axis": 0}),
        (((N, 3), (2, 3)), {"axis": 0}),
        (((N, 3), (N, 4), (N, 1)), {"axis": 1}),
        (((N,), (B,), (N,)), {"axis": 0}),
        refused=[
            (((3,), (4,)), {"axis": 1}),
            (((2, 3), (3, 3)), {"axis": 1}),
            (((2, 3), (2,)), {"axis": 0}),
            ((), {"axis": 0}),
        ],
    ),
}


BARRIER = Row(
    "any",
    (
        Sample(((3, 5),)),
        Sample(((7,), (2, 3))),
        Sample(((), (), (1,))),
        Sample(((0, 3), (2,)), dtypes={1: gx.int32}),
        Sample(((N, 3), (N,))),
        Sample(((2,), (B,))),
    ),
    (Sample(()),),
)

STAGE = Row(
    "any",
    tuple(Sample((shape,)) for shape in ((3, 5), (), (1,), (0, 3), (N, 3), (2, B))),
    (Sample(()), Sample(((2,), (2,)))),
)


# --- from nothing --------------------------------------------------------------------------------


def made_of_type(name: str, *attrs: Attrs, refused: Sequence[Attrs] = ()) -> Row:
    """An operator without operands, whose dtype is an attribute."""
    return Row(
        "number",
        tuple(Sample((), a) for a in attrs),
        tuple(Sample((), a) for a in refused),
        smooth=None,
    )


CREATION = {
    "iota": made_of_type(
        "iota",
        {"shape": (37,), "axis": 0},
        {"shape": (3, 5), "axis": 0},
        {"shape": (3, 5), "axis": 1},
        {"shape": (0,), "axis": 0},
        {"shape": (1, 2), "axis": 0},
        {"shape": (N, 3), "axis": 0},
        refused=[{"shape": (3,), "axis": 1}, {"shape": (), "axis": 0}],
    ),
    "size": made_of_type("size", {"value": N}, {"value": 2 * N + 1}, {"value": N // 2}),
}
