"""Windows that slide along an axis: which element each tap of each window sees.

Convolution and pooling share this geometry. It is closed under differentiation: the windows that
see an element are windows over the results again, and so are the elements that a tap sees.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.errors import TypeRuleError
from graphc.ir import scalar
from graphc.ir.dim import Size, floor_divide, remainder
from graphc.ir.op import Read
from graphc.ir.scalar import Scalar
from graphc.ops.slicing import conjunction, extent, within


@dataclass(frozen=True, slots=True)
class Sliding:
    """A window of `taps` that slides along an axis of `size` elements.

    Element e stands at e * spacing, and tap t of window w looks at w * stride + t * dilation - low.
    It sees the element that stands there, or padding where there is none.
    """

    size: Size
    taps: Size
    stride: int
    low: Size
    high: Size
    dilation: int = 1
    spacing: int = 1

    @property
    def span(self) -> Size:
        """The room that a window takes."""
        span: Size = extent(self.taps, self.dilation - 1)
        return span

    @property
    def room(self) -> Size:
        """The room that the elements take without padding."""
        room: Size = extent(self.size, self.spacing - 1)
        return room

    @property
    def count(self) -> Size:
        """How many windows fit: (room + low + high - span) // stride + 1."""
        return floor_divide(self.room + self.low + self.high - self.span, self.stride) + 1

    def seen(self, window: Size, tap: Size) -> tuple[Size, list[Scalar]]:
        """The element that a tap sees, and the conditions for one that are not sure to hold."""
        place = window * self.stride + tap * self.dilation - self.low
        conditions = [*within(place, self.room), *self.on_element(window, tap)]
        return floor_divide(place, self.spacing), conditions

    def on_element(self, window: Size, tap: Size) -> list[Scalar]:
        """The conditions, if any, for a tap to look at an element and not between two."""
        rest = remainder(window * self.stride + tap * self.dilation - self.low, self.spacing)
        return [] if rest == 0 else [scalar.call("equal", scalar.index(rest), 0)]

    @property
    def is_sparse(self) -> bool:
        """Whether few taps of a window meet elements, and it is plain which."""
        return self.spacing > 1 and self.stride == self.dilation == 1 and self.taps != 1

    @property
    def rounds(self) -> Size:
        """How many taps of a window may meet elements."""
        if not self.is_sparse:
            return self.taps
        return floor_divide(self.taps + self.spacing - 1, self.spacing)

    def meeting(self, window: Size, number: Size) -> tuple[Size, Size, list[Scalar]]:
        """Such a tap, the element it sees, and the conditions for that not sure to hold."""
        if not self.is_sparse:
            return number, *self.seen(window, number)
        tap = remainder(self.low - window, self.spacing) + number * self.spacing
        element = floor_divide(window - self.low + self.spacing - 1, self.spacing) + number
        even = remainder(self.taps, self.spacing) == 0
        inside = [] if even else [scalar.call("less", scalar.index(tap), scalar.index(self.taps))]
        return tap, element, [*within(element, self.size), *inside]

    def backward(self) -> Sliding:
        """The windows over the results that have, for each element, one tap for each that sees it.

        Its tap t is tap taps - 1 - t here.
        """
        low = self.span - 1 - self.low
        windows: Size = extent(self.count, self.stride - 1)
        high = self.room - 1 + self.span - windows - low
        return Sliding(
            self.count, self.taps, self.spacing, low, high, self.dilation, spacing=self.stride
        )

    def exchanged(self) -> Sliding:
        """The windows over the same elements that have, for each tap here, a tap per window."""
        windows: Size = extent(self.count, self.stride - 1)
        high = self.span - 1 + windows - self.room - self.low
        return Sliding(
            self.size, self.count, self.dilation, self.low, high, self.stride, self.spacing
        )

    def check(self, axis: int) -> None:
        """TypeRuleError unless the numbers make sense and no window is surely too long."""
        if min(self.stride, self.dilation, self.spacing) < 1:
            raise TypeRuleError("strides and dilations must be at least 1")
        if isinstance(self.count, int) and self.count < 0:
            raise TypeRuleError(
                f"a window that spans {self.span} does not fit into axis {axis}, which has "
                f"{self.size} and is padded by {self.low} and {self.high}"
            )


def windows_of(
    sizes: Sequence[Size], taps: Sequence[Size], *numbers: Sequence[Any]
) -> tuple[Sliding, ...]:
    """A window for each axis; numbers are strides, low, high and, if any, dilation and spacing.

    TypeRuleError where there are not as many of each as axes, or where a window cannot slide.
    """
    if {len(part) for part in (taps, *numbers)} != {len(sizes)}:
        raise TypeRuleError(f"needs a number of each kind for each of {len(sizes)} axes")
    result = tuple(Sliding(*parts) for parts in zip(sizes, taps, *numbers, strict=True))
    for axis, window in enumerate(result):
        window.check(axis)
    return result


