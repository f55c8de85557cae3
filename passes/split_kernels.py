"""split_kernels: make a kernel of each nest of parallel loops, for devices that launch one a time.

    accumulator %s = sum            kernel 1: accumulator %s = sum
    for serial %k < n { ... }                 for serial %k < n { ... }
    for parallel %i < n {                     store %value_s[0] = %s
      store %y[%i] = ... %s         kernel 2: for parallel %i < n {
    }                                           let %s = load %value_s[0]
                                                store %y[%i] = ... %s
                                              }

All threads of a launch have ended when the next one begins; within one there is no way to wait for
all of them. What is between nests is a kernel as well. Values that follow from what no part of the
kernel writes are computed again where they are used; others are handed on in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from graphc.ir import dim, scalar
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    Buffer,
    For,
    Kernel,
    Let,
    Statement,
    Store,
    loads,
    sizes,
    statements,
    stores,
    values,
)
from graphc.ir.program import (
    Allocation,
    Branch,
    CallKernel,
    Decision,
    Program,
    Repeat,
    Step,
    While,
    make_call,
)
from graphc.ir.scalar import Load, Ref
from graphc.ir.types import DType, TensorType, int64
from graphc.passes.decisions import record
from graphc.passes.plan_memory import drop_unused

Body: TypeAlias = tuple[Statement, ...]
Calls: TypeAlias = Callable[[CallKernel], Iterable[Step]]


def split_kernels(program: Program) -> Program:
    """Make a kernel of each nest of parallel loops, and of what stands between them."""
    taken = {kernel.name for kernel in program.kernels}
    splits = {kernel.name: Split(kernel, taken) for kernel in program.kernels}
    names = {a.name for a in program.allocations}
    places = {
        kernel: {buffer.name: fresh(f"{kernel}_{buffer.name}", names) for buffer in split.handed}
        for kernel, split in splits.items()
    }
    added = [
        Allocation(places[kernel][buffer.name], "temporary", TensorType(buffer.dtype, (1,)))
        for kernel, split in splits.items()
        for buffer in split.handed
    ]

    def calls(call: CallKernel) -> Iterable[Step]:
        split = splits[call.kernel]
        given = dict(zip((b.name for b in split.kernel.buffers), call.places, strict=True))
        given |= {name: (place, 0) for name, place in places[call.kernel].items()}
        for part in split.parts:
            yield make_call(part.name, [given[buffer.name] for buffer in part.buffers])

    split_program = replace(
        program,
        kernels=tuple(part for split in splits.values() for part in split.parts),
        steps=rewritten(program.steps, calls),
        allocations=(*program.allocations, *added),
    )
    return drop_unused(split_program)  # memory that a kernel is given and does not touch


def rewritten(steps: Iterable[Step], calls: Calls) -> tuple[Step, ...]:
    """Steps with each call replaced by others; nests are no deeper than what a user writes."""
    result: list[Step] = []
    for step in steps:
        if isinstance(step, CallKernel):
            result += calls(step)
        elif isinstance(step, Branch):
            yes, no = rewritten(step.yes, calls), rewritten(step.no, calls)
            result.append(replace(step, yes=yes, no=no))
        else:
            assert isinstance(step, Repeat | While)
            result.append(replace(step, steps=rewritten(step.steps, calls)))
    return tuple(result)


def fresh(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if it is taken; from now on taken."""
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


