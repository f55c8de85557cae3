"""Layout: which axes of a table, of integer indices and of the elements they choose go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.errors import TypeRuleError
from graphc.ir.dim import Size
from graphc.ir.types import show_shape

Axes = tuple[int, ...]
Shape = tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How elements of a table are chosen by arrays of integers.

    axes are the table's axes that have indices, rising, one for each array. along tells for each
    other axis of the table, in order, which axis of the elements it is; it rises too. spans tells
    for each array of indices which axes of the elements its own axes are, rising. So `x[i, :, j]`
    of vectors i and j has axes (0, 2), along (1,) and spans ((0,), (0,)); an axis of the elements
    in both along and spans is walked together, as in `take_along_axis`.
    """

    axes: Axes
    along: Axes
    spans: tuple[Axes, ...]

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The attributes of an operator that say it."""
        return {"axes": self.axes, "along": self.along, "spans": self.spans}

    @property
    def others(self) -> Axes:
        """The table's axes without indices."""
        return tuple(a for a in range(len(self.axes) + len(self.along)) if a not in self.axes)

    @property
    def indexed(self) -> Axes:
        """The elements' axes that some index lies along."""
        return tuple(sorted({axis for span in self.spans for axis in span}))

    @property
    def repeated(self) -> Axes:
        """The elements' axes along which a place of the table may be met again."""
        return tuple(axis for axis in self.indexed if axis not in self.along)

    def check(self, table: Shape, indices: Sequence[Shape]) -> None:
        """TypeRuleError unless the axes are those of such operands."""
        named = sorted((*self.axes, *self.others))
        if not self.axes or named != list(range(len(table))) or not is_rising(self.axes):
            raise TypeRuleError(
                f"axes {self.axes} and others along {self.along} must be those of shape "
                f"{show_shape(table)}, at least one of them with indices"
            )
        if not len(self.axes) == len(self.spans) == len(indices):
            raise TypeRuleError(f"needs indices for each of {len(self.axes)} axes")
        if [len(span) for span in self.spans] != [len(shape) for shape in indices]:
            raise TypeRuleError(f"spans {self.spans} must name each axis of the indices")
        every = sorted({*self.along, *self.indexed})
        if every != list(range(len(every))) or not all(map(is_rising, (self.along, *self.spans))):
            raise TypeRuleError(f"along {self.along} and spans {self.spans} must rise without gaps")

    def shape(self, table: Shape, indices: Sequence[Shape]) -> Shape:
        """The shape of the elements; TypeRuleError where sizes disagree."""
        self.check(table, indices)
        pairs = [(axis, table[other]) for axis, other in zip(self.along, self.others, strict=True)]
        for span, sizes in zip(self.spans, indices, strict=True):
            pairs += zip(span, sizes, strict=True)
        found: dict[int, Size] = {}
        for axis, size in pairs:
            if found.setdefault(axis, size) != size:
                raise TypeRuleError(
                    f"axis {axis} of the elements has size {found[axis]} and size {size}: the "
                    f"table has shape {show_shape(table)}, the indices "
                    f"{' and '.join(map(show_shape, indices))}"
                )
        return tuple(found[axis] for axis in range(len(found)))

    def in_table(self, index: Sequence[Size], places: Sequence[Size]) -> list[Size]:
        """The index in the table of an element, where indices have chosen places."""
        chosen = dict(zip(self.axes, places, strict=True))
        chosen |= {o: index[axis] for o, axis in zip(self.others, self.along, strict=True)}
        return [chosen[axis] for axis in range(len(chosen))]

    def beside_batch(self, table: bool, indices: Sequence[bool]) -> Layout:
        """The layout with a batch axis in front of the elements, and of those said to have it."""
        along = (*((0,) if table else ()), *(axis + 1 for axis in self.along))
        pairs = zip(indices, self.spans, strict=True)
        return Layout(
            tuple(axis + table for axis in self.axes),
            along,
            tuple(((0,) if flag else ()) + tuple(a + 1 for a in span) for flag, span in pairs),
        )

    def without_slices(self) -> tuple[Layout, Axes, Axes]:
        """The layout of what the indices alone say, and which axes of table and elements stay.

        A slice is an axis of table and elements that no index lies along.
        """
        stay = self.indexed
        new = {axis: place for place, axis in enumerate(stay)}
        pairs = zip(self.others, self.along, strict=True)
        kept = sorted((*self.axes, *(other for other, axis in pairs if axis in new)))
        layout = Layout(
            tuple(kept.index(axis) for axis in self.axes),
            tuple(new[axis] for axis in self.along if axis in new),
            tuple(tuple(new[axis] for axis in span) for span in self.spans),
        )
        return layout, tuple(kept), stay


def is_rising(axes: Axes) -> bool:
    """Whether each axis is above the one before it."""
    return list(axes) == sorted(set(axes))
