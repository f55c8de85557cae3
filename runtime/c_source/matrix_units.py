"""Matrix loops in C: parts of matrices in a thread's registers, and a call that multiplies them.

    for unrolled %row_part, %row < 2, %column_part, %column < 2 {
      accumulator %s: f32 = sum                             float s[..][2][..][2];
      for matrix %term < 16 {                               uint32_t left_parts[..][4] = ...
        let %a: f32 = cast(f32, load %left[... + %term])    uint32_t right_parts[..][2] = ...
        let %b: f32 = cast(f32, load %right[... + %term])   multiply_matrices_bfloat16(
        accumulate %s multiply(%a, %b)                        s[row_part][0][column_part], ...
      }
    }

A unit takes a matrix of 16 rows as four of 8 rows and 16 bytes each, one of 8 columns as two. Their
rows are loaded from shared memory by addresses that the threads of a warp give: thread t that of
row t modulo 8 of matrix t/8. Where terms do not lie side by side, but rows or columns do, matrices
are turned on the way. So the loads of a thread's own rows and columns, in the kernel's text, become
those of others. The layouts are those of ldmatrix and mma.m16n8k16 in NVIDIA's PTX ISA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, For, Let, variable
from graphc.ir.scalar import Call, Load
from graphc.runtime.c_source.dialect import WARP
from graphc.runtime.c_source.sizes import bare

if TYPE_CHECKING:
    from graphc.runtime.c_source.lockstep import Lockstep


def multiply_matrices(lockstep: Lockstep, loop: For, thread: For) -> None:
    """Write a matrix loop of a thread for a unit of the device."""
    left, right, total = loop.body
    assert isinstance(left, Let)
    assert isinstance(right, Let)
    assert isinstance(total, Accumulate)
    rows, columns = lockstep.depends(left), lockstep.depends(right)
    assert (*rows, *columns) == lockstep.loops, "rows are the outer loops, columns the inner ones"
    warp = Warp(thread, loop)
    parts = [
        held(lockstep, left, loop, rows[:-1], warp.row(left, variable_of(rows[-1])), 4),
        held(lockstep, right, loop, columns[:-1], warp.column(right, variable_of(columns[-1])), 2),
    ]
    state = lockstep.writer.states[total.name][0]
    name = state.partition("[")[0]
    function = lockstep.body.context.need(f"multiply_matrices_{load_of(left).dtype.name}")
    with lockstep.iterations((*rows[:-1], *columns[:-1])):
        sums = [name + subscripts(lockstep, rows[:-1], str(row), columns[:-1]) for row in range(2)]
        lockstep.body.line(f"{function}({', '.join((*sums, *parts))});")


@dataclass(frozen=True, slots=True)
class Warp:
    """The loop over threads of which 32 are a warp, and the loop over terms that it multiplies."""

    thread: For
    terms: For

    @property
    def lane(self) -> Size:
        """The number of a thread in its warp."""
        return dim.remainder(variable(self.thread), WARP)

    def row(self, let: Let, half: str) -> dict[str, Size]:
        """Which row and term of the left factor a thread gives the address of.

        half is the loop over a thread's two rows, 8 apart; the one above is row t/4 of thread t.
        """
        inner, number = dim.remainder(self.lane, 8), dim.floor_divide(self.lane, 8)
        lower, later = dim.remainder(number, 2), dim.floor_divide(number, 2)
        if is_along(let, self.terms):
            return {**self.at(4 * inner), half: lower, **self.term(8 * later)}
        return {**self.at(0), half: lower, **self.term(8 * later + inner)}

    def column(self, let: Let, second: str) -> dict[str, Size]:
        """Which column and term of the right factor a thread gives the address of.

        second is the loop over a thread's two columns; the first is 2*(t mod 4) of thread t.
        """
        inner, number = dim.remainder(self.lane, 8), dim.floor_divide(self.lane, 8)
        later = dim.remainder(number, 2)
        if is_along(let, self.terms):
            own = self.at(dim.floor_divide(inner, 2))
            return {**own, second: dim.remainder(inner, 2), **self.term(8 * later)}
        return {**self.at(0), second: 0, **self.term(8 * later + inner)}

    def at(self, lane: Size) -> dict[str, Size]:
        """The thread of a lane of this warp."""
        return {variable_of(self.thread): variable(self.thread) - self.lane + lane}

    def term(self, place: Size) -> dict[str, Size]:
        """A term."""
        return {variable_of(self.terms): place}


def is_along(let: Let, terms: For) -> bool:
    """Whether the terms of a factor lie side by side."""
    return dim.coefficient(load_of(let).offset, variable_of(terms)) == 1


def held(
    lockstep: Lockstep,
    let: Let,
    terms: For,
    loops: tuple[For, ...],
    indices: dict[str, Size],
    count: int,
) -> str:
    """What a thread holds of a few matrices, in each iteration of some loops; its name.

    indices say which element a thread gives the address of.
    """
    body, load = lockstep.body, load_of(let)
    found = body.names.fresh(f"{load.buffer}_parts")
    limits = "".join(f"[{loop.limit}]" for loop in loops)
    body.line(f"uint32_t {found}{limits}[{count}];")
    turned = "" if is_along(let, terms) else "_transposed"
    function = body.context.need(f"load_matrices{turned}_{count}")
    buffer = body.names.of("buffer", load.buffer)
    here = found + subscripts(lockstep, loops)
    with lockstep.iterations(loops):
        offset = bare(body.size(dim.substitute(load.offset, indices)))
        body.line(f"{function}({here}, &{buffer}[{offset}]);")
    return here


def load_of(let: Let) -> Load:
    """The load that a factor is a conversion of."""
    assert isinstance(let.value, Call)
    (load,) = let.value.arguments
    assert isinstance(load, Load)
    return load


def variable_of(loop: For) -> str:
    """The name of a loop's variable in sizes."""
    return loop.variable.name


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
