"""tile_loops: choose for each loop of a kernel how it runs: in vectors, in tiles, on threads.

lower leaves loops over results ("parallel": their iterations are independent) and loops of
reductions ("serial"). Here every innermost loop becomes a vector loop along the axis that is
contiguous in memory, products of matrices become register tiles, and only the outermost loop
stays parallel. Loops whose iterations follow from one another keep their order; where loops around
them are independent and walk memory evenly, those are what stands side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Accumulate,
    For,
    Kernel,
    Let,
    Statement,
    accesses,
    loop,
    statements,
    substitute,
    variable,
)
from graphc.ir.program import Decision, Program
from graphc.passes.adjacent_lines import read_together, reads_apart
from graphc.passes.choose import Way, choose
from graphc.passes.decisions import record
from graphc.passes.inner_tile import inner_tile, is_inner
from graphc.passes.loop_nests import perfect
from graphc.passes.loop_orders import in_order
from graphc.passes.machine import TYPICAL_SIZE, Registers
from graphc.passes.on_kernels import on_kernels
from graphc.passes.ordered_loops import is_even_lockstep, is_ordered, keeps_order, lasts_of
from graphc.passes.predict_cost import predicted, work_of
from graphc.passes.product_tiles import strips_of_tiles, tiles
from graphc.passes.reduction_tile import is_reduction_tile, reduction_tile
from graphc.passes.register_tile import is_tileable
from graphc.passes.rows_side_by_side import ROWS, rows_side_by_side, shares_vectors
from graphc.passes.sliding_tile import (
    sliding_block,
    sliding_block_pair,
    sliding_pair,
    sliding_tile,
)
from graphc.passes.stream_rows import is_large, is_streamable, stream_rows
from graphc.passes.transpose_tile import is_transposing, transpose_tile

# Elements that one task of a parallel loop takes from a flat array: about a microsecond of work.
CHUNK = 4096
# Elements side by side in a loop over results; in one that adds to sums in memory; in the partial
# values of a reduction.
LANES, ADDING_LANES, REDUCTION_LANES, NARROW_LANES = 32, 64, 64, 16
# What a search may take in place of the number of elements of a task, and of those side by side.
CHUNKS, SIDE_BY_SIDE = (1024, 2048, 4096, 8192, 16384), (16, 32, 64, 128, 256)
# With more values than this in flight, fewer iterations side by side keep them in registers.
MANY_VALUES = 24
# What a load costs of every second element, and of elements further apart, in contiguous loads; and
# what it costs to add up the lanes of a vector.
PAIRS_COST, GATHER_COST, COMBINE_COST = 3, 8, 2


def tile_loops(program: Program, registers: Registers | None = None) -> Program:
    """Give each loop its kind: vector, unrolled, parallel or serial (for a target's registers)."""
    return on_kernels(program, partial(tile_kernel, registers=registers or Registers()))


def tile_kernel(kernel: Kernel, registers: Registers) -> Kernel:
    """The kernel with its loops scheduled."""
    schedule = Schedule(kernel, registers, lasts_of(kernel))
    body = tuple(part for s in kernel.body for part in schedule.outermost(s))
    return replace(kernel, body=body)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The choices for one kernel."""

    kernel: Kernel
    registers: Registers
    lasts: frozenset[str]

    def outermost(self, statement: Statement) -> tuple[Statement, ...]:
        """A statement of the kernel's body, scheduled: its loop over results runs on threads."""
        if not isinstance(statement, For):
            return (statement,)
        if statement.kind != "parallel":
            return self.inside((statement,))
        nest = in_order(statement, self.kernel.name)
        return self.tiled(nest, True) or self.results(nest, "parallel")

    def tiled(self, nest: For, threads: bool) -> tuple[Statement, ...]:
        """Loops around one sum in the tiles that fit it; nothing if none do."""
        registers, name = self.registers, self.kernel.name
        if is_tileable(nest):
            return tiles(nest, registers, self.kernel, threads)
        if in_strips := strips_of_tiles(nest, registers, self.kernel, threads):
            return in_strips
        if is_inner(nest):
            return inner_tile(nest, registers, name, threads)
        if sliding_block_pair(nest) is not None:
            return sliding_block(nest, registers, name, threads)
        if slides(nest):
            return sliding_tile(nest, registers, name, threads)
        return () if threads or not shares(nest) else (reduction_tile(nest, registers, name),)

    def results(self, nest: For, kind: str) -> tuple[Statement, ...]:
        """A loop over results, as the given kind; the innermost of them in vectors."""
        if is_transposing(nest):
            return transpose_tile(nest, kind, self.kernel)
        if reads_apart(nest):
            return (read_together(nest, kind, self.kernel),)
        if shares_vectors(nest):
            (columns,) = nest.body
            assert isinstance(columns, For)
            lanes = max(NARROW_LANES, self.lanes_of(columns) // ROWS)
            return (rows_side_by_side(nest, kind, lanes, self.kernel.name),)
        inner = [s for s in nest.body if isinstance(s, For) and s.kind in ("parallel", "vector")]
        if inner:
            return (replace(nest, kind=kind, body=self.inside(nest.body)),)
        if keeps_order(nest, self.lasts) and not is_even_lockstep(nest):
            return (replace(nest, kind=kind, body=self.inside(nest.body)),)
        reductions = [s for s in nest.body if isinstance(s, For) and not is_ordered(s, self.lasts)]
        if reductions and (are_uneven(nest) or self.prefers_reduction(nest, reductions)):
            return (replace(nest, kind=kind, body=self.inside(nest.body)),)
        if len(reductions) == 1 and is_streamable(nest) and is_large(nest):
            return (stream_rows(nest, kind, self.kernel),)
        vector = replace(nest, kind="vector", lanes=self.lanes_of(nest))
        return self.chunked(vector) if kind == "parallel" else (vector,)

    def inside(self, body: Iterable[Statement]) -> tuple[Statement, ...]:
        """A block inside a loop over results: each loop in it scheduled for one thread."""
        result: list[Statement] = []
        for statement in body:
            if not isinstance(statement, For) or statement.kind == "vector":
                result.append(statement)
            elif is_ordered(statement, self.lasts):
                result.append(replace(statement, body=self.inside(statement.body)))
            elif statement.kind == "serial":
                result.append(self.reduction(statement))
            else:
                tiled = self.tiled(statement, False)
                result.extend(tiled or self.results(statement, "serial"))
        return tuple(result)

    def reduction(self, nest: For) -> For:
        """The loops of a reduction: the innermost in vectors with partial results."""
        inner = [s for s in nest.body if isinstance(s, For)]
        if inner:
            return replace(nest, body=self.inside(nest.body))
        lanes = REDUCTION_LANES if typical(nest.limit) >= REDUCTION_LANES else NARROW_LANES
        return replace(nest, kind="vector", lanes=lanes)

    def prefers_reduction(self, nest: For, reductions: list[For]) -> bool:
        """Whether vectors along the reductions read memory better than along the results."""
        along, inward = costs(nest, reductions)
        choice = "along the reduction" if inward < along else "along the results"
        numbers = (("cost along results", f"{along:.2f}"), ("along reduction", f"{inward:.2f}"),
                   predicted(work_of((nest,), self.kernel.buffers).seconds))  # fmt: skip
        record(Decision("tile_loops", f"vectors {choice}", self.kernel.name,
                        "fewer memory accesses for each element", numbers))  # fmt: skip
        return inward < along

    def lanes_of(self, nest: For) -> int:
        """How many iterations of a loop over results stand side by side."""
        if any(isinstance(s, For) for s in nest.body):
            return self.one_of(self.column_lanes(nest.limit), SIDE_BY_SIDE, nest, "lanes")
        lets = sum(isinstance(s, Let) for s in nest.body)
        narrow = lets > MANY_VALUES or typical(nest.limit) < LANES
        adds = any(isinstance(s, Accumulate) for s in nest.body)
        usual = NARROW_LANES if narrow else ADDING_LANES if adds else LANES
        return self.one_of(usual, SIDE_BY_SIDE[:3], nest, "lanes")

    def one_of(self, usual: int, numbers: Iterable[int], nest: For, noun: str) -> int:
        """A number that a schedule of a loop needs: the usual one, or what is chosen of others."""
        seconds = work_of((nest,), self.kernel.buffers).seconds

        def way(number: int) -> Way[int]:
            return Way(f"{number} {noun}", number, seconds)

        return choose(self.kernel.name, way(usual), lambda: map(way, numbers)).value

    def chunked(self, vector: For) -> tuple[Statement, ...]:
        """A long vector loop cut into chunks that run on threads; a short one as it is."""
        limit = vector.limit
        if isinstance(limit, int) and limit <= CHUNK:
            return (vector,)
        if vector.lanes > LANES:
            return chunks(vector, vector.lanes)
        return chunks(vector, self.one_of(CHUNK, CHUNKS, vector, "iterations a task"))

    def column_lanes(self, limit: Size) -> int:
        """How many columns are reduced side by side: as long rows as half the registers hold."""
        most = self.registers.bits // 32 * self.registers.count // 2
        lanes = NARROW_LANES
        while lanes * 2 <= min(most, typical(limit)):
            lanes *= 2
        return lanes


def chunks(vector: For, step: int) -> tuple[Statement, ...]:
    """A vector loop in chunks of so many iterations, which run on threads."""
    limit = vector.limit
    name = vector.variable.name
    outer = loop(f"{name}o", (limit + step - 1) // step, "parallel", ())
    start = variable(outer) * step
    whole = isinstance(limit, int) and limit % step == 0
    length = step if whole else dim.minimum(step, limit - start)
    inner = loop(f"{name}i", length, "vector", (), vector.lanes)
    body = substitute(vector.body, {name: start + variable(inner)})
    return (replace(outer, body=(replace(inner, body=body),)),)


def are_uneven(nest: For) -> bool:
    """Whether loops inside run longer in some iterations than in others, so not side by side."""
    inner = (s for s in statements(nest.body) if isinstance(s, For))
    return any(nest.variable in dim.variables(s.limit) for s in inner)


def innermost(nest: For) -> For:
    """The innermost loop of nested loops."""
    while inner := [s for s in nest.body if isinstance(s, For)]:
        nest = inner[-1]
    return nest


def typical(limit: Size) -> int:
    """A limit, or what one is taken to be that is symbolic or depends on loops around."""
    if isinstance(limit, int):
        return limit
    most = dim.upper_bound(limit)
    return min(most, TYPICAL_SIZE) if isinstance(most, int) else TYPICAL_SIZE


def slides(nest: For) -> bool:
    """Whether a pair of loops becomes a tile that slides, with vectors along its columns."""
    pair = sliding_pair(nest)
    if pair is None or (is_streamable(pair.columns) and is_large(pair.columns)):
        return False
    along, inward = costs(pair.columns, [pair.reduction])
    return along <= inward


def shares(nest: For) -> bool:
    """Whether few results add up the same loads, with vectors along the sum."""
    if not is_reduction_tile(nest):
        return False
    rows, inside = perfect(nest)
    along, inward = costs(rows[-1], [s for s in inside if isinstance(s, For)])
    return inward < along


def costs(nest: For, reductions: list[For]) -> tuple[float, float]:
    """What vectors along the results cost for an element, and vectors along the reductions."""
    inward = [inward_cost(innermost(reduction), nest) for reduction in reductions]
    return vector_cost(nest, nest), sum(inward) / len(inward)


def vector_cost(along: For, nest: For) -> float:
    """Memory accesses for each element when vectors lie along a loop, in contiguous loads."""
    name = along.variable.name
    costs = [access_cost(access.offset, name) for access in accesses(nest.body)]
    return sum(costs) / max(1, min(typical(along.limit), NARROW_LANES))


def inward_cost(along: For, nest: For) -> float:
    """The same along a reduction, whose lanes are added up in the end."""
    return vector_cost(along, nest) + COMBINE_COST / max(1, typical(along.limit))


def access_cost(offset: Size, name: str) -> int:
    """What an access costs with vectors along a variable."""
    step = dim.coefficient(offset, name)
    return 1 if step in (0, 1) else PAIRS_COST if step == 2 else GATHER_COST
