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

from collections.abc import Iterator, Sequence
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
from graphc.passes.columns import are_columns, by_rows, is_wide, rows_at_a_time
from graphc.passes.decisions import record
from graphc.passes.loop_distribution import distributed, with_loads_inside
from graphc.passes.loop_nests import nested, perfect
from graphc.passes.machine import typical
from graphc.passes.ordered_loops import in_sizes, is_ordered, lasts_of
from graphc.passes.predict_cost import predicted, work_of

# Elements of a chunk, at least: some microseconds of work. A reduction has several chunks or none.
CHUNK, FEWEST_CHUNKS, MOST_CHUNKS = 16384, 4, 256
# Elements behind each partial result, at least: what partial results cost is lost among these; and
# elements of which a chunk is a multiple, whole steps of vectors along it.
DEPTH, STEP = 128, 64
# Results side by side that are one task for a thread, and how many tasks are enough for all.
COLUMNS, ENOUGH_TASKS = 4096, 16


def split_reductions(program: Program, in_memory: bool = True) -> Program:
    """Cut the long reductions of kernels with too few results to keep threads busy.

    in_memory lets a thread add up many columns side by side in memory, where registers do not hold
    them; else each column of a chunk has a thread.
    """
    return with_splits(program, [Split(kernel, in_memory) for kernel in program.kernels])


def with_splits(program: Program, cut: Sequence[Split]) -> Program:
    """The program with its kernels cut, each in its place, and memory for their partial results."""
    splits = {old.name: new for old, new in zip(program.kernels, cut, strict=True)}
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
    in_memory: bool = True
    partials: list[Buffer] = field(default_factory=list)

    def __post_init__(self) -> None:
        kernel, lasts = self.kernel, lasts_of(self.kernel)
        body: list[Statement] = []
        for statement in kernel.body:
            if isinstance(statement, For) and statement.kind == "serial":
                body += self.whole(statement, lasts)
            elif isinstance(statement, For) and statement.kind == "parallel":
                nest = with_loads_inside(statement)
                cut = [s for part in self.parts(nest, lasts) for s in self.rows(part, lasts)]
                body += [statement] if cut == [nest] else cut
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
        return self.cut([], filled(reduction, declared), reduction, chunks)

    def parts(self, nest: For, lasts: frozenset[str]) -> list[For]:
        """A nest for each of several reductions of columns, so that each can be cut for itself."""
        loops, inside = perfect(nest)
        reductions = [s for s in inside if isinstance(s, For)]
        if len(reductions) < 2 or not all(is_cuttable(each, lasts) for each in reductions):
            return [nest]
        if any(in_sizes(each) for each in reductions) or not all(map(may_be_kept, inside)):
            return [nest]
        if not all(self.is_cut(loops, each, lasts) for each in reductions):
            return [nest]
        return distributed(nest, self.keep)

    def is_cut(self, loops: list[For], reduction: For, lasts: frozenset[str]) -> bool:
        """Whether a reduction of columns would be cut if it were alone."""
        if not are_columns(loops[-1], reduction) or are_enough(loops, reduction):
            return False
        results = product(typical(each.limit) for each in loops)
        return chunks_of(reduction, results, lasts) is not None

    def keep(self, dtype: DType, size: Size) -> str:
        """A buffer for values that one nest leaves for another."""
        self.partials.append(Buffer(f"partial{len(self.partials)}", dtype, size, written=True))
        return self.partials[-1].name

    def rows(self, nest: For, lasts: frozenset[str]) -> list[Statement]:
        """Loops over few results with one reduction inside, cut where it is long."""
        loops, inside = perfect(nest)
        sums = [s for s in inside if isinstance(s, Accumulator)]
        reductions = [s for s in inside if isinstance(s, For)]
        if len(reductions) != 1 or tuple(inside[: len(sums) + 1]) != (*sums, *reductions):
            return [nest]
        (reduction,) = reductions
        if are_enough(loops, reduction) or not reads_each_once(loops, reduction):
            return [nest]
        chunks = chunks_of(reduction, product(typical(each.limit) for each in loops), lasts)
        if chunks is None:
            return [nest]
        self.note(nest, reduction, chunks)
        in_memory = self.in_memory and is_wide(loops[-1], reduction)
        if in_memory and not any(map(is_position, sums)):
            rows = rows_at_a_time(loops[-1], reduction)
        else:
            rows = 0
        first, *second = self.cut(loops, filled(reduction, sums), reduction, chunks, rows)
        rest = inside[len(sums) + 1 :]
        return [first, nested(loops, (*sums, *second, *rest))]

    def cut(
        self, loops: list[For], sums: list[Accumulator], reduction: For, chunks: Chunks,
        rows: int = 0,
    ) -> list[Statement]:  # fmt: skip
        """The loop over chunks that stores partial results, and what combines them.

        rows is how many are added to a row of results in memory at a time; 0 for registers.
        """
        name = reduction.variable.name
        outer = loop(f"{name}c", chunks.count, "parallel", ())
        results = product(each.limit for each in loops)
        at: Size = variable(outer)
        for each in loops:
            at = at * each.limit + variable(each)
        parts = [self.partial(s, chunks.count * results) for s in sums]
        renamed = {part.whole: part.name for part in parts}
        inner = chunk_of(reduction, chunks, variable(outer), renamed)
        chunk: tuple[Statement, ...]
        own = [Accumulator(part.name, part.kind, part.dtype) for part in parts]
        kept = [Store(p.buffer, at, Ref(p.dtype, p.name)) for p in parts]
        if rows:
            chunk = by_rows(loops, list(zip(own, kept, strict=True)), inner, rows)
        else:
            inside: tuple[Statement, ...] = (*own, inner, *kept)
            chunk = (nested(loops, inside),) if loops else inside
        over = loop(f"{name}r", chunks.count, "serial", ())
        there = dim.substitute(at, {outer.variable.name: variable(over)})
        second = combined(sums, parts, over, there)
        positions = (located(s, reduction, chunks) for s in sums if is_position(s))
        return [replace(outer, body=chunk), *second, *(s for found in positions for s in found)]

    def partial(self, accumulator: Accumulator, size: Size) -> Partial:
        """The partial results of an accumulator; of argmax the extreme values alone."""
        name, dtype = accumulator.name, accumulator.dtype
        kind = accumulator.kind.removeprefix("arg")
        found = Partial(f"{name}_chunk", kind, dtype, f"partial{len(self.partials)}", name)
        self.partials.append(Buffer(found.buffer, dtype, size, written=True))
        return found

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
    buffer: str
    whole: str


