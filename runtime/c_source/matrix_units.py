"""Matrix loops in C: parts of matrices in a thread's registers, and a call that multiplies them.

    for unrolled %row_part, %row < 2, %column_part, %column < 2 {
      accumulator %s: f32 = sum                             float s[..][2][..][2];
      for matrix %term < 16 {                               uint32_t left_parts[..][4] = ...
        let %a: f32 = cast(f32, load %left[... + %term])    uint32_t right_parts[..][2] = ...
        let %b: f32 = cast(f32, load %right[... + %term])   multiply_matrices_bfloat16(
        accumulate %s multiply(%a, %b)                        s[row_part][0][column_part], ...
      }
    }

Of the first factor a thread holds terms 2*(t mod 4) and the next one, and those 8 further, of its
two rows; of the second the same terms of column t/4 modulo 8, which is not one of its own sums'.
Where the loads of a thread's own columns lie is known, so where those of another column do as well.
The layout is that of mma.m16n8k16 in NVIDIA's PTX ISA, section "Matrix Fragments".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, For, Let, variable
from graphc.ir.scalar import Call, Load
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
    place = variable(thread)
    first = variable_of(rows[-1])
    terms = [dim.remainder(place, 4) * 2 + 8 * half for half in range(2)]
    of_rows = [{first: row, loop.variable.name: term} for term in terms for row in range(2)]
    other = {
        thread.variable.name: place - dim.remainder(place, 32)
        + dim.floor_divide(dim.remainder(place, 32), 8),
        variable_of(columns[-1]): dim.remainder(dim.floor_divide(place, 4), 2),
    }  # fmt: skip
    of_columns = [{**other, loop.variable.name: term} for term in terms]
    parts = [
        held(lockstep, left, rows[:-1], of_rows),
        held(lockstep, right, columns[:-1], of_columns),
    ]
    state = lockstep.writer.states[total.name][0]
    name = state.partition("[")[0]
    function = lockstep.body.context.need(f"multiply_matrices_{load_of(left).dtype.name}")
    with lockstep.iterations((*rows[:-1], *columns[:-1])):
        sums = [name + subscripts(lockstep, rows[:-1], str(row), columns[:-1]) for row in range(2)]
        lockstep.body.line(f"{function}({', '.join((*sums, *parts))});")


def held(
    lockstep: Lockstep, let: Let, loops: tuple[For, ...], places: list[dict[str, Size]]
) -> str:
    """Pairs of 16-bit floats that a thread loads, in each iteration of some loops; their name."""
    body, load = lockstep.body, load_of(let)
    found = body.names.fresh(f"{load.buffer}_parts")
    limits = "".join(f"[{loop.limit}]" for loop in loops)
    body.line(f"uint32_t {found}{limits}[{len(places)}];")
    buffer = body.names.of("buffer", load.buffer)
    here = found + subscripts(lockstep, loops)
    with lockstep.iterations(loops):
        for number, indices in enumerate(places):
            offset = bare(body.size(dim.substitute(load.offset, indices)))
            body.line(f"{here}[{number}] = *(const uint32_t *)&{buffer}[{offset}];")
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
