"""store_past_cache: what a kernel writes goes past the caches where none of it would stay there.

A store into a line that no cache holds reads the line first, and drives another one out. Of an
output as large as the last cache nothing is left when its first elements are read again: then both
are for nothing, and lines that are filled as a whole can go to memory as they are. A kernel that
computes longer than it waits for memory gains nothing by that, and loses where stores queue up.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from graphc.ir import dim
from graphc.ir.kernel import Buffer, For, Kernel, Statement, Store, loads
from graphc.ir.program import CallKernel, Decision, Program, walk_steps
from graphc.passes.decisions import record
from graphc.passes.machine import LINE, TYPICAL, predicting_for
from graphc.passes.on_kernels import on_kernels
from graphc.passes.predict_cost import work_of

LAST_CACHE = TYPICAL.caches[-1]
"""Bytes from which on nothing of a buffer is left in cache when it is read from its beginning."""
OUTPUT = LAST_CACHE // 2
"""The same for what the caller gets, who seldom reads it at once."""
BOUND = 1.5
"""How much longer than its operations a kernel's bytes take, so that it waits for memory alone."""
ENDLESS = sys.maxsize


def store_past_cache(program: Program) -> Program:
    """Mark the buffers of kernels that are stored past the caches, once memory is planned."""
    kinds = {a.name: a.kind for a in program.allocations}
    calls = [step for step in walk_steps(program.steps) if isinstance(step, CallKernel)]
    least: Counter[tuple[str, int]] = Counter()
    for call in calls:
        for position, name in enumerate(call.arguments):
            size = OUTPUT if kinds[name] == "output" else LAST_CACHE
            if call.arguments.count(name) > 1:  # written in place: its lines are in cache
                size = ENDLESS
            least[call.kernel, position] = max(size, least[call.kernel, position])
    return on_kernels(program, lambda kernel: marked(kernel, least))


def marked(kernel: Kernel, least: Mapping[tuple[str, int], int]) -> Kernel:
    """The kernel with the buffers marked that have at least so many bytes and fill whole lines."""
    if sum(map(bytes_of, kernel.buffers)) < LAST_CACHE or not waits_for_memory(kernel):
        return kernel
    read = {load.buffer for load in loads(kernel.body)}
    buffers = list(kernel.buffers)
    for position, buffer in enumerate(buffers):
        if not buffer.written or buffer.name in read or not fills_lines(kernel, buffer):
            continue
        if bytes_of(buffer) >= least.get((kernel.name, position), ENDLESS):
            buffers[position] = replace(buffer, past_cache=True)
            record(Decision(
                "store_past_cache", "past the caches", f"%{buffer.name} of {kernel.name}",
                "nothing of it would be in cache when it is read again",
                (("bytes", str(bytes_of(buffer))),),
            ))  # fmt: skip
    return replace(kernel, buffers=tuple(buffers))


def waits_for_memory(kernel: Kernel) -> bool:
    """Whether a typical processor would wait for memory in a kernel, and not compute meanwhile."""
    with predicting_for(TYPICAL):
        work = work_of(kernel.body, kernel.buffers)
        moving = work.read / TYPICAL.read[-1] + work.written / TYPICAL.written[-1]
        return moving > BOUND * work.computing


def bytes_of(buffer: Buffer) -> int:
    """The bytes of a buffer; 0 where its size is not known."""
    return buffer.size * buffer.dtype.bytes if isinstance(buffer.size, int) else 0


def fills_lines(kernel: Kernel, buffer: Buffer) -> bool:
    """Whether a single store writes a buffer, in vectors that are whole lines of the cache."""
    found = [(s, loops) for s, loops in stores_in(kernel.body) if s.buffer == buffer.name]
    if len(found) != 1:
        return False
    ((store, loops),) = found
    kinds = [each.kind for each in loops]
    if len(loops) < 2 or kinds[0] != "parallel" or kinds.count("vector") != 1:
        return False
    at = kinds.index("vector")
    if "unrolled" in kinds[:at]:  # a tile, of which lines lie far apart
        return False
    along, line = dim.atom(loops[at].variable), LINE // buffer.dtype.bytes
    if dim.coefficient(store.offset, loops[at].variable.name) != 1 or loops[at].lanes % line:
        return False
    return all(count % line == 0 for _, count in dim.terms_of(store.offset - along))


def stores_in(
    body: tuple[Statement, ...], loops: tuple[For, ...] = ()
) -> Iterator[tuple[Store, tuple[For, ...]]]:
    """Every store in a body, and the loops that it stands in; loops are few inside one another."""
    for statement in body:
        if isinstance(statement, Store):
            yield statement, loops
        elif isinstance(statement, For):
            yield from stores_in(statement.body, (*loops, statement))
