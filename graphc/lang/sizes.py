"""What a user may write for a size or a shape, and sizes as values in formulas."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphError, shown
from graphc.ir.dim import Dim, Size
from graphc.ir.node import Node, apply
from graphc.ir.types import DType
from graphc.lang.operands import constant, to_node_dtype
from graphc.lang.size_text import read_size

SizeLike: TypeAlias = int | str | Dim
ShapeLike: TypeAlias = SizeLike | Sequence[SizeLike]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def is_integer(value: Any) -> bool:
    """Whether a value is a Python or NumPy integer (bool is none)."""
    return isinstance(value, int | np.integer) and not isinstance(value, builtins.bool)


def to_offset(value: Any, what: str) -> int:
    """How far right of the main diagonal another one is; GraphError unless it is an integer."""
    if not is_integer(value):
        raise GraphError(f"{what}: a diagonal is named by an integer, not {shown(value)}")
    return int(value)


def to_size(value: SizeLike, what: str) -> Size:
    """A size as it is, or what a text such as "batch" or "2*n + 1" says; GraphError for others."""
    size = from_text(value, what) if isinstance(value, str) else value
    if isinstance(size, Dim):
        return size
    if not is_integer(size) or size < 0:
        raise GraphError(f"{what}: a size is an integer >= 0 or a name, not {value!r}")
    return int(size)


def from_text(text: str, what: str) -> Size:
    """The size that a text says; GraphError where it says none."""
    try:
        return read_size(text)
    except ValueError:
        raise GraphError(
            f"{what}: {text!r} is no size: write a name that begins with a letter, or names and "
            "integers with + - * // %"
        ) from None


def as_tuple(shape: ShapeLike) -> tuple[SizeLike, ...]:
    """One size or several as a tuple."""
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        return (shape,)
    return tuple(shape)


def to_shape(shape: ShapeLike, what: str) -> tuple[Size, ...]:
    """A shape from one size or several; GraphError where one is no size."""
    return tuple(to_size(size, what) for size in as_tuple(shape))


def to_name(name: Any, what: str) -> str:
    """A name of letters, digits and _ that begins with a letter; GraphError for another."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise GraphError(
            f"{what} {name!r} must be a name of letters, digits and _ that begins with a letter"
        )
    return name


def size_value(size: Size, dtype: DType) -> Node:
    """A size as a node without axes: a constant, or what the size is when the program runs."""
    if isinstance(size, int):
        return constant(size, dtype)
    return to_node_dtype(apply("size", value=size, dtype=dtype.part), dtype)
