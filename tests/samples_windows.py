"""Samples of the operators over sliding windows: convolution and pooling."""

from typing import Any

import numpy as np
from sample import Array, Attrs, B, N, Row, Sample, Shape, numbers

from graphc.ir.op import OPS
from graphc.ir.types import TensorType, int32


def convolution_scale(x: Array, w: Array, **attrs: Any) -> Array:
    """The sum of magnitudes, once for each multiplication and addition."""
    total = OPS["convolution"].reference(np.abs(x), np.abs(w), **attrs)
    return np.asarray(total * np.prod(w.shape[1:]))


def window_sum_scale(x: Array, **attrs: Any) -> Array:
    """The sum of magnitudes, once for each addition."""
    return np.asarray(OPS["window_sum"].reference(np.abs(x), **attrs) * np.prod(attrs["window"]))


def scatter_scale(x: Array, taps: Array, **attrs: Any) -> Array:
    """The sum of magnitudes, once for each window that may see an element."""
    total = OPS["window_scatter"].reference(np.abs(x), taps, **attrs)
    return np.asarray(total * np.prod(attrs["window"]))


def convolved(x: Shape, w: Shape, *numbers: Any, groups: int = 1) -> Sample:
    """A convolution: strides, low, high, x_dilation, w_dilation; each defaults to none of it."""
    names = ("strides", "low", "high", "x_dilation", "w_dilation")
    plain: dict[str, Any] = dict(zip(names, (1, 0, 0, 1, 1), strict=True))
    given = plain | dict(zip(names, numbers, strict=False))
    rank = len(x) - 2
    spread = {k: v if isinstance(v, tuple) else (v,) * rank for k, v in given.items()}
    return Sample((x, w), {**spread, "groups": groups})


CONVOLUTION = Row(
    "number",
    (
        convolved((1, 2, 5), (3, 2, 3)),
        convolved((2, 1, 1), (1, 1, 1)),
        convolved((1, 2, 6), (2, 2, 3), 2, 1, 1),
        convolved((1, 1, 4, 5), (2, 1, 3, 2), 1, (1, 0), (1, 1)),
        convolved((1, 4, 5), (4, 1, 3), 1, 1, 1, groups=4),
        convolved((1, 4, 6), (6, 2, 2), 2, 0, 1, 1, 2, groups=2),
        convolved((2, 3, 4), (2, 3, 2), 1, 2, 1, 3, 1),
        convolved((1, 2, 9), (1, 2, 2), 3, -1, -2),
        convolved((1, 1, 2, 3, 3), (2, 1, 2, 1, 2)),
        convolved((2, 16, 9, 40), (8, 16, 3, 3), 1, 1, 1),
        convolved((0, 2, 5), (3, 2, 3)),
        convolved((2, 0, 5), (3, 0, 3)),
        convolved((1, 2, 0), (3, 2, 3), 1, 1, 1),
        convolved((1, 2, 0), (3, 2, 3), 1, 2, 2),
        convolved((B, 2, N), (3, 2, 3), 1, 1, 1),
        convolved((B, 2, N), (2, 2, 3), 2, 1, 1),
        convolved((B, 2, N), (4, 1, 2), 1, 2, 1, 2, 1, groups=2),
        convolved((1, 4, 5), (0, 2, 3), groups=2),
        convolved((2, 0, 5), (0, 1, 3), groups=0),
    ),
    (
        convolved((1, 2, 5), (3, 3, 3)),
        convolved((1, 2, 5), (3, 2, 3, 1)),
        convolved((1, 2), (3, 2)),
        convolved((1, 2, 5), (3, 2, 9)),
        convolved((1, 2, 5), (3, 1, 3), groups=2),
        convolved((1, 0, 5), (3, 1, 3), groups=0),
        convolved((1, 2, 5), (3, 2, 3), 0),
        convolved((1, 2, 5), (3, 2, 3), 1, 0, 0, 1, 0),
        convolved((1, 2, 5), (3, 2, 3), (1, 1)),
    ),
    ulp=None,
    scale=convolution_scale,
    signed_zero=False,
)


def pooled(shape: Shape, window: Any, strides: Any, low: Any, high: Any, dilation: Any) -> Attrs:
    """A window along the last axes of an operand."""
    plain = {"window": 1, "strides": 1, "low": 0, "high": 0, "dilation": 1}
    given = {"window": window, "strides": strides, "low": low, "high": high, "dilation": dilation}
    rest = {name: len(shape) - len(given[name]) for name in plain}
    return {name: (plain[name],) * rest[name] + given[name] for name in plain}


