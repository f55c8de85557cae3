"""What code costs at least on the machine at hand, by three limits (a roofline).

Arithmetic, elementary functions and the transfer of data overlap, so the slowest of them counts.
Each buffer is moved once, from the nearest cache that holds all of them. Times are of one thread.
S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52 (2009).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, Buffer, For, Statement, Store, values
from graphc.ir.scalar import TRANSCENDENTAL, Call, Load
from graphc.passes.machine import machine, typical


@dataclass(frozen=True, slots=True)
class Work:
    """What code does: operations on floats of 32 and 64 bits, elementary functions, bytes."""

    float32: int = 0
    float64: int = 0
    functions: int = 0
    read: int = 0
    written: int = 0

    @property
    def seconds(self) -> float:
        """The least time that it takes."""
        return max(self.computing, self.moving)

    @property
    def computing(self) -> float:
        """The least time for its operations and elementary functions."""
        known = machine()
        operations = self.float32 / known.float32 + self.float64 / known.float64
        return max(operations, self.functions / known.exponentials)

    @property
    def moving(self) -> float:
        """The least time for its bytes."""
        known = machine()
        place = known.level(self.read + self.written)
        return self.read / known.read[place] + self.written / known.written[place]


def work_of(body: Iterable[Statement], buffers: Sequence[Buffer]) -> Work:
    """What statements do, symbolic sizes counting as usual ones."""
    operations: Counter[int] = Counter()
    functions = 0
    read: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for statement, times in repeated(body):
        if isinstance(statement, Accumulate):
            operations[statement.value.dtype.bits] += times
        if isinstance(statement, Store):
            written[statement.buffer] += times
        for part in scalar.walk(values(statement)):
            if isinstance(part, Load):
                read[part.buffer] += times
            elif isinstance(part, Call) and part.function in TRANSCENDENTAL:
                functions += times
            elif isinstance(part, Call):
                operations[part.dtype.bits] += times
    double = operations.pop(64, 0)
    moved = [
        sum(min(count[b.name], typical(b.size)) * b.dtype.bytes for b in buffers)
        for count in (read, written)
    ]
    return Work(operations.total(), double, functions, *moved)


def repeated(body: Iterable[Statement]) -> Iterator[tuple[Statement, int]]:
    """Every statement in a body, with how often it runs."""
    pending = [(statement, 1) for statement in body]
    while pending:
        statement, times = pending.pop()
        yield statement, times
        if isinstance(statement, For):
            inside = times * iterations(statement.limit)
            pending += ((inner, inside) for inner in statement.body)


def iterations(limit: Size) -> int:
    """How many iterations a limit means, at most."""
    if dim.variables(limit):
        most = dim.upper_bound(limit)
        return typical(limit if most is None else most)
    return typical(limit)


def predicted(seconds: float) -> tuple[str, str]:
    """A predicted cost as one of the numbers of a decision."""
    return "predicted us", f"{seconds * 1e6:.3g}"
