"""Reduction tiles: a few results that add up the same loads, with vectors along their sums.

The gradient by a depthwise kernel has a result for each tap, and all add up products with the same
gradients. Side by side, each of these is loaded once for all results, and a vector of partial sums
for each result stays in a register.
"""

from __future__ import annotations

from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Size, product
from graphc.ir.kernel import Accumulator, For, loads
from graphc.ir.program import Decision
from graphc.passes.decisions import record
from graphc.passes.loop_nests import chain, nested, perfect
from graphc.passes.machine import Registers
from graphc.passes.ordered_loops import is_ordered

# Results side by side, in registers; and terms after which the lanes of a sum may be added up.
MOST_RESULTS, ENOUGH_TERMS = 25, 48


def is_reduction_tile(nest: For) -> bool:
    """Whether loops over few results hold one sum, some loads of which serve all results."""
    rows, inside = perfect(nest)
    results = product([row.limit for row in rows])
    if not isinstance(results, int) or not 1 < results <= MOST_RESULTS:
        return False
    sums = [s for s in inside if isinstance(s, Accumulator)]
    loops = [s for s in inside if isinstance(s, For)]
    if len(sums) != 1 or len(loops) != 1 or sums[0].kind != "sum":
        return False
    terms = chain(loops[0])
    if loops[0].kind != "serial" or is_ordered(loops[0]) or not is_flat(terms[-1]):
        return False
    along = terms[-1].variable.name
    read = [load.offset for load in loads(terms[-1].body)]
    if any(dim.coefficient(offset, along) not in (0, 1) for offset in read):
        return False
    return any(dim.coefficient(offset, along) == 1 and is_shared(offset, rows) for offset in read)


def is_flat(innermost: For) -> bool:
    """Whether a loop holds no other."""
    return not any(isinstance(s, For) for s in innermost.body)


def is_shared(offset: Size, rows: list[For]) -> bool:
    """Whether a load is the same for all results."""
    return all(dim.coefficient(offset, row.variable.name) == 0 for row in rows)


def reduction_tile(nest: For, registers: Registers, name: str) -> For:
    """The loops over results side by side, around vectors along the innermost loop of the sum."""
    rows, inside = perfect(nest)
    (total,) = (s for s in inside if isinstance(s, Accumulator))
    lanes = registers.bits // max(total.dtype.bits, 32)
    count = product([row.limit for row in rows])
    record(Decision(
        "tile_loops", f"{count} results side by side", name,
        "each load serves all of them, and vectors lie along the sum",
    ))  # fmt: skip
    body = tuple(along_terms(s, lanes) if isinstance(s, For) else s for s in inside)
    return nested([replace(row, kind="unrolled") for row in rows], body)


def along_terms(reduction: For, lanes: int) -> For:
    """The loops of a sum, with vectors along the innermost one around enough of the others.

    The lanes of a sum are added up at the end of a vector loop, which should not come too often.
    """
    *outer, innermost = chain(reduction)
    terms, at = 1, len(outer)
    while at and terms < ENOUGH_TERMS:
        at -= 1
        limit = outer[at].limit
        terms *= limit if isinstance(limit, int) else ENOUGH_TERMS
    vector = replace(innermost, kind="vector", lanes=lanes)
    return nested([*outer[:at], vector, *outer[at:]], innermost.body)
