"""Kernel: loops, lets, accumulators and stores over flat buffers; what every backend can say.

The grammar, one statement a line:

    kernel @name(%x: f32[784*batch], write %y: f32[784*batch]) {
      for KIND %i < LIMIT [lanes N] { ... }    a loop over 0 <= i < LIMIT
      let %t: f32 = SCALAR                     a value, visible to the end of its block
      accumulator %s: f32 = sum                starts from the reduction's identity
      accumulate %s SCALAR                     combines one more value into it
      store %y[OFFSET] = SCALAR                writes one element
      store %y[OFFSET] if GUARD = SCALAR       writes it where the guard, a bool, is true
      local %b: f32[64]                        a buffer of its own, to the end of its block
      barrier                                  the threads of a block wait for one another
    }

The kinds of loop and what they promise:

serial     one iteration after another.
parallel   iterations are independent; they may run in any order, and on any thread where the
           loop is an outermost one of its kernel.
unrolled   the limit is an integer; iterations run in lockstep, statement by statement: all
           execute the first statement, then all the second. A loop inside is one loop for all
           (its limit may not depend on the unrolled variable). Where it has `lanes`, as many as
           iterations, what its statements load and store with a coefficient of 1 on the variable
           begins at multiples of them, as in a wide loop, and each may become one access.
vector     as unrolled, `lanes` iterations at a time; the last step may be partial. Loads and
           stores with a coefficient of 1 on the variable become vector loads and stores.
wide       as unrolled, for at most `lanes` iterations; the limit is that number, or a minimum of it
           and of what is left. Loads and stores with a coefficient of 1 on the variable begin at
           multiples of `lanes` elements, in buffers that begin so in memory, and each becomes one
           access. What iterations accumulate is combined in their order.
copy       as wide, for `lanes` iterations, in a thread loop, with a store alone, to a buffer that
           threads share, of what a load reads elsewhere. The elements may come later, while the
           thread goes on: a barrier waits for them.
grid       an outermost loop, or one that alone is in a grid loop: as parallel, and each iteration
           of them all is a thread of a device's grid. Where the outermost one has `lanes`, as many
           are a block.
block      as grid, but each iteration is a block of threads, which work at it together: what
           stands outside of thread loops is done once for the block. A device whose warps can
           meet for themselves may put `lanes` iterations of 32 threads side by side.
matrix     as serial, over 32 bytes of terms that an `accumulate` of a product adds up in lockstep
           loops of a thread, for a unit of a device that multiplies matrices. A warp, 32 threads,
           has a matrix of sums, 16 by 8: thread t rows t/4 modulo 8 and 8 further, and two columns
           from 2*(t mod 4) on, in the lockstep loops over the two. A let has the first factor,
           which differs in rows alone, one the other, which differs in columns alone; both are
           loaded from shared memory, where the next term is the next element, or else the next row
           or column, and where neighbours begin at multiples of 16 bytes. The order is the unit's,
           which rounds factors of float32 to tf32, of 11 bits. With 128 lanes it is a warpgroup,
           four warps side by side, that has a matrix of sums, 64 rows by 128 columns: each warp
           the 16 rows of its number. It reads both factors of 16 bits where they lie, in swizzled
           lines, and may go on adding after the loop, until a barrier waits for it. Such a loop is
           alone in a serial one, all of whose products count as one.
thread     iterations are independent; they are dealt to `lanes` threads of a block, the first
           `lanes` one to each, and so on. All are done before the statement after the loop.

Lockstep lets a backend keep iterations side by side in registers, and it never changes a
result: iterations of unrolled and vector loops are independent but for accumulators. They may store
the same value in the same place, which is done once for all.

An accumulator declared outside a vector or thread loop and accumulated inside it has `lanes`
partial values, lane l taking the iterations l, l + lanes, l + 2*lanes, ...; after the loop they
are combined by halves: lane l with lane l + lanes/2, and so on down to one. The order of every
reduction is therefore part of the kernel's text, whatever the machine and its threads.
Accumulating a product into a floating-point sum is a fused multiply-add.

A local buffer stands in loops that are not in lockstep: each iteration of the innermost has it
for itself, small enough to stay in cache, with nothing in it but what the iteration has stored.
So the threads of a block share what is declared around their loop, and each has what is inside.

A barrier stands in a thread loop with one iteration for each thread, which all reach it: what any
has stored before is seen by all behind it. One that leaves N pending does not wait for what copy
loops began behind the Nth barrier before it, one that leaves N running not for the last N serial
loops over products of warpgroups. Lockstep holds around a barrier too, so that a thread
keeps many sums in registers while it walks, with the others, through memory that they share. Store
guards and barriers are for devices, as are the loops over their threads.

An accumulator of kind `last` holds what was accumulated last, 0 before: a variable. Its iterations
have an order, so it outlives serial loops only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphc.ir import dim, scalar
from graphc.ir.dim import Dim, Size, Symbol
from graphc.ir.scalar import Load, Scalar
from graphc.ir.types import DType

LOOP_KINDS = (
    "serial", "parallel", "unrolled", "vector", "wide", "copy", "grid", "block", "thread", "matrix",
)  # fmt: skip
ACCUMULATORS = (*scalar.REDUCTIONS, "last")
WARPGROUP = 128
"""Threads, four warps, that have one product of matrices computed together."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A kernel's parameter: `size` elements of contiguous memory, read, written or both.

    past_cache asks for stores that leave nothing in the caches, where the processor has such.
    """

    name: str
    dtype: DType
    size: Size
    written: bool = False
    past_cache: bool = False


@dataclass(frozen=True, slots=True)
class Let:
    """Names a value."""

    name: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Accumulator:
    """Declares an accumulator; for argmax and argmin dtype is that of the compared values."""

    name: str
    kind: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class Accumulate:
    """Combines a value into an accumulator; position is what argmax and argmin remember."""

    name: str
    value: Scalar
    position: Size = 0


@dataclass(frozen=True, slots=True)
class Store:
    """Writes a value to a buffer at an offset counted in elements, unless a guard is false."""

    buffer: str
    offset: Size
    value: Scalar
    guard: Scalar | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """Declares a buffer of `size` elements that the iteration around it has for itself."""

    name: str
    dtype: DType
    size: int


@dataclass(frozen=True, slots=True)
class Barrier:
    """Lets the threads of a block wait for one another.

    pending is how many barriers back copies may have begun, at most, that are not waited for,
    running how many serial loops over products of warpgroups, the last ones, are not.
    """

    pending: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True)
class For:
    """A loop; lanes is the number of iterations side by side where the kind has some, else 1."""

    variable: Symbol
    kind: str
    body: tuple[Statement, ...]
    lanes: int = 1

    @property
    def limit(self) -> Size:
        """The number of iterations."""
        assert self.variable.limit is not None
        return self.variable.limit


Statement: TypeAlias = For | Let | Accumulator | Accumulate | Store | Local | Barrier


@dataclass(frozen=True, slots=True)
class Kernel:
    """One fused group as code: its buffers, in the order of its arguments, and its body.

    origin is the text of the user's lines that it came from, for people who read it.
    """

    name: str
    buffers: tuple[Buffer, ...]
    body: tuple[Statement, ...]
    origin: tuple[str, ...] = ()


def loop(name: str, limit: Size, kind: str, body: tuple[Statement, ...], lanes: int = 1) -> For:
    """A loop over a new variable."""
    return For(Symbol(name, "index", limit), kind, body, lanes)


def statements(body: tuple[Statement, ...]) -> Iterator[Statement]:
    """Every statement in a body, outer before inner, in order."""
    stack = list(reversed(body))
    while stack:
        statement = stack.pop()
        yield statement
        if isinstance(statement, For):
            stack.extend(reversed(statement.body))


def values(statement: Statement) -> tuple[Scalar, ...]:
    """The expressions directly in a statement."""
    if isinstance(statement, Store):
        return (statement.value,) if statement.guard is None else (statement.value, statement.guard)
    return (statement.value,) if isinstance(statement, Let | Accumulate) else ()


def loads(body: tuple[Statement, ...]) -> Iterator[Load]:
    """Every load in a body, in the order of its statements."""
    for statement in statements(body):
        yield from (v for v in scalar.walk(values(statement)) if isinstance(v, Load))


def stores(body: tuple[Statement, ...]) -> Iterator[Store]:
    """Every store in a body, in order."""
    return (statement for statement in statements(body) if isinstance(statement, Store))


def accesses(body: tuple[Statement, ...]) -> Iterator[Load | Store]:
    """Every load and every store in a body."""
    yield from loads(body)
    yield from stores(body)


def sizes(statement: Statement) -> tuple[Size, ...]:
    """The sizes and offsets in a statement and its expressions, those of inner blocks not."""
    found: list[Size] = []
    if isinstance(statement, For):
        found.append(statement.limit)
    if isinstance(statement, Store):
        found.append(statement.offset)
    if isinstance(statement, Accumulate):
        found.append(statement.position)
    for value in scalar.walk(values(statement)):
        if isinstance(value, scalar.Load):
            found.append(value.offset)
        elif isinstance(value, scalar.Index):
            found.append(value.value)
    return tuple(found)


def limited(variable: Symbol, limit: Size) -> Symbol:
    """A loop's variable under a limit."""
    return variable if limit == variable.limit else replace(variable, limit=limit)