def tap_loops(windows: Sequence[Sliding], read: Read) -> list[Size]:
    """A loop variable for the taps of each axis; a lone tap takes none."""
    return [0 if window.taps == 1 else read.variable(window.taps) for window in windows]


@dataclass(frozen=True, slots=True)
class Meetings:
    """Taps of windows that may look at elements: loops over them, the taps, what they see."""

    loops: list[Size]
    taps: list[Size]
    places: list[Size]
    guard: Scalar | None


def meetings(windows: Sequence[Sliding], index: Sequence[Size], read: Read) -> Meetings:
    """The taps of the windows at an index that can meet an element.

    Where elements stand apart, only every spacing-th tap can: there is a loop over those alone,
    and none where it is one tap.
    """
    found = Meetings([], [], [], None)
    conditions: list[Scalar] = []
    for window, at in zip(windows, index, strict=True):
        rounds = window.rounds
        loop: Size = 0 if rounds == 1 else read.variable(rounds)
        tap, place, unsure = window.meeting(at, loop)
        found.loops.append(loop)
        found.taps.append(tap)
        found.places.append(place)
        conditions += unsure
    return replace(found, guard=conjunction(conditions))


def seen_by(
    windows: Sequence[Sliding], index: Sequence[Size], taps: Sequence[Size]
) -> tuple[list[Size], Scalar | None]:
    """The element that a tap of the windows at an index sees; the guard is None where it must."""
    places: list[Size] = []
    conditions: list[Scalar] = []
    for window, at, tap in zip(windows, index, taps, strict=True):
        place, unsure = window.seen(at, tap)
        places.append(place)
        conditions += unsure
    return places, conjunction(conditions)


def between(
    windows: Sequence[Sliding], index: Sequence[Size], taps: Sequence[Size]
) -> Scalar | None:
    """Whether a tap looks at elements along all axes, not between; None where it surely does."""
    parts = zip(windows, index, taps, strict=True)
    return conjunction([c for window, at, tap in parts for c in window.on_element(at, tap)])


def guarded(guard: Scalar | None, value: Scalar, otherwise: scalar.Number) -> Scalar:
    """A value where a guard holds or is not needed, else a number."""
    return value if guard is None else scalar.where(guard, value, otherwise)


# --- the same with NumPy, written the other way round: elements are laid out, then cut -----------


def lay_out(x: Any, windows: Sequence[Sliding], fill: Any) -> Any:
    """The elements at their places from the first window's on, padding and gaps filled."""
    result = np.full([room_of(window) for window in windows], fill, x.dtype)
    here, there = zip(*(laid_out(window) for window in windows), strict=True)
    result[np.ix_(*there)] = x[np.ix_(*here)]
    return result


def take_back(laid: Any, windows: Sequence[Sliding]) -> Any:
    """The elements of an array that was laid out; zeros where they were cut off."""
    result = np.zeros([number(window.size) for window in windows], laid.dtype)
    here, there = zip(*(laid_out(window) for window in windows), strict=True)
    result[np.ix_(*here)] = laid[np.ix_(*there)]
    return result


def room_of(window: Sliding) -> int:
    """How many places an axis has with its padding."""
    return max(number(window.room + window.low + window.high), 0)


def laid_out(window: Sliding) -> tuple[Any, Any]:
    """The elements of an axis that padding does not cut off, and their places."""
    elements = np.arange(number(window.size))
    places = elements * window.spacing + number(window.low)
    inside = (places >= 0) & (places < room_of(window))
    return elements[inside], places[inside]


def tap_slices(windows: Sequence[Sliding], tap: Sequence[int]) -> tuple[slice, ...]:
    """What one tap of all windows sees of an array that was laid out."""
    parts = []
    for window, t in zip(windows, tap, strict=True):
        first = t * window.dilation
        parts.append(slice(first, first + number(window.count) * window.stride, window.stride))
    return tuple(parts)


def on_elements(windows: Sequence[Sliding], tap: Sequence[int]) -> Any:
    """For each window, whether a tap looks at elements along all axes, not between."""
    looks = []
    for window, t in zip(windows, tap, strict=True):
        places = np.arange(number(window.count)) * window.stride + t * window.dilation
        looks.append((places - number(window.low)) % window.spacing == 0)
    return functools.reduce(np.logical_and.outer, looks)


def number(size: Size) -> int:
    """A size that is known, as every one is where NumPy computes."""
    assert isinstance(size, int)
    return size
