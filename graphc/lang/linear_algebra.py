"""Products of vectors, matrices and arrays."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence

from graphc.errors import GraphError
from graphc.ir.dim import product
from graphc.ir.node import Axes, Node, apply, describe, say, word
from graphc.ir.size_proof import advice
from graphc.ir.types import show_shape
from graphc.lang.movement import expand_dims, moveaxis, permute_dims, reshape, roll, squeeze
from graphc.lang.operands import (
    ArrayLike,
    agreeing,
    as_node,
    broadcast_node,
    broadcast_shapes,
    same_dtype,
    same_shape,
    to_axis,
    to_float,
    to_node_dtype,
)
from graphc.lang.reduction import sum, widen


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
    columns = agreeing(columns, (*columns.shape[:-2], rows.shape[-1], columns.shape[-1]))
    if rows.shape[-1] != columns.shape[-2]:
        raise GraphError(
            f"matmul: shapes {show_shape(left.shape)} and {show_shape(right.shape)} do not "
            f"multiply: {rows.shape[-1]} columns on the left, {columns.shape[-2]} rows on the "
            f"right{advice(rows.shape[-1], columns.shape[-2])}{describe([left, right])}"
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
def vector_norm(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Node:
    """The norm of vectors along axes: the ord-th root of the sum of |x|**ord; a float.

    ord is any number: 1, 2, infinity (the largest |x|), -infinity (the smallest), or 0 (how many
    are not 0). At 0 the sub-gradient of the norm is 0. Of 16-bit floats it is computed in float32.
    """
    node = to_float(x)
    if math.isinf(ord):
        return say("max" if ord > 0 else "min", say("abs", node), axis, keepdims)
    norm = finite_norm(say("abs", widen(node)), axis, keepdims, ord)
    return to_node_dtype(norm, node.dtype.part)


def finite_norm(size: Node, axis: Axes, keepdims: bool, ord: float) -> Node:
    """The ord-th root of the sum of the ord-th powers of numbers that are not negative."""
    if ord == 0:
        return sum(say("cast", size != 0, size.dtype), axis, keepdims=keepdims)
    if ord == 1:
        return sum(size, axis, keepdims=keepdims)
    total = sum(size * size if ord == 2 else size**ord, axis, keepdims=keepdims)
    root = say("sqrt", total) if ord == 2 else total ** (1 / ord)
    return say("where", total == 0, 0, root) if ord > 0 else root


@word
def matrix_norm(x: ArrayLike, /, keepdims: bool = False, ord: str | float = "fro") -> Node:
    """The norm of matrices, the last two axes: "fro", "nuc", 1, -1, 2, -2, inf or -inf.

    "fro" is the root of the sum of squares, 1 the largest sum of |x| in a column, inf in a row; 2
    is the largest singular value, "nuc" the sum of all; negatives are the smallest. GraphError for
    other norms, and where fewer than two axes are there.
    """
    node = as_node(x)
    if node.ndim < 2:
        raise GraphError(f"matrix_norm: needs at least two axes, this is {node.type}")
    if ord == "fro":
        return vector_norm(node, axis=(-2, -1), keepdims=keepdims)
    if ord not in ("nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise GraphError(
            f"matrix_norm: ord is 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not {ord!r}"
        )
    if ord == "nuc" or abs(float(ord)) == 2:
        factors = apply("svd", to_float(node), full_matrices=False)
        values = expand_dims(apply("item", factors, index=1), -2)
    else:
        axis = -2 if abs(float(ord)) == 1 else -1
        values = sum(say("abs", to_float(node)), axis=axis, keepdims=True)
    word_for = "sum" if ord == "nuc" else "max" if float(ord) > 0 else "min"
    result: Node = say(word_for, values, (-2, -1), keepdims=True)
    return result if keepdims else squeeze(result, (-2, -1))


@word
def vecdot(x1: ArrayLike, x2: ArrayLike, /, axis: int = -1) -> Node:
    """The sum of conj(x1) * x2 along an axis, after broadcasting; in the promoted dtype."""
    terms = same_dtype(x1, x2)
    products = say("conj", terms[0]) * terms[1]
    return sum(products, axis=to_axis(axis, products.ndim, "vecdot"), dtype=products.dtype)


@word
def cross(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Node:
    """The vectors at right angles to pairs of vectors along an axis, which must have size 3."""
    x, y = (moveaxis(node, axis, -1) for node in same_shape(*same_dtype(x1, x2)))
    if x.shape[-1] != 3:
        raise GraphError(f"cross: axis {axis} must have size 3{describe([x, y])}")
    turned = [roll(x, 2, -1) * roll(y, 1, -1), roll(x, 1, -1) * roll(y, 2, -1)]
    return moveaxis(turned[0] - turned[1], -1, axis)


@word
def kron(x1: ArrayLike, x2: ArrayLike, /) -> Node:
    """Kronecker's product: x1 with each element replaced by its product with x2."""
    x, y = same_dtype(x1, x2)
    rank = builtins.max(x.ndim, y.ndim)
    sizes = [(1,) * (rank - node.ndim) + node.shape for node in (x, y)]
    wide = reshape(x, [size for a in sizes[0] for size in (a, 1)])
    tall = reshape(y, [size for b in sizes[1] for size in (1, b)])
    return reshape(wide * tall, [a * b for a, b in zip(*sizes, strict=True)])


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
    pairs = [(left.shape[a], right.shape[b]) for a, b in zip(inner, outer_, strict=False)]
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    if len(inner) != len(outer_) or differing:
        hint = advice(*differing[0]) if differing else ""
        raise GraphError(
            f"tensordot: axes {inner} of {show_shape(left.shape)} and {outer_} of "
            f"{show_shape(right.shape)} differ in size{hint}{describe([left, right])}"
        )
    rows = [a for a in range(left.ndim) if a not in inner]
    columns = [a for a in range(right.ndim) if a not in outer_]
    sizes = [product(left.shape[a] for a in part) for part in (rows, inner)]
    width = product(right.shape[a] for a in columns)
    tall = reshape(permute_dims(left, rows + inner), sizes)
    wide = reshape(permute_dims(right, outer_ + columns), (sizes[1], width))
    shape = [left.shape[a] for a in rows] + [right.shape[a] for a in columns]
    return reshape(apply("matmul", tall, wide), shape)