def map_statement(
    statement: Statement, value: Callable[[Scalar], Scalar], size: Callable[[Size], Size]
) -> Statement:
    """The statement with its expressions and sizes mapped, blocks inside included."""
    if isinstance(statement, For):
        variable = limited(statement.variable, size(statement.limit))
        body = tuple(map_statement(inner, value, size) for inner in statement.body)
        return replace(statement, variable=variable, body=body)
    if isinstance(statement, Accumulator | Local | Barrier):
        return statement
    if isinstance(statement, Store):
        guard = None if statement.guard is None else value(statement.guard)
        return Store(statement.buffer, size(statement.offset), value(statement.value), guard)
    if isinstance(statement, Accumulate):
        return Accumulate(statement.name, value(statement.value), size(statement.position))
    return Let(statement.name, value(statement.value))


def substitute(
    body: tuple[Statement, ...], indices: dict[str, Size], names: dict[str, str] | None = None
) -> tuple[Statement, ...]:
    """The body with loop variables replaced by sizes, and lets and accumulators renamed."""
    if not names:
        return tuple(with_sizes(s, indices, {}) for s in body)
    renamed: dict[str, Size] = {
        f"%{old}": dim.symbol(f"%{new}", "value") for old, new in names.items()
    }  # a let may stand in an offset as a "value" symbol, its name with a % before it
    sizes = {**renamed, **indices}
    return tuple(rename(with_sizes(s, sizes, names), names) for s in body)


