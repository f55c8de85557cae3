"""split_reductions: cut a long reduction with few results into chunks that threads can share.

    accumulator %t = sum         for parallel %c < chunks {
    for serial %k < n {            accumulator %t_chunk = sum
      accumulate %t load %x[%k]    for serial %k < m { accumulate %t_chunk load %x[m*%c + %k] }
    }                              store %partial0[%c] = %t_chunk
                                 }
                                 accumulator %t = sum
                                 for serial %c < chunks { accumulate %t load %partial0[%c] }

The chunks depend on the shapes alone and their results are combined in order, so that the bits do
not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from graphc.ir import dim
from graphc.ir.dim import Size, product
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
    loop,
    statements,
    stores,
    substitute,
    variable,
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
from graphc.passes.loop_nests import nested, perfect
from graphc.passes.machine import typical
from graphc.passes.ordered_loops import is_ordered, lasts_of
from graphc.passes.predict_cost import predicted, work_of

# Elements of a chunk, at least: some microseconds of work. A reduction has several chunks or none.
CHUNK, FEWEST_CHUNKS, MOST_CHUNKS = 16384, 4, 256
# Elements behind each partial result, at least: what partial results cost is lost among these.
DEPTH = 64
# Results side by side that are one task for a thread, and how many tasks are enough for all.
COLUMNS, ENOUGH_TASKS = 4096, 16
# Columns that are added up side by side in registers.
IN_REGISTERS = 256


def split_reductions(program: Program) -> Program:
    """Cut the long reductions of kernels with too few results to keep threads busy."""
    splits = {kernel.name: Split(kernel) for kernel in program.kernels}
    names = {a.name for a in program.allocations}
    added: list[Allocation] = []

    def allocate(buffer: Buffer) -> str:
        number = len(added)
        while f"partial{number}" in names:
            number += 1
        name = f"partial{number}"
        names.add(name)
        added.append(Allocation(name, "temporary", TensorType(buffer.dtype, (buffer.size,))))
        return name

    def changed(step: Step) -> Step:
        if isinstance(step, CallKernel):
            scratch = splits[step.kernel].partials
            return make_call(step.kernel, [*step.places, *((allocate(b), 0) for b in scratch)])
        if isinstance(step, Branch):
            return replace(step, yes=tuple(map(changed, step.yes)), no=tuple(map(changed, step.no)))
        assert isinstance(step, Repeat | While)
        return replace(step, steps=tuple(map(changed, step.steps)))

    steps = tuple(map(changed, program.steps))
    kernels = tuple(split.kernel for split in splits.values())
    return replace(
        program, kernels=kernels, steps=steps, allocations=(*program.allocations, *added)
    )


@dataclass(frozen=True, slots=True)
class Chunks:
    """A loop in chunks: how many, and how many iterations each has but perhaps the last."""

    count: Size
    length: int


@dataclass(slots=True)
class Split:
    """A kernel with its long reductions cut, and the buffers of partial results that it got."""

    kernel: Kernel
    partials: list[Buffer] = field(default_factory=list)

    def __post_init__(self) -> None:
        kernel, lasts = self.kernel, lasts_of(self.kernel)
        body: list[Statement] = []
        for statement in kernel.body:
            if isinstance(statement, For) and statement.kind == "serial":
                body += self.whole(statement, lasts)
            elif isinstance(statement, For) and statement.kind == "parallel":
                body += self.rows(statement, lasts)
            else:
                body.append(statement)
        buffers = (*kernel.buffers, *self.partials)
        self.kernel = replace(kernel, buffers=buffers, body=tuple(body))

    def whole(self, reduction: For, lasts: frozenset[str]) -> list[Statement]:
        """A reduction outside of loops over results, cut where it is long."""
        declared = [s for s in self.kernel.body if isinstance(s, Accumulator)]
        chunks = chunks_of(reduction, 1, lasts)
        if chunks is None:
            return [reduction]
        self.note(reduction, reduction, chunks)
        return list(self.cut([], filled(reduction, declared), reduction, chunks))

    def rows(self, nest: For, lasts: frozenset[str]) -> list[Statement]:
        """Loops over few results with one reduction inside, cut where it is long."""
        loops, inside = perfect(nest)
        sums = [s for s in inside if isinstance(s, Accumulator)]
        reductions = [s for s in inside if isinstance(s, For)]
        if len(reductions) != 1 or tuple(inside[: len(sums) + 1]) != (*sums, *reductions):
            return [nest]
        (reduction,) = reductions
        if are_enough(loops, reduction) or not depends_on_all(loops, reduction):
            return [nest]
        chunks = chunks_of(reduction, product(typical(each.limit) for each in loops), lasts)
        if chunks is None:
            return [nest]
        self.note(nest, reduction, chunks)
        first, second = self.cut(loops, filled(reduction, sums), reduction, chunks)
        rest = inside[len(sums) + 1 :]
        return [first, nested(loops, (*sums, second, *rest))]

    def cut(
        self, loops: list[For], sums: list[Accumulator], reduction: For, chunks: Chunks
    ) -> tuple[For, For]:
        """The loop over chunks that stores partial results, and the one that combines them."""
        name = reduction.variable.name
        outer = loop(f"{name}c", chunks.count, "parallel", ())
        start = variable(outer) * chunks.length
        length = dim.minimum(chunks.length, reduction.limit - start)
        if isinstance(reduction.limit, int) and reduction.limit % chunks.length == 0:
            length = chunks.length
        inner = loop(name, length, "serial", ())
        results = product(each.limit for each in loops)
        at: Size = variable(outer)
        for each in loops:
            at = at * each.limit + variable(each)
        renamed = {s.name: f"{s.name}_chunk" for s in sums}
        body = substitute(reduction.body, {name: start + variable(inner)}, renamed)
        parts = [part for s in sums for part in self.partial(s, chunks.count * results)]
        chunk: tuple[Statement, ...]
        if loops and is_wide(loops[-1], reduction) and len(parts) == len(sums):
            chunk = by_rows(loops, parts, replace(inner, body=body), at)
        else:
            inside: tuple[Statement, ...] = (
                *(Accumulator(part.name, part.kind, part.dtype) for part in parts),
                replace(inner, body=with_values(body, parts)),
                *(Store(p.buffer, at, Ref(p.result, p.name)) for p in parts),
            )
            chunk = (nested(loops, inside),) if loops else inside
        first = replace(outer, body=chunk)
        over = loop(f"{name}r", chunks.count, "serial", ())
        there = dim.substitute(at, {outer.variable.name: variable(over)})
        combined = (s for sum_ in sums for s in combine(sum_, parts, there))
        return first, replace(over, body=tuple(combined))

    def partial(self, accumulator: Accumulator, size: Size) -> Iterator[Partial]:
        """The partial results of an accumulator: for argmax the extreme values, too."""
        name, kind, dtype = accumulator.name, accumulator.kind, accumulator.dtype
        found = [Partial(f"{name}_chunk", kind, dtype, dtype, f"partial{len(self.partials)}", name)]
        if kind.startswith("arg"):
            found[0] = replace(found[0], result=int64)
            second = f"partial{len(self.partials) + 1}"
            extreme = kind.removeprefix("arg")
            found.append(Partial(f"{name}_extreme", extreme, dtype, dtype, second, name))
        for part in found:
            self.partials.append(Buffer(part.buffer, part.result, size, written=True))
            yield part

    def note(self, nest: For, reduction: For, chunks: Chunks) -> None:
        """Record the choice, with the time predicted for the whole nest."""
        numbers = (("iterations", str(reduction.limit)), ("of a chunk", str(chunks.length)),
                   predicted(work_of((nest,), self.kernel.buffers).seconds))  # fmt: skip
        record(Decision("split_reductions", f"{chunks.count} chunks", self.kernel.name,
                        "there are too few results to keep threads busy", numbers))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Partial:
    """An accumulator of a chunk, the buffer that keeps its result, and the one it is a part of."""

    name: str
    kind: str
    dtype: DType
    result: DType
    buffer: str
    whole: str


def with_values(body: tuple[Statement, ...], parts: list[Partial]) -> tuple[Statement, ...]:
    """The body of a chunk, with the extreme accumulated beside its position."""
    extremes = {f"{p.whole}_chunk": p.name for p in parts if p.name.endswith("_extreme")}
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Accumulate) and statement.name in extremes:
            result.append(Accumulate(extremes[statement.name], statement.value))
        if isinstance(statement, For):
            result.append(replace(statement, body=with_values(statement.body, parts)))
        else:
            result.append(statement)
    return tuple(result)


def by_rows(loops: list[For], parts: list[Partial], chunk: For, at: Size) -> tuple[For, For]:
    """A chunk of columns, added up in memory row by row: so it is read forward, as one stream."""
    empty = [Accumulator(part.name, part.kind, part.dtype) for part in parts]
    stored = [Store(part.buffer, at, Ref(part.result, part.name)) for part in parts]
    before = [Accumulate(p.name, Load(p.result, p.buffer, at, None)) for p in parts]
    row = nested(loops, (*empty, *before, *chunk.body, *stored))
    return nested(loops, (*empty, *stored)), replace(chunk, body=(row,))


def combine(whole: Accumulator, parts: list[Partial], at: Size) -> Iterator[Statement]:
    """What adds a chunk's result to the whole."""
    mine = [Load(p.result, p.buffer, at, None) for p in parts if p.whole == whole.name]
    if not whole.kind.startswith("arg"):
        yield Accumulate(whole.name, mine[0])
        return
    position = f"{whole.name}_position"
    yield Let(position, mine[0])
    yield Accumulate(whole.name, mine[1], dim.symbol(f"%{position}", "value"))


