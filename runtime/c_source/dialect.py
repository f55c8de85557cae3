"""Dialect: the words in which the dialects of C for devices differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.ir.types import DType, float32


@dataclass(frozen=True, slots=True)
class MatrixUnit:
    """How a dialect says that a warp multiplies matrices.

    condition is what the preprocessor asks, since not every device has a unit. functions has by
    dtype the text of a function `multiply_matrices_DTYPE(upper, lower, left, right)`, which adds to
    two sums of the first row and two of the second the products of pairs of 16-bit floats.
    """

    condition: str
    functions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the printer asks of a dialect; everything else is plain C99.

    suffix ends the names of files, heading stands before all else. integers maps the names of
    <stdint.h> to the dialect's own. entry begins a kernel, bounds says how many threads a block of
    it has, function begins any other function. buffer and shared qualify memory of the device and
    of a block. block and thread are the numbers of the running ones, barrier lets a block's threads
    meet. bits and float_of turn a float into the unsigned integer of its bits and back, by the
    float's width. single is what the names of functions of floats end in, as in floorf. infinity
    and nan are by the float's width. long_suffix marks a 64-bit integer. matrix has the words for
    units that multiply matrices, where the dialect has some.
    """

    name: str
    suffix: str
    heading: str
    integers: Mapping[str, str]
    entry: str
    bounds: str
    function: str
    buffer: str
    shared: str
    block: str
    thread: str
    barrier: str
    bits: Mapping[int, str]
    float_of: Mapping[int, str]
    single: str
    infinity: Mapping[int, str]
    nan: Mapping[int, str]
    long_suffix: str
    matrix: MatrixUnit | None = None

    def math(self, name: str, dtype: DType) -> str:
        """The name of a function of <math.h> for a dtype that is computed in."""
        return name + self.single if dtype == float32 else name
