"""Matrix loops in C: parts of matrices in a thread's registers, and a call that multiplies them.

    for unrolled %row_part, %row < 2, %column_part, %column < 2 {
      accumulator %s: f32 = sum                             float s[..][2][..][2];
      for matrix %term < 16 {                               uint32_t left_parts[..][4];
        let %a: f32 = cast(f32, load %left[... + %term])    load_matrices_4(left_parts[..], ...);
        let %b: f32 = cast(f32, load %right[... + %term])   ...
        accumulate %s multiply(%a, %b)                      multiply_matrices_bfloat16(
      }                                                       s[row_part][0][column_part], ...
    }

A unit takes a matrix of 16 rows as four of 8 rows and 16 bytes each, one of 8 columns as two. Their
rows are loaded from shared memory by addresses that the threads of a warp give: thread t that of
row t modulo 8 of matrix t/8. Where terms do not lie side by side, but rows or columns do, matrices
are turned on the way; for elements of 4 bytes there is no such load, and each is read by itself. So
the loads of a thread's own rows and columns, in the kernel's text, become those of others. The
layouts are those of ldmatrix, mma.m16n8k16 and mma.m16n8k8 in NVIDIA's PTX ISA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, For, Let, variable
from graphc.ir.scalar import Call, Load
from graphc.ir.types import float32
from graphc.runtime.c_source.dialect import WARP
from graphc.runtime.c_source.sizes import bare

if TYPE_CHECKING:
    from graphc.runtime.c_source.lockstep import Lockstep

ROW_BYTES = 16
"""Bytes of a row of the matrices that are loaded."""
Indices: TypeAlias = dict[str, Size]
"""What stands for loop variables."""
Part: TypeAlias = tuple[Load, tuple[For, ...]]
"""The load of a factor, and the loops over a thread's rows or columns that it differs in."""


def multiply_matrices(lockstep: Lockstep, loop: For, thread: For) -> None:
    """Write a matrix loop of a thread for a unit of the device."""
    total, (left, rows), (right, columns) = parts_of(lockstep, loop)
    factors = (
        Factor(lockstep, left, rows, loop, thread, 4),
        Factor(lockstep, right, columns, loop, thread, 2),
    )
    parts = [factor.hold() for factor in factors]
    name = lockstep.writer.states[total][0].partition("[")[0]
    function = lockstep.body.context.need(f"multiply_matrices_{factors[0].taken_as}")
    with lockstep.iterations((*rows[:-1], *columns[:-1])):
        sums = [name + subscripts(lockstep, rows[:-1], str(row), columns[:-1]) for row in range(2)]
        lockstep.body.line(f"{function}({', '.join((*sums, *parts))});")


def parts_of(lockstep: Lockstep, loop: For) -> tuple[str, Part, Part]:
    """The name of the sum of a matrix loop, and the two factors of what is added up."""
    left, right, total = loop.body
    assert isinstance(left, Let)
    assert isinstance(right, Let)
    assert isinstance(total, Accumulate)
    rows, columns = lockstep.depends(left), lockstep.depends(right)
    assert (*rows, *columns) == lockstep.loops, "rows are the outer loops, columns the inner ones"
    return total.name, (load_of(left), rows), (load_of(right), columns)


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a matrix loop over terms, by the load of an element of a thread's own.

    loops are those over a thread's rows or columns, the innermost over two of one matrix. count is
    how many matrices of 8 rows or columns a unit takes: four of a left factor, two of a right one.
    """

    lockstep: Lockstep
    load: Load
    loops: tuple[For, ...]
    terms: For
    thread: For
    count: int

    @property
    def taken_as(self) -> str:
        """The dtype that a unit takes."""
        return "tf32" if self.load.dtype == float32 else self.load.dtype.name

    @property
    def is_along(self) -> bool:
        """Whether terms lie side by side, at least the first ones."""
        first, second = (
            dim.substitute(self.load.offset, {self.terms.variable.name: term}) for term in (0, 1)
        )
        return second - first == 1

    @property
    def lane(self) -> Size:
        """The number of a thread in its warp."""
        return dim.remainder(variable(self.thread), WARP)

    def hold(self) -> str:
        """What a thread holds of the matrices, in each iteration of the outer loops; its name."""
        body, outer = self.lockstep.body, self.loops[:-1]
        found = body.names.fresh(f"{self.load.buffer}_parts")
        limits = "".join(f"[{loop.limit}]" for loop in outer)
        body.line(f"uint32_t {found}{limits}[{self.count}];")
        here = found + subscripts(self.lockstep, outer)
        with self.lockstep.iterations(outer):
            if self.load.dtype.bytes == 4 and not self.is_along:
                self.read(here)
            else:
                turned = "" if self.is_along else "_transposed"
                function = body.context.need(f"load_matrices{turned}_{self.count}")
                body.line(f"{function}({here}, &{self.element(self.row())});")
            if self.load.dtype == float32:
                body.line(f"{body.context.need(f'round_matrices_{self.count}')}({here});")
        return here

    def read(self, target: str) -> None:
        """Read the elements of 4 bytes that a thread holds, one by one."""
        body = self.lockstep.body
        for number in range(self.count):
            block, later = self.block(number)
            line = self.line(block, dim.floor_divide(self.lane, 4))
            term = dim.remainder(self.lane, 4) + 4 * later
            element = self.element({**line, self.terms.variable.name: term})
            body.line(f"{target}[{number}] = {body.context.dialect.bits[32]}({element});")

    def row(self) -> Indices:
        """The first element of the row of a matrix that a thread gives the address of."""
        block, later = self.block(dim.floor_divide(self.lane, 8))
        inner = dim.remainder(self.lane, 8)
        term = later * (ROW_BYTES // self.load.dtype.bytes)
        if self.is_along:
            return {**self.line(block, inner), self.terms.variable.name: term}
        return {**self.line(block, 0), self.terms.variable.name: term + inner}

    def block(self, number: Size) -> tuple[Size, Size]:
        """Whether a matrix has the second 8 rows, and whether it has the second half of terms."""
        if self.count == 2:
            return 0, dim.remainder(number, 2)
        return dim.remainder(number, 2), dim.floor_divide(number, 2)

    def line(self, block: Size, inner: Size) -> Indices:
        """The thread of this warp, and which of its two rows or columns, that a line belongs to.

        Thread t has rows t/4, in either block, and columns 2*(t mod 4) and the next one.
        """
        first = dim.floor_divide(variable(self.thread), WARP) * WARP
        two = self.loops[-1].variable.name
        if self.count == 4:
            return {self.thread.variable.name: first + 4 * inner, two: block}
        column = first + dim.floor_divide(inner, 2)
        return {self.thread.variable.name: column, two: dim.remainder(inner, 2)}

    def element(self, indices: Indices) -> str:
        """The text of an element."""
        body = self.lockstep.body
        offset = bare(body.size(dim.substitute(self.load.offset, indices)))
        return f"{body.names.of('buffer', self.load.buffer)}[{offset}]"


def load_of(let: Let) -> Load:
    """The load that a factor is, or is a conversion of."""
    value = let.value
    if isinstance(value, Call):
        (value,) = value.arguments
    assert isinstance(value, Load)
    return value


def subscripts(lockstep: Lockstep, *parts: tuple[For, ...] | str) -> str:
    """The subscripts of an array: the variables of loops, and numbers."""
    names = lockstep.body.names
    texts = [
        text
        for part in parts
        for text in ([part] if isinstance(part, str) else
                     [names.of("value", loop.variable.name) for loop in part])
    ]  # fmt: skip
    return "".join(f"[{text}]" for text in texts)
