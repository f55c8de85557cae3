"""Prefetch: what is loaded when a sum is done, or a row, is asked for before.

A register tile that ends with more than its sums, such as the update of weights by their gradient,
reads some vectors for each of its rows, which lie apart in memory: no pattern that a processor
would follow. Together they are more instructions than it looks ahead, so that it would wait for
the later ones. Asked for while the tile is summed up they are there at its end: a row at a time,
for a core waits for some twenty lines at once, and would have none left for the sum's own.

A softmax reads a row for its maximum, as fast as memory gives it, and then computes exponentials of
what is in cache, while memory idles: the next row is behind more instructions than a processor
looks ahead, and often in another page, where it does not follow a pattern. Asked for meanwhile, it
is there when its turn comes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import For, Statement, loads, values
from graphc.ir.scalar import Load
from graphc.runtime.cpu.block import MEMORY
from graphc.runtime.cpu.function import Function, Instance, Variable
from graphc.runtime.cpu.indexing import Expanded, address, expand
from graphc.runtime.cpu.memory import FORWARD

PREFETCH = "call void @llvm.prefetch.p0(ptr {}, i32 0, i32 3, i32 1)"
MANY_STEPS = 32
"""Steps of a sum that take longer than to ask for its vectors."""
STEPS_BETWEEN = 16
"""Steps of a sum in which a row of vectors arrives that one of them asked for."""
LONGEST_ROW = 1 << 13
"""Bytes of a row that stays in the first cache with what is made of it, and the next one too."""


class Ahead(NamedTuple):
    """What a loop over the steps of a sum asks for: a row of vectors now and then.

    Of each vector of the first row the type of an element, the pointer, and how many elements on
    the next row's is; every so many steps, a power of two, it is a row's turn.
    """

    loop: For
    rows: int
    every: int
    firsts: tuple[tuple[str, str, int], ...]


def ask_ahead(f: Function, body: tuple[Statement, ...], instances: Sequence[Instance]) -> None:
    """Have the vectors that are loaded behind a long loop asked for, before it or in its steps."""
    f.ahead = None
    loop = next(filter(is_long, body), None)
    if not f.lanes or not isinstance(loop, For):
        return
    own = [load for load in loads_behind(body, loop) if is_own(f, load)]
    rows = [tuple(g) for _, g in groupby(instances, lambda i: i.positions[: f.vector_depth])]
    every = steps_between(loop, len(rows))
    distances = [distance(f, load, rows) for load in own]
    if not own or every < 2 or None in distances:
        for load in own:
            ask(f, load, instances)
        return
    firsts = []
    for load, apart in zip(own, distances, strict=True):
        element = MEMORY[f.buffers[load.buffer].dtype.name]
        firsts += [(element, pointer, apart or 0) for pointer in pointers(f, load, rows[0])]
    f.ahead = Ahead(loop, len(rows), every, tuple(firsts))


def steps_between(loop: For, rows: int) -> int:
    """The steps of a loop from one row that it asks for to the next, a power of two; 0 for none."""
    steps = loop.limit if isinstance(loop.limit, int) else MANY_STEPS
    return min(STEPS_BETWEEN, 1 << (steps // rows).bit_length() >> 1)


def distance(f: Function, load: Load, rows: Sequence[tuple[Instance, ...]]) -> int | None:
    """How many elements the vectors of each row begin after those of the row before, if so many."""
    starts = [expand(f, load.offset, row[0], f.block) for row in rows]
    apart = {difference(b, a) for a, b in itertools.pairwise(starts)}
    return apart.pop() if len(apart) == 1 else None


def difference(later: Expanded, earlier: Expanded) -> int | None:
    """How far two places are apart, if that is known here."""
    names = later.uniform.keys() | earlier.uniform.keys()
    if any(later.uniform.get(name) != earlier.uniform.get(name) for name in names - {()}):
        return None
    return later.uniform.get((), 0) - earlier.uniform.get((), 0)


def ask_for_row(f: Function, ahead: Ahead | None, counter: str) -> None:
    """Write prefetches of a row in those steps of a loop in which it is a row's turn."""
    if ahead is None:
        return
    block, label = f.block, f"ahead.{next(f.names)}"
    passed = block.op("passed", f"and i64 {counter}, {ahead.every - 1}")
    turn = block.op("turn", f"icmp eq i64 {passed}, 0")
    row = block.op("row", f"lshr i64 {counter}, {ahead.every.bit_length() - 1}")
    is_one = block.op("is_row", f"icmp ult i64 {row}, {ahead.rows}")
    asks = block.op("asks", f"and i1 {turn}, {is_one}")
    block.add(f"br i1 {asks}, label %{label}, label %{label}.done")
    block.lines.append(f"{label}:")
    distances = dict.fromkeys(apart for _, _, apart in ahead.firsts)
    moved = {apart: block.op("moved", f"mul i64 {row}, {apart}") for apart in distances}
    for element, first, apart in ahead.firsts:
        at = block.op("at", f"getelementptr {element}, ptr {first}, i64 {moved[apart]}")
        block.add(PREFETCH.format(at))
    block.add(f"br label %{label}.done")
    block.lines.append(f"{label}.done:")
    block.label = f"{label}.done"


def ask(f: Function, load: Load, instances: Iterable[Instance]) -> None:
    """Write a prefetch of the vector that each instance would load."""
    for pointer in pointers(f, load, instances):
        f.block.add(PREFETCH.format(pointer))


def pointers(f: Function, load: Load, instances: Iterable[Instance]) -> Iterator[str]:
    """Write where the vector begins that each instance would load, of those without gaps."""
    for instance in instances:
        where = expand(f, load.offset, instance, f.block)
        if where.slope == FORWARD and not where.varying:
            yield address(f, load.buffer, where.uniform, f.block)


def loads_behind(body: tuple[Statement, ...], loop: For) -> Iterator[Load]:
    """The loads behind a loop of a body."""
    behind = itertools.dropwhile(lambda statement: statement is not loop, body)
    seen: set[tuple[str, object]] = set()
    later = itertools.islice(behind, 1, None)
    for value in scalar.walk([root for statement in later for root in values(statement)]):
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
