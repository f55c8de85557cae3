"""Questions about dtypes and shapes, answered while the graph is built."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir.dim import Size
from graphc.ir.node import Node
from graphc.ir.types import INTEGERS, NUMBERS, DType, DTypeLike, import_ml_dtypes, promote
from graphc.lang import operands
from graphc.lang.operands import same_dtype, to_dtype
from graphc.lang.sizes import ShapeLike, to_shape

KINDS: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "signed integer": ("int",),
    "unsigned integer": ("uint",),
    "integral": INTEGERS,
    "real floating": ("float",),
    "complex floating": ("complex",),
    "numeric": NUMBERS,
}
"""The Array API's words for kinds of dtypes."""


def result_type(*values: Any) -> DType:
    """The dtype that arrays, nodes, dtypes and Python numbers have together; see `add`."""
    if not values:
        raise GraphError("result_type: needs at least one array or dtype")
    dtypes = [value for value in values if is_dtype(value)]
    arrays = [value for value in values if not is_dtype(value)]
    empty = [np.zeros(0, to_dtype(dtype).numpy) for dtype in dtypes]
    return same_dtype(*arrays, *empty)[0].dtype


def is_dtype(value: Any) -> bool:
    """Whether a value is a dtype, or a word or type for one."""
    return isinstance(value, DType | str | type | np.dtype)


def can_cast(from_: Any, to: DTypeLike, /) -> bool:
    """Whether promotion leads from a dtype, or that of an array, to another one."""
    source = from_.dtype if isinstance(from_, Node) else to_dtype(from_)
    return promote(source, to_dtype(to)) == to_dtype(to)


def isdtype(dtype: DTypeLike, kind: Any) -> bool:
    """Whether a dtype is another one or of a kind ("integral"...), or of one of several kinds."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    found = to_dtype(dtype)
    return found.kind in KINDS[kind] if kind in KINDS else found == to_dtype(kind)


def finfo(type: Any, /) -> Any:
    """NumPy's limits of a floating-point dtype: bits, eps, max, min, smallest_normal, dtype.

    Those of a complex dtype are those of its parts.
    """
    dtype = type.dtype if isinstance(type, Node) else to_dtype(type)
    if not dtype.is_inexact:
        raise GraphError(f"finfo: {dtype.name} is not a floating-point dtype")
    return (import_ml_dtypes() if dtype.name == "bfloat16" else np).finfo(dtype.numpy)


def iinfo(type: Any, /) -> Any:
    """NumPy's limits of an integer dtype: bits, max, min, dtype."""
    dtype = type.dtype if isinstance(type, Node) else to_dtype(type)
    if not dtype.is_integer:
        raise GraphError(f"iinfo: {dtype.name} is not an integer dtype")
    return np.iinfo(dtype.numpy)


def broadcast_shapes(*shapes: ShapeLike) -> tuple[Size, ...]:
    """The shape that arrays of some shapes broadcast to; GraphError where they do not."""
    return operands.broadcast_shapes([to_shape(s, "broadcast_shapes") for s in shapes], [])
