"""Axis: several loops as one, and their variables as the digits of its place."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir import dim, scalar
from graphc.ir.dim import Size, product
from graphc.ir.kernel import For
from graphc.ir.scalar import Scalar
from graphc.passes.block_tile import usual


@dataclass(frozen=True, slots=True)
class Axis:
    """Loops as one: their variables are the digits of a place below the number of iterations."""

    loops: tuple[For, ...]

    @property
    def count(self) -> Size:
        """The number of places."""
        return product(loop.limit for loop in self.loops)

    def digits(self, place: Size) -> dict[str, Size]:
        """The variables of the loops at a place."""
        found: dict[str, Size] = {}
        inner: Size = 1
        for at, loop in reversed(list(enumerate(self.loops))):
            digit = dim.floor_divide(place, inner)
            found[loop.variable.name] = digit if at == 0 else dim.remainder(digit, loop.limit)
            inner = inner * loop.limit
        return found

    def run(self, offset: Size) -> int:
        """How many places one after another are neighbours in memory, usually."""
        length: Size = 1
        for loop in reversed(self.loops):
            if dim.coefficient(offset, loop.variable.name) != length:
                break
            length = length * loop.limit
        most = dim.upper_bound(length)  # the last of several chunks may be shorter
        return usual(length if most is None else most)

    def is_inside(self, place: Size, step: int = 0) -> Scalar | None:
        """Whether a place counts; None where it surely does, as where steps of so many fit."""
        fits = step > 0 and isinstance(self.count, int) and self.count % step == 0
        if fits or dim.is_within(place, self.count):
            return None
        return scalar.index(place) < scalar.index(self.count)
