"""Whether a kernel may write a result over one of its operands.

It may if each element is read for the last time before it is overwritten. That is proved in one
simple case: the operand is loaded where the result is stored, in the same loop and at the same
offset, and no two iterations meet at an offset. A result may be stored by several such loops.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from graphc.ir import dim, scalar
from graphc.ir.dim import Atom, DimCall, Size
from graphc.ir.kernel import For, Kernel, Statement, Store, values
from graphc.passes.machine import typical

# With more guards than this in a limit, nobody goes through what they may be.
MANY_GUARDS = 4


@dataclass(frozen=True, slots=True)
class Access:
    """A load or store: its buffer and offset, the loops around it, and where it stands.

    place holds the position of each loop in its block, then that of the statement.
    """

    buffer: str
    offset: Size
    loops: tuple[For, ...]
    place: tuple[int, ...]
    is_store: bool


def obstacle(kernel: Kernel, operands: Collection[str], result: str) -> str:
    """Why the buffer `result` cannot share memory with the buffers `operands`; empty if it can."""
    found = [a for a in accesses(kernel.body) if a.buffer == result or a.buffer in operands]
    stores = {a.place[:-1]: a for a in found if a.is_store}
    loads = [a for a in found if not a.is_store]
    alone = len(stores) == len(found) - len(loads)
    if not stores or not alone or any(a.buffer != result for a in stores.values()):
        return "it is stored in several places"
    if any(a.buffer == result for a in loads):
        return "it is also read"
    reasons = (clash(a, stores.get(a.place[:-1])) for a in loads)
    return next(filter(None, reasons), "") or collision(kernel, list(stores.values()))


def clash(load: Access, store: Access | None) -> str:
    """Why a load may find its element overwritten; empty if it surely does not."""
    if store is None:
        return "the operand is loaded in another loop"
    if load.place[-1] > store.place[-1]:
        return "the operand is loaded after the store"
    return "" if load.offset == store.offset else "the operand is loaded at a different offset"


def collision(kernel: Kernel, stores: Sequence[Access]) -> str:
    """Why two iterations may store at one offset; empty if they surely do not.

    A kernel stores every element of its results. So where it stores in all as many times as there
    are elements, as in tiles of several heights, each is stored once; and so it is in forms of
    which guards in the limits of loops choose one.
    """
    if len(stores) == 1:
        (store,) = stores
        return "" if is_injective(store.offset, store.loops) else "iterations may collide"
    (size,) = (buffer.size for buffer in kernel.buffers if buffer.name == stores[0].buffer)
    counts = [iterations(store.loops) for store in stores]
    known = [count for count in counts if count is not None]
    once = len(known) == len(counts) and total(known) == size
    return "" if once else "it is stored in several places"


def iterations(loops: tuple[For, ...], at: Mapping[str, int] | None = None) -> Size | None:
    """How many iterations nested loops have in all; None where that is not known."""
    if not loops:
        return 1
    (first, *inner), values = loops, at or {}
    limit = dim.substitute(first.limit, values)
    name, rest = first.variable.name, tuple(inner)
    if not any(name in {s.name for s in dim.symbols(loop.limit)} for loop in rest):
        count = iterations(rest, values)
        limit = max(limit, 0) if isinstance(limit, int) else limit
        return limit * count if count is not None and is_count(limit) else None
    if not isinstance(limit, int):
        return None
    counts = [iterations(rest, {**values, name: step}) for step in range(limit)]
    return total([count for count in counts if count is not None]) if None not in counts else None


def total(counts: Iterable[Size]) -> Size:
    """The sum of sizes."""
    result: Size = 0
    for count in counts:
        result = result + count
    return result


def is_count(limit: Size) -> bool:
    """Whether a limit is surely at least 0, with each of its guards 0 or 1."""
    guards = {a for monomial, _ in dim.terms_of(limit) for a in monomial if is_guard(a)}
    if dim.variables(limit) or len(guards) > MANY_GUARDS:
        return False
    chosen = (combinations(guards, number) for number in range(len(guards) + 1))
    return all(dim.is_nonnegative(where(limit, ones)) for each in chosen for ones in each)


def is_guard(a: Atom) -> bool:
    """Whether a factor is 0 or 1: the lower of 1 and of a size."""
    if not isinstance(a, DimCall) or a.function != "minimum" or 1 not in (a.left, a.right):
        return False
    return dim.is_nonnegative(a.left) and dim.is_nonnegative(a.right)


def where(limit: Size, ones: Collection[Atom]) -> Size:
    """A limit where some of its guards are 1, and the others 0."""
    terms = (
        (tuple(a for a in monomial if not is_guard(a)), factor)
        for monomial, factor in dim.terms_of(limit)
        if all(a in ones for a in monomial if is_guard(a))
    )
    return dim.polynomial(terms)


def accesses(
    body: tuple[Statement, ...], loops: tuple[For, ...] = (), place: tuple[int, ...] = ()
) -> Iterator[Access]:
    """Every load and store of a body, in order; a statement's loads come before its store."""
    for at, statement in enumerate(body):
        here = (*place, at)
        if isinstance(statement, For):
            yield from accesses(statement.body, (*loops, statement), here)
        for value in scalar.walk(values(statement)):
            if isinstance(value, scalar.Load):
                yield Access(value.buffer, value.offset, loops, here, is_store=False)
        if isinstance(statement, Store):
            yield Access(statement.buffer, statement.offset, loops, here, is_store=True)


def is_injective(offset: Size, loops: tuple[For, ...]) -> bool:
    """Whether different iterations of the loops surely have different offsets.

    They do if the loops' steps can be ordered so that each is at least the span of those before,
    as the digits of a number are.
    """
    pending = [loop for loop in loops if loop.limit != 1]
    span: Size = 1
    if not dim.variables(offset) <= {loop.variable for loop in loops}:
        return False
    while pending:
        steps = [(loop, step_over(offset, loop, span)) for loop in pending]
        wider = [(loop, step) for loop, step in steps if step is not None]
        if not wider:
            return False
        loop, step = min(wider, key=lambda found: typical(found[1]))
        most = dim.upper_bound(loop.limit)
        if most is None:
            return False
        span = span + step * (most - 1)
        pending.remove(loop)
    return True


def step_over(offset: Size, loop: For, span: Size) -> Size | None:
    """How far one iteration of a loop moves an offset, if that is surely at least the span."""
    step = dim.coefficient(offset, loop.variable.name)
    if step is None or dim.variables(step):
        return None
    return next((s for s in (step, -step) if dim.is_nonnegative(s - span)), None)
