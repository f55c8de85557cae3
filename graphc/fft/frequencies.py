"""What frequency each element of a transform stands for, and 0 moved to the middle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc.errors import GraphError
from graphc.ir.node import Node
from graphc.ir.types import DTypeLike, float64
from graphc.lang.movement import roll
from graphc.lang.operands import ArrayLike, as_node, constant, to_axes
from graphc.lang.sizes import is_integer


def fftfreq(n: int, /, *, d: float = 1.0, dtype: DTypeLike = float64) -> Node:
    """The frequencies of `fft` of n samples at distance d: 0, 1, ..., negative ones, all / (d n).

    GraphError unless n is an integer above 0.
    """
    check_count("fftfreq", n)
    return constant(np.fft.fftfreq(n, d), dtype)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: DTypeLike = float64) -> Node:
    """The frequencies of `rfft` of n samples at distance d: 0, 1, ... up to n // 2, / (d n).

    GraphError unless n is an integer above 0.
    """
    check_count("rfftfreq", n)
    return constant(np.fft.rfftfreq(n, d), dtype)


def check_count(what: str, n: int) -> None:
    """GraphError unless a number of samples is an integer above 0."""
    if not is_integer(n) or n < 1:
        raise GraphError(f"{what}: n must be an integer above 0, not {n!r}")


def fftshift(x: ArrayLike, /, *, axes: int | Sequence[int] | None = None) -> Node:
    """The elements along axes, or all of them, rolled so that frequency 0 is in the middle."""
    node = as_node(x)
    for axis in to_axes(axes, node.ndim, "fftshift"):
        node = roll(node, node.shape[axis] // 2, axis)
    return node


def ifftshift(x: ArrayLike, /, *, axes: int | Sequence[int] | None = None) -> Node:
    """The inverse of `fftshift`."""
    node = as_node(x)
    for axis in to_axes(axes, node.ndim, "ifftshift"):
        node = roll(node, -(node.shape[axis] // 2), axis)
    return node
