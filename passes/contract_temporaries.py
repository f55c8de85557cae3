"""contract_temporaries: what passes from kernel to kernel stays in cache, a block at a time.

The scores of attention are larger than all it reads and writes. Kernels that go over the same rows
become one, which takes a block of rows through all of them; of what passes between, only the block
is ever in memory. Known as loop fusion with array contraction (Gao, Olsen, Sarkar, Thekkath 1992).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Buffer,
    For,
    Kernel,
    Local,
    Statement,
    loop,
    relocate,
    substitute,
    variable,
)
from graphc.ir.program import (
    Branch,
    CallKernel,
    Decision,
    Program,
    Step,
    While,
    make_call,
    walk_steps,
)
from graphc.passes.collapse_loops import collapse_body
from graphc.passes.decisions import record
from graphc.passes.joint_loops import (
    Iteration,
    Nests,
    by_reach,
    calls_from,
    common_limits,
    common_variable,
    moves,
    slice_size,
    with_joint_kernels,
    with_own_names,
)
from graphc.passes.loop_nests import nested
from graphc.passes.machine import FIRST_CACHE, LINE, SECOND_CACHE, WAYS, typical
from graphc.passes.predict_cost import predicted, work_of

# What a block of all contracted temporaries may take, in bytes.
BLOCK = SECOND_CACHE // 4
# Of long rows a block has as many as a tile is high, as long as it takes no more bytes than this.
TILE, MOST = 8, SECOND_CACHE
# Temporaries so many times as large as all else are what matters.
MUCH = 4
# Temporaries that take less in all, in bytes, are in cache when they are read again.
LARGE = 2 * SECOND_CACHE
# So many blocks, or outer iterations, keep the threads of a usual machine busy.
ENOUGH_TASKS = 8
# More kernels than this are not joined.
MAX_CALLS = 8


def contract_temporaries(program: Program) -> Program:
    """Join kernels over the same rows where a block of what passes between them stays in cache."""
    work = Contraction(program)
    steps = work.steps(program.steps)
    return with_joint_kernels(program, steps, work.kernels.values(), work.contracted)


@dataclass(frozen=True, slots=True)
class Group:
    """Calls in order, with what each does in an iteration of their common loops.

    slices has, for each allocation that one of them writes and another one touches, the number of
    its elements that belong to one iteration of the innermost common loop.
    """

    calls: tuple[CallKernel, ...]
    limits: tuple[Size, ...]
    iterations: tuple[Iteration, ...]
    slices: dict[str, Size]


class Contraction:
    """The kernels of a program while some of them are joined."""

    def __init__(self, program: Program) -> None:
        self.allocations = program.allocations_by_name
        self.kernels = dict(program.kernels_by_name)
        self.nests = Nests()
        self.contracted: set[str] = set()
        steps = list(walk_steps(program.steps))
        calls = [step for step in steps if isinstance(step, CallKernel)]
        self.touched = Counter(name for call in calls for name in set(call.arguments))
        kept = {*program.outputs, *(name for pair in program.updates for name in pair)}
        kept |= {step.condition for step in steps if isinstance(step, While | Branch)}
        self.free = {a.name for a in program.allocations if a.kind == "temporary"} - kept

    def steps(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Steps with calls joined; loops and branches likewise.

        Those go first that save most, and of equal ones the most calls.
        """
        joined: dict[int, CallKernel] = {}
        taken: set[int] = set()
        worth = sorted(self.groups(steps), key=lambda found: (-found[0], -len(found[2].calls)))
        for _, at, group in worth:
            places = range(at, at + len(group.calls))
            if taken.isdisjoint(places):
                taken.update(places)
                joined[at] = self.joined(group)
        left = ((at, step) for at, step in enumerate(steps) if at in joined or at not in taken)
        return tuple(joined[at] if at in joined else self.within(step) for at, step in left)

    def within(self, step: Step) -> Step:
        """A loop or a branch with its calls joined; nests are no deeper than what a user writes."""
        if isinstance(step, CallKernel):
            return step
        if isinstance(step, Branch):
            return Branch(step.condition, self.steps(step.yes), self.steps(step.no))
        return replace(step, steps=self.steps(step.steps))

    def groups(self, steps: Sequence[Step]) -> Iterator[tuple[float, int, Group]]:
        """Groups of calls that may be joined: what each saves, where it begins, and itself."""
        for at in range(len(steps)):
            window = calls_from(steps[at : at + MAX_CALLS])
            large = sum(map(self.bytes, self.enclosed(window))) >= LARGE
            most = len(window) if large else 0
            for count in range(2, most + 1):
                calls = window[:count]
                group = self.group(calls) if self.passes_on(calls[:-1]) else None
                if group is None:
                    break
                if (saved := self.saved(group)) > 0:
                    yield saved, at, group

    def enclosed(self, calls: Sequence[CallKernel]) -> set[str]:
        """The temporaries that some calls touch and no other one does."""
        counts = Counter(name for call in calls for name in set(call.arguments))
        return {n for n in counts if n in self.free and counts[n] == self.touched[n]}

    def passes_on(self, calls: Iterable[CallKernel]) -> bool:
        """Whether calls write a large temporary that later ones still touch."""
        counts = Counter(name for call in calls for name in set(call.arguments))
        return any(
            counts[name] < self.touched[name] and self.bytes(name) >= LARGE // MAX_CALLS
            for name in counts
            if name in self.free
        )

    def bytes(self, name: str) -> int:
        """The bytes of an allocation, roughly where sizes are symbolic."""
        return typical(self.allocations[name].bytes)

    def group(self, calls: Sequence[CallKernel]) -> Group | None:
        """Calls over the outermost common loops whose iterations fit in cache; None without any."""
        shared = self.shared(calls)
        kernels = [self.kernels[call.kernel] for call in calls]
        orders = [
            by_reach(self.nests.nest(kernel), self.largest(call, shared))
            for kernel, call in zip(kernels, calls, strict=True)
        ]
        limits = reduce(common_limits, ([nest.limit for nest in order] for order in orders))
        for depth in range(1, len(limits) + 1):
            outer = tuple(limits[:depth])
            parts = tuple(
                self.nests.iteration(kernel, order, outer)
                for kernel, order in zip(kernels, orders, strict=True)
            )
            group = Group(tuple(calls), outer, parts, {})
            for name in shared:
                size = slice_size(self.offsets(group, name), outer)
                if size is None:
                    return None
                group.slices[name] = size
            fits = MOST if depth == len(limits) else BLOCK
            if self.slice_bytes(group, self.inside(group)) <= fits:
                return group
        return None

    def largest(self, call: CallKernel, names: Iterable[str]) -> list[str]:
        """The parameters of a call that stand for the largest of some allocations."""
        touched = [name for name in names if name in call.arguments]
        name = max(touched, key=self.bytes, default="")
        pairs = zip(self.kernels[call.kernel].buffers, call.arguments, strict=True)
        return [buffer.name for buffer, argument in pairs if argument == name]

    def shared(self, calls: Sequence[CallKernel]) -> list[str]:
        """The allocations that one call writes and another one touches."""
        counts = Counter(name for call in calls for name in set(call.arguments))
        written = {
            name
            for call in calls
            for name, buffer in zip(call.arguments, self.kernels[call.kernel].buffers, strict=True)
            if buffer.written
        }
        return [name for name in counts if counts[name] > 1 and name in written]

    def offsets(self, group: Group, name: str) -> list[Size]:
        """Where the calls of a group touch an allocation."""
        found: list[Size] = []
        for call, part in zip(group.calls, group.iterations, strict=True):
            buffers = self.kernels[call.kernel].buffers
            for buffer, (argument, begin) in zip(buffers, call.places, strict=True):
                if argument == name:
                    found += [begin + offset for offset in part.offsets.get(buffer.name, ())]
        return found

    def inside(self, group: Group) -> list[str]:
        """The shared temporaries that no other call touches."""
        enclosed = self.enclosed(group.calls)
        return [name for name in group.slices if name in enclosed]

    def apart(self, group: Group, name: str, rows: Size) -> Size:
        """How many elements apart the rows of a block lie, if it has several.

        A line more than they are long, where all would begin in the same set of the first cache.
        """
        size, bytes_of_one = group.slices[name], self.allocations[name].type.dtype.bytes
        whole = isinstance(size, int) and size * bytes_of_one % (FIRST_CACHE // WAYS) == 0
        return size + LINE // bytes_of_one if whole and rows != 1 else size

    def slice_bytes(self, group: Group, names: Iterable[str]) -> float:
        """What an iteration of the innermost common loop has of temporaries; or infinity."""
        total = 0
        for name in names:
            size = group.slices[name]
            if not isinstance(size, int):
                return math.inf
            total += size * self.allocations[name].type.dtype.bytes
        return total

    def rows(self, group: Group, inside: Sequence[str]) -> Size:
        """How many iterations of the innermost common loop make a block."""
        limit = group.limits[-1]
        row = int(self.slice_bytes(group, inside))
        most = max(BLOCK // row, min(MOST // row, TILE))
        if len(group.limits) == 1:  # blocks are what threads share
            most = max(1, min(most, typical(limit) // ENOUGH_TASKS))
        if not isinstance(limit, int) or limit <= most:
            return most if not isinstance(limit, int) else limit
        even = next(rows for rows in range(most, 0, -1) if limit % rows == 0)
        return even if 2 * even > most else -(-limit // -(-limit // most))

    def saved(self, group: Group) -> float:
        """Bytes that need not leave the cache, less those that each block reads again.

        These count twice: a tile waits for them, where a temporary is written and read as a stream.
        Where the temporaries are much larger than all else, that is read again for little.
        """
        inside = self.inside(group)
        total = sum(self.bytes(name) for name in inside)
        if total < LARGE:
            return 0
        loops = Block(group.limits, self.rows(group, inside)).outer
        counts = [typical(nest.limit) for nest in loops]
        if math.prod(counts) < ENOUGH_TASKS:
            return 0
        others = {n for call in group.calls for n in call.arguments} - set(inside)
        if total >= MUCH * sum(self.bytes(name) for name in others):
            return 2 * total
        again = 0
        for name in others:
            offsets = self.offsets(group, name)
            fixed = [count for place, count in enumerate(counts)
                     if not any(moves(o, place) for o in offsets)]  # fmt: skip
            again += self.bytes(name) * (math.prod(fixed) - 1)
        return 2 * (total - again)

    # --- the joint kernel ------------------------------------------------------------------------

    def joined(self, group: Group) -> CallKernel:
        """The call of a new kernel that does what a group does."""
        inside = self.inside(group)
        places = dict.fromkeys(p for c in group.calls for p in c.places if p[0] not in inside)
        names = {place: f"b{number}" for number, place in enumerate(places)}
        local = {name: f"l{number}" for number, name in enumerate(inside)}
        rows = self.rows(group, inside)
        block = Block(group.limits, rows)
        apart = {name: self.apart(group, name, rows) for name in inside}
        sizes = {name: typical(apart[name]) * typical(rows) for name in inside}
        parts: list[Statement] = [
            Local(local[n], self.allocations[n].type.dtype, sizes[n]) for n in inside
        ]
        taken: set[str] = set()
        for call, part in zip(group.calls, group.iterations, strict=True):
            moved = {}
            for buffer, place in zip(self.kernels[call.kernel].buffers, call.places, strict=True):
                name, begin = place
                moved[buffer.name] = (
                    (local[name], begin + block.in_block(group.slices[name], apart[name]))
                    if name in local
                    else (names[place], 0)
                )
            here = block.rowwise(relocate(part.inside, moved))
            inner = replace(part, inside=with_own_names(here, taken))
            parts += collapse_body(inner.over(None if rows == 1 else block.inner))
        kernel = self.kernel(group, block.nest(tuple(parts)), names)
        self.contracted |= set(inside)
        self.say(group, inside, rows, kernel)
        return make_call(kernel.name, list(names))

    def kernel(
        self, group: Group, body: tuple[Statement, ...], names: dict[tuple[str, Size], str]
    ) -> Kernel:
        """The joint kernel under a name of its own, or the one there is with the same code."""
        parts = [self.kernels[call.kernel] for call in group.calls]
        buffers: dict[str, Buffer] = {}
        for call, kernel in zip(group.calls, parts, strict=True):
            for place, buffer in zip(call.places, kernel.buffers, strict=True):
                if place in names:
                    name = names[place]
                    written = buffer.written or (name in buffers and buffers[name].written)
                    buffers[name] = replace(buffer, name=name, written=written)
        made = tuple(buffers[name] for name in names.values())
        for known in self.kernels.values():
            if known.buffers == made and known.body == body:
                return known
        name = "_then_".join(kernel.name for kernel in parts)
        origin = dict.fromkeys(line for kernel in parts for line in kernel.origin)
        self.kernels[name] = Kernel(name, made, body, tuple(origin))
        return self.kernels[name]

    def say(self, group: Group, inside: Sequence[str], rows: Size, kernel: Kernel) -> None:
        """Record what was joined."""
        numbers = (("temporaries", ", ".join(f"%{n}" for n in inside)),
                   ("bytes", str(sum(self.bytes(n) for n in inside))),
                   ("bytes of a block", str(int(self.slice_bytes(group, inside)) * typical(rows))),
                   predicted(work_of(kernel.body, kernel.buffers).seconds))  # fmt: skip
        choice = f"join {len(group.calls)} calls, {rows} rows at a time"
        reason = "what passes between them stays in cache"
        record(Decision("contract_temporaries", choice, kernel.name, reason, numbers))


@dataclass(frozen=True, slots=True)
class Block:
    """Common loops, the innermost of which takes some rows at a time."""

    limits: tuple[Size, ...]
    rows: Size

    @property
    def outer(self) -> list[For]:
        """The loops over blocks."""
        rows, last = self.rows, self.limits[-1]
        limits = [*self.limits[:-1], dim.floor_divide(last + rows - 1, rows)]
        return [loop(f"%g{place}", limit, "parallel", ()) for place, limit in enumerate(limits)]

    @property
    def inner(self) -> For:
        """The loop over the rows of a block; the last block may have fewer."""
        first = variable(self.outer[-1]) * self.rows
        limit = self.limits[-1]
        whole = isinstance(limit, int) and isinstance(self.rows, int) and limit % self.rows == 0
        count = self.rows if whole else dim.minimum(self.rows, limit - first)
        return loop("%r", count, "parallel", ())

    def in_block(self, size: Size, apart: Size) -> Size:
        """What to add to an offset in a temporary for the offset in its block.

        Iterations lie `size` elements apart in the one, `apart` in the other.
        """
        moved: Size = variable(self.inner) * apart
        for place in reversed(range(len(self.limits))):
            moved = moved - common_variable(place, self.limits[place]) * size
            size = size * self.limits[place]
        return moved

    def rowwise(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """What is done in an iteration, over the variables of blocks and of their rows."""
        outer = self.outer
        at: dict[str, Size] = {f"%c{place}": variable(nest) for place, nest in enumerate(outer)}
        row = 0 if self.rows == 1 else variable(self.inner)
        at[f"%c{len(outer) - 1}"] = variable(outer[-1]) * self.rows + row
        return substitute(body, {**at, **({"%r": 0} if self.rows == 1 else {})})

    def nest(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """The loops over blocks around a body, one with enough iterations for threads outermost."""
        loops = self.outer
        if typical(loops[0].limit) < ENOUGH_TASKS:
            loops.sort(key=lambda nest: -typical(nest.limit))
        return (nested(loops, body),)
