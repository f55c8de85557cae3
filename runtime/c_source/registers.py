"""Local buffers that threads can have in registers: each element is one thread's alone.

Loops over a block's threads deal the same iterations to the same threads. A buffer that is only
touched in such loops, at the number of the iteration, is an array of each thread for itself; with
the loops unrolled its elements are registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphc.ir.dim import Size
from graphc.ir.kernel import For, Kernel, Local, accesses, statements, variable


@dataclass(frozen=True, slots=True)
class Deal:
    """How a loop deals elements to threads: in so many steps, each of so many side by side."""

    limit: Size
    threads: int
    together: int

    @property
    def steps(self) -> int:
        """The iterations of a thread, at most."""
        assert isinstance(self.limit, int)
        return -(-self.limit // self.threads)


def deal_of(loop: For) -> Deal | None:
    """How a loop over threads deals its elements; None where their number is not known."""
    if not isinstance(loop.limit, int):
        return None
    inner = wide_loop(loop)
    return Deal(loop.limit, loop.lanes, 1 if inner is None else inner.lanes)


def wide_loop(loop: For) -> For | None:
    """The loop over wide accesses that is all that a loop holds, if it has no rest."""
    if len(loop.body) != 1 or not isinstance(loop.body[0], For):
        return None
    inner = loop.body[0]
    return inner if inner.kind == "wide" and inner.limit == inner.lanes else None


def place_in(loop: For) -> Size:
    """The number of an element among those of a loop over threads."""
    inner = wide_loop(loop)
    return variable(loop) if inner is None else inner.lanes * variable(loop) + variable(inner)


def own_buffers(kernel: Kernel) -> dict[str, Deal]:
    """The local buffers of a kernel that each thread has a part of for itself, and how."""
    inner = list(statements(kernel.body))
    found: dict[str, Deal | None] = {s.name: None for s in inner if isinstance(s, Local)}
    shared: set[str] = set()
    total = dict.fromkeys(found, 0)
    for access in accesses(kernel.body):
        if access.buffer in found:
            total[access.buffer] += 1
    for loop in (s for s in inner if isinstance(s, For) and s.kind == "thread"):
        deal = deal_of(loop)
        for access in accesses(loop.body):
            name = access.buffer
            if name not in found:
                continue
            total[name] -= 1
            if deal is None or found[name] not in (None, deal) or access.offset != place_in(loop):
                shared.add(name)
            found[name] = deal
    return {
        name: deal
        for name, deal in found.items()
        if deal is not None and name not in shared and total[name] == 0
    }


def own_in(loop: For, own: Mapping[str, Deal]) -> Iterator[str]:
    """The buffers of a thread's own that a loop touches."""
    yield from dict.fromkeys(a.buffer for a in accesses(loop.body) if a.buffer in own)
