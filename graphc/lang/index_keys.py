"""What stands in brackets: integers, slices, None, ..., arrays of integers, and known masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphError, shown
from graphc.ir.dim import Dim, Size
from graphc.ir.index_layout import Axes, Layout
from graphc.ir.node import Node, describe
from graphc.ir.types import bool_, int64, show_shape
from graphc.lang.operands import broadcast_shapes, constant, reshape_node
from graphc.lang.sizes import is_integer
from graphc.lang.windows import Window, window

Item: TypeAlias = int | Dim | slice | EllipsisType | Node | None

MASK = (
    "the shape of x[mask] depends on values: where(mask, x, other) has that of x, "
    "compress(mask, x, size=n) and nonzero(mask, size=n) have n elements"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What a key takes of an array.

    windows are the parts of its axes, table what is left of them without the axes that integers
    take, indices those of arrays into the table by the layout. The elements have a shape without
    the axes that None adds, and `shape` with them.
    """

    windows: list[Window]
    table: tuple[Size, ...]
    indices: tuple[Node, ...]
    layout: Layout
    shape: tuple[Size, ...]

    @property
    def elements(self) -> tuple[Size, ...]:
        """The shape of what the indices take of the table."""
        if not self.indices:
            return self.table
        return self.layout.shape(self.table, [index.shape for index in self.indices])


def select(key: Any, node: Node) -> Selection:
    """The selection that a key means; GraphError for one that does not fit."""
    items = filled(key, node)
    windows = windows_of(items, node)
    pairs = list(zip(items, windows, strict=True))
    kept = [(item, taken[1]) for item, taken in pairs if taken and isinstance(item, slice | Node)]
    chosen = [item for item in items if isinstance(item, Node)]
    common = broadcast_shapes([index.shape for index in chosen], chosen)
    first = place_of_arrays(items)
    before, after = (
        [1 if taken is None else taken[1] for item, taken in part if isinstance(item, slice | None)]
        for part in (pairs[:first], pairs[first:])
    )
    axes = tuple(axis for axis, (item, _) in enumerate(kept) if isinstance(item, Node))
    lead = sum(isinstance(item, slice) for item in items[:first])
    layout, indices = chosen_along(chosen, common, axes, lead, len(kept) - len(axes) - lead)
    return Selection(
        [taken for taken in windows if taken is not None],
        tuple(size for _, size in kept),
        indices,
        layout,
        (*before, *common, *after),
    )


def windows_of(items: Sequence[Item], node: Node) -> list[Window | None]:
    """For each item what it takes of its axis, arrays all of it; None for those that have none."""
    windows: list[Window | None] = []
    axis = 0
    for item in items:
        if item is None or isinstance(item, EllipsisType):
            windows.append(None)
            continue
        if isinstance(item, slice):
            windows.append(window(item, node.shape[axis]))
        elif isinstance(item, Node):
            windows.append((0, node.shape[axis], 1))
        else:
            windows.append((position(item, axis, node), 1, 1))
        axis += 1
    return windows


def place_of_arrays(items: Sequence[Item]) -> int:
    """The item in whose place the axes of the arrays stand.

    It is the first of them, integers counting as arrays, where nothing stands between; else the
    axes come in front, as in NumPy.
    """
    places = [place for place, item in enumerate(items) if isinstance(item, int | Dim | Node)]
    if not any(isinstance(item, Node) for item in items):
        return 0
    return 0 if places[-1] - places[0] >= len(places) else places[0]


def chosen_along(
    chosen: Sequence[Node], common: tuple[Size, ...], axes: Axes, lead: int, rest: int
) -> tuple[Layout, tuple[Node, ...]]:
    """The layout of indices that broadcast to a shape, so many other axes before and after it.

    Indices lose the axes along which they would be stretched.
    """
    spans, indices = [], []
    for index in chosen:
        first = len(common) - index.ndim
        kept = [a for a, size in enumerate(index.shape) if size == common[first + a]]
        spans.append(tuple(lead + first + a for a in kept))
        indices.append(reshape_node(index, tuple(index.shape[a] for a in kept)))
    along = (*range(lead), *range(lead + len(common), lead + len(common) + rest))
    return Layout(axes, along, tuple(spans)), tuple(indices)


# --- items ---------------------------------------------------------------------------------------


def filled(key: Any, node: Node) -> list[Item]:
    """The parts of a key, with slices of everything behind a ... for the axes it leaves out."""
    parts = [to_part(item) for item in (key if isinstance(key, tuple) else (key,))]
    dots = [place for place, part in enumerate(parts) if part is Ellipsis]
    used = sum(map(axes_of, parts))
    if used > node.ndim:
        raise GraphError(f"{used} indices are too many for {node.ndim} axes{describe([node])}")
    if len(dots) > 1:
        raise GraphError("an index can have only one ...")
    at = dots[0] + 1 if dots else len(parts)
    items: list[Item] = []
    axis = 0
    for part in [*parts[:at], *[slice(None)] * (node.ndim - used), *parts[at:]]:
        items += known(part, axis, node) if isinstance(part, np.ndarray) else [part]
        axis += axes_of(part)
    return items


def to_part(item: Any) -> Any:
    """An item of a key with lists as arrays; GraphError for what is no index."""
    if isinstance(item, Node):
        if item.dtype == bool_:
            raise GraphError(f"{MASK}{describe([item])}")
        if not item.dtype.is_integer:
            raise GraphError(f"indices must be integers, not {item.dtype.name}{describe([item])}")
        return item
    if is_integer(item):
        return int(item)
    if isinstance(item, slice | Dim | EllipsisType | None):
        return item
    if isinstance(item, np.ndarray | Sequence) and not isinstance(item, str | bytes):
        return to_known(item)
    raise GraphError(
        "an index is an integer, a slice, None, ... or an array of integers, "
        f"not {type(item).__name__}"
    )


def to_known(item: Any) -> Any:
    """An array of integers or bools that is known now; one integer as such."""
    literal = constant(item).attrs["value"]
    array: Any = literal.array
    if not array.size and not isinstance(item, np.ndarray):
        array = array.astype(np.int64)
    if array.dtype.kind not in "biu":
        raise GraphError(f"indices must be integers, not {array.dtype}: {shown(item)}")
    if array.ndim == 0 and array.dtype.kind != "b":
        return int(array)
    return array


def axes_of(part: Any) -> int:
    """How many axes a part of a key takes."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1


def known(array: Any, axis: int, node: Node) -> list[Item]:
    """Indices that are known now, a mask as the places where it holds; they must fit."""
    if array.dtype.kind == "b":
        sizes = node.shape[axis : axis + array.ndim]
        if sizes != array.shape:
            raise GraphError(
                f"a mask of shape {show_shape(array.shape)} does not fit axes of sizes "
                f"{show_shape(sizes)}{describe([node])}"
            )
        return [constant(places, int64) for places in np.nonzero(array)]
    for place in (array.min(), array.max()) if array.size else ():
        position(int(place), axis, node)
    return [constant(array)]


def position(item: int | Dim, axis: int, node: Node) -> Size:
    """The place that an integer index means, counted from the start of its axis."""
    size = node.shape[axis]
    if isinstance(item, Dim):
        return item
    if isinstance(size, int) and not -size <= item < size:
        raise GraphError(
            f"index {item} is out of range for axis {axis}, which has {size}{describe([node])}"
        )
    return item if item >= 0 else size + item
