"""Prefetch: what is loaded when a sum is done, or a row, is asked for before.

A register tile that ends with more than its sums, such as the update of weights by their gradient,
reads some vectors for each of its rows, which lie apart in memory: no pattern that a processor
would follow. Together they are more instructions than it looks ahead, so that it would wait for
the later ones. Asked for before, they arrive while the tile is summed up.

A softmax reads a row for its maximum, as fast as memory gives it, and then computes exponentials of
what is in cache, while memory idles: the next row is behind more instructions than a processor
looks ahead, and often in another page, where it does not follow a pattern. Asked for meanwhile, it
is there when its turn comes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import For, Statement, loads, values
from graphc.ir.scalar import Load
from graphc.runtime.cpu.function import Function, Instance, Variable
from graphc.runtime.cpu.indexing import address, expand
from graphc.runtime.cpu.memory import FORWARD

MANY_STEPS = 32
"""Steps of a sum that take longer than to ask for its vectors."""
LONGEST_ROW = 1 << 13
"""Bytes of a row that stays in the first cache with what is made of it, and the next one too."""


def ask_ahead(f: Function, body: tuple[Statement, ...], instances: Iterable[Instance]) -> None:
    """Write prefetches of the vectors that are loaded behind a long loop, one for each instance."""
    if not f.lanes:
        return
    for load in loads_behind_loop(body):
        if is_own(f, load):
            ask(f, load, instances)


def ask(f: Function, load: Load, instances: Iterable[Instance]) -> None:
    """Write a prefetch of the vector that each instance would load."""
    for instance in instances:
        where = expand(f, load.offset, instance, f.block)
        if where.slope == FORWARD and not where.varying:
            pointer = address(f, load.buffer, where.uniform, f.block)
            f.block.add(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 0, i32 3, i32 1)")


def loads_behind_loop(body: tuple[Statement, ...]) -> Iterator[Load]:
    """The loads behind a body's first long loop over the steps of a sum."""
    kinds = (is_long(statement) for statement in body)
    behind = body[next((at for at, long in enumerate(kinds, 1) if long), len(body)) :]
    seen: set[tuple[str, object]] = set()
    for value in scalar.walk([root for statement in behind for root in values(statement)]):
        if isinstance(value, Load) and (value.buffer, value.offset) not in seen:
            seen.add((value.buffer, value.offset))
            yield value


def is_long(statement: Statement) -> bool:
    """Whether a statement is a loop of many steps."""
    if not isinstance(statement, For) or statement.kind != "serial":
        return False
    return not isinstance(statement.limit, int) or statement.limit >= MANY_STEPS


def is_own(f: Function, load: Load) -> bool:
    """Whether each instance loads a vector of its own, at a place known before the loop."""
    known = all(
        isinstance(atom, dim.Symbol) and isinstance(f.bindings.get(atom.name), Variable)
        for monomial, _ in dim.terms_of(load.offset)
        for atom in monomial
    )
    every = (f.vector_bit << 1) - 1
    return known and load.guard is None and f.place_of_size(load.offset).mask == every


# --- rows ------------------------------------------------------------------------------------


def next_row(f: Function, body: tuple[Statement, ...], loop: For) -> tuple[Load, ...]:
    """What a vector loop reads that one before it in a body has read, for the next row.

    Without an earlier loop the rows are a stream, which a processor follows by itself.
    """
    before = itertools.takewhile(lambda statement: statement is not loop, body)
    known = {place for s in before if isinstance(s, For) for place, _ in along_row(s)}
    again = (load for place, load in along_row(loop) if place in known)
    found = (row_after(f, load) for load in again if is_short(load, loop))
    return tuple(dict.fromkeys(load for load in found if load is not None))


def is_short(load: Load, loop: For) -> bool:
    """Whether the first cache surely has room for the next of the rows that a loop loads."""
    return isinstance(loop.limit, int) and loop.limit * load.dtype.bytes <= LONGEST_ROW


def along_row(loop: For) -> Iterator[tuple[tuple[str, Size], Load]]:
    """The loads along a row in a vector loop, each with its buffer and where its row begins."""
    for load in loads(loop.body) if loop.kind == "vector" else ():
        if load.guard is None and dim.coefficient(load.offset, loop.variable.name) == 1:
            yield (load.buffer, load.offset - dim.atom(loop.variable)), load


def row_after(f: Function, load: Load) -> Load | None:
    """The load that the next iteration around has in place of one from memory; None if unknown."""
    names = [symbol.name for symbol in dim.variables(load.offset)]
    around = [name for name in names if is_around(f, name)]
    step = dim.coefficient(load.offset, around[0]) if len(around) == 1 else None
    if not step or f.buffers[load.buffer].written:
        return None
    return Load(load.dtype, load.buffer, load.offset + step, None)


def is_around(f: Function, name: str) -> bool:
    """Whether a variable counts the iterations that the innermost scope is one of."""
    bound = f.bindings.get(name)
    return isinstance(bound, Variable) and bound.depth < 0 and bound.place.level == f.level


def ask_for_next_row(f: Function, instances: Iterable[Instance]) -> None:
    """Write prefetches of what a step of a vector loop has cached, one row on."""
    for load in f.next_row:
        ask(f, load, instances)
