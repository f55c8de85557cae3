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

from graphc.ir import dim
from graphc.ir.dim import product
from graphc.ir.kernel import Accumulate, For, Kernel, Local, Statement, loads, statements
from graphc.ir.program import Decision, Program
from graphc.passes.decisions import record
from graphc.passes.loop_nests import nested, perfect
from graphc.passes.machine import typical
from graphc.passes.on_kernels import on_kernels
from graphc.passes.ordered_loops import is_ordered, lasts_of
from graphc.passes.split_kernels import is_independent

# Threads that read memory side by side, and the most in a block.
WARP, BLOCK = 32, 256
# Threads that keep a device busy. With fewer, even a reduction across memory is for a block, if it
# is as long as LONG.
ENOUGH_THREADS, LONG = 8192, 256
# Loops that a block shares, at most: its threads wait for one another around each, and compilers
# for processors that run them in turns take a kernel apart at every such place.
MOST_SHARED = 8


def map_to_grid(program: Program) -> Program:
    """Make the loops of each kernel loops over a grid, over blocks, or over a block's threads."""
    return on_kernels(program, map_kernel)


def map_kernel(kernel: Kernel) -> Kernel:
    """The kernel with its loops dealt out; its body is one nest, or statements without any."""
    if any(isinstance(s, For) and s.kind == "block" for s in kernel.body):
        return kernel  # another pass has dealt them out
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
    reason, width = why_blocks(loops, inside, lasts)
    if not reason:
        note(kernel, "a thread for each result", "threads side by side read and write side by side")
        return nested([replace(loop, kind="grid") for loop in loops], inside)
    threads = threads_for(width)
    note(kernel, f"a block of {threads} threads for each result", reason)
    blocks = [replace(loop, kind="block") for loop in loops]
    return nested(blocks, spread(inside, lasts, threads))


def note(kernel: Kernel, choice: str, reason: str) -> None:
    """Record a decision about a kernel."""
    record(Decision("map_to_grid", choice, f"@{kernel.name}", reason, where=kernel.origin))


def why_blocks(
    loops: Sequence[For], inside: tuple[Statement, ...], lasts: Collection[str]
) -> tuple[str, int]:
    """Why each iteration of a nest is for a block, and how many threads have work; "" for none."""
    results = typical(product(loop.limit for loop in loops))
    shared = list(shared_loops(inside, lasts))
    for loop, width in shared if len(shared) <= MOST_SHARED else []:
        if width < WARP:
            continue
        if loop.kind != "serial":
            return "a row's elements lie side by side", width
        if is_along_memory(loop, loops[-1]):
            return "what is reduced lies side by side", width
        if results < ENOUGH_THREADS and width >= LONG:
            return f"{results} results are too few for a device", width
    return "", 0


def shared_loops(body: tuple[Statement, ...], lasts: Collection[str]) -> Iterator[tuple[For, int]]:
    """The outermost loops that the threads of a block may share, with their usual lengths."""
    for statement in body:
        if isinstance(statement, For):
            if is_shareable(statement, lasts):
                most = dim.upper_bound(statement.limit)
                yield statement, typical(statement.limit if most is None else most)
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


def is_along_memory(reduction: For, last: For) -> bool:
    """Whether a reduction walks through neighbours, and results side by side do not."""
    return any(
        dim.coefficient(load.offset, reduction.variable.name) in (1, -1)
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
    """A loop of a block."""
    if is_shareable(loop, lasts):
        return replace(loop, kind="thread", lanes=threads)
    return replace(loop, body=spread(loop.body, lasts, threads))
