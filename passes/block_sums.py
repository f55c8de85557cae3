"""block_sums: cut long sums into blocks whose terms stay in cache while many results are made.

The gradient by a convolution's kernel adds up over all examples and places, and each tile of its
results passes over them all. In blocks, all tiles pass over a few examples, and then over the next
few; a result holds what has been added up so far.
"""

from __future__ import annotations

import math
from dataclasses import replace

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Accumulator,
    For,
    Kernel,
    Statement,
    Store,
    loads,
    loop,
    substitute,
    variable,
)
from graphc.ir.program import Decision, Program
from graphc.ir.scalar import Load, Ref
from graphc.passes.decisions import record
from graphc.passes.loop_nests import chain, nested, perfect
from graphc.passes.machine import SECOND_CACHE
from graphc.passes.on_kernels import on_kernels
from graphc.passes.predict_cost import predicted, work_of
from graphc.passes.register_tile import is_tileable

# Bytes of terms that stay in the second cache, with room for the results.
BLOCK = SECOND_CACHE // 2
# With this many terms to a block it does not matter that results are read and written once more,
# be it one by one.
LONG_BLOCK = 1 << 10


def block_sums(program: Program) -> Program:
    """Put blocks of the sum around the tiles of a kernel where its terms do not stay in cache."""
    return on_kernels(program, block_kernel)


def block_kernel(kernel: Kernel) -> Kernel:
    """The kernel with each of its nests in blocks, where that pays."""
    body = tuple(blocked(s, kernel) if isinstance(s, For) else s for s in kernel.body)
    return replace(kernel, body=body)


def blocked(nest: For, kernel: Kernel) -> For:
    """A nest of loops with blocks of its sum inside the outermost; as it is where none pays."""
    loops, inside = perfect(nest)
    if len(loops) < 3 or not is_plain_sum(inside) or not is_tileable(nested(loops[-2:], inside)):
        return nest
    sums = terms(inside)
    sizes = {buffer.name: buffer.dtype.bytes for buffer in kernel.buffers}
    if footprint([*loops[1:], *sums], inside, sizes) <= BLOCK:
        return nest
    for place in range(len(sums)):
        width = block_width([*loops[1:], *sums[place + 1 :]], sums[place], inside, sizes)
        if width:
            return in_blocks(loops, inside, place, width, kernel)
    return nest


def is_plain_sum(inside: tuple[Statement, ...]) -> bool:
    """Whether a body is a sum that is stored as it is."""
    if len(inside) != 3:
        return False
    total, adding, store = inside
    if not isinstance(total, Accumulator) or not isinstance(adding, For):
        return False
    value = store.value if isinstance(store, Store) else None
    return isinstance(value, Ref) and value.name == total.name and value.dtype == total.dtype


def terms(inside: tuple[Statement, ...]) -> list[For]:
    """The loops of a sum, outermost first, as far as they stand directly inside one another."""
    (outermost,) = [s for s in inside if isinstance(s, For)]
    return chain(outermost)


def footprint(loops: list[For], inside: tuple[Statement, ...], sizes: dict[str, int]) -> float:
    """How many bytes loops read: for each load the stretch of memory that it moves in."""
    total = 0
    for load in loads(inside):
        stretch = 1
        for around in loops:
            step = dim.coefficient(load.offset, around.variable.name)
            if not isinstance(step, int) or not isinstance(around.limit, int):
                return math.inf
            stretch += abs(step) * (around.limit - 1)
        total += stretch * sizes[load.buffer]
    return total


def block_width(
    around: list[For], cut: For, inside: tuple[Statement, ...], sizes: dict[str, int]
) -> int:
    """How many iterations of a loop have terms that stay in cache and are a long sum; or 0."""
    if not isinstance(cut.limit, int):
        return 0
    for width in range(cut.limit, 0, -1):
        if cut.limit % width == 0:
            part = loop(cut.variable.name, width, "serial", ())
            if footprint([*around, part], inside, sizes) <= BLOCK:
                return width if steps([*around, part]) >= LONG_BLOCK else 0
    return 0


def steps(loops: list[For]) -> int:
    """How many iterations the serial ones of known loops make together."""
    return math.prod(s.limit for s in loops if s.kind == "serial" and isinstance(s.limit, int))


def in_blocks(
    loops: list[For], inside: tuple[Statement, ...], place: int, width: int, kernel: Kernel
) -> For:
    """The nest with loops over blocks of its sum around all but its outermost loop."""
    sums = terms(inside)
    cut, (total, _, store) = sums[place], inside
    assert isinstance(cut.limit, int)
    assert isinstance(store, Store)
    record(Decision(
        "block_sums", f"blocks of {width} along {cut.variable.name}", kernel.name,
        "their terms stay in cache while all results add them up",
        (predicted(work_of((nested(loops, inside),), kernel.buffers).seconds),),
    ))  # fmt: skip
    blocks = loop(f"{cut.variable.name}o", cut.limit // width, "serial", ())
    part = loop(f"{cut.variable.name}i", width, "serial", ())
    at: dict[str, Size] = {cut.variable.name: variable(blocks) * width + variable(part)}
    adding = substitute((nested([part, *sums[place + 1 :]], sums[-1].body),), at)
    so_far = Load(store.value.dtype, store.buffer, store.offset, None)
    added = replace(store, value=so_far + store.value)
    inner = nested([*sums[:place], blocks, *loops[1:]], (total, *adding, added))
    empty = replace(store, value=scalar.const(store.value.dtype, 0))
    return replace(loops[0], body=(nested(loops[1:], (empty,)), inner))
