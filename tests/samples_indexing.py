"""Samples of the operators that read and write at places which are known when a step runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sample import Array, B, N, Row, Sample, Shape, bind, numbers

import graphc as gx
from graphc.ir.op import OPS
from graphc.ir.types import DType, TensorType

Axes = tuple[int, ...]


def indices(random: np.random.Generator, tensor: TensorType, place: int) -> Array | None:
    """Indices from beyond the one end to beyond the other."""
    if place == 0:
        return None
    low = -6 if tensor.dtype.kind == "int" else 0
    return random.integers(low, 7, numbers(tensor.shape)).astype(tensor.dtype.numpy)


def indices_of_updates(random: np.random.Generator, tensor: TensorType, place: int) -> Array | None:
    """The same, where the first two operands are the table and the updates."""
    return indices(random, tensor, max(place - 1, 0))


def taken(
    x: Shape,
    at: Shape | list[Shape],
    axes: Axes,
    along: Axes,
    spans: tuple[Axes, ...],
    dtype: DType = gx.int64,
    absent: str = "nan",
) -> Sample:
    """A gather; one shape of indices or several."""
    shapes = at if isinstance(at, list) else [at]
    attrs = {"axes": axes, "along": along, "spans": spans, "absent": absent}
    return Sample((x, *shapes), attrs, {k + 1: dtype for k in range(len(shapes))})


LAYOUTS: tuple[tuple[Shape, list[Shape], Axes, Axes, tuple[Axes, ...], DType], ...] = (
    ((5,), [(7,)], (0,), (), ((0,),), gx.int64),
    ((5,), [(37,)], (0,), (), ((0,),), gx.uint8),
    ((5,), [()], (0,), (), ((),), gx.int16),
    ((5, 3), [(4,)], (0,), (1,), ((0,),), gx.int32),
    ((3, 5), [(2, 2)], (1,), (0,), ((1, 2),), gx.int8),
    ((4, 5), [(6,), (6,)], (0, 1), (), ((0,), (0,)), gx.int64),
    ((4, 3, 5), [(6,), (2, 6)], (0, 2), (2,), ((1,), (0, 1)), gx.uint32),
    ((3, 5), [(3, 2)], (1,), (0,), ((0, 1),), gx.uint64),
    ((2, 5, 3), [(2, 4, 3)], (1,), (0, 2), ((0, 1, 2),), gx.int64),
    ((2, 5, 33), [(2, 1)], (1,), (0, 2), ((0, 1),), gx.int64),
    ((3, 4), [(2,), (3,)], (0, 1), (), ((0,), (1,)), gx.int64),
    ((1,), [(1,)], (0,), (), ((0,),), gx.int64),
    ((0, 3), [(2,)], (0,), (1,), ((0,),), gx.int64),
    ((5, 0), [(2,)], (0,), (1,), ((0,),), gx.int64),
    ((5, 2), [(0,)], (0,), (1,), ((0,),), gx.int64),
    ((N, 5), [(N, 2)], (1,), (0,), ((0, 1),), gx.int64),
    ((N, 3), [(2,)], (0,), (1,), ((0,),), gx.int64),
    ((5, N), [(B,)], (0,), (1,), ((0,),), gx.uint16),
)
"""(table, indices, axes, along, spans, the indices' dtype)."""

REFUSED = (
    taken((5,), (7,), (1,), (), ((0,),)),
    taken((5,), [], (), (0,), ()),
    taken((5, 3), (4,), (0,), (), ((0,),)),
    taken((5, 3), (4,), (0,), (0,), ((0,),)),
    taken((5, 3), (4,), (0,), (2,), ((0,),)),
    taken((5, 3), (4,), (0,), (1,), ((0, 1),)),
    taken((5,), (7,), (0,), (), ((0,),), gx.float32),
    taken((5,), (7,), (0,), (), ((0,),), gx.bool),
    taken((5, 3), [(4,)], (0, 1), (), ((0,), (0,))),
    taken((5, 3), [(4,), (2,)], (0, 1), (), ((0,), (0,))),
)

GATHER = Row(
    "any",
    (
        *(taken(*layout) for layout in LAYOUTS),
        *(taken(*layout, absent="zero") for layout in LAYOUTS[:4]),
    ),
    (*REFUSED, taken((5,), (7,), (0,), (), ((0,),), absent="none")),
    choose=indices,
)


def put(kind: str, number: int, fill: bool = False) -> Sample:
    """A scatter by one of the layouts; into one number with fill."""
    x, at, axes, along, spans, dtype = LAYOUTS[number]
    attrs = {"kind": kind, "shape": x, "axes": axes, "along": along, "spans": spans}
    pairs = [pair for span, sizes in zip(spans, at, strict=True)
             for pair in zip(span, sizes, strict=True)]  # fmt: skip
    others = [axis for axis in range(len(x)) if axis not in axes]
    pairs += [(axis, x[other]) for axis, other in zip(along, others, strict=True)]
    elements: dict[int, Any] = dict(pairs)
    updates = tuple(elements[axis] for axis in sorted(elements))
    shapes = (() if fill else x, updates, *at)
    return Sample(shapes, attrs, {k + 2: dtype for k in range(len(at))})


def scatter_scale(x: Array, updates: Array, *places: Array, **attrs: Any) -> Any:
    """Magnitudes combined, once for each update: every one may round."""
    whole = {**attrs, "shape": x.shape or attrs["shape"]}
    return OPS["scatter"].reference(abs(x), abs(updates), *places, **whole) * (updates.size + 1)


def refused_puts() -> list[Sample]:
    """A kind that is none, a table and updates of other shapes, indices that are no integers."""
    good = put("add", 3)
    return [
        Sample(good.shapes, {**good.attrs, "kind": "append"}, good.dtypes),
        Sample(((5, 4), *good.shapes[1:]), good.attrs, good.dtypes),
        Sample(((5, 3), (4, 2), (4,)), good.attrs, good.dtypes),
        Sample(good.shapes, good.attrs, {2: gx.float32}),
        Sample(good.shapes, good.attrs, {**good.dtypes, 1: gx.bool}),
    ]


SCATTER = Row(
    "number",
    (
        put("multiply", 3),
        put("add", 0),
        put("set", 0),
        put("max", 3),
        put("min", 5),
        put("add", 6),
        put("set", 7),
        put("add", 9),
        put("max", 10),
        put("set", 12),
        put("multiply", 14),
        put("min", 15),
        put("add", 17),
        put("add", 3, fill=True),
        put("max", 17, fill=True),
    ),
    tuple(refused_puts()),
    ulp=None,
    choose=indices_of_updates,
    scale=scatter_scale,
)


def windowed(x: Shape, sizes: Shape, dtype: DType = gx.int64, absent: str = "nan") -> Sample:
    """A dynamic slice."""
    starts = ((),) * len(x)
    kinds = {k + 1: dtype for k in range(len(x))}
    return Sample((x, *starts), {"sizes": sizes, "absent": absent}, kinds)


DYNAMIC_SLICE = Row(
    "any",
    (
        windowed((7,), (3,)),
        windowed((5, 40), (2, 33), gx.int8),
        windowed((5,), (2,), gx.uint64),
        windowed((0,), (0,)),
        windowed((1,), (1,)),
        windowed((), ()),
        windowed((N, 3), (N, 2), gx.int32, absent="zero"),
    ),
    (
        windowed((7,), (8,)),
        windowed((7,), (3, 1)),
        windowed((7,), (3,), gx.float32),
        windowed((7,), (3,), absent="none"),
        Sample(((7,), (1,)), {"sizes": (3,), "absent": "nan"}, {1: gx.int64}),
        Sample(((7,),), {"sizes": (3,), "absent": "nan"}),
    ),
    choose=indices,
)


def replaced(x: Shape, update: Shape, dtype: DType = gx.int64) -> Sample:
    """A dynamic update."""
    starts = ((),) * len(x)
    return Sample((x, update, *starts), {}, {k + 2: dtype for k in range(len(x))})


DYNAMIC_UPDATE_SLICE = Row(
    "any",
    (
        replaced((7,), (3,)),
        replaced((5, 40), (2, 33), gx.int8),
        replaced((5,), (2,), gx.uint64),
        replaced((0,), (0,)),
        replaced((1,), (1,)),
        replaced((), ()),
        replaced((N, 3), (N, 2), gx.int32),
    ),
    (
        replaced((7,), (8,)),
        replaced((7,), (3, 1)),
        replaced((7,), (3,), gx.float32),
        Sample(((7,), (3,), ()), {}, {1: gx.bool, 2: gx.int64}),
        Sample(((7,), (3,)), {}),
    ),
    choose=indices_of_updates,
)


def in_range(arrays: Sequence[Array], sample: Sample, bound: Mapping[str, int]) -> list[Array]:
    """Indices and starts beyond which nothing lies, since NaN does."""
    sizes: Sequence[int] = arrays[0].shape
    if "axes" in sample.attrs:
        sizes = [sizes[axis] for axis in sample.attrs["axes"]]
    else:
        window = bind(sample.attrs["sizes"], bound)
        sizes = [size - part + 1 for size, part in zip(sizes, window, strict=True)]
        arrays = [abs(array) for array in arrays]
    pairs = zip(arrays[1:], sizes, strict=True)
    return [np.clip(a, 0 if a.dtype.kind == "u" else -n, n - 1).astype(a.dtype) for a, n in pairs]
