"""Loops whose iterations follow from one another, and what may still run side by side."""

from __future__ import annotations

from collections.abc import Collection

from graphc.ir import dim, scalar
from graphc.ir.kernel import (
    Accumulate,
    Accumulator,
    For,
    Kernel,
    Let,
    loads,
    sizes,
    statements,
    stores,
    values,
)


def is_ordered(loop: For, lasts: Collection[str] = ()) -> bool:
    """Whether a loop must run in order.

    It stores what a later iteration may load, reads a total before the loop has ended, or sets one
    of `lasts`, the accumulators that hold what came last. Any other serial loop only adds up.
    """
    if loop.kind != "serial":
        return False
    filled = {s.name for s in statements(loop.body) if isinstance(s, Accumulate)}
    parts = scalar.walk(value for s in statements(loop.body) for value in values(s))
    read = {part.name for part in parts if isinstance(part, scalar.Ref)}
    own = {s.name for s in statements(loop.body) if isinstance(s, Accumulator)}
    shared = filled - own
    return any(True for _ in stores(loop.body)) or bool(shared & {*read, *in_sizes(loop), *lasts})


def in_sizes(loop: For) -> set[str]:
    """The names of values that stand in the sizes and offsets of a loop."""
    inner = statements(loop.body)
    found = {symbol for s in inner for size in sizes(s) for symbol in dim.variables(size)}
    return {symbol.name.removeprefix("%") for symbol in found if symbol.kind == "value"}


def lasts_of(kernel: Kernel) -> frozenset[str]:
    """The accumulators of a kernel that hold what came last."""
    inner = statements(kernel.body)
    return frozenset(s.name for s in inner if isinstance(s, Accumulator) and s.kind == "last")


def keeps_order(nest: For, lasts: Collection[str]) -> bool:
    """Whether an ordered loop stands somewhere in a nest of loops."""
    return any(isinstance(s, For) and is_ordered(s, lasts) for s in statements(nest.body))


def is_even_lockstep(nest: For) -> bool:
    """Whether iterations may run side by side, and then every access is of neighbours.

    Side by side they run inner loops equally often, so that no limit may differ between them.
    """
    name = nest.variable.name
    inner = list(statements(nest.body))
    varying = {name} | {f"%{s.name}" for s in inner if isinstance(s, Let | Accumulator)}
    loops = [s for s in inner if isinstance(s, For)]
    if any(s.kind != "serial" or varying & names_in(s) for s in loops):
        return False
    offsets = [load.offset for load in loads(nest.body)] + [s.offset for s in stores(nest.body)]
    return all(dim.coefficient(offset, name) in (0, 1) for offset in offsets)


def names_in(loop: For) -> set[str]:
    """The names that the limit of a loop depends on."""
    return {symbol.name for symbol in dim.variables(loop.limit)}
