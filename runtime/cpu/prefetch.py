"""Prefetch: what is loaded when a sum is done is asked for before the sum begins.

A register tile that ends with more than its sums, such as the update of weights by their gradient,
reads some vectors for each of its rows, which lie apart in memory: no pattern that a processor
would follow. Together they are more instructions than it looks ahead, so that it would wait for
the later ones. Asked for before, they arrive while the tile is summed up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphc.ir import dim, scalar
from graphc.ir.kernel import For, Statement, values
from graphc.ir.scalar import Load
from graphc.runtime.cpu.function import Function, Instance, Variable
from graphc.runtime.cpu.indexing import address, expand
from graphc.runtime.cpu.memory import FORWARD

MANY_STEPS = 32
"""Steps of a sum that take longer than to ask for its vectors."""


def ask_ahead(f: Function, body: tuple[Statement, ...], instances: Iterable[Instance]) -> None:
    """Write prefetches of the vectors that are loaded behind a long loop, one for each instance."""
    if not f.lanes:
        return
    for load in loads_behind_loop(body):
        if not is_own(f, load):
            continue
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
