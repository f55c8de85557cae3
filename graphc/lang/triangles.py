"""Words for parts of matrices, the last two axes: diagonals and triangles."""

from __future__ import annotations

from graphc.errors import GraphError
from graphc.ir.dim import Size, maximum, minimum
from graphc.ir.index_layout import Layout
from graphc.ir.node import Node, apply, describe, say, word
from graphc.ir.size_proof import simplify
from graphc.ir.types import DTypeLike, float64, int64
from graphc.lang.creation import positions
from graphc.lang.movement import reshape
from graphc.lang.operands import ArrayLike, as_node, to_dtype, to_node_dtype
from graphc.lang.reduction import sum
from graphc.lang.scattering import gathered
from graphc.lang.sizes import SizeLike, to_offset, to_size
from graphc.lang.windows import cut


@word
def tril(x: ArrayLike, /, *, k: int = 0) -> Node:
    """The elements on and below the k-th diagonal above the main one, else 0."""
    row, column = rows_and_columns(as_node(x), "tril")
    return say("where", column <= row + to_offset(k, "tril"), x, 0)


@word
def triu(x: ArrayLike, /, *, k: int = 0) -> Node:
    """The elements on and above the k-th diagonal above the main one, else 0."""
    row, column = rows_and_columns(as_node(x), "triu")
    return say("where", column >= row + to_offset(k, "triu"), x, 0)


@word
def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Node:
    """The elements x[..., i, i + offset], along a new last axis."""
    node = as_node(x)
    check_matrix(node, "diagonal")
    rows, columns = node.shape[-2:]
    offset = to_offset(offset, "diagonal")
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
    row = apply("iota", shape=(count,), axis=0, dtype=int64)
    lead = node.ndim - 2
    layout = Layout((lead, lead + 1), tuple(range(lead)), ((lead,), (lead,)))
    return gathered(node, (row + down, row + right), layout)


@word
def trace(x: ArrayLike, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Node:
    """The sum of the elements x[..., i, i + offset]; the dtype is as for `sum`."""
    return sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


@word
def diag(v: ArrayLike, /, k: int = 0) -> Node:
    """A matrix with a vector on its k-th diagonal and else zeros; of a matrix the diagonal."""
    node = as_node(v)
    if node.ndim == 2:
        return diagonal(node, offset=k)
    if node.ndim != 1:
        raise GraphError(f"diag: takes a vector or a matrix{describe([node])}")
    k = to_offset(k, "diag")
    size = node.size + abs(k)
    down, right = max(-k, 0), max(k, 0)
    # The vector's element of each row.
    rows = apply("pad", node, low=(down,), high=(right,), interior=(0,))
    row, column = positions((size, size))
    wide = apply("broadcast", rows, shape=(size, size), axes=(0,))
    return say("where", column == row + k, wide, 0)


@word
def diagflat(v: ArrayLike, /, k: int = 0) -> Node:
    """A matrix with the elements of v, flattened, on its k-th diagonal and else zeros."""
    return diag(reshape(v, -1), k)


@word
def tri(
    n_rows: SizeLike, n_cols: SizeLike | None = None, k: int = 0, dtype: DTypeLike = float64
) -> Node:
    """Ones on and below the k-th diagonal above the main one, else zeros; square by default."""
    rows = to_size(n_rows, "tri")
    shape = (rows, rows if n_cols is None else to_size(n_cols, "tri"))
    row, column = positions(shape)
    return to_node_dtype(column <= row + to_offset(k, "tri"), to_dtype(dtype))


def rows_and_columns(node: Node, what: str) -> tuple[Node, Node]:
    """The row and the column of each element of the last two axes."""
    check_matrix(node, what)
    row, column = positions(node.shape[-2:])
    return row, column


def check_matrix(node: Node, what: str) -> None:
    """GraphError unless there are at least two axes."""
    if node.ndim < 2:
        raise GraphError(f"{what}: needs at least two axes, this is {node.type}")
