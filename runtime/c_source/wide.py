"""Wide accesses in C: elements side by side in memory are read or written as few words.

The words and the elements are two views of a union, which compilers keep in registers. Of a
structure of elements they would read and write each by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import For, Store, accesses, loads, stores, variable
from graphc.ir.scalar import Load, Scalar
from graphc.ir.types import DType, uint8, uint16
from graphc.runtime.c_source.body import Body
from graphc.runtime.c_source.types import HALVES

Place: TypeAlias = tuple[str, Size]
"""A buffer and an offset in it."""


def rest_of(loop: For) -> Size | None:
    """How many iterations are left for a wide loop, where its limit is a minimum; else None."""
    if isinstance(loop.limit, int):
        return None
    (((atom,), _),) = dim.terms_of(loop.limit)
    assert isinstance(atom, dim.DimCall), loop.limit
    assert atom.function == "minimum", loop.limit
    return atom.right if atom.left == loop.lanes else atom.left


@contextmanager
def at_once(body: Body, loop: For) -> Iterator[None]:
    """Around the iterations of a wide loop: what they load is read before, what they store after.

    Inside, its elements are those of unions, each with the name of its buffer. What is loaded under
    a guard is read where that holds, for all iterations or none, and else zero.
    """
    read: dict[Place, set[Scalar | None]] = {}
    for load in loads(loop.body):
        read.setdefault((load.buffer, load.offset), set()).add(load.guard)
    written = {(store.buffer, store.offset) for store in stores(loop.body)}
    outside, open_before = body.elements, body.settled
    body.elements, body.settled = dict(outside), set(open_before)
    writes: list[str] = []
    for (buffer, offset), dtype in wide_in(body, loop).items():
        guards = read.get((buffer, offset), set())
        if len(guards) > 1:
            continue
        pointer, count = body.names.of("buffer", buffer), words_in(body, dtype, loop.lanes)
        name, word = body.names.fresh(f"{pointer}_wide"), together(body, dtype, loop.lanes)
        start = body.size(offset - variable(loop))
        place = f"(({space_of(body, buffer)}{{}}{word} *)({pointer} + {start}))->all"
        is_written = (buffer, offset) in written
        source = place.format("" if is_written else "const ")
        wide = Wide(body, name, "" if is_written else "const ", word, loop.lanes)
        wide.declare([f"{source}[{at}]" for at in range(count)], guards)
        body.settled.add((buffer, offset))
        if is_written:
            target = place.format("")
            writes += [f"{target}[{at}] = {name}.all[{at}];" for at in range(count)]
        element = body.names.of("value", loop.variable.name)
        body.elements[buffer, offset] = f"{name}.at[{element}]"
    yield
    for line in writes:
        body.line(line)
    body.elements, body.settled = outside, open_before


def words_copied(body: Body, loop: For) -> list[str]:
    """The lines of a wide loop that only copies, word by word; none for any other.

    Compilers would not see through elements of 16 bits.
    """
    (store, *others) = loop.body
    if others or not isinstance(store, Store) or not isinstance(store.value, Load):
        return []
    target = body.elements.get((store.buffer, store.offset), "")
    source = body.elements.get((store.value.buffer, store.value.offset), "")
    if ".at[" not in target or ".at[" not in source:
        return []
    count = words_in(body, store.value.dtype, loop.lanes)
    names = [text.partition(".")[0] for text in (target, source)]
    return [f"{names[0]}.all[{at}] = {names[1]}.all[{at}];" for at in range(count)]


def wide_in(body: Body, loop: For) -> dict[Place, DType]:
    """The places that a wide loop walks along in memory, not in registers, and their dtypes."""
    found = {(access.buffer, access.offset): dtype_of(access) for access in accesses(loop.body)}
    return {
        place: dtype
        for place, dtype in found.items()
        if dim.coefficient(place[1], loop.variable.name) == 1
        and place not in body.elements
        and place[0] not in body.registers
    }


@dataclass(frozen=True, slots=True)
class Wide:
    """A union of so many elements and of words, declared in a body."""

    body: Body
    name: str
    qualifier: str
    word: str
    lanes: int

    def declare(self, parts: Sequence[str], guards: Collection[Scalar | None]) -> None:
        """Declare it with the words that are read, if any are; zeros where their guard is false."""
        (guard,) = guards or (None,)
        if guard is not None:
            self.declare_guarded(parts, guard)
            return
        value = f" = {{ {{{', '.join(parts)}}} }}" if guards else ""
        self.body.line(f"{self.qualifier}{self.word} {self.name}{value};")

    def declare_guarded(self, parts: Sequence[str], guard: Scalar) -> None:
        """Declare it with the words that are read where a guard holds, else with zeros."""
        body, lane = self.body, self.body.names.fresh("lane")
        body.line(f"{self.word} {self.name};")
        with body.unrolled(f"for (int {lane} = 0; {lane} < {self.lanes}; {lane}++)"):
            body.line(f"{self.name}.at[{lane}] = 0;")
        with body.block(f"if ({body.expression(guard)})"):
            for at, part in enumerate(parts):
                body.line(f"{self.name}.all[{at}] = {part};")


def space_of(body: Body, buffer: str) -> str:
    """The word of pointers into the memory that a buffer lies in."""
    dialect = body.context.dialect
    if buffer in body.shared:
        return dialect.shared_pointer
    return "" if buffer in body.locals else dialect.buffer


def dtype_of(access: Load | Store) -> DType:
    """The dtype of what is loaded or stored."""
    return access.dtype if isinstance(access, Load) else access.value.dtype


def together(body: Body, dtype: DType, count: int) -> str:
    """The type of so many elements of a dtype side by side in memory."""
    return body.context.need(f"wide{count}_{held(dtype).name}")


def words_in(body: Body, dtype: DType, count: int) -> int:
    """How many words so many elements are."""
    size = count * held(dtype).bytes
    return min(size // word for word in body.context.dialect.words if size % word == 0)


def held(dtype: DType) -> DType:
    """The dtype of which memory holds numbers."""
    return uint8 if dtype.kind == "bool" else uint16 if dtype in HALVES else dtype