@dataclass(slots=True)
class Split:
    """A kernel in parts that are launched in turn, and the buffers that hand values on."""

    kernel: Kernel
    taken: set[str]
    parts: list[Kernel] = field(default_factory=list)
    handed: list[Buffer] = field(default_factory=list)

    def __post_init__(self) -> None:
        free = repeatable(self.kernel)
        runs = runs_of(self.kernel.body, free)
        if len(runs) > 1:
            self.note(len(runs))
        wanted = [used(run, free) for run in runs]
        for at, run in enumerate(runs):
            later = {name for names in wanted[at + 1 :] for name in names}
            self.parts.append(self.part(run, wanted[at], free, later))

    def note(self, launches: int) -> None:
        """Record that a kernel is cut."""
        reason = "parallel loops follow one another, and a launch cannot wait for all its threads"
        subject, where = f"@{self.kernel.name}", self.kernel.origin
        record(Decision("split_kernels", f"{launches} launches", subject, reason, where=where))

    def part(self, run: Body, names: set[str], free: dict[str, Let], later: set[str]) -> Kernel:
        """The kernel of a run: the values that it is given, what it does, what it hands on."""
        known = {buffer.name: buffer for buffer in self.handed}
        loaded = [known[f"value_{name}"] for name in sorted(names) if f"value_{name}" in known]
        given = [
            Let(buffer.name.removeprefix("value_"), Load(buffer.dtype, buffer.name, 0, None))
            for buffer in loaded
        ]
        given += [let for name, let in free.items() if name in names]
        end = [self.hand_on(n, dtype) for n, dtype in declared(run).items() if n in later]
        body = (*inside(run, tuple(given)), *end)
        written = {store.buffer for store in stores(body)}
        touched = {load.buffer for load in loads(body)} | written
        buffers = tuple(
            replace(buffer, written=buffer.name in written)
            for buffer in (*self.kernel.buffers, *self.handed)
            if buffer.name in touched
        )
        name = self.kernel.name if not self.parts else fresh(self.kernel.name, self.taken)
        return replace(self.kernel, name=name, buffers=buffers, body=body)

    def hand_on(self, name: str, dtype: DType) -> Store:
        """Keep a value for the parts that follow."""
        self.handed.append(Buffer(f"value_{name}", dtype, 1, written=True))
        return Store(f"value_{name}", 0, Ref(dtype, name))


def repeatable(kernel: Kernel) -> dict[str, Let]:
    """The values outside of loops that are the same at any time, by name."""
    written = {store.buffer for store in stores(kernel.body)}
    found: dict[str, Let] = {}
    for statement in kernel.body:
        if (
            isinstance(statement, Let)
            and names_in((statement,)) <= found.keys()
            and not any(load.buffer in written for load in loads((statement,)))
        ):
            found[statement.name] = statement
    return found


def runs_of(body: Body, free: dict[str, Let]) -> list[Body]:
    """Each nest of parallel loops alone, and what stands between nests together.

    An accumulator is declared where it is filled.
    """
    runs: list[list[Statement]] = []
    pending: list[Statement] = []
    last_is_nest = True
    for statement in body:
        if isinstance(statement, Let) and statement.name in free:
            continue
        if isinstance(statement, Accumulator):
            pending.append(statement)
            continue
        is_nest = isinstance(statement, For) and is_independent(statement)
        if is_nest or last_is_nest:
            runs.append([])
        if not is_nest:
            runs[-1] += pending
            pending.clear()
        runs[-1].append(statement)
        last_is_nest = is_nest
    return [tuple(run) for run in runs]


def is_independent(loop: For) -> bool:
    """Whether a loop's iterations may run on different threads, with nothing to combine."""
    if loop.kind == "vector":
        return not any(isinstance(s, Accumulate) for s in statements(loop.body))
    return loop.kind == "parallel"


def names_in(body: Body) -> set[str]:
    """The names of values that statements use."""
    inner = list(statements(body))
    parts = scalar.walk(value for s in inner for value in values(s))
    found = {part.name for part in parts if isinstance(part, Ref)}
    symbols = {v for s in inner for size in sizes(s) for v in dim.variables(size)}
    return found | {v.name.removeprefix("%") for v in symbols if v.kind == "value"}


def used(run: Body, free: dict[str, Let]) -> set[str]:
    """The names from elsewhere that a run uses, with those that repeatable values need."""
    own = {s.name for s in statements(run) if isinstance(s, Let | Accumulator)}
    pending = list(names_in(run) - own)
    found: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += names_in((free[name],)) if name in free else ()
    return found


def declared(run: Body) -> dict[str, DType]:
    """The values that a run declares outside of loops, with their dtypes."""
    found: dict[str, DType] = {}
    for statement in run:
        if isinstance(statement, Let):
            found[statement.name] = statement.value.dtype
        elif isinstance(statement, Accumulator):
            is_position = statement.kind in ("argmax", "argmin")
            found[statement.name] = int64 if is_position else statement.dtype
    return found


def inside(run: Body, given: Body) -> Body:
    """A run behind the values that it is given, which stand inside of its parallel loops."""
    nest = run[0]
    if not given or len(run) > 1 or not isinstance(nest, For) or not is_independent(nest):
        return (*given, *run)
    return (replace(nest, body=inside(nest.body, given)),)
