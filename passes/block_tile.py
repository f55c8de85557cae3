"""How large the tiles are of which a block of threads computes one: a rule of sizes alone.

A block has 16 by 16 threads, each with a part of the tile in registers. Larger tiles read memory
less often for each product; smaller ones are more, and keep more of a device busy: its processors
in number, and each of them with several blocks, of which some add up while others wait for memory.
Taken is what needs the least time by that.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.types import DType

SIDE = 16
"""Threads of a block along the rows of its tile, and along the columns."""
THREADS = SIDE * SIDE
PROCESSORS = 128
"""Processors of a typical device."""
REGISTERS, OTHER_REGISTERS = 65536, 48
"""Registers of 32 bits that a processor has, and those of a thread for all but its sums."""
WAIT = 100_000
"""What a block by itself waits at each slice, for memory and for its threads, in multiplications of
one processor: some 800 cycles."""
USUAL_SIZE = 256
"""What a symbolic size is taken to be."""
WIDTHS = (16, 32, 64, 128)
MOST_REGISTERS = 64
"""Registers of 32 bits for the sums of a thread; as many again are for all else."""
STEP_COST = 20
"""What an element of a row or column costs at each step, in multiplications: a thread finds out
where it lies, loads it and stores it in shared memory."""
READ_TOGETHER = 4
"""Elements side by side that a thread reads from shared memory in the time of a multiplication."""
SLICE_BYTES = 8192
"""Bytes of a slice of both operands, about: a few elements for each thread to bring."""
PADDING = 4
"""Elements between the rows of a slice, so that elements side by side in either direction lie in
different banks of shared memory, and four stay aligned."""
LONGEST_SLICE = 32
SHARED_BYTES = 32768
"""Bytes of shared memory that a block has on every device (OpenCL 1.2, 4.2)."""


@dataclass(frozen=True, slots=True)
class BlockTile:
    """Rows and columns of a tile, and how many steps of the sum are brought at a time."""

    rows: int
    columns: int
    depth: int

    def __str__(self) -> str:
        return f"tiles of {self.rows} by {self.columns}, {self.depth} terms at a time"

    @property
    def slice_size(self) -> int:
        """The elements of a slice of both operands in shared memory."""
        return (self.rows + self.columns + 2 * PADDING) * self.depth

    def count(self, separate: Size, rows: Size, columns: Size) -> int:
        """How many tiles so many products of rows and columns have, usually."""
        return usual(separate) * -(-usual(rows) // self.rows) * -(-usual(columns) // self.columns)

    @property
    def together(self) -> int:
        """How many blocks share a processor, as their registers allow."""
        return REGISTERS // (self.rows * self.columns + THREADS * OTHER_REGISTERS)

    def cost(self, separate: Size, rows: Size, columns: Size) -> int:
        """What a step of all sums takes, in multiplications of one processor's."""
        turns = -(-self.count(separate, rows, columns) // PROCESSORS)
        whole, rest = divmod(turns, self.together)
        return whole * self.time(self.together) + self.time(rest)

    def time(self, blocks: int) -> int:
        """What a step of so many blocks takes that share a processor."""
        reads = sum(-(-width // (SIDE * READ_TOGETHER)) for width in (self.rows, self.columns))
        brought = STEP_COST * (self.rows + self.columns)
        each = self.rows * self.columns + THREADS * reads + brought
        return max(blocks * each, each + WAIT // self.depth) if blocks else 0


def block_tile(separate: Size, rows: Size, columns: Size, tiles: Sequence[BlockTile]) -> BlockTile:
    """The one of some tiles that suits so many separate products of rows and columns."""
    return min(tiles, key=lambda tile: tile.cost(separate, rows, columns))


def tiles_of(dtype: DType) -> list[BlockTile]:
    """The tiles whose sums, of a dtype, fit into registers, and two slices into shared memory.

    Large ones come first.
    """
    size = max(dtype.bytes, 4)
    tiles = [
        BlockTile(height, width, slice_depth(height, width, size))
        for height, width in itertools.product(reversed(WIDTHS), repeat=2)
        if height * width * size <= THREADS * MOST_REGISTERS * 4
    ]
    return [tile for tile in tiles if 2 * tile.slice_size * size <= SHARED_BYTES]


def slice_depth(rows: int, columns: int, size: int) -> int:
    """How many terms are brought at a time, elements of so many bytes: at least one a thread."""
    depth = THREADS // min(rows, columns)
    while depth < LONGEST_SLICE and depth * (rows + columns) * size < SLICE_BYTES:
        depth *= 2
    return depth


def usual(size: Size) -> int:
    """A size, where it is symbolic a usual one."""
    return dim.evaluate(size, {symbol.name: USUAL_SIZE for symbol in dim.symbols(size)})
