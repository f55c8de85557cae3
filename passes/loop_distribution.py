"""Loop distribution: a nest with several reductions as several nests with one each.

    for parallel %i < n {              for parallel %i < n {
      accumulator %m = sum               accumulator %m = sum
      for serial %k < rows { ... }       for serial %k < rows { ... }
      accumulator %v = sum               store %kept[%i] = %m
      for serial %l < rows { ... %m }  }
    }                                  for parallel %i < n {
                                         accumulator %v = sum
                                         for serial %l < rows { ... load %kept[%i] }
                                       }

A variance reads its matrix twice, once for the mean. Of columns, far longer than a cache, nothing
is left from the first time, so that a nest for each reduction costs no more; and each can be
cut and read in the order of memory for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from graphc.ir import scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import (
    Accumulator,
    For,
    Let,
    Statement,
    Store,
    map_statement,
    statements,
    stores,
    values,
    variable,
)
from graphc.ir.scalar import Load, Ref, Scalar
from graphc.ir.types import DType
from graphc.passes.loop_nests import nested, perfect

Keep: TypeAlias = Callable[[DType, Size], str]
"""Makes a buffer for a value of each result, of a dtype and a size; returns its name."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The values that one part leaves for the next ones: name -> dtype and buffer."""

    buffers: Mapping[str, tuple[DType, str]]
    at: Size

    def stores(self) -> tuple[Store, ...]:
        """What writes them."""
        return tuple(Store(b, self.at, Ref(t, name)) for name, (t, b) in self.buffers.items())

    def read(self, body: tuple[Statement, ...]) -> tuple[Statement, ...]:
        """A body that loads them."""
        items = self.buffers.items()
        return inlined(body, {name: Load(t, buffer, self.at, None) for name, (t, buffer) in items})


def with_loads_inside(nest: For) -> For:
    """A nest that loads what its lets only name where it is used, so that no let stands first."""
    loops, inside = perfect(nest)
    written = {store.buffer for store in stores(inside)}
    named = {
        s.name: s.value
        for s in inside
        if isinstance(s, Let) and isinstance(s.value, Load) and s.value.buffer not in written
        if s.value.dtype.is_float  # others may stand in offsets
    }
    if not named or not any(isinstance(s, For) for s in inside):
        return nest
    rest = tuple(s for s in inside if not isinstance(s, Let) or s.name not in named)
    return nested([replace(each, body=()) for each in loops], inlined(rest, named))


def inlined(body: tuple[Statement, ...], named: Mapping[str, Scalar]) -> tuple[Statement, ...]:
    """A body with values in place of their names."""

    def value(old: Scalar) -> Scalar:
        return scalar.rebuild(old, lambda p: named.get(p.name) if isinstance(p, Ref) else None)

    return tuple(map_statement(s, value, lambda size: size) for s in body)


def distributed(nest: For, keep: Keep) -> list[For]:
    """A nest for each reduction of a nest, in order."""
    loops, inside = perfect(nest)
    parts = list(by_reduction(inside))
    at: Size = 0
    for each in loops:
        at = at * each.limit + variable(each)
    size: Size = 1
    for each in loops:
        size = size * each.limit
    result: list[For] = []
    for number, part in enumerate(parts):
        later = tuple(s for after in parts[number + 1 :] for s in after)
        names = names_read(later)
        crossing = {name: dtype for name, dtype in defined(part) if name in names}
        kept = Kept({name: (dtype, keep(dtype, size)) for name, dtype in crossing.items()}, at)
        parts[number + 1 :] = [kept.read(after) for after in parts[number + 1 :]]
        own = [replace(each, body=()) for each in loops]
        result.append(nested(own, (*part, *kept.stores())))
    return result


def by_reduction(inside: Sequence[Statement]) -> Iterator[tuple[Statement, ...]]:
    """The statements of a nest in parts, each of which begins with what its reduction fills."""
    part: list[Statement] = []
    for statement in inside:
        if isinstance(statement, Accumulator) and any(isinstance(s, For) for s in part):
            yield tuple(part)
            part = []
        part.append(statement)
    yield tuple(part)


def defined(part: Sequence[Statement]) -> Iterator[tuple[str, DType]]:
    """The names that a part gives to those after it, with their dtypes."""
    for statement in part:
        if isinstance(statement, Accumulator):
            yield statement.name, statement.dtype
        elif isinstance(statement, Let):
            yield statement.name, statement.value.dtype


def names_read(body: tuple[Statement, ...]) -> set[str]:
    """The names that expressions read."""
    parts = scalar.walk(value for s in statements(body) for value in values(s))
    return {part.name for part in parts if isinstance(part, Ref)}
