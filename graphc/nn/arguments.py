"""What users write for windows: numbers for each spatial axis, padding and layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size, floor_divide, is_nonnegative, maximum
from graphc.ir.node import Node, describe
from graphc.lang.sizes import is_integer
from graphc.ops.windows import Sliding

Numbers: TypeAlias = int | Sequence[int]
Padding: TypeAlias = str | int | Sequence[int | Sequence[int]]
Margins: TypeAlias = list[tuple[Size, Size]]

NAMES = {1: "W", 2: "HW", 3: "DHW"}
"""The letters of the spatial axes by their number."""


def per_axis(value: Any, rank: int, what: str, least: int = 1) -> tuple[int, ...]:
    """An integer for each of the spatial axes, from one for all or one each."""
    numbers = (value,) * rank if is_integer(value) else as_items(value)
    if len(numbers) != rank or not all(is_integer(n) and n >= least for n in numbers):
        raise GraphError(
            f"{what} must be an integer >= {least}, or one for each of {rank} spatial axes, "
            f"not {shown(value)}"
        )
    return tuple(int(number) for number in numbers)


def as_items(value: Any) -> tuple[Any, ...]:
    """What a value holds, one after the other; nothing where it is a single thing."""
    several = value.ndim > 0 if isinstance(value, np.ndarray) else isinstance(value, Sequence)
    return tuple(value) if several else ()


def margins(padding: Padding, windows: Sequence[Sliding], what: str) -> Margins:
    """How many elements are padded before and after each axis.

    "valid" pads none, "same" so that there are size / stride windows (rounded up; what is odd comes
    after), and "full" so that each window sees at least one element.
    """
    if isinstance(padding, str):
        rules = {"valid": valid, "same": same, "full": full}
        if padding not in rules:
            raise GraphError(
                f'{what}: padding is "valid", "same", "full" or numbers, not {padding!r}'
            )
        return [rules[padding](window) for window in windows]
    rank = len(windows)
    given: list[Any] = [padding] * rank if not isinstance(padding, Sequence) else list(padding)
    pairs = [(part, part) if is_integer(part) else part for part in given]
    if len(pairs) != rank or not all(is_pair(pair) for pair in pairs):
        raise GraphError(
            f"{what}: padding is an integer, or an integer or a pair (before, after) for each of "
            f"{rank} spatial axes, not {padding!r}"
        )
    return [(int(low), int(high)) for low, high in pairs]


def is_pair(value: Any) -> bool:
    """Whether a value is two integers of at least 0."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) == 2
        and all(is_integer(part) and part >= 0 for part in value)
    )


def valid(window: Sliding) -> tuple[Size, Size]:
    """No padding."""
    return 0, 0


def same(window: Sliding) -> tuple[Size, Size]:
    """As much as windows at every stride-th element need."""
    count = floor_divide(window.size + window.stride - 1, window.stride)
    room = (count - 1) * window.stride + window.span - window.size
    overlap = is_nonnegative(window.span - window.stride)  # then the room cannot be negative
    total = room if overlap else maximum(room, 0)
    return floor_divide(total, 2), total - floor_divide(total, 2)


def full(window: Sliding) -> tuple[Size, Size]:
    """One less than the window spans."""
    return window.span - 1, window.span - 1


def channel_axis(layout: str | None, node: Node, what: str) -> int:
    """Where the channels stand: 1, or last for a layout such as "NHWC"; None means axis 1.

    GraphError unless the layout has a letter for each axis: N first, then C and the spatial ones.
    """
    rank = node.ndim - 2
    if rank not in NAMES:
        raise GraphError(
            f"{what}: x must have the axes N, C and one to three spatial ones, this is "
            f"{node.type}{describe([node])}"
        )
    first, last = f"NC{NAMES[rank]}", f"N{NAMES[rank]}C"
    if layout not in (None, first, last):
        raise GraphError(
            f'{what}: the layout of {node.type} is "{first}" or "{last}", not {layout!r}'
        )
    return node.ndim - 1 if layout == last else 1


def spatial_axes(node: Node, channels: int) -> tuple[int, ...]:
    """The axes that are neither examples nor channels."""
    return tuple(axis for axis in range(1, node.ndim) if axis != channels)


def check_fit(windows: Sequence[Sliding], nodes: Sequence[Node], what: str) -> None:
    """GraphError where a window is surely longer than its padded axis."""
    letters = NAMES.get(len(windows), "")
    for name, window in zip(letters, windows, strict=True):
        if isinstance(window.count, int) and window.count < 1:
            raise GraphError(
                f"{what}: a window that spans {window.span} does not fit into axis {name} of size "
                f"{window.size} padded by {window.low} and {window.high}: shorten it or pad more"
                f"{describe(nodes)}"
            )
