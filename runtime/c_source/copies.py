"""Copies to shared memory that a device makes by itself while the thread goes on.

    for copy %lane < 8 lanes 8 {                   begin_copy_16(&left[...], &in0[...], i < n);
      store %left[...] = load %in0[...] if i < n
    }                                              ...
    barrier pending 1                              end_copies_but_1();
                                                   barrier();

A device waits for copies in groups, in their order. Each barrier ends a group: those begun since
the one before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.ir import dim
from graphc.ir.kernel import For, Kernel, Store, statements
from graphc.ir.scalar import Load
from graphc.runtime.c_source.dialect import Dialect

if TYPE_CHECKING:
    from graphc.runtime.c_source.statements import Writer


def has_copies(kernel: Kernel, dialect: Dialect) -> bool:
    """Whether a device copies by itself somewhere in a kernel."""
    loops = (s for s in statements(kernel.body) if isinstance(s, For) and s.kind == "copy")
    return any(word_of(loop) in dialect.functions for loop in loops)


def word_of(loop: For) -> str:
    """The name of the function that begins a copy."""
    (store,) = loop.body
    assert isinstance(store, Store)
    return f"begin_copy_{loop.lanes * store.value.dtype.bytes}"


def begin_copy(writer: Writer, loop: For) -> bool:
    """Write a copy loop in the dialect's words for it; False where it has none."""
    (store,) = loop.body
    assert isinstance(store, Store)
    assert isinstance(store.value, Load)
    source, body, name = store.value, writer.body, word_of(loop)
    if name not in writer.dialect.functions:
        return False
    guard = "true" if source.guard is None else body.expression(source.guard)
    first = {loop.variable.name: 0}
    to, start = (
        f"&{body.element(access.buffer, dim.substitute(access.offset, first))}"
        for access in (store, source)
    )
    body.line(f"{body.context.need(name)}({to}, {start}, {guard});")
    return True
