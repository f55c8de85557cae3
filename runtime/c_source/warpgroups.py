"""Matrix loops of warpgroups in C: units read both factors from shared memory by themselves.

    for matrix %term < 16 lanes 128 {                     multiply_warpgroup_bfloat16_128_01(
      let %a: f32 = cast(f32, load %left[... + %term])        s[row_part][0][0], s[row_part][1][0],
      let %b: f32 = cast(f32, load %right[... + %term])       describe_matrix(&left[...], ...),
      accumulate %s multiply(%a, %b)                          describe_matrix(&right[...], ...));
    }
    barrier running 1                                     end_products_but_1();
                                                          barrier();

A matrix is told by its first element's address and two distances in memory, since it lies in
swizzled lines (`passes/swizzled_lines.py`): from eight lines to the next eight, and where lines are
of terms from one panel of rows or columns to the next. The digits in the name say of either factor
whether its rows (or columns) lie side by side in memory rather than its terms. The layouts are
those of wgmma.m64nNk16 in NVIDIA's PTX ISA.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import WARPGROUP, Barrier, For, Kernel, statements, variable
from graphc.ir.scalar import Load
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.matrix_units import parts_of
from graphc.runtime.c_source.sizes import bare

if TYPE_CHECKING:
    from graphc.runtime.c_source.lockstep import Lockstep

LINES = 8
"""Lines whose pieces are swapped, each in another way."""
LINE = 64
"""Elements of 16 bits in a line."""


def has_warpgroups(kernel: Kernel, dialect: Dialect) -> bool:
    """Whether warpgroups of a device multiply matrices somewhere in a kernel."""
    loops = (s for s in statements(kernel.body) if isinstance(s, For) and s.kind == "matrix")
    return bool(dialect.warpgroup) and any(loop.lanes == WARPGROUP for loop in loops)


def multiply_in_warpgroup(lockstep: Lockstep, loop: For, thread: For) -> None:
    """Write a matrix loop of a warpgroup for a unit of the device."""
    total, (left, rows), (right, columns) = parts_of(lockstep, loop)
    (part, row), (column_part, _) = rows, columns
    assert part.limit == 1, "a warpgroup has 64 rows"
    factors = (
        Matrix(lockstep, left, rows, loop, thread, row),
        Matrix(lockstep, right, columns, loop, thread, column_part),
    )
    if total not in lockstep.added_up:
        lockstep.added_up.append(total)
    sums = lockstep.writer.states[total][0].partition("[")[0]
    width = dim.product((column_part.limit, LINES))
    digits = "".join("0" if factor.is_along else "1" for factor in factors)
    name = f"multiply_warpgroup_{factors[0].load.dtype.name}_{width}_{digits}"
    told = (f"{sums}[0][0][0]", f"{sums}[0][1][0]", *(factor.described() for factor in factors))
    lockstep.body.line(f"{lockstep.body.context.need(name)}({', '.join(told)});")


@dataclass(frozen=True, slots=True)
class Matrix:
    """A factor of a matrix loop over terms, by the load of an element of a thread's own.

    loops are those over a thread's rows or columns; eight is the one of them whose next iteration
    is eight rows or columns further.
    """

    lockstep: Lockstep
    load: Load
    loops: tuple[For, ...]
    terms: For
    thread: For
    eight: For

    @property
    def is_along(self) -> bool:
        """Whether terms lie side by side."""
        return self.distance(self.terms, 1) == 1

    def described(self) -> str:
        """The text that describes the matrix."""
        panels, size = LINE // LINES, self.load.dtype.bytes
        count = self.eight.limit
        assert isinstance(count, int)
        has_panels = not self.is_along and count > panels
        across = size * self.distance(self.eight, panels) if has_panels else 0
        down = size * (
            self.distance(self.eight, 1) if self.is_along else self.distance(self.terms, LINES)
        )
        function = self.lockstep.body.context.need("describe_matrix")
        return f"{function}(&{self.first()}, {across}, {down})"

    def first(self) -> str:
        """The text of the first element of the warpgroup's rows, or of all columns."""
        thread = variable(self.thread)
        group = dim.floor_divide(thread, WARPGROUP) * WARPGROUP
        nothing: dict[str, Size] = {loop.variable.name: 0 for loop in (*self.loops, self.terms)}
        offset = dim.substitute(self.load.offset, nothing | {self.thread.variable.name: group})
        body = self.lockstep.body
        return f"{body.names.of('buffer', self.load.buffer)}[{bare(body.size(offset))}]"

    def distance(self, loop: For, steps: int) -> int:
        """How many elements further on the first thread is after some iterations of a loop."""
        found = dim.variables(self.load.offset)
        nothing = {symbol.name: 0 for symbol in found}
        here, there = (
            dim.evaluate(self.load.offset, nothing | {loop.variable.name: at}) for at in (0, steps)
        )
        return there - here


@contextmanager
def products_begun(lockstep: Lockstep, loop: For) -> Iterator[None]:
    """What stands around a loop over matrix loops of a warpgroup: all of them are one product."""
    inside = loop.body[0]
    is_product = isinstance(inside, For) and inside.kind == "matrix" and inside.lanes == WARPGROUP
    if not (is_product and lockstep.writer.products):
        yield
        return
    need = lockstep.body.context.need
    lockstep.body.line(f"{need('begin_products')}();")
    yield
    lockstep.body.line(f"{need('commit_products')}();")


def settle_sums(lockstep: Lockstep, barrier: Barrier) -> None:
    """After a barrier that waits for all products: what uses their sums may not come before it."""
    if barrier.running:
        return
    while lockstep.added_up:
        name = lockstep.added_up.pop(0)
        with lockstep.iterations(lockstep.loops):
            (text,) = lockstep.writer.states[name]
            lockstep.body.line(f"{lockstep.body.context.need('settle_sum')}(&{text});")