WINDOWS: tuple[tuple[Shape, Attrs], ...] = tuple(
    (shape, pooled(shape, *rest))
    for shape, *rest in (
        ((7,), (3,), (2,), (1,), (1,), (1,)),
        ((2, 6), (2,), (2,), (0,), (0,), (1,)),
        ((1, 4, 5), (2, 3), (1, 2), (1, 1), (0, 1), (1, 1)),
        ((2, 9), (3,), (1,), (2,), (2,), (2,)),
        ((3, 2), (1,), (1,), (0,), (0,), (1,)),
        ((5, 3, 2), (2, 1, 2), (2, 1, 1), (0, 0, 1), (1, 0, 0), (1, 1, 1)),
        ((1, 9), (2,), (3,), (-1,), (-2,), (1,)),
        ((2, 40, 41), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1)),
        ((0, 5), (3,), (1,), (0,), (0,), (1,)),
        ((2, 0), (2,), (1,), (1,), (1,), (1,)),
        ((3, "n"), (3,), (2,), (1,), (1,), (1,)),
        (("b", 2, "n"), (3,), (1,), (1,), (1,), (1,)),
    )
    for shape in [tuple({"n": N, "b": B}.get(size, size) for size in shape)]  # type: ignore
)
REFUSED: tuple[tuple[Shape, Attrs], ...] = (
    ((5,), pooled((5,), (8,), (1,), (0,), (0,), (1,))),
    ((5,), pooled((5,), (0,), (1,), (0,), (0,), (1,))),
    ((5,), pooled((5,), (2,), (0,), (0,), (0,), (1,))),
    ((5, 5), pooled((5,), (2,), (1,), (0,), (0,), (1,))),
)
SPREAD: tuple[tuple[Shape, Attrs, tuple[int, ...]], ...] = (
    ((2, 4), pooled((2, 4), (3,), (1,), (2,), (2,), (1,)), (1, 2)),
    ((3, N), pooled((3, N), (2,), (1,), (2,), (2,), (2,)), (2, 3)),
)
"""Windows over elements with zeros between them."""


def result(shape: Shape, attrs: Attrs) -> Shape:
    """The shape that pooling gives."""
    kind = OPS["window_max"].infer(TensorType(int32, shape), **attrs)
    assert isinstance(kind, TensorType)
    return kind.shape


def with_results(number: int) -> list[Sample]:
    """An operand of the windows, or of the results (`number` tells which), and one of results."""
    samples = []
    for shape, attrs in WINDOWS:
        counts = result(shape, attrs)
        extra = {"shape": shape} if number else {}
        first = counts if number else shape
        samples.append(Sample((first, counts), {**attrs, **extra}, {1: int32}))
    return samples


def few_numbers(random: np.random.Generator, tensor: TensorType, place: int) -> Array:
    """Elements that tie often, and that a random maximum meets."""
    return random.integers(0, 3, numbers(tensor.shape)).astype(tensor.dtype.numpy)


def some_taps(random: np.random.Generator, tensor: TensorType, place: int) -> Array | None:
    """Numbers of taps, some of them out of range."""
    return random.integers(-1, 10, numbers(tensor.shape)).astype(np.int32) if place else None


POOLING = {
    "window_sum": Row(
        "number",
        (
            *(
                Sample((shape,), {**attrs, "x_dilation": (1,) * len(shape)})
                for shape, attrs in WINDOWS
            ),
            *(Sample((shape,), {**attrs, "x_dilation": gaps}) for shape, attrs, gaps in SPREAD),
        ),
        tuple(
            Sample((shape,), {**attrs, "x_dilation": (1,) * len(shape)}) for shape, attrs in REFUSED
        ),
        ulp=None,
        scale=window_sum_scale,
        signed_zero=False,
    ),
    "window_max": Row(
        "number",
        tuple(Sample((shape,), attrs) for shape, attrs in WINDOWS),
        tuple(Sample((shape,), attrs) for shape, attrs in REFUSED),
        signed_zero=False,
    ),
    "window_argmax": Row(
        "number",
        tuple(Sample((shape, result(shape, attrs)), attrs) for shape, attrs in WINDOWS),
        (Sample(((7,), (7,)), WINDOWS[0][1]),),
        smooth=None,
        choose=few_numbers,
    ),
    "window_gather": Row(
        "number",
        tuple(with_results(0)),
        (
            Sample(((7,), (7,)), WINDOWS[0][1], {1: int32}),
            Sample(((7,), result(*WINDOWS[0])), WINDOWS[0][1]),
        ),
        signed_zero=False,
        choose=some_taps,
    ),
    "window_scatter": Row(
        "number",
        tuple(with_results(1)),
        (
            Sample(((7,), (7,)), {**WINDOWS[0][1], "shape": (7,)}, {1: int32}),
            Sample(((7,), result(*WINDOWS[0])), {**WINDOWS[0][1], "shape": (7,)}, {1: int32}),
        ),
        ulp=None,
        scale=scatter_scale,
        signed_zero=False,
        choose=some_taps,
    ),
}
