"""Dialect: the words in which the dialects of C for devices differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphc.ir.types import DType, float32

WORDS = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}
"""What one access of plain C reads or writes, by bytes."""
WARP = 32
"""The threads of a warp."""


@dataclass(frozen=True, slots=True)
class WarpWords:
    """What a dialect says of warps: threads side by side that hand each other values.

    barrier lets a warp's threads meet. below takes a value from the thread so many places further
    on, first the one of the warp's first thread.
    """

    barrier: str
    below: str
    first: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the printer asks of a dialect; everything else is plain C99.

    suffix ends the names of files, heading stands before all else. integers maps the names of
    <stdint.h> to the dialect's own. entry begins a kernel, bounds says how many threads a block of
    it has, crowded also how many blocks are to share a processor, where the dialect has words for
    that. function begins any other function. buffer and shared qualify memory of the device and
    of a block, shared_pointer pointers into the latter, aligned arrays of which one access takes 16
    bytes. given declares shared memory that a kernel is launched with. block and thread are the
    numbers of the running ones, barrier lets a block's threads meet. bits and float_of turn a float
    into the unsigned integer of its bits and back, by the float's width. single is what the names
    of functions of floats end in, as in floorf. infinity and nan are by the float's width.
    long_suffix marks a 64-bit integer. warp has words for warps of WARP threads, where the dialect
    promises them. unroll stands before loops whose arrays become registers when they are taken
    apart. words are what one access reads or writes, by bytes. functions has helper functions that
    are written otherwise than in plain C, by name. matrix is what the preprocessor asks before
    warps multiply matrices, where the dialect has words for that: functions
    `load_matrices_COUNT(parts, row)` and `load_matrices_transposed_COUNT`, which load matrices of 8
    rows of 16 bytes from shared memory, `round_matrices_COUNT(parts)`, which rounds float32 in them
    to tf32, and `multiply_matrices_DTYPE(upper, lower, left, right)`, which add to two sums of a
    row and two of another one the products of pairs of 16-bit floats or of tf32. A device that
    copies to shared memory by itself has `begin_copy_BYTES(to, from, is_read)`, which may put zeros
    there instead, and `end_copies_but_PENDING()`, which waits for those begun, but for those since
    so many calls of that kind before it. warpgroup is what the preprocessor asks before warpgroups
    multiply matrices, where the dialect has words for that: functions
    `describe_matrix(first, across, down)` and
    `multiply_warpgroup_DTYPE_COLUMNS_SIDES(upper, lower, left, right)`, which begins to add to sums
    of two rows. They stand between `begin_products()` and `commit_products()`, from where on they
    count as one, and `end_products_but_RUNNING()` waits for all but so many. `settle_sum(sum)`
    stands before a sum is used, and `show_copies()` before a barrier, behind which units are to see
    what has been copied.
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
    shared_pointer: str = ""
    aligned: str = ""
    given: str = ""
    warp: WarpWords | None = None
    unroll: str = "#pragma unroll"
    functions: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[int, str] = field(default_factory=lambda: WORDS)
    matrix: str = ""
    warpgroup: str = ""
    crowded: str = ""

    def math(self, name: str, dtype: DType) -> str:
        """The name of a function of <math.h> for a dtype that is computed in."""
        return name + self.single if dtype == float32 else name
