"""stage_rows: keep in memory what several loops over a row would compute again.

A softmax needs the exponential of each element for their sum and again for the quotients. A kernel
writes formulas where they are read, so each loop has them. What is cheap is best computed again;
what is dear waits in a row that stays in cache: a local buffer, or for a long row the result
itself, if the last of these loops stores one that nothing else touches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from graphc.ir import dim, scalar
from graphc.ir.dim import Size, Symbol
from graphc.ir.kernel import (
    Accumulate,
    For,
    Kernel,
    Let,
    Local,
    Statement,
    Store,
    loads,
    sizes,
    statements,
    stores,
    values,
    variable,
)
from graphc.ir.program import Decision, Program
from graphc.ir.scalar import (
    DIVISION_COST,
    DIVISIONS,
    TRANSCENDENTAL,
    TRANSCENDENTAL_COST,
    Call,
    Index,
    Load,
    Ref,
    Scalar,
)
from graphc.ir.types import DType
from graphc.passes.choose import Way, choose
from graphc.passes.decisions import record
from graphc.passes.machine import SECOND_CACHE
from graphc.passes.on_kernels import on_kernels
from graphc.passes.predict_cost import Work, predicted

# What a value costs that is stored and loaded again, in instructions.
STAGING_COST = 6
# A row longer than this, in bytes, has no local buffer, which lies on a thread's stack.
MAX_ROW = SECOND_CACHE // 8
# A row of a result, and one that it is made of, would not stay in the second cache if longer.
MAX_RESULT = SECOND_CACHE // 2


def stage_rows(program: Program) -> Program:
    """Keep dear values that several loops over a row compute, in a local buffer or a result.

    The loops stand in one block, run in vectors, and have the same number of iterations.
    """
    return on_kernels(program, stage_kernel)


def stage_kernel(kernel: Kernel) -> Kernel:
    """The kernel with the rows of its loops staged."""
    stage = Stage(kernel)
    body = tuple(stage.loop(s) if isinstance(s, For) else s for s in kernel.body)
    return replace(kernel, body=body)


@dataclass(frozen=True, slots=True)
class Row:
    """A loop over a row, and its values by name, written over one variable for all loops."""

    loop: For
    values: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row is kept: a buffer, and the offset of an element over a variable of some name."""

    buffer: str
    dtype: DType
    offset: Size
    index: str

    def at(self, loop: For) -> Size:
        """The offset of an element in a loop over the row."""
        return dim.substitute(self.offset, {self.index: variable(loop)})


