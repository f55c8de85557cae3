"""Words for parts of matrices, the last two axes: diagonals and triangles."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.dim import Size, maximum, minimum
from graphc.ir.node import Node, apply, say, word
from graphc.ir.size_proof import simplify
from graphc.ir.types import DTypeLike, int64
from graphc.lang.indexing import cut
from graphc.lang.movement import reshape, squeeze
from graphc.lang.operands import ArrayLike, as_node, broadcast_node
from graphc.lang.reduction import sum


@word
def tril(x: ArrayLike, /, *, k: int = 0) -> Node:
    """The elements on and below the k-th diagonal above the main one, else 0."""
    row, column = places(as_node(x), "tril")
    return say("where", column <= row + k, x, 0)


@word
def triu(x: ArrayLike, /, *, k: int = 0) -> Node:
    """The elements on and above the k-th diagonal above the main one, else 0."""
    row, column = places(as_node(x), "triu")
    return say("where", column >= row + k, x, 0)


@word
def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Node:
    """The elements x[..., i, i + offset], along a new last axis."""
    node = as_node(x)
    check_matrix(node, "diagonal")
    rows, columns = node.shape[-2:]
    down, right = max(-offset, 0), max(offset, 0)
    count = simplify(maximum(minimum(rows - down, columns - right), 0))
    if not isinstance(columns, int):
        return chosen(node, down, right, count)
    flat = reshape(node, (*node.shape[:-2], rows * columns))
    start = 0 if count == 0 else down * columns + right
    whole = [(0, size, 1) for size in flat.shape[:-1]]
    return cut(flat, [*whole, (start, count, columns + 1)])


def chosen(node: Node, down: int, right: int, count: Size) -> Node:
    """The diagonal of rows whose length is decided by each call."""
    part = cut(node, [*((0, size, 1) for size in node.shape[:-2]), (down, count, 1),
                      (0, node.shape[-1], 1)])  # fmt: skip
    columns = apply("iota", shape=(count, 1), axis=0, dtype=int64) + right
    at = broadcast_node(columns, (*part.shape[:-1], 1))
    return squeeze(apply("take_along_axis", part, at, axis=part.ndim - 1), -1)


@word
def trace(x: ArrayLike, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Node:
    """The sum of the elements x[..., i, i + offset]; the dtype is as for `sum`."""
    return sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def places(node: Node, what: str) -> tuple[Node, Node]:
    """The row and the column of each element of the last two axes."""
    check_matrix(node, what)
    row, column = (apply("iota", shape=node.shape[-2:], axis=axis, dtype=int64) for axis in (0, 1))
    return row, column


def check_matrix(node: Node, what: str) -> None:
    """GraphError unless there are at least two axes."""
    if node.ndim < 2:
        raise GraphError(f"{what}: needs at least two axes, this is {node.type}")