def chunks_of(reduction: For, results: Size, lasts: frozenset[str]) -> Chunks | None:
    """How a reduction is cut for so many results; None if it is short, or not only a reduction."""
    if not is_cuttable(reduction, lasts):
        return None
    each = depth(reduction.body)
    if not each or not typical(results):  # nothing to reduce, or nobody to see it
        return None
    length = max(-(-CHUNK // (typical(results) * each)), -(-DEPTH // each))
    if isinstance(reduction.limit, int):
        length = max(length, -(-reduction.limit // MOST_CHUNKS))
    if each == 1:  # whole steps of vectors along the chunk
        length = -(-length // DEPTH) * DEPTH
    if typical(reduction.limit) < FEWEST_CHUNKS * length:
        return None
    return Chunks((reduction.limit + length - 1) // length, length)


def is_cuttable(reduction: For, lasts: frozenset[str]) -> bool:
    """Whether a loop does nothing but fill accumulators from around it, in any order."""
    if dim.variables(reduction.limit) or is_ordered(reduction, lasts):
        return False
    inner = [s for s in statements(reduction.body) if isinstance(s, For)]
    own = {s.name for s in statements(reduction.body) if isinstance(s, Accumulator)}
    return not own and all(s.kind == "serial" for s in inner) and not any(stores(reduction.body))


def filled(reduction: For, declared: list[Accumulator]) -> list[Accumulator]:
    """The accumulators that a reduction fills."""
    names = {s.name for s in statements(reduction.body) if isinstance(s, Accumulate)}
    return [accumulator for accumulator in declared if accumulator.name in names]


def are_enough(loops: list[For], reduction: For) -> bool:
    """Whether the results alone make tasks for many threads; columns are taken many at a time."""
    tasks = typical(product(each.limit for each in loops))
    return tasks >= ENOUGH_TASKS * (COLUMNS if are_columns(loops[-1], reduction) else 1)


def are_columns(last: For, reduction: For) -> bool:
    """Whether results that lie side by side are reductions of what lies side by side."""
    return any(
        dim.coefficient(load.offset, last.variable.name) == 1
        and dim.coefficient(load.offset, reduction.variable.name) != 1
        for load in loads(reduction.body)
    )


def is_wide(last: For, reduction: For) -> bool:
    """Whether registers do not hold a row of results, so that columns would be read in strips."""
    flat = not any(isinstance(s, For) for s in reduction.body)
    return flat and are_columns(last, reduction) and typical(last.limit) > IN_REGISTERS


def depends_on_all(loops: list[For], reduction: For) -> bool:
    """Whether no load serves several results: products of matrices are cut in other ways."""
    variables = {each.variable for each in loops}
    return all(variables <= dim.variables(load.offset) for load in loads(reduction.body))


def depth(body: tuple[Statement, ...]) -> int:
    """How many elements one iteration reduces, about."""
    inner = [s for s in body if isinstance(s, For)]
    return max((typical(s.limit) * depth(s.body) for s in inner), default=1)
