"""map_to_grid: deal the iterations of each kernel to a device's blocks and threads.

A nest of parallel loops becomes a grid with a thread for each iteration, or with a block for each
where the work inside is for many: a reduction along memory, which threads side by side read in
whole lines, or loops over a row. What stands outside of parallel loops is the work of one block,
or of one thread where it is in order.

The threads of a block combine what they have reduced by halves (`graphc.ir.kernel`), and their
number depends on the shapes alone; so do the bits of the result, whatever the device.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from graphc.ir import dim
from graphc.ir.dim import Size, Symbol, product
from graphc.ir.kernel import (
    Accumulate,
    For,
    Kernel,
    Local,
    Statement,
    loads,
    statements,
    substitute,
    variable,
)
from graphc.ir.program import Decision, Program
from graphc.passes.choose import Way, choose
from graphc.passes.decisions import record
from graphc.passes.loop_nests import chain, is_dealt_out, nested, perfect
from graphc.passes.machine import typical
from graphc.passes.on_kernels import on_kernels
from graphc.passes.ordered_loops import is_ordered, lasts_of
from graphc.passes.split_kernels import is_independent

# Threads that read memory side by side, and the most in a block.
WARP, BLOCK = 32, 256
# Threads that keep a device busy. With fewer, even a reduction across memory is for a block, if it
# is as long as LONG.
ENOUGH_THREADS, LONG = 8192, 256
# A row of so many elements at most is for a warp; so many warps are a block.
SHORT, WARPS = 1024, 4
# Other numbers of threads, and of warps, that a block may have where they work for themselves.
GRID_BLOCKS, BLOCKS = (128, 512, 1024, 64), (8, 2, 16)
# Loops that a block shares, at most: its threads wait for one another around each, and compilers
# for processors that run them in turns take a kernel apart at every such place.
MOST_SHARED = 8


def map_to_grid(program: Program) -> Program:
    """Make the loops of each kernel loops over a grid, over blocks, or over a block's threads."""
    return on_kernels(program, map_kernel)


def map_kernel(kernel: Kernel) -> Kernel:
    """The kernel with its loops dealt out; its body is one nest, or statements without any."""
    if is_dealt_out(kernel):
        return kernel
    lasts = lasts_of(kernel)
    if len(kernel.body) == 1 and isinstance(kernel.body[0], For):
        nest = kernel.body[0]
        if is_independent(nest):
            return replace(kernel, body=(map_nest(kernel, nest, lasts),))
    widths = [width for _, width in shared_loops(kernel.body, lasts)]
    if not 0 < len(widths) <= MOST_SHARED or max(widths) < WARP:
        note(kernel, "one thread", "there are no loops long enough to share, or too many")
        return kernel
    threads = threads_for(max(widths))
    note(kernel, f"one block of {threads} threads", "loops with a thread for each iteration")
    return replace(kernel, body=spread(kernel.body, lasts, threads))


def map_nest(kernel: Kernel, nest: For, lasts: Collection[str]) -> For:
    """A nest of parallel loops as a grid of threads or of blocks."""
    loops, inside = perfect(replace(nest, lanes=1))
    reason, width, is_row = why_blocks(loops, inside, lasts)
    if not reason:
        note(kernel, "a thread for each result", "threads side by side read and write side by side")
        grid = [replace(loop, kind="grid") for loop in loops]
        threads = chosen(kernel, "threads a block", BLOCK, GRID_BLOCKS)
        if threads != BLOCK:
            grid[0] = replace(grid[0], lanes=threads)
        return nested(grid, inside)
    blocks = [replace(loop, kind="block") for loop in loops]
    if is_row and is_short(inside, lasts):
        note(kernel, "a warp for each result", f"{reason}, and a warp meets sooner than a block")
        blocks[-1] = replace(blocks[-1], lanes=chosen(kernel, "warps a block", WARPS, BLOCKS))
        return nested(blocks, spread(inside, lasts, WARP))
    threads = threads_for(width)
    note(kernel, f"a block of {threads} threads for each result", reason)
    return nested(blocks, spread(inside, lasts, threads))


def note(kernel: Kernel, choice: str, reason: str) -> None:
    """Record a decision about a kernel."""
    record(Decision("map_to_grid", choice, f"@{kernel.name}", reason, where=kernel.origin))


def chosen(kernel: Kernel, what: str, usual: int, others: Sequence[int]) -> int:
    """A number of which all give the same bits: the usual one, or what was fastest."""
    ways = [Way(f"{number} {what}", number, 0.0) for number in (usual, *others)]
    return choose(kernel.name, ways[0], lambda: ways[1:]).value


