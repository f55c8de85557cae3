"""Samples of the operators over tiles of images."""

from typing import Any

import numpy as np
from sample import Array, B, N, Row, Sample, Shape

from graphc.ir.op import OPS
from graphc.ops.tile_formulas import transposed

# Rows in pairs of equal and opposite factors, one without any, and a tile larger than its result.
MATRIX = ((1.0, 0.0, -1.5), (0.5, 2.0, -1.0), (0.5, -2.0, -1.0), (0.0, 0.0, 0.0))
SMALL = ((1.0, 2.0), (1.0, -2.0), (0.0, 3.0))


def tiled(shape: Shape, step: int, low: Any, counts: Any, matrix: Any = MATRIX) -> Sample:
    """Tiles of an image."""
    return Sample((shape,), {"matrix": matrix, "step": step, "low": low, "counts": counts})


def scale_of(name: str) -> Any:
    """The sum of magnitudes, once for each factor along both axes."""

    def scale(x: Array, **attrs: Any) -> Array:
        magnitudes = tuple(tuple(map(abs, row)) for row in attrs["matrix"])
        value = OPS[name].reference(np.abs(x), **{**attrs, "matrix": magnitudes})
        return np.asarray(value * 4 * len(attrs["matrix"][0]))

    return scale


TILES = (
    tiled((1, 3, 3, 1), 1, (0, 0), (1, 1)),
    tiled((2, 7, 9, 17), 2, (1, 0), (4, 5)),
    tiled((2, 4, 6, 3), 2, (0, 0), (2, 3), SMALL),
    tiled((1, 9, 4, 2), 3, (-1, 2), (3, 2), SMALL),
    tiled((3, 5, 5, 2), 4, (0, 0), (1, 2)),
    tiled((0, 3, 3, 2), 1, (0, 0), (1, 1)),
    tiled((2, 3, 3, 0), 1, (0, 0), (1, 1)),
    tiled((2, 0, 3, 1), 1, (1, 1), (1, 1)),
    tiled((2, 3, 3, 1), 1, (0, 0), (0, 1)),
    tiled((B, 5, 6, N), 2, (1, 1), (3, 3)),
)


def added(sample: Sample) -> Sample:
    """The transposed operator, for the same images."""
    (shape,), attrs = sample.shapes, sample.attrs
    rows, columns = attrs["counts"]
    tiles = (len(attrs["matrix"]) ** 2, shape[0] * rows * columns, shape[3])
    turned = {**attrs, "matrix": transposed(attrs["matrix"]), "sizes": shape[:3]}
    return Sample((tiles,), turned)


def row(name: str, samples: tuple[Sample, ...], refused: tuple[Sample, ...]) -> Row:
    """An operator over tiles."""
    without = ("float16", "bfloat16")
    return Row(
        "float", samples, refused, None, scale=scale_of(name), without=without, signed_zero=False
    )


TRANSFORM_TILES = row("transform_tiles", TILES, (
    tiled((3, 3, 1), 1, (0, 0), (1, 1)),
    tiled((1, 3, 3, 1), 0, (0, 0), (1, 1)),
    tiled((1, 3, 3, 1), 1, (0,), (1, 1)),
    tiled((1, 3, 3, 1), 1, (0, 0), (-1, 1)),
    tiled((1, 3, 3, 1), 1, (0, 0), (1, 1), ((1.0, 2.0), (1.0,))),
))  # fmt: skip
ADD_TILES = row("add_tiles", tuple(map(added, TILES)), (
    Sample(((16, 2, 1),), added(TILES[0]).attrs),
    Sample(((9, 1, 1),), added(TILES[0]).attrs),
    Sample(((16, 1),), added(TILES[0]).attrs),
    Sample(((16, 1, 1),), {**added(TILES[0]).attrs, "sizes": (1, 3)}),
))  # fmt: skip
