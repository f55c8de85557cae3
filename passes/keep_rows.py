"""keep_rows: let each thread of a block keep its part of a row, for later loops over the same row.

    for thread %k < 256 lanes 256 {            local %row0: f32[256]
      accumulate %t max load %x[%k]            for thread %k < 256 lanes 256 {
    }                                            let %row0_value = load %x[%k]
    for thread %i < 256 lanes 256 {              store %row0[%k] = %row0_value
      store %y[%i] = load %x[%i] - %t            accumulate %t max %row0_value
    }                                          }
                                               for thread %i < 256 lanes 256 {
                                                 let %row0_again = load %row0[%i]
                                                 store %y[%i] = %row0_again - %t
                                               }

A softmax goes over a row three times. All loops deal a row's elements to threads alike, so that a
thread has its elements in registers when it comes to them again: memory is read once, and an
exponential is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Barrier,
    For,
    Kernel,
    Let,
    Local,
    Statement,
    Store,
    map_statement,
    statements,
    values,
    variable,
)
from graphc.ir.program import Decision, Program
from graphc.ir.scalar import DIVISIONS, TRANSCENDENTAL, Call, Index, Load, Ref, Scalar
from graphc.passes.decisions import record
from graphc.passes.on_kernels import on_kernels
from graphc.passes.stage_rows import changing, names_in, names_read, stored_between, without_unread

# Registers of 32 bits of a thread that rows may take: with as many again for all else, a
# multiprocessor still has the threads that hide how long its memory takes.
MOST = 64
# The variables that the values of all rows are written over.
SHARED = ROW, LANE = "%row", "%lane"


def keep_rows(program: Program) -> Program:
    """Keep in registers what several loops over a row load or compute."""
    return on_kernels(program, keep_kernel)


def keep_kernel(kernel: Kernel) -> Kernel:
    """The kernel with the rows of its blocks kept."""
    keep = Keep(kernel)
    body = tuple(keep.loop(s) if isinstance(s, For) else s for s in kernel.body)
    return replace(kernel, body=body) if keep.kept else kernel


@dataclass(frozen=True, slots=True)
class Row:
    """A loop over a row by the threads of a block: where it is, and its values by name.

    inner is the loop whose iterations are elements, which is in `loop` or is it. values are written
    over the same variables for all rows of a form.
    """

    at: int
    loop: For
    inner: For
    values: dict[str, Scalar]

    @property
    def form(self) -> tuple[Size, int, Size]:
        """What rows must have in common to deal their elements alike."""
        return self.loop.limit, self.loop.lanes, self.inner.limit

    @property
    def place(self) -> Size:
        """The number of an element in its row."""
        if self.inner is self.loop:
            return variable(self.loop)
        return self.inner.lanes * variable(self.loop) + variable(self.inner)

    @property
    def elements(self) -> int:
        """The elements of a row."""
        assert isinstance(self.loop.limit, int)
        return self.loop.limit * (1 if self.inner is self.loop else self.inner.lanes)

    @property
    def per_thread(self) -> int:
        """The elements of a thread, at most."""
        assert isinstance(self.loop.limit, int)
        return -(-self.loop.limit // self.loop.lanes) * (self.elements // self.loop.limit)

    def with_body(self, body: Sequence[Statement]) -> Row:
        """The row with another body for an element."""
        inner = replace(self.inner, body=tuple(body))
        loop = inner if self.inner is self.loop else replace(self.loop, body=(inner,))
        return replace(self, loop=loop, inner=inner)


@dataclass(slots=True)
class Keep:
    """The rows of one kernel that are kept, in the making."""

    kernel: Kernel
    kept: list[str] = field(default_factory=list)
    taken: set[str] = field(init=False)

    def __post_init__(self) -> None:
        inner = list(statements(self.kernel.body))
        self.taken = {buffer.name for buffer in self.kernel.buffers}
        self.taken |= {s.name for s in inner if not isinstance(s, Barrier | For | Store)}
        self.taken |= {s.variable.name.removeprefix("%") for s in inner if isinstance(s, For)}

    def fresh(self, wanted: str) -> str:
        """A name that nothing else has, with a number behind it."""
        number = 0
        while f"{wanted}{number}" in self.taken:
            number += 1
        self.taken.add(f"{wanted}{number}")
        return f"{wanted}{number}"

    def loop(self, loop: For) -> For:
        """A loop around rows; nests are no deeper than an operator's axes."""
        if loop.kind not in ("block", "serial"):
            return loop
        body = tuple(self.loop(s) if isinstance(s, For) else s for s in loop.body)
        return replace(loop, body=self.block(body))

    def block(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """A block whose later rows take from registers what an earlier one has had."""
        if sum(is_row(statement) for statement in body) < 2:
            return body
        rows = {
            at: self.row(at, s) for at, s in enumerate(body) if isinstance(s, For) and is_row(s)
        }
        changed = changing(body)
        locals_before: dict[int, list[Statement]] = {}
        left = MOST
        for value, first, places in shared(rows, changed):
            need = rows[first].per_thread * max(1, value.dtype.bits // 32)
            if need > left:
                self.note(value, "not kept", f"{need} registers are more than are left", need)
                continue
            left -= need
            local = Local(self.fresh("row"), value.dtype, rows[first].elements)
            self.kept.append(local.name)
            locals_before.setdefault(first, []).append(local)
            rows[first] = storing(rows[first], value, local)
            for place in places:
                rows[place] = loading(rows[place], value, local)
            self.note(value, "kept in registers", "later loops over the row need it again", need)
        if not locals_before:
            return body
        result = [rows[at].loop if at in rows else s for at, s in enumerate(body)]
        return tuple(s for at, new in enumerate(result) for s in (*locals_before.get(at, ()), new))

    def note(self, value: Scalar, choice: str, reason: str, registers: int) -> None:
        """Record what becomes of a value."""
        what = "a row of loads" if isinstance(value, Load) else "a row of results"
        numbers = (("registers", str(registers)),)
        subject = f"{what} of @{self.kernel.name}"
        record(Decision("keep_rows", choice, subject, reason, numbers, self.kernel.origin))

    def row(self, at: int, loop: For) -> Row:
        """A loop over a row with a name for everything that it loads."""
        wide = loop.body[0]
        inner = wide if isinstance(wide, For) else loop
        row = Row(at, loop, inner, {}).with_body(list(self.naming_loads(inner.body)))
        row.values.update(values_of(row))
        return row

    def naming_loads(self, body: Sequence[Statement]) -> Iterator[Statement]:
        """Statements with each load named by a statement of its own, once."""
        names: dict[Load, Ref] = {}
        for statement in body:
            found = [v for v in scalar.walk(values(statement)) if isinstance(v, Load)]
            for load in found:
                is_new = load not in names and load.guard is None
                if is_new and not (isinstance(statement, Let) and statement.value is load):
                    names[load] = Ref(load.dtype, self.fresh("x"))
                    yield Let(names[load].name, load)
            yield with_value(statement, names)


def with_value(statement: Statement, names: dict[Load, Ref]) -> Statement:
    """A statement with loads replaced by their names."""

    def named(part: Scalar) -> Scalar | None:
        return names.get(part) if isinstance(part, Load) else None

    return map_statement(statement, lambda value: scalar.rebuild(value, named), lambda size: size)


def is_row(statement: Statement) -> bool:
    """Whether a statement is a loop over the threads of a block, over elements one by one."""
    if not isinstance(statement, For) or statement.kind != "thread":
        return False
    inner = statement
    if len(statement.body) == 1 and isinstance(statement.body[0], For):
        inner = statement.body[0]
        if inner.kind != "wide" or not isinstance(inner.limit, int):
            return False
    flat = not any(isinstance(s, For | Local) for s in inner.body)
    return isinstance(statement.limit, int) and statement.limit > 0 and flat


def values_of(row: Row) -> dict[str, Scalar]:
    """The values that a row's statements name, written over variables that all rows share."""
    shared: dict[str, Size] = {
        row.inner.variable.name: dim.symbol(LANE, "index", row.inner.limit),
        row.loop.variable.name: dim.symbol(ROW, "index", row.loop.limit),
    }
    known: dict[str, Scalar] = {}

    def common(part: Scalar) -> Scalar | None:
        if isinstance(part, Load):
            return Load(part.dtype, part.buffer, dim.substitute(part.offset, shared), part.guard)
        if isinstance(part, Index):
            return scalar.index(dim.substitute(part.value, shared))
        return known.get(part.name) if isinstance(part, Ref) else None

    for statement in row.inner.body:
        if isinstance(statement, Let):
            known[statement.name] = scalar.rebuild(statement.value, common)
    return known


def shared(
    rows: dict[int, Row], changed: dict[int, frozenset[str]]
) -> list[tuple[Scalar, int, list[int]]]:
    """The dear values that several rows have: each with the first one's place and the others'.

    What is cheap is computed again from those. Of formulas in one another only the largest count.
    What is computed after something in it has changed is another value.
    """
    found: dict[tuple[Scalar, int], list[int]] = {}
    for place, row in rows.items():
        first: dict[Scalar, int] = {}
        for before, other in rows.items():
            if before < place and other.form == row.form:
                between = stored_between(changed, before, place)
                for value in other.values.values():
                    if is_dear(value) and not names_in(value) & between:
                        first.setdefault(value, before)
        for value in largest(row, first):
            found.setdefault((value, first[value]), []).append(place)
    return [(value, first, places) for (value, first), places in found.items()]


def is_dear(value: Scalar) -> bool:
    """Whether a value is worth a register: a load of the row's own, or what takes many steps.

    What is loaded for all rows alike stays in the nearest cache.
    """
    if isinstance(value, Load):
        return any(symbol.name not in SHARED for symbol in dim.variables(value.offset))
    return isinstance(value, Call) and value.function in (*TRANSCENDENTAL, *DIVISIONS)


def largest(row: Row, earlier: dict[Scalar, int]) -> list[Scalar]:
    """The values of a row that earlier ones have, and that something new in it reads."""
    known = {name for name, value in row.values.items() if value in earlier}
    new = [s for s in row.inner.body if not (isinstance(s, Let) and s.name in known)]
    read = {name for statement in new for name in names_read(statement)}
    return list(dict.fromkeys(row.values[n] for n in row.values if n in known and n in read))


def storing(row: Row, value: Scalar, local: Local) -> Row:
    """The row that has a value first, now keeping it."""
    name = next(name for name, known in row.values.items() if known is value)
    body: list[Statement] = []
    for statement in row.inner.body:
        body.append(statement)
        if isinstance(statement, Let) and statement.name == name:
            body.append(Store(local.name, row.place, Ref(value.dtype, name)))
    return row.with_body(body)


def loading(row: Row, value: Scalar, local: Local) -> Row:
    """A row that takes a value from where it is kept, without what only that needed."""
    load = Load(value.dtype, local.name, row.place, None)
    body = [
        Let(s.name, load) if isinstance(s, Let) and row.values[s.name] is value else s
        for s in row.inner.body
    ]
    return row.with_body(without_unread(body))