class Stage:
    """The rows that one kernel keeps, in the making; taken are the buffers that hold one."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.taken: set[str] = set()

    def loop(self, nest: For) -> For:
        """A loop around rows with what stands in it staged; its iterations follow one another."""
        if nest.kind not in ("serial", "parallel"):
            return nest
        inner = tuple(self.loop(s) if isinstance(s, For) else s for s in nest.body)
        return replace(nest, body=self.block(inner))

    def block(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """A block whose later loops load what an earlier one has computed."""
        rows = {at: read_row(s) for at, s in enumerate(body) if is_row(s)}
        result = list(body)
        locals_before: dict[int, list[Local]] = {}
        for (value, first), places in shared_values(rows, changing(body)).items():
            last = result[places[-1]]
            assert isinstance(last, For)
            stored = self.stored_row(last, value)
            local = Local(self.unique(), value.dtype, length(rows[first].loop))
            if not self.pays(value, local, stored):
                continue
            if stored is None or is_short(local):
                locals_before.setdefault(first, []).append(local)
                own = Symbol("%row", "index", local.size)
                stored = Place(local.name, local.dtype, dim.atom(own), own.name)
            self.taken.add(stored.buffer)
            result[first] = kept(result[first], rows[first], value, stored)
            for place in places[1:]:
                result[place] = fetched(result[place], rows[place], value, stored)
        return tuple(s for at, old in enumerate(result) for s in (*locals_before.get(at, ()), old))

    def unique(self) -> str:
        """A name for a local buffer."""
        names = {*self.taken, *(buffer.name for buffer in self.kernel.buffers)}
        number = len(names)
        while (name := f"row{number}") in names:
            number += 1
        return name

    def stored_row(self, last: For, value: Scalar) -> Place | None:
        """The row of a result that a loop stores, where a value may wait for it; None if none."""
        read = {load.buffer for load in loads(self.kernel.body)}
        written = Counter(store.buffer for store in stores(self.kernel.body))
        index = last.variable.name
        for store in stores(last.body):
            kinds = {symbol.kind for symbol in dim.variables(store.offset)}
            fits = store.value.dtype == value.dtype and "value" not in kinds
            alone = written[store.buffer] == 1 and store.buffer not in read | self.taken
            if fits and alone and dim.coefficient(store.offset, index) == 1:
                return Place(store.buffer, value.dtype, store.offset, index)
        return None

    def pays(self, value: Scalar, local: Local, stored: Place | None) -> bool:
        """Whether a value costs more than to store and load it; says so if it is close."""
        cost = instructions(value)
        size = local.size * local.dtype.bytes
        if cost <= STAGING_COST:
            return False
        way = again = Way("compute again", False, computing(value) * local.size)
        reason = "the row would not stay in cache"
        if fits := is_short(local) or (stored is not None and size <= MAX_RESULT):
            name = "keep a row" if is_short(local) else "keep a row in the result"
            keep = Way(name, True, Work(read=size, written=size).seconds)
            way = choose(self.kernel.name, keep, lambda: [again])
            reason = "to load it again costs less than to compute it again"
        if fits and not way.value:
            reason = "it was chosen"
        numbers = (("instructions", str(cost)), ("bytes", str(size)), predicted(way.seconds))
        record(Decision("stage_rows", way.name, self.kernel.name, reason, numbers))
        return way.value


def is_short(local: Local) -> bool:
    """Whether a row may be a local buffer."""
    return local.size * local.dtype.bytes <= MAX_ROW


def is_row(statement: Statement) -> bool:
    """Whether a statement is a vector loop of known length without a loop inside."""
    return (
        isinstance(statement, For)
        and statement.kind == "vector"
        and isinstance(statement.limit, int)
        and not any(isinstance(s, For) for s in statement.body)
    )


def length(loop: For) -> int:
    """The number of iterations of a loop over a row."""
    assert isinstance(loop.limit, int)
    return loop.limit


def read_row(statement: Statement) -> Row:
    """A loop over a row with its values, each a formula over one variable and names outside."""
    assert isinstance(statement, For)
    place = {statement.variable.name: dim.atom(Symbol("%row", "index", statement.limit))}
    known: dict[str, Scalar] = {}

    def common(part: Scalar) -> Scalar | None:
        if isinstance(part, Load):
            return Load(part.dtype, part.buffer, dim.substitute(part.offset, place), part.guard)
        if isinstance(part, Index):
            return scalar.index(dim.substitute(part.value, place))
        return known.get(part.name) if isinstance(part, Ref) else None

    for inner in statement.body:
        if isinstance(inner, Let):
            known[inner.name] = scalar.rebuild(inner.value, common)
    return Row(statement, known)


def shared_values(
    rows: Mapping[int, Row], changed: Mapping[int, Collection[str]]
) -> dict[tuple[Scalar, int], list[int]]:
    """The values that several loops compute: for each and its first place all its places.

    Of formulas in one another only the largest count. changed tells what a statement stores;
    what is computed after such a change is another value.
    """
    found: dict[tuple[Scalar, int], list[int]] = {}
    for place, row in rows.items():
        first: dict[Scalar, int] = {}
        for before, other in rows.items():
            if before < place and other.loop.limit == row.loop.limit:
                between = stored_between(changed, before, place)
                for value in other.values.values():
                    if not names_in(value) & between:
                        first.setdefault(value, before)
        for value in largest(row, first):
            found.setdefault((value, first[value]), [first[value]]).append(place)
    return found


def largest(row: Row, earlier: Collection[Scalar]) -> Iterator[Scalar]:
    """The values of a loop that earlier ones have, and that something new in it reads."""
    for name, value in row.values.items():
        if value in earlier and any(
            name in names_read(s) and not (isinstance(s, Let) and row.values[s.name] in earlier)
            for s in row.loop.body
        ):
            yield value


def kept(statement: Statement, row: Row, value: Scalar, place: Place) -> For:
    """The loop that computes a value, now storing it too."""
    assert isinstance(statement, For)
    name = next(name for name, known in row.values.items() if known is value)
    at = next(k for k, s in enumerate(statement.body) if isinstance(s, Let) and s.name == name)
    store = Store(place.buffer, place.at(statement), Ref(value.dtype, name))
    return replace(statement, body=(*statement.body[: at + 1], store, *statement.body[at + 1 :]))


def fetched(statement: Statement, row: Row, value: Scalar, place: Place) -> For:
    """A loop that loads a value that it computed, without what only that needed."""
    assert isinstance(statement, For)
    load = Load(value.dtype, place.buffer, place.at(statement), None)
    body = [
        Let(s.name, load) if isinstance(s, Let) and row.values[s.name] is value else s
        for s in statement.body
    ]
    return replace(statement, body=without_unread(body))


def without_unread(body: list[Statement]) -> tuple[Statement, ...]:
    """A block without the values that nothing reads."""
    read: set[str] = set()
    result: list[Statement] = []
    for statement in reversed(body):
        if not isinstance(statement, Let) or statement.name in read:
            result.append(statement)
            read |= names_read(statement)
    return tuple(reversed(result))


def names_read(statement: Statement) -> set[str]:
    """The names of values that a statement reads, also in its offsets."""
    found = {p.name for p in scalar.walk(values(statement)) if isinstance(p, Ref)}
    symbols = {symbol for size in sizes(statement) for symbol in dim.variables(size)}
    return found | {s.name.removeprefix("%") for s in symbols if s.kind == "value"}


def names_in(value: Scalar) -> set[str]:
    """The buffers and outer names that a formula depends on."""
    parts = list(scalar.walk([value]))
    buffers = {part.buffer for part in parts if isinstance(part, Load)}
    return names_read(Let("", value)) | buffers


def changing(body: tuple[Statement, ...]) -> dict[int, frozenset[str]]:
    """What each statement of a block stores to or accumulates into."""
    return {
        at: frozenset([s.buffer for s in stores((statement,))])
        | frozenset(s.name for s in statements((statement,)) if isinstance(s, Accumulate))
        for at, statement in enumerate(body)
    }


def stored_between(changed: Mapping[int, Collection[str]], first: int, last: int) -> set[str]:
    """What changes from one statement of a block on, before another one."""
    return {name for at in range(first, last) for name in changed[at]}


def computing(value: Scalar) -> float:
    """The least seconds that a formula takes for an element."""
    calls = [part.function for part in scalar.walk([value]) if isinstance(part, Call)]
    functions = sum(function in TRANSCENDENTAL for function in calls)
    return Work(float32=len(calls) - functions, functions=functions).seconds


def instructions(value: Scalar) -> int:
    """What a formula costs for an element, roughly."""
    calls = (part.function for part in scalar.walk([value]) if isinstance(part, Call))
    return sum(
        TRANSCENDENTAL_COST
        if function in TRANSCENDENTAL
        else DIVISION_COST
        if function in DIVISIONS
        else 1
        for function in calls
    )