def may_be_kept(statement: Statement) -> bool:
    """Whether what a statement names is a number in memory like others, and no position."""
    if isinstance(statement, Accumulator):
        return not is_position(statement)
    return not isinstance(statement, Let) or statement.value.dtype.is_float


def is_position(accumulator: Accumulator) -> bool:
    """Whether an accumulator tells where the extreme is."""
    return accumulator.kind.startswith("arg")


def chunk_of(reduction: For, chunks: Chunks, number: Size, renamed: dict[str, str]) -> For:
    """The iterations of one chunk, which give values to accumulators of its own."""
    name = reduction.variable.name
    start = number * chunks.length
    length = dim.minimum(chunks.length, reduction.limit - start)
    if isinstance(reduction.limit, int) and reduction.limit % chunks.length == 0:
        length = chunks.length
    inner = loop(name, length, "serial", ())
    body = substitute(reduction.body, {name: start + variable(inner)}, renamed)
    return values_only(replace(inner, body=body))


def values_only(nest: For) -> For:
    """A loop whose accumulators take values and no positions."""
    body = (
        values_only(s) if isinstance(s, For)
        else Accumulate(s.name, s.value) if isinstance(s, Accumulate)
        else s
        for s in nest.body
    )  # fmt: skip
    return replace(nest, body=tuple(body))


def combined(
    sums: list[Accumulator], parts: list[Partial], over: For, at: Size
) -> Iterator[Statement]:
    """The loop over chunks that combines their results; of argmax it finds which chunk has it."""
    names = {s.name: f"{s.name}_best" if is_position(s) else s.name for s in sums}
    yield from (Accumulator(names[s.name], s.kind, s.dtype) for s in sums if is_position(s))
    body = (
        Accumulate(names[p.whole], Load(p.dtype, p.buffer, at, None), position_of(s, over))
        for s, p in zip(sums, parts, strict=True)
    )
    yield replace(over, body=tuple(body))


def position_of(accumulator: Accumulator, over: For) -> Size:
    """The number of the chunk, where an accumulator tells positions."""
    return variable(over) if is_position(accumulator) else 0


def located(accumulator: Accumulator, reduction: For, chunks: Chunks) -> tuple[Statement, ...]:
    """The position of an extreme: its chunk is looked through once more, and no other.

    As many iterations for each chunk: with the last one come some before it, which have no such
    extreme.
    """
    name, limit = reduction.variable.name, reduction.limit
    number = f"{accumulator.name}_number"
    first = dim.symbol(f"%{number}", "value") * chunks.length
    start = dim.maximum(0, dim.minimum(first, limit - chunks.length))
    if isinstance(limit, int) and limit % chunks.length == 0:
        start = first
    inner = loop(name, dim.minimum(chunks.length, limit), "serial", ())
    body = only(reduction.body, accumulator.name)
    inner = replace(inner, body=substitute(body, {name: start + variable(inner)}))
    return Let(number, Ref(int64, f"{accumulator.name}_best")), inner


def only(body: tuple[Statement, ...], name: str) -> tuple[Statement, ...]:
    """A body without what other accumulators get."""
    kept = (s for s in body if not isinstance(s, Accumulate) or s.name == name)
    return tuple(replace(s, body=only(s.body, name)) if isinstance(s, For) else s for s in kept)


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
    if each == 1:
        length = -(-length // STEP) * STEP
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


def reads_each_once(loops: list[For], reduction: For) -> bool:
    """Whether some load serves one result alone, as in a product of a matrix and a vector.

    Products of matrices, whose every load serves several results, are cut in other ways.
    """
    variables = {each.variable for each in loops}
    return any(variables <= dim.variables(load.offset) for load in loads(reduction.body))


def depth(body: tuple[Statement, ...]) -> int:
    """How many elements one iteration reduces, about."""
    inner = [s for s in body if isinstance(s, For)]
    return max((typical(s.limit) * depth(s.body) for s in inner), default=1)
