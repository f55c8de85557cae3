"""Arrays of indices: grids, open meshes, triangles, and places in row-major order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError
from graphc.ir.node import Node, apply, describe, word
from graphc.ir.types import DTypeLike, int64, row_major_strides
from graphc.lang.creation import positions
from graphc.lang.indexing import to_integers
from graphc.lang.movement import reshape, stack
from graphc.lang.operands import ArrayLike, as_node, constant, to_dtype, to_node_dtype
from graphc.lang.sizes import ShapeLike, is_integer, size_value, to_shape


@word
def indices(dimensions: ShapeLike, /, dtype: DTypeLike = int64) -> Node:
    """For each axis of a shape the index of every element along it, stacked in front."""
    shape, kind = to_shape(dimensions, "indices"), to_dtype(dtype)
    if not shape:
        return apply("broadcast", constant(0, kind), shape=(0,), axes=())
    return stack(positions(shape, kind))


@word
def ix_(*arrays: ArrayLike) -> tuple[Node, ...]:
    """Vectors of integers as an open mesh: x[ix_(i, j)] has the rows i and of them the columns j.

    GraphError where one is not a vector of integers.
    """
    nodes = [to_integers(as_node(array), "ix_") for array in arrays]
    if any(node.ndim != 1 for node in nodes):
        raise GraphError(f"ix_: takes vectors{describe(nodes)}")
    count = len(nodes)
    return tuple(
        reshape(node, tuple(node.size if a == axis else 1 for a in range(count)))
        for axis, node in enumerate(nodes)
    )


@word
def unravel_index(places: ArrayLike, shape: ShapeLike, /) -> tuple[Node, ...]:
    """The index along each axis of a shape of the elements at places in row-major order; int64."""
    node, sizes = to_integers(as_node(places), "unravel_index"), to_shape(shape, "unravel_index")
    rest = to_node_dtype(node, int64)
    found = []
    for stride in row_major_strides(sizes):
        step = size_value(stride, int64)
        found.append(rest // step)
        rest = rest % step
    return tuple(found)


@word
def ravel_multi_index(multi_index: Sequence[ArrayLike], dims: ShapeLike, /) -> Node:
    """The places in row-major order of the elements at some indices along each axis; int64.

    An index out of range is not noticed. GraphError unless there are indices for each axis.
    """
    nodes = [to_integers(as_node(index), "ravel_multi_index") for index in multi_index]
    sizes = to_shape(dims, "ravel_multi_index")
    if not nodes or len(nodes) != len(sizes):
        raise GraphError(
            f"ravel_multi_index: needs indices for each of {len(sizes)} axes, not {len(nodes)}"
        )
    terms = [
        to_node_dtype(node, int64) * size_value(stride, int64)
        for node, stride in zip(nodes, row_major_strides(sizes), strict=True)
    ]
    total, *others = terms
    for other in others:
        total = total + other
    return total


@word
def tril_indices(n: int, /, k: int = 0, m: int | None = None) -> tuple[Node, Node]:
    """The rows and columns of the elements on and below a diagonal of an (n, m) matrix."""
    return known(np.tril_indices, n, k, m, "tril_indices")


@word
def triu_indices(n: int, /, k: int = 0, m: int | None = None) -> tuple[Node, Node]:
    """The rows and columns of the elements on and above a diagonal of an (n, m) matrix."""
    return known(np.triu_indices, n, k, m, "triu_indices")


@word
def diag_indices(n: int, ndim: int = 2) -> tuple[Node, ...]:
    """The indices of the main diagonal of an array whose axes have size n."""
    if not is_integer(n) or n < 0 or not is_integer(ndim) or ndim < 1:
        raise GraphError(f"diag_indices: takes a size and a number of axes, not {n!r} and {ndim!r}")
    return (apply("iota", shape=(int(n),), axis=0, dtype=int64),) * int(ndim)


def known(what: Any, n: int, k: int, m: int | None, name: str) -> tuple[Node, Node]:
    """Indices of NumPy's as constants; GraphError for sizes that are no numbers."""
    if not all(is_integer(value) for value in (n, k, *(() if m is None else (m,)))):
        raise GraphError(f"{name}: sizes and diagonal are integers, not {n!r}, {k!r} and {m!r}")
    rows, columns = what(n, k, m)
    return constant(rows, int64), constant(columns, int64)
