"""interchange_loops: put two loops innermost that can become a register tile.

lower nests the loops over a result in the order of its axes. A sum that two of them read again and
again, such as a convolution's over its output channels and the places in a row, is fast as a tile
of both; the loops are independent, and any order is as right.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulator, For, Kernel, Statement, accesses, loads, statements
from graphc.ir.program import Decision, Program
from graphc.passes.decisions import record
from graphc.passes.loop_nests import chain, nested, perfect
from graphc.passes.machine import TYPICAL_SIZE, VECTOR, WAYS, lines_to_a_set
from graphc.passes.on_kernels import on_kernels
from graphc.passes.predict_cost import predicted, work_of
from graphc.passes.register_tile import is_tileable
from graphc.passes.sliding_tile import sliding_pair

# A sum this long hides how its results are stored.
LONG_SUM = 64
# What each access beside the sum costs that is scattered, for a long sum and for a short one.
SCATTER, SCATTER_OF_FEW = 0.95, 0.3
# What rows are worth that lie far apart in memory, and how far that is, in elements.
FAR_ROWS, FAR = 0.8, 64
# What they are worth if so many of them share a place in the first cache that they push each other
# out of it, with half of it for the columns.
COLLIDING_ROWS = 0.7
USUALLY_FILLED = 0.9
# A pair that stands innermost is left there if so much of its vectors is used.
WELL_FILLED = 0.6
# With this many rows, multiplications wait for one another no longer.
ENOUGH_ROWS = 8


def interchange_loops(program: Program) -> Program:
    """Reorder the loops of kernels over results so that a tileable pair, if any, is innermost."""
    return on_kernels(program, interchange_kernel)


def interchange_kernel(kernel: Kernel) -> Kernel:
    """The kernel with each of its nests in the better order."""
    body = tuple(interchanged(s, kernel) if isinstance(s, For) else s for s in kernel.body)
    return replace(kernel, body=body)


def interchanged(nest: For, kernel: Kernel) -> For:
    """A nest of loops with its best pair innermost; as it is where no pair is better."""
    loops, inside = perfect(nest)
    if is_copy_across(loops, inside):
        return nested(by_source(loops, inside), inside)
    if len(loops) < 2 or not is_one_sum(inside):
        return nest
    if is_tileable(nested(loops[-2:], inside)) and filled(loops[-1].limit) >= WELL_FILLED:
        return nested(loops, near_terms_inside(inside))
    pairs = scored(loops, inside, is_tileable) or sliding_pairs(loops, inside)
    if not pairs:
        return nest
    best, pair = max(pairs, key=lambda found: (found[0], -sum(strides_of(found[1][0], inside))))
    if pair[0] is loops[-2] and pair[1] is loops[-1]:
        return nested(loops, near_terms_inside(inside))
    rows, columns = (loop.variable.name for loop in pair)
    record(
        Decision(
            "interchange_loops",
            f"rows along {rows}, columns along {columns}",
            kernel.name,
            "they make a tile that stays in registers",
            (("score", f"{best:.2f}"), predicted(work_of((nest,), kernel.buffers).seconds)),
        )
    )
    return nested(outer_loops(loops, pair, inside) + list(pair), near_terms_inside(inside))


Scored: TypeAlias = list[tuple[float, tuple[For, For]]]


def scored(loops: list[For], inside: tuple[Statement, ...], fits: Callable[[For], bool]) -> Scored:
    """The pairs of loops that can become a tile of some kind, with what each is worth."""
    return [
        (score(pair, inside), pair)
        for pair in itertools.permutations(loops, 2)
        if fits(nested(list(pair), inside))
    ]


def sliding_pairs(loops: list[For], inside: tuple[Statement, ...]) -> Scored:
    """The pairs that can become a tile that slides; none where the innermost one is as good."""
    pairs = scored(loops, inside, lambda nest: sliding_pair(nest) is not None)
    innermost = [worth for worth, (_, columns) in pairs if columns is loops[-1]]
    best = max([worth for worth, _ in pairs], default=0)
    return pairs if best > max(innermost, default=0) else []


def is_copy_across(loops: list[For], inside: tuple[Statement, ...]) -> bool:
    """Whether one value is moved from memory in which the innermost loop's lie apart."""
    read = [load.offset for load in loads(inside)]
    if any(isinstance(s, For | Accumulator) for s in inside) or len(read) != 1:
        return False
    return dim.coefficient(read[0], loops[-1].variable.name) not in (0, 1)