def with_sizes(
    statement: Statement, sizes: Mapping[str, Size], names: Mapping[str, str]
) -> Statement:
    """The statement with symbols replaced by sizes, and references to values renamed."""

    def size(old: Size) -> Size:
        return dim.substitute(old, sizes)

    def value(old: Scalar) -> Scalar:
        return scalar.rebuild(old, replaced)

    def replaced(part: Scalar) -> Scalar | None:
        if isinstance(part, Load):
            offset = size(part.offset)
            if offset is part.offset:
                return None
            return Load(part.dtype, part.buffer, offset, part.guard)
        if isinstance(part, scalar.Index):
            return scalar.index(size(part.value))
        if isinstance(part, scalar.Ref) and part.name in names:
            return scalar.Ref(part.dtype, names[part.name])
        return None

    if not isinstance(statement, For):
        return map_statement(statement, value, size)
    variable = limited(statement.variable, size(statement.limit))
    # A symbol carries its limit, so where the limit has changed so has what stands for it inside.
    inner = (
        sizes if variable is statement.variable else {**sizes, variable.name: dim.atom(variable)}
    )
    body = tuple(with_sizes(s, inner, names) for s in statement.body)
    return replace(statement, variable=variable, body=body)


def relocate(
    body: tuple[Statement, ...], places: Mapping[str, tuple[str, Size]]
) -> tuple[Statement, ...]:
    """The body over other buffers: for each its new name, and what to add to its offsets."""

    def value(old: Scalar) -> Scalar:
        return scalar.rebuild(old, moved)

    def moved(part: Scalar) -> Scalar | None:
        if not isinstance(part, Load) or part.buffer not in places:
            return None
        name, offset = places[part.buffer]
        return Load(part.dtype, name, part.offset + offset, part.guard)

    def statement(old: Statement) -> Statement:
        if isinstance(old, For):
            return replace(old, body=tuple(map(statement, old.body)))
        if isinstance(old, Store) and old.buffer in places:
            name, offset = places[old.buffer]
            guard = None if old.guard is None else value(old.guard)
            return Store(name, old.offset + offset, value(old.value), guard)
        return map_statement(old, value, lambda size: size)

    return tuple(map(statement, body))


def rename(statement: Statement, names: dict[str, str]) -> Statement:
    """The statement with the names that it declares or accumulates into replaced."""
    if isinstance(statement, For):
        return replace(statement, body=tuple(rename(s, names) for s in statement.body))
    if isinstance(statement, Let | Accumulator | Accumulate):
        return replace(statement, name=names.get(statement.name, statement.name))
    return statement


def variable(statement: For) -> Dim:
    """The loop's variable as a size."""
    return dim.atom(statement.variable)