def why_blocks(
    loops: Sequence[For], inside: tuple[Statement, ...], lasts: Collection[str]
) -> tuple[str, int, bool]:
    """Why each iteration of a nest is for a block, or ""; threads with work; if that is a row."""
    results = typical(product(loop.limit for loop in loops))
    shared = list(shared_loops(inside, lasts))
    for loop, width in shared if len(shared) <= MOST_SHARED else []:
        if width < WARP:
            continue
        if loop.kind != "serial":
            return "a row's elements lie side by side", width, True
        if is_along_memory(loop, loops[-1]):
            return "what is reduced lies side by side", width, True
        if results < ENOUGH_THREADS and width >= LONG:
            return f"{results} results are too few for a device", width, False
    return "", 0, False


def is_short(inside: tuple[Statement, ...], lasts: Collection[str]) -> bool:
    """Whether all that is shared is known to be short enough for a warp, and fills it."""
    if any(isinstance(s, Local) for s in statements(inside)):
        return False
    counts = [most_of(chain(loop)) for loop, _ in shared_loops(inside, lasts)]
    known = [count for count in counts if isinstance(count, int)]
    return len(known) == len(counts) and max(known) <= SHORT


def most_of(loops: Sequence[For]) -> Size | None:
    """The most iterations of loops inside one another, where that is known."""
    bounds = [dim.upper_bound(loop.limit) for loop in loops]
    known = [bound for bound in bounds if bound is not None]
    return product(known) if len(known) == len(bounds) else None


def shared_loops(body: tuple[Statement, ...], lasts: Collection[str]) -> Iterator[tuple[For, int]]:
    """The outermost loops that the threads of a block may share, with their usual lengths."""
    for statement in body:
        if isinstance(statement, For):
            if is_shareable(statement, lasts):
                limit = product(loop.limit for loop in as_one(statement))
                most = dim.upper_bound(limit)
                yield statement, typical(limit if most is None else most)
            elif statement.kind == "serial":
                yield from shared_loops(statement.body, lasts)


def is_shareable(loop: For, lasts: Collection[str]) -> bool:
    """Whether a loop's iterations may run on different threads: in any order, or by a tree."""
    inner = list(statements(loop.body))
    if loop.kind in ("parallel", "vector"):
        return True
    fills = any(isinstance(s, Accumulate) for s in inner)
    local = any(isinstance(s, Local) for s in inner)
    return loop.kind == "serial" and fills and not local and not is_ordered(loop, lasts)


def as_one(outermost: For) -> list[For]:
    """The loops of a reduction that may be one: each is all that the one before holds."""
    if outermost.kind != "serial":
        return [outermost]
    inner = takewhile(
        lambda each: each.kind == "serial" and not dim.variables(each.limit), chain(outermost)[1:]
    )
    return [outermost, *inner]


def merged(loops: Sequence[For]) -> For:
    """One loop over the iterations of several inside one another, in their order."""
    name, limit = loops[0].variable.name, product(each.limit for each in loops)
    one = For(Symbol(name, "index", limit), "serial", ())
    rest: Size = variable(one)
    places: dict[str, Size] = {}
    for each in reversed(loops[1:]):
        places[each.variable.name] = rest % each.limit
        rest = rest // each.limit
    return replace(one, body=substitute(loops[-1].body, {**places, name: rest}))


def is_along_memory(reduction: For, last: For) -> bool:
    """Whether a reduction walks through neighbours, and results side by side do not."""
    innermost = chain(reduction)[-1].variable.name
    return any(
        dim.coefficient(load.offset, innermost) in (1, -1)
        and dim.coefficient(load.offset, last.variable.name) not in (0, 1, -1)
        for load in loads(reduction.body)
    )


def threads_for(width: int) -> int:
    """The threads of a block for so many iterations: a power of two from WARP to BLOCK."""
    threads = WARP
    while threads < BLOCK and threads < width:
        threads *= 2
    return threads


def spread(
    body: tuple[Statement, ...], lasts: Collection[str], threads: int
) -> tuple[Statement, ...]:
    """A block's statements, with the loops that its threads may share as loops over threads."""
    return tuple(spread_loop(s, lasts, threads) if isinstance(s, For) else s for s in body)


def spread_loop(loop: For, lasts: Collection[str], threads: int) -> For:
    """A loop of a block; the iterations of all loops of a reduction are shared alike."""
    if is_shareable(loop, lasts):
        return replace(merged(as_one(loop)), kind="thread", lanes=threads)
    return replace(loop, body=spread(loop.body, lasts, threads))
