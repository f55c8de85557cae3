"""Wide accesses in C: elements side by side in memory are read or written as few words.

The words and the elements are two views of a union, which compilers keep in registers. Of a
structure of elements they would read and write each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import For, Store, accesses, loads, stores, variable
from graphc.ir.scalar import Load
from graphc.ir.types import DType, uint8, uint16
from graphc.runtime.c_source.body import Body
from graphc.runtime.c_source.types import HALVES


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

    Inside, its elements are those of unions, each with the name of its buffer.
    """
    found = {(a.buffer, a.offset): dtype_of(a) for a in accesses(loop.body)}
    wide = {
        place: dtype
        for place, dtype in found.items()
        if dim.coefficient(place[1], loop.variable.name) == 1
        and place not in body.elements
        and place[0] not in body.locals | body.registers
    }
    read = {(load.buffer, load.offset) for load in loads(loop.body)}
    written = {(store.buffer, store.offset) for store in stores(loop.body)}
    outside = body.elements
    body.elements = dict(outside)
    writes: list[str] = []
    for (buffer, offset), dtype in wide.items():
        pointer, count = body.names.of("buffer", buffer), words_in(body, dtype, loop.lanes)
        name, word = body.names.fresh(f"{pointer}_wide"), together(body, dtype, loop.lanes)
        start = body.size(offset - variable(loop))
        place = f"(({body.context.dialect.buffer}{{}}{word} *)({pointer} + {start}))->all"
        is_written = (buffer, offset) in written
        source = place.format("" if is_written else "const ")
        parts = ", ".join(f"{source}[{at}]" for at in range(count))
        value = f" = {{ {{{parts}}} }}" if (buffer, offset) in read else ""
        body.line(f"{'' if is_written else 'const '}{word} {name}{value};")
        if is_written:
            target = place.format("")
            writes += [f"{target}[{at}] = {name}.all[{at}];" for at in range(count)]
        element = body.names.of("value", loop.variable.name)
        body.elements[buffer, offset] = f"{name}.at[{element}]"
    yield
    for line in writes:
        body.line(line)
    body.elements = outside


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
