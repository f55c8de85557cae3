"""widen_accesses: let a thread load and store several neighbours at once, where memory allows it.

    for parallel %i < n {                for parallel %i < (n + 3) // 4 {
      store %y[%i] = exp(load %x[%i])      for wide %i_lane < minimum(4, n - 4*%i) lanes 4 {
    }                                        store %y[4*%i + %i_lane] = exp(load ...)
                                           }
                                         }

A GPU moves 16 bytes of a thread as fast as 4, and each access takes an instruction and an address.
The elements that a loop takes side by side must begin at multiples of their number; this is proven
from the offsets, and from where the calls of a kernel let its buffers begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.divisibility import is_multiple
from graphc.ir.kernel import (
    Accumulate,
    For,
    Kernel,
    Let,
    Statement,
    Store,
    accesses,
    loads,
    loop,
    stores,
    substitute,
    variable,
)
from graphc.ir.program import CallKernel, Decision, Program, walk_steps
from graphc.ir.scalar import Load
from graphc.passes.choose import Way, choose
from graphc.passes.decisions import record
from graphc.passes.loop_nests import is_dealt_out
from graphc.passes.machine import typical
from graphc.passes.ordered_loops import is_ordered, lasts_of

# Bytes of the widest access of a thread, to which memory is aligned at least.
WIDEST = 16
Starts: TypeAlias = Mapping[str, Sequence[Size]]
"""Where in their memory the buffers of a kernel begin, in elements, by its calls."""
# Accesses of a row, at least: with fewer the threads of a warp would not all have one.
FEWEST = 32


def widen_accesses(program: Program) -> Program:
    """Take neighbours together in the innermost loops of kernels."""
    starts = starts_of(program)
    changed = (Widening(kernel, starts.get(kernel.name, {})).result for kernel in program.kernels)
    pairs = zip(program.kernels, changed, strict=True)
    return replace(program, kernels=tuple(old if new == old else new for old, new in pairs))


def starts_of(program: Program) -> dict[str, dict[str, list[Size]]]:
    """Where in their memory the buffers of kernels begin, in elements, by kernel and buffer."""
    kernels = program.kernels_by_name
    found: dict[str, dict[str, list[Size]]] = {}
    for call in walk_steps(program.steps):
        if isinstance(call, CallKernel):
            starts = found.setdefault(call.kernel, {})
            for buffer, (_, start) in zip(kernels[call.kernel].buffers, call.places, strict=True):
                starts.setdefault(buffer.name, []).append(start)
    return found


@dataclass(slots=True)
class Widening:
    """A kernel while its accesses are widened, and where its buffers begin."""

    kernel: Kernel
    starts: Starts

    @property
    def result(self) -> Kernel:
        """The kernel with its innermost loops widened where that is possible."""
        if is_dealt_out(self.kernel):
            return self.kernel
        lasts = lasts_of(self.kernel)
        body = tuple(self.within(s, True, lasts) for s in self.kernel.body)
        return replace(self.kernel, body=body)

    def within(self, statement: Statement, is_nest: bool, lasts: frozenset[str]) -> Statement:
        """A statement with the loops in it widened; is_nest says that loops alone stand around."""
        if not isinstance(statement, For):
            return statement
        if any(isinstance(inner, For) for inner in statement.body):
            alone = is_nest and len(statement.body) == 1 and statement.kind == "parallel"
            body = tuple(self.within(inner, alone, lasts) for inner in statement.body)
            return replace(statement, body=body)
        if not is_free(statement, lasts):
            return statement
        lanes = self.lanes(statement)
        is_row = not is_nest or statement.kind == "serial"
        if lanes < 2 or (is_row and shortest(statement.limit) < lanes * FEWEST):
            return statement
        if not is_row:
            lanes = self.chosen(statement, lanes)
        self.note(lanes)
        return widened(statement, lanes) if lanes > 1 else statement

    def chosen(self, loop: For, usual: int) -> int:
        """As many elements as one access takes, or as many as were fastest."""

        def way(lanes: int) -> Way[int]:
            return Way(f"{lanes} elements a thread", lanes, 0.0)

        def others() -> Iterator[Way[int]]:
            fitting = (2 * usual,) if self.fits(loop, 2 * usual) else ()
            return map(way, (*fitting, usual // 2, 1))

        return choose(self.kernel.name, way(usual), others).value

    def fits(self, loop: For, lanes: int) -> bool:
        """Whether so many elements lie at multiples of their number in every access."""
        known = [access for access in accesses_along(loop) if access is not None]
        is_long = not isinstance(loop.limit, int) or loop.limit >= lanes
        return is_long and all(self.is_multiple(access, loop, lanes) for access in known)

    def note(self, lanes: int) -> None:
        """Record how many elements are taken together."""
        reason = "neighbours lie at multiples of as many, and one access is for all"
        subject = f"@{self.kernel.name}"
        choice = f"{lanes} elements an access"
        record(Decision("widen_accesses", choice, subject, reason, where=self.kernel.origin))

    def lanes(self, loop: For) -> int:
        """How many elements an access of a loop may have; 1 where no more than that."""
        side_by_side = list(accesses_along(loop))
        if not side_by_side or any(access is None for access in side_by_side):
            return 1
        known = [access for access in side_by_side if access is not None]
        lanes = WIDEST // max(dtype_bytes(access) for access in known)
        while lanes > 1 and not self.fits(loop, lanes):
            lanes //= 2
        return lanes

    def is_multiple(self, access: Load | Store, loop: For, lanes: int) -> bool:
        """Whether the elements of an access begin at a multiple of so many elements."""
        first = access.offset - variable(loop)
        starts = self.starts.get(access.buffer, ())
        return all(is_multiple(size, lanes) for size in (first, *starts))


def is_free(loop: For, lasts: frozenset[str]) -> bool:
    """Whether the iterations of a loop without others in it may run side by side, in lockstep."""
    if loop.kind == "parallel":
        return not reads_what_it_stores(loop.body)
    filled = [s.name for s in loop.body if isinstance(s, Accumulate)]
    is_sum = loop.kind == "serial" and bool(filled) and not is_ordered(loop, lasts)
    return is_sum and len(filled) == len(set(filled))


def reads_what_it_stores(body: tuple[Statement, ...]) -> bool:
    """Whether a body loads from a buffer after it has stored to it."""
    stored: set[str] = set()
    for statement in body:
        if any(load.buffer in stored for load in loads((statement,))):
            return True
        stored |= {store.buffer for store in stores((statement,))}
    return False


def accesses_along(loop: For) -> Iterator[Load | Store | None]:
    """The accesses of a loop to neighbours; None for one that is neither that nor to one place."""
    named = {f"%{s.name}" for s in loop.body if isinstance(s, Let)}
    for access in accesses(loop.body):
        step = dim.coefficient(access.offset, loop.variable.name)
        if step == 1 and access.guard is None:
            yield access
        elif step != 0 or any(s.name in named for s in dim.variables(access.offset)):
            yield None


def dtype_bytes(access: Load | Store) -> int:
    """The bytes of the element that is loaded or stored."""
    dtype = access.dtype if isinstance(access, Load) else access.value.dtype
    return dtype.bytes


def shortest(limit: Size) -> int:
    """The number of iterations, where it is not known a usual one."""
    return typical(limit) if not dim.variables(limit) else 0


def widened(old: For, lanes: int) -> For:
    """A loop over groups of neighbours, around a loop over those of a group."""
    name = old.variable.name
    groups = loop(name, (old.limit + lanes - 1) // lanes, old.kind, ())
    left = dim.minimum(lanes, old.limit - lanes * variable(groups))
    limit = lanes if is_multiple(old.limit, lanes) else left
    inner = loop(f"{name}_lane", limit, "wide", (), lanes)
    place = lanes * variable(groups) + variable(inner)
    body = substitute(old.body, {name: place})
    return replace(groups, body=(replace(inner, body=body),))
