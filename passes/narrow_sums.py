"""Sums that leave out the terms that their guard leaves out, as of windows that look over a border.

What a guard asks of loops around a tile limits the loops of the sum: near the upper border of an
image the first row of taps is not run. What it asks of the rows of a tile it asks for the first and
the last few taps alone. Those are written out, so that it is known of each row whether it has them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache
from itertools import takewhile

from graphc.ir import dim, scalar
from graphc.ir.dim import Size, Symbol
from graphc.ir.kernel import Accumulate, For, Statement, loop, statements, substitute, variable
from graphc.ir.scalar import Call, Scalar
from graphc.ir.types import bool_
from graphc.passes.loop_nests import chain, nested
from graphc.passes.settle_guards import margin_of, replaced, settle_guards
from graphc.passes.tile_shape import Part

# So many taps, or tiles of rows, are written out at either end at most.
MAX_APART = 8


def conditions(body: tuple[Statement, ...]) -> list[Call]:
    """The comparisons of indices that must all hold for a term of a sum to be added."""
    found: dict[Call, None] = {}
    pending = [scalar.term(s.value)[0] for s in statements(body) if isinstance(s, Accumulate)]
    while pending:
        part = pending.pop()
        if isinstance(part, Call) and part.function == "bitwise_and":
            pending += part.arguments
        elif isinstance(part, Call) and margin_of(part) is not None:
            found[part] = None
    return list(found)


# --- loops around a tile --------------------------------------------------------------------------


def narrowed(sums: For, lockstep: Collection[str]) -> For:
    """The loops of a sum, each with the limits that its guard sets for it given the loops around.

    lockstep names those loops around on which no limit may depend. What is asked of them stays. A
    loop that it is about stands outside of a longer one, so that parts of it are loops, too.
    """
    loops = chain(sums)
    body = loops[-1].body
    inside = [s for s in statements((sums,)) if isinstance(s, For)]
    if not is_one_term(body) or any(dim.symbols(s.limit) & variables_of(inside) for s in inside):
        return sums
    for at, each in enumerate(loops):
        name = each.variable.name
        outside = {*lockstep, *(s.variable.name for s in inside if s is not each)}
        asked = [c for c in conditions(body) if limits(c, name, outside)]
        if not asked:
            continue
        first, end = bounds(asked, each)
        loops[at] = loop(name, dim.maximum(end - first, 0), each.kind, ())
        known: dict[Scalar, Scalar] = {condition: scalar.const(bool_, True) for condition in asked}
        body = settle_guards(replaced(body, known))
        body = substitute(body, {name: first + variable(loops[at])})
    if loops[-1].variable in asked_about(body):
        loops = with_longer_inside(loops)
    return nested(loops, body)


def is_one_term(body: tuple[Statement, ...]) -> bool:
    """Whether a body adds one term, so that what is asked of it is asked of all."""
    return sum(isinstance(s, Accumulate) for s in statements(body)) == 1


def variables_of(loops: list[For]) -> set[Symbol]:
    """The variables of loops."""
    return {each.variable for each in loops}


def with_longer_inside(loops: list[For]) -> list[For]:
    """Loops with the innermost two exchanged if the outer one is longer."""
    longest = [dim.upper_bound(each.limit) for each in loops[-2:]]
    known = [most for most in longest if isinstance(most, int)]
    return [*loops[:-2], *loops[:-3:-1]] if len(known) == 2 and known[0] > known[1] else loops


def asked_about(body: tuple[Statement, ...]) -> set[Symbol]:
    """The variables that must have certain values for terms to be added."""
    margins = map(margin_of, conditions(body))
    return {symbol for margin in margins if margin is not None for symbol in dim.symbols(margin)}


def limits(condition: Call, name: str, others: Collection[str]) -> bool:
    """Whether a condition is one about a loop of a sum, and about none of the others."""
    margin = margin_of(condition)
    assert margin is not None
    step = dim.coefficient(margin, name)
    asked = dim.variables(margin)
    plain = all(symbol.kind == "index" and symbol.name not in others for symbol in asked)
    return plain and isinstance(step, int) and step != 0


def bounds(asked: list[Call], each: For) -> tuple[Size, Size]:
    """The first iteration in which conditions hold, and the one after the last."""
    first: Size = 0
    end = each.limit
    for condition in asked:
        margin = margin_of(condition)
        assert margin is not None
        step = dim.coefficient(margin, each.variable.name)
        assert isinstance(step, int)
        rest = margin - variable(each) * step
        if step > 0:
            first = dim.maximum(first, dim.floor_divide(step - 1 - rest, step))
        else:
            end = dim.minimum(end, dim.floor_divide(rest, -step) + 1)
    return first, end


# --- rows of a tile -------------------------------------------------------------------------------


def parts_apart(part: Part, asks: Callable[[Part], bool]) -> list[Part]:
    """A stretch of rows, the tiles at either end of it apart that ask for the row."""
    tiles, start = part.tiles, part.start
    if not isinstance(tiles, int) or not isinstance(start, int) or part.limit is not None:
        return [part]

    def tile(at: int, count: int = 1) -> Part:
        return Part(start + at * part.width, count, part.width)

    before, after = at_ends(tiles, lambda at: asks(tile(at)))
    inside = tiles - before - after
    parts = [*map(tile, range(before)), tile(before, inside)]
    parts += map(tile, range(tiles - after, tiles))
    return [each for each in parts if each.tiles]


def at_ends(count: int, asks: Callable[[int], bool]) -> tuple[int, int]:
    """How many of so many in a row ask at the beginning, and how many of the others at the end."""
    before = sum(1 for _ in takewhile(asks, range(min(count, MAX_APART))))
    others = range(count - 1, before - 1, -1)[:MAX_APART]
    return before, sum(1 for _ in takewhile(asks, others))


def with_taps_apart(tile: For) -> For:
    """A tile whose rows are asked for in few iterations of the loops of its sum, which stand apart.

    What is asked of a row is asked with each tap. Taps in the middle have every row.
    """
    (settled,) = settle_guards((tile,))
    assert isinstance(settled, For)
    *values, columns = settled.body
    if not conditions((settled,)) or not isinstance(columns, For):
        return settled
    body = tuple(part for s in columns.body for part in (apart(s) if isinstance(s, For) else (s,)))
    return replace(settled, body=(*values, replace(columns, body=body)))


def apart(sums: For) -> tuple[For, ...]:
    """The loops of a sum, the one that is asked about in parts."""
    loops = chain(sums)
    for at, taps in enumerate(loops):
        if taps.variable in asked_about(taps.body) and isinstance(taps.limit, int):
            parts = in_parts(taps, taps.limit)
            return (nested(loops[:at], parts),) if at else parts
    return (sums,)


def in_parts(taps: For, count: int) -> tuple[For, ...]:
    """The first and the last iterations of a loop, each by itself if it asks; and those between."""
    one = cache(lambda tap: part_of(taps, tap, 1))
    before, after = at_ends(count, lambda tap: bool(conditions((one(tap),))))
    inside = count - before - after
    middle = (part_of(taps, before, inside),) if inside else ()
    return (*map(one, range(before)), *middle, *map(one, range(count - after, count)))


def part_of(taps: For, first: int, count: int) -> For:
    """Some iterations of a loop."""
    name = taps.variable.name
    part = loop(name, count, taps.kind, ())
    at: Size = first if count == 1 else first + variable(part)
    return replace(part, body=settle_guards(substitute(taps.body, {name: at})))
