"""Adjacent lines: copies of short pieces that read what lies together in memory together.

Panels of a matrix are copies of short pieces of its rows, a line of the cache each. One panel after
another, a piece is read from each row, the next one of which is often in another page; the line
beside it is read with the next panel, when the page is forgotten. So a few panels are written side
by side: as many pieces are read from each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import For, Kernel, Statement, accesses, loads, loop, substitute, variable
from graphc.ir.program import Decision
from graphc.passes.decisions import record
from graphc.passes.loop_nests import nested, perfect
from graphc.passes.machine import VECTOR
from graphc.passes.predict_cost import predicted, work_of

# How many pieces are copied together: the first of these that divides their number.
TOGETHER = (4, 3, 5, 7, 2)
# So many groups there are at least where they are what threads share.
FEWEST_GROUPS = 4
# A piece is at most so many vectors; longer ones make up for the way to them.
LONGEST = 2


def reads_apart(nest: For) -> bool:
    """Whether loops over results copy pieces, of which neighbours in memory are read apart."""
    return neighbours(*perfect(nest)) is not None


def neighbours(loops: Sequence[For], inside: tuple[Statement, ...]) -> tuple[For, int] | None:
    """The loop that moves on to the next piece in memory, and how many steps of it go together."""
    read = list(loads(inside))
    piece, name = loops[-1].limit, loops[-1].variable.name
    if len(read) != 1 or read[0].guard is not None or any(isinstance(s, For) for s in inside):
        return None
    if not isinstance(piece, int) or piece % VECTOR or piece > LONGEST * VECTOR:
        return None
    places = [access.offset for access in accesses(inside)]
    if any(dim.coefficient(place, name) != 1 for place in places):
        return None
    for outer in loops[:-2]:
        together = pieces_together(outer.limit, FEWEST_GROUPS if outer is loops[0] else 1)
        if dim.coefficient(read[0].offset, outer.variable.name) == piece and together:
            return outer, together
    return None


def pieces_together(pieces: Size, fewest: int) -> int:
    """How many of the pieces of a row are copied together, in so many groups at least, or 0."""
    if not isinstance(pieces, int):
        return 0
    return next((n for n in TOGETHER if pieces % n == 0 and pieces // n >= fewest), 0)


def read_together(nest: For, kind: str, kernel: Kernel) -> For:
    """The loops with a few of such pieces innermost; the outermost runs as the given kind."""
    loops, inside = perfect(nest)
    found = neighbours(loops, inside)
    assert found is not None
    outer, together = found
    name = outer.variable.name
    groups = loop(f"{name}o", outer.limit // together, "serial", ())
    pieces = loop(f"{name}i", together, "unrolled", ())
    at = variable(groups) * together + variable(pieces)
    around = [groups if each is outer else replace(each, kind="serial") for each in loops[:-1]]
    around[0] = replace(around[0], kind=kind)
    vector = replace(loops[-1], kind="vector", lanes=VECTOR)
    seconds = work_of((nest,), kernel.buffers).seconds
    record(Decision(
        "tile_loops", f"{together} pieces side by side along {name}", kernel.name,
        "they lie together in memory, and the next ones elsewhere", (predicted(seconds),),
    ))  # fmt: skip
    return nested([*around, pieces, vector], substitute(inside, {name: at}))
