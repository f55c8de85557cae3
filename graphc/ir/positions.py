"""Positions of argmax and argmin: whether they only grow from iteration to iteration.

Then a value that is not better than the best so far never comes earlier, and comparing positions
is left to the combination of lanes, or of threads.
"""

from __future__ import annotations

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, Accumulator, For, Statement


def first_positions(body: tuple[Statement, ...]) -> dict[str, Size]:
    """The accumulators whose positions only grow, and the first position of each."""
    depths: dict[str, int] = {}
    found: dict[str, list[Size | None]] = {}
    stack: list[tuple[Statement, tuple[For, ...]]] = [(s, ()) for s in reversed(body)]
    while stack:
        statement, around = stack.pop()
        if isinstance(statement, For):
            stack += [(s, (*around, statement)) for s in reversed(statement.body)]
        elif isinstance(statement, Accumulator) and statement.kind in ("argmax", "argmin"):
            depths[statement.name] = len(around)
        elif isinstance(statement, Accumulate) and statement.name in depths:
            first = first_position(statement.position, around[depths[statement.name] :])
            found.setdefault(statement.name, []).append(first)
    return {n: only for n, (only, *others) in found.items() if only is not None and not others}


def first_position(position: Size, loops: tuple[For, ...]) -> Size | None:
    """The position before the first iteration of loops; None unless it grows with each."""
    if any(symbol.kind == "value" for symbol in dim.symbols(position)):
        return None  # it may not be known where the accumulator begins
    span: Size = 0  # what it grows by in all iterations of the loops further in
    for loop in reversed(loops):
        step = dim.coefficient(position, loop.variable.name)
        if step is None or not is_positive(step - span):
            return None
        span = span + step * (loop.limit - 1)
    return dim.substitute(position, {loop.variable.name: 0 for loop in loops})


def is_positive(size: Size) -> bool:
    """Whether a size is known to be positive."""
    least = dim.lower_bound(size)
    return isinstance(least, int) and least > 0
