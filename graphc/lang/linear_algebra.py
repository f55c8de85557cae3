"""Products of vectors, matrices and arrays."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.errors import GraphError
from graphc.ir.dim import product
from graphc.ir.node import Node, apply, describe, word
from graphc.ir.types import show_shape
from graphc.lang.movement import expand_dims, permute_dims, reshape, squeeze
from graphc.lang.operands import ArrayLike, broadcast_node, broadcast_shapes, same_dtype, to_axis
from graphc.lang.reduction import sum


@word
def matmul(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """The product of matrices (..., m, k) and (..., k, n): (..., m, n).

    Leading axes broadcast; a vector is a row on the left and a column on the right, and that axis
    leaves the result. The dtype is promoted; float16 and bfloat16 are added up in float32.
    GraphError where the shapes don't multiply.
    """
    left, right = same_dtype(x1, x2)
    if not left.ndim or not right.ndim:
        raise GraphError(f"matmul: operands must have axes{describe([left, right])}")
    rows = expand_dims(left, 0) if left.ndim == 1 else left
    columns = expand_dims(right, 1) if right.ndim == 1 else right
    if rows.shape[-1] != columns.shape[-2]:
        raise GraphError(
            f"matmul: shapes {show_shape(left.shape)} and {show_shape(right.shape)} do not "
            f"multiply: {rows.shape[-1]} columns on the left, {columns.shape[-2]} rows on the "
            f"right{describe([left, right])}"
        )
    result = multiply_matrices(rows, columns)
    gone = ([-2] if left.ndim == 1 else []) + ([-1] if right.ndim == 1 else [])
    return squeeze(result, tuple(gone)) if gone else result


def multiply_matrices(x: Node, y: Node) -> Node:
    """The product of two stacks of matrices, whose leading axes broadcast.

    Where one matrix multiplies a whole stack from the right, the stack is one tall matrix.
    """
    if y.ndim == 2:
        tall = reshape(x, (product(x.shape[:-1]), x.shape[-1]))
        return reshape(apply("matmul", tall, y), (*x.shape[:-1], y.shape[-1]))
    batch = broadcast_shapes([x.shape[:-2], y.shape[:-2]], [x, y])
    stacks = [broadcast_node(part, batch + part.shape[-2:]) for part in (x, y)]
    return apply("matmul", *stacks)


@word
def vecdot(x1: ArrayLike, x2: ArrayLike, /, axis: int = -1) -> Node:
    """The sum of x1 * x2 along an axis, after broadcasting; in the promoted dtype."""
    terms = same_dtype(x1, x2)
    products = terms[0] * terms[1]
    return sum(products, axis=to_axis(axis, products.ndim, "vecdot"), dtype=products.dtype)


@word
def outer(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """x1[i] * x2[j] for each i and j; both are flattened first."""
    left, right = same_dtype(x1, x2)
    return reshape(left, (left.size, 1)) * reshape(right, (1, right.size))


@word
def tensordot(
    x1: ArrayLike, x2: ArrayLike, /, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Node:
    """The sum of products over pairs of axes: the last `axes` of x1 with the first of x2, or lists.

    The result has the other axes of x1, then those of x2. GraphError where paired sizes differ.
    """
    left, right = same_dtype(x1, x2)
    if isinstance(axes, int):
        axes = (range(left.ndim - axes, left.ndim), range(axes))
    inner, outer_ = (
        [to_axis(axis, node.ndim, "tensordot") for axis in given]
        for node, given in zip((left, right), axes, strict=True)
    )
    if [left.shape[a] for a in inner] != [right.shape[a] for a in outer_]:
        raise GraphError(
            f"tensordot: axes {inner} of {show_shape(left.shape)} and {outer_} of "
            f"{show_shape(right.shape)} differ in size{describe([left, right])}"
        )
    rows = [a for a in range(left.ndim) if a not in inner]
    columns = [a for a in range(right.ndim) if a not in outer_]
    sizes = [product(left.shape[a] for a in part) for part in (rows, inner)]
    width = product(right.shape[a] for a in columns)
    tall = reshape(permute_dims(left, rows + inner), sizes)
    wide = reshape(permute_dims(right, outer_ + columns), (sizes[1], width))
    shape = [left.shape[a] for a in rows] + [right.shape[a] for a in columns]
    return reshape(apply("matmul", tall, wide), shape)