def by_source(loops: list[For], inside: tuple[Statement, ...]) -> list[For]:
    """The loops of such a copy, all but the innermost in the order of the memory it reads.

    So a line of the cache that was read for one element is at hand for those beside it.
    """
    *outer, innermost = loops
    return [*sorted(outer, key=lambda loop: strides_of(loop, inside), reverse=True), innermost]


def near_terms_inside(inside: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """A sum's body with those of its loops innermost whose terms are nearest in memory."""
    sums = [s for s in inside if isinstance(s, For)]
    if len(sums) != 1:
        return inside
    loops = chain(sums[0])
    far = [strides_of(loop, loops[-1].body) for loop in loops]
    order = sorted(range(len(loops)), key=lambda at: far[at], reverse=True)
    new = nested([loops[at] for at in order], loops[-1].body)
    return tuple(new if s is sums[0] else s for s in inside)


def strides_of(loop: For, inside: tuple[Statement, ...]) -> list[int]:
    """How far loads in a body move with a loop's variable, the longest way first, where known."""
    steps = [dim.coefficient(load.offset, loop.variable.name) for load in loads(inside)]
    return sorted((abs(step) for step in steps if isinstance(step, int)), reverse=True)


def outer_loops(
    loops: list[For], pair: tuple[For, For], inside: tuple[Statement, ...]
) -> list[For]:
    """The other loops, those first that move on to other columns: a tile's stay in cache."""
    column = pair[1].variable.name
    offsets = [load.offset for load in loads(inside)]
    along = [offset for offset in offsets if dim.coefficient(offset, column) == 1]
    others = [loop for loop in loops if loop not in pair]
    return sorted(others, key=lambda loop: not any(
        loop.variable in dim.symbols(offset) for offset in along))  # fmt: skip


def is_one_sum(inside: tuple[Statement, ...]) -> bool:
    """Whether a body is about one sum; what is made of it may be stored in several places."""
    return sum(isinstance(s, Accumulator) for s in inside) == 1


def score(pair: tuple[For, For], inside: tuple[Statement, ...]) -> float:
    """How much of a tile's work counts: full vectors, many rows, results stored side by side."""
    rows, columns = pair
    worth = filled(columns.limit) * min(typical(rows.limit), ENOUGH_ROWS) / ENOUGH_ROWS
    loops = tuple(s for s in inside if isinstance(s, For))
    worth *= nearness(rows, loops)
    around = accesses(tuple(s for s in inside if not isinstance(s, For)))
    along = [dim.coefficient(access.offset, columns.variable.name) for access in around]
    scattered = sum(step not in (0, 1) for step in along)
    steps = 1
    for statement in statements(inside):
        steps *= typical(statement.limit) if isinstance(statement, For) else 1
    return worth * (SCATTER if steps >= LONG_SUM else SCATTER_OF_FEW) ** scattered


def nearness(rows: For, loops: tuple[Statement, ...]) -> float:
    """What rows are worth that lie as far apart as they do in what a sum reads."""
    worth, count = 1.0, min(typical(rows.limit), ENOUGH_ROWS)
    for load in loads(loops):
        stride = dim.coefficient(load.offset, rows.variable.name)
        if not isinstance(stride, int):
            worth = min(worth, FAR_ROWS)
        elif lines_to_a_set(count, abs(stride) * load.dtype.bytes) > WAYS // 2:
            worth = min(worth, FAR_ROWS * COLLIDING_ROWS)
        elif abs(stride) > FAR:
            worth = min(worth, FAR_ROWS)
    return worth


def filled(limit: Size) -> float:
    """The part of the vectors along a loop that is not idle; of a symbolic one, what is usual."""
    if not isinstance(limit, int):
        return USUALLY_FILLED
    return limit / (-(-limit // VECTOR) * VECTOR) if limit else 1.0


def typical(limit: Size) -> int:
    """A limit, or what a symbolic one is taken to be."""
    return limit if isinstance(limit, int) else TYPICAL_SIZE
