"""Whether a thread comes upon the positions of an argmax in their order.

    accumulator %best: f32 = argmax
    for serial %i < n {
      for unrolled %j < 4 {
        accumulate %best load %x[4*%i + %j] at 4*%i + %j     each is greater than all before
      }
    }

Then what is equal to the best so far never wins, and need not be asked where it is. What a thread
has come to by itself may still be equal to what another one has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from graphc.ir import dim
from graphc.ir.dim import Size
from graphc.ir.kernel import Accumulate, Accumulator, For, Kernel, Statement
from graphc.runtime.c_source.lockstep import is_lockstep


def in_order(kernel: Kernel) -> frozenset[str]:
    """The names of accumulators whose positions grow, those that are accumulated in one place."""
    found = list(accumulated(kernel.body, (), {}))
    places = Counter(name for name, _, _ in found)
    return frozenset(
        name for name, loops, position in found if places[name] == 1 and grows(position, loops)
    )


def accumulated(
    body: Sequence[Statement], around: tuple[For, ...], declared: dict[str, int]
) -> Iterator[tuple[str, tuple[For, ...], Size]]:
    """Each accumulate of a body: its name, its position, and the loops inside the accumulator's."""
    for statement in body:
        if isinstance(statement, Accumulator):
            declared[statement.name] = len(around)
        elif isinstance(statement, Accumulate):
            yield statement.name, around[declared[statement.name] :], statement.position
        elif isinstance(statement, For):
            yield from accumulated(statement.body, (*around, statement), declared)


def grows(position: Size, loops: Sequence[For]) -> bool:
    """Whether each iteration of some loops, from the innermost out, has a greater position."""
    reached: Size = 0  # how much further inner loops come than where they begin
    for loop in reversed(loops):
        step = dim.coefficient(position, loop.variable.name)
        if not isinstance(step, int) or is_lockstep(loop) or not is_below(reached, step):
            return False
        reached = reached + step * (loop.limit - 1)
    return True


def is_below(size: Size, step: int) -> bool:
    """Whether a size is surely less than a step."""
    most = dim.upper_bound(size)
    return isinstance(most, int) and most < step
