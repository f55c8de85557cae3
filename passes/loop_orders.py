"""Orders of the independent loops around a sum: which two make a register tile, which go outermost.

`interchange_loops` has put a good pair innermost, before sums were cut into blocks by what the
loops inside read. Now that the order of addition is settled, all other orders are as right.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from graphc.ir import dim
from graphc.ir.kernel import For
from graphc.passes.choose import Way, choose
from graphc.passes.loop_nests import nested
from graphc.passes.register_tile import is_tileable

# So many orders are offered to a search.
MANY_ORDERS = 8


def in_order(nest: For, kernel: str) -> For:
    """Independent loops around a register tile: as they are, or in the order that is chosen."""
    loops = [nest]
    while len(loops[-1].body) == 1 and is_independent(inner := loops[-1].body[0]):
        assert isinstance(inner, For)
        loops.append(inner)
    if len(loops) < 2 or any(dim.variables(loop.limit) for loop in loops):
        return nest
    if not is_tileable(loops[-2]):
        return nest
    orders = itertools.islice(other_orders(loops), MANY_ORDERS)
    return choose(kernel, way(loops), lambda: map(way, orders)).value


def is_independent(statement: object) -> bool:
    """Whether a statement is a loop over results."""
    return isinstance(statement, For) and statement.kind == "parallel"


def other_orders(loops: list[For]) -> Iterator[list[For]]:
    """The orders with a pair innermost that can become a tile, the usual pair first."""
    inside = loops[-1].body
    pairs = list(itertools.permutations(loops, 2))
    pairs.sort(key=lambda pair: pair[0] is not loops[-2] or pair[1] is not loops[-1])
    for pair in pairs:
        if is_tileable(nested(pair, inside)):
            others = [loop for loop in loops if not any(loop is tiled for tiled in pair)]
            yield from ([*outer, *pair] for outer in itertools.permutations(others))


def way(loops: list[For]) -> Way[For]:
    """Loops in an order; what it costs is up to the caches, and not predicted."""
    names = ", ".join(loop.variable.name for loop in loops)
    return Way(f"loops {names}", nested(loops, loops[-1].body), 0.0)
