"""tile_contractions: let a block of threads compute a tile of a contraction from shared memory.

    for parallel %i < m {                 for block %row_tile < m/128 { for block %column_tile ... {
      for parallel %j < n {                 local %left: f32[...]      a slice of the rows' factor
        accumulator %s = sum                local %right: f32[...]     and one of the columns'
        for serial %k < d {                 for thread %t < 256 lanes 256 {
          accumulate %s x * w                 8 by 8 sums in registers
        }                                     for serial %slice < d/8 {
        store %out[...] = %s                    bring the next slices, add up these
      }                                         barrier
    }                                         }
                                              store the sums } } }

Without it each result is a thread that reads both operands from far away for every product. Here a
slice of both is brought once for the whole tile, by threads side by side along memory, and each
thread reads from it what serves all its sums. While a slice is added up the next one is on its way:
there is room for two. The terms of each sum are added in their order, by one thread, so the bits
are those of a thread for each result. Producers and consumers fused with the contraction stand
where they stood: around what is brought, and before the stores. What lies beyond the last row,
column or term is not loaded, counts as zero, and is not stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Size, product
from graphc.ir.kernel import For, Kernel
from graphc.ir.program import Decision, Program
from graphc.passes.block_tile import block_tile, tiles_of, usual
from graphc.passes.contraction import Contraction, contraction_of
from graphc.passes.contraction_tiling import Tiling
from graphc.passes.decisions import record
from graphc.passes.on_kernels import on_kernels
from graphc.passes.split_kernels import is_independent
from graphc.passes.widen_accesses import Starts, starts_of

FEWEST = 8
"""Rows and columns below which most of the smallest tile would be empty; where there are fewer
results than a device has threads, half as many."""
ENOUGH_RESULTS = 1 << 18
"""The threads of a typical device: a thousand or two for each processor."""
ENOUGH_WORK = 1 << 20
"""Multiplications from which tiles are worth it: some microseconds of a device."""


def tile_contractions(program: Program) -> Program:
    """Let blocks of threads compute the contractions that are large enough in tiles."""
    return in_tiles(program, tiling_of, "tile_contractions")


Choice = Callable[[Contraction, Starts], Tiling | None]
"""The tiles of a contraction over buffers that begin somewhere, if they are of some kind."""


def in_tiles(program: Program, tiling: Choice, stage: str) -> Program:
    """The program with the kernels in tiles of a kind that are contractions worth them."""
    starts = starts_of(program)
    return on_kernels(
        program, lambda kernel: tile_kernel(kernel, tiling, stage, starts.get(kernel.name, {}))
    )


def tile_kernel(kernel: Kernel, tiling: Choice, stage: str, starts: Starts) -> Kernel:
    """The kernel in tiles of a kind, if it is a contraction that is worth them."""
    if len(kernel.body) != 1 or not isinstance(kernel.body[0], For):
        return kernel
    nest = kernel.body[0]
    found = contraction_of(nest) if is_independent(nest) else None
    chosen = None if found is None or not is_worth_it(found) else tiling(found, starts)
    if chosen is None:
        return kernel
    note(kernel, chosen, stage)
    return replace(kernel, body=(chosen.nest(),))


def note(kernel: Kernel, chosen: Tiling, stage: str) -> None:
    """Record the tiles of a kernel."""
    found = chosen.found
    numbers = (
        ("separate", str(found.count(found.separate))), ("rows", str(found.count(found.rows))),
        ("columns", str(found.count(found.columns))), ("terms", str(found.count(found.depth))),
        ("elements an access", " and ".join(str(each.lanes) for each in chosen.operands)),
    )  # fmt: skip
    record(Decision(stage, str(chosen.tile), f"@{kernel.name}",
                    "a block of threads reads both operands once for a whole tile", numbers,
                    where=kernel.origin))  # fmt: skip


def tiling_of(found: Contraction, starts: Starts) -> Tiling:
    """The tiles of a contraction over buffers that begin somewhere."""
    return Tiling(found, block_tile(*counts(found), tiles_of(found.sum.dtype)), starts)


def counts(found: Contraction) -> tuple[Size, Size, Size]:
    """How many separate products, rows and columns there are."""
    return found.count(found.separate), found.count(found.rows), found.count(found.columns)


def is_worth_it(found: Contraction) -> bool:
    """Whether there are rows and columns for a tile, and work for a device."""
    separate, rows, columns = map(usual, counts(found))
    is_busy = separate * rows * columns >= ENOUGH_RESULTS  # with a thread for each result
    fewest = FEWEST if is_busy else FEWEST // 2
    return min(rows, columns) >= fewest and work_of(found) >= ENOUGH_WORK


def work_of(found: Contraction) -> int:
    """How many products a contraction adds up, usually."""
    loops = (*found.separate, *found.rows, *found.columns)
    return usual(found.count(loops)) * terms_of(found)


def terms_of(found: Contraction) -> int:
    """How many products each of its sums has, usually."""
    limits = (dim.upper_bound(loop.limit) for loop in found.depth)
    return usual(product(1 if limit is None else limit for limit in limits))
