"""join_rows: loops over the same row become one, where the later one need not wait for the other.

The exponentials of attention are added up and stored. A kernel does one loop after the other, each
with formulas of its own; in one loop an element is loaded and computed once for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphc.ir import scalar
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    For,
    Kernel,
    Let,
    Local,
    Statement,
    accesses,
    statements,
    stores,
    substitute,
    values,
    variable,
)
from graphc.ir.program import Decision, Program
from graphc.ir.scalar import Call, Load, Scalar
from graphc.passes.decisions import record
from graphc.passes.on_kernels import on_kernels
from graphc.passes.stage_rows import is_row, names_read, read_row

# With more values than this in a loop, registers run out.
MOST_VALUES = 24


def join_rows(program: Program) -> Program:
    """Join loops that stand in one block, run in vectors over equal rows, and share a value."""
    return on_kernels(program, join_kernel)


def join_kernel(kernel: Kernel) -> Kernel:
    """The kernel with its loops over equal rows joined."""
    return replace(kernel, body=joined(kernel.body, kernel.name))


def joined(body: tuple[Statement, ...], kernel: str) -> tuple[Statement, ...]:
    """A block with its loops joined, and those inside of its loops."""
    result: list[Statement] = []
    for statement in body:
        result.append(within(statement, kernel))
        place = partner(result)
        if place is not None:
            join_last(result, place, kernel)
    return tuple(result)


def within(statement: Statement, kernel: str) -> Statement:
    """A loop around rows with what stands in it joined; any other statement as it is."""
    if not isinstance(statement, For) or statement.kind not in ("serial", "parallel"):
        return statement
    return replace(statement, body=joined(statement.body, kernel))


def partner(block: Sequence[Statement]) -> int | None:
    """Where a loop stands that the last one of a block may join; None if there is none."""
    if not is_row(block[-1]):
        return None
    for place in reversed(range(len(block) - 1)):
        if is_row(block[place]) and suits(block[place], block[-1]):
            return None if waits(block[-1], tuple(block[place:-1])) else place
    return None


def suits(first: Statement, last: Statement) -> bool:
    """Whether two loops over rows are equally long, have a value in common, and fit together."""
    assert isinstance(first, For)
    assert isinstance(last, For)
    adding = [each for each in (first, last) if adds(each)]
    same_lanes = len(adding) < 2 or first.lanes == last.lanes
    few = sum(isinstance(s, Let) for s in (*first.body, *last.body)) <= MOST_VALUES
    return first.limit == last.limit and same_lanes and few and bool(shared(first, last))


def adds(row: For) -> bool:
    """Whether a loop has results of a reduction, whose number of lanes says in which order."""
    return any(isinstance(s, Accumulate) for s in row.body)


def shared(first: For, last: For) -> set[Load | Call]:
    """What two loops both load or compute, written over one variable."""
    found, other = (
        {part for part in scalar.walk(formulas(row)) if isinstance(part, Load | Call)}
        for row in (first, last)
    )
    return found & other


def formulas(row: For) -> list[Scalar]:
    """What a loop computes, adds up and stores, over one variable for all loops."""
    lets = (s if isinstance(s, Let) else Let(f"%{k}", value)
            for k, s in enumerate(row.body) for value in values(s))  # fmt: skip
    return list(read_row(replace(row, body=tuple(lets))).values.values())


def waits(last: Statement, before: tuple[Statement, ...]) -> bool:
    """Whether a loop needs what statements before it make, or changes what they touch."""
    made = {s.name for s in before if isinstance(s, Let)}
    made |= {s.name for s in statements(before) if isinstance(s, Accumulate)}
    if made & {name for s in statements((last,)) for name in names_read(s)}:
        return True
    written = {s.buffer for s in stores((last,))}
    touched = {access.buffer for access in accesses(before)}
    stored = {s.buffer for s in stores(before)} | {s.name for s in before if isinstance(s, Local)}
    return bool(written & touched or stored & {access.buffer for access in accesses((last,))})


def join_last(block: list[Statement], place: int, kernel: str) -> None:
    """Make the last loop of a block a part of an earlier one."""
    first, last = block[place], block.pop()
    assert isinstance(first, For)
    assert isinstance(last, For)
    numbers = (("iterations", str(first.limit)), ("in common", str(len(shared(first, last)))))
    reason = "what both compute is computed once"
    record(Decision("join_rows", "one loop over a row", kernel, reason, numbers))
    filled = {s.name for s in last.body if isinstance(s, Accumulate)}
    begun = [s for s in block[place:] if isinstance(s, Accumulator) and s.name in filled]
    rest = [s for s in block[place + 1 :] if not any(s is each for each in begun)]
    lanes = last.lanes if adds(last) else first.lanes
    together = replace(first, lanes=lanes, body=(*first.body, *behind(first, last)))
    block[place:] = [*begun, together, *rest]


def behind(first: For, last: For) -> tuple[Statement, ...]:
    """What a loop does that another one does not, over that one's variable and values."""
    known: Mapping[Scalar, str] = {value: name for name, value in read_row(first).values.items()}
    own = read_row(last).values
    names = {name: known[value] for name, value in own.items() if value in known}
    body = tuple(s for s in last.body if not (isinstance(s, Let) and s.name in names))
    return substitute(body, {last.variable.name: variable(first)}, names)
