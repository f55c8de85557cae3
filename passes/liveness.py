"""Liveness: which calls of a program read and write each allocation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from graphc.ir import kernel
from graphc.ir.kernel import Kernel
from graphc.ir.program import CallKernel, Program


@dataclass(slots=True)
class Uses:
    """The calls, by position, that read and that write one allocation, each in rising order."""

    reads: list[int] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The first call that touches it."""
        return min(self.reads[:1] + self.writes[:1])

    @property
    def last(self) -> int:
        """The last call that touches it."""
        return max(self.reads[-1:] + self.writes[-1:])


def uses(program: Program) -> dict[str, Uses]:
    """What touches each allocation, for those that a call or a result names.

    The program's results count as read by a call after the last one.
    """
    loaded = {k.name: loads(k) for k in program.kernels}
    found: dict[str, Uses] = {}
    for at, call in enumerate(program.calls):
        read, written = accesses(call, program.kernel(call.kernel), loaded[call.kernel])
        for name in read:
            found.setdefault(name, Uses()).reads.append(at)
        for name in written:
            found.setdefault(name, Uses()).writes.append(at)
    for name in dict.fromkeys(program.outputs):
        found.setdefault(name, Uses()).reads.append(len(program.calls))
    return found


def accesses(
    call: CallKernel, called: Kernel, loaded: set[str]
) -> tuple[Iterable[str], Iterable[str]]:
    """The allocations that a call reads and those that it writes."""
    pairs = list(zip(call.arguments, called.buffers, strict=True))
    read = dict.fromkeys(a for a, b in pairs if not b.written or b.name in loaded)
    return read, dict.fromkeys(a for a, b in pairs if b.written)


def loads(called: Kernel) -> set[str]:
    """The buffers that a kernel loads from."""
    return {load.buffer for load in kernel.loads(called.body)}
