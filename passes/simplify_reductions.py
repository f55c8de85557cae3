"""Simplifications of sums, products, largest and smallest elements; see `simplify_movement`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.ir.dim import product
from graphc.ir.literal import Literal
from graphc.ir.node import Node, apply
from graphc.ir.types import DType
from graphc.lang.operands import reshape_node
from graphc.passes.simplify_movement import Form
from graphc.passes.splat import fill


def simplify_reductions(node: Node) -> Node | None:
    """What the first form that applies makes of a node; None where none does."""
    for form in FORMS.get(node.op.name, ()):
        found = form(node)
        if found is not None:
            return found
    return None


def reduce_without_ones(node: Node) -> Node | None:
    """A reduction over axes of size 1 -> a reshape, and a reduction over the other axes."""
    (x,) = node.inputs
    ones = [axis for axis in node.attrs["axes"] if x.shape[axis] == 1]
    if not ones:
        return None
    kept = [axis for axis in range(x.ndim) if axis not in ones]
    squeezed = reshape_node(x, tuple(x.shape[axis] for axis in kept))
    axes = tuple(at for at, axis in enumerate(kept) if axis in node.attrs["axes"])
    return apply(node.op.name, squeezed, axes=axes) if axes else squeezed


def merge_reductions(node: Node) -> Node | None:
    """sum(sum(x)) -> sum(x), and the same for the others."""
    (inner,) = node.inputs
    if inner.op is not node.op:
        return None
    x, first = inner.inputs[0], inner.attrs["axes"]
    kept = [axis for axis in range(x.ndim) if axis not in first]
    axes = tuple(sorted((*first, *(kept[axis] for axis in node.attrs["axes"]))))
    return apply(node.op.name, x, axes=axes)


def sum_before_broadcast(node: Node) -> Node | None:
    """A sum along axes that a broadcast repeats -> the operand times their size."""
    repeats = repeated_axes(node)
    count = product(node.inputs[0].shape[axis] for axis in repeats)
    if not repeats or not isinstance(count, int) or count == 0:
        return None
    factor = exact(count, node.dtype)
    if factor is None:
        return None
    rest = reduce_rest(node, repeats)
    return apply("multiply", rest, fill(apply("constant", value=factor), rest.shape))


def pick_before_broadcast(node: Node) -> Node | None:
    """max, min, any or all along axes that a broadcast repeats -> the operand itself."""
    repeats = repeated_axes(node)
    count = product(node.inputs[0].shape[axis] for axis in repeats)
    if not repeats or not isinstance(count, int) or count == 0:
        return None
    return reduce_rest(node, repeats)


def repeated_axes(node: Node) -> list[int]:
    """The axes of a reduction that its operand, a broadcast, repeats the same elements along."""
    (x,) = node.inputs
    if x.op.name != "broadcast":
        return []
    return [axis for axis in node.attrs["axes"] if axis not in x.attrs["axes"]]


def reduce_rest(node: Node, repeats: Sequence[int]) -> Node:
    """The reduction of a broadcast that repeats no more along some of its axes."""
    (x,) = node.inputs
    kept = [axis for axis in range(x.ndim) if axis not in repeats]
    shape = tuple(x.shape[axis] for axis in kept)
    narrow = x.inputs[0]
    if narrow.shape != shape:
        places = tuple(kept.index(axis) for axis in x.attrs["axes"])
        narrow = apply("broadcast", narrow, shape=shape, axes=places)
    axes = tuple(at for at, axis in enumerate(kept) if axis in node.attrs["axes"])
    return apply(node.op.name, narrow, axes=axes) if axes else narrow


def exact(count: int, dtype: DType) -> Literal | None:
    """The count in a dtype, wrapped around in an integer one; None where a float rounds it."""
    with np.errstate(over="ignore"):
        array = np.asarray(count).astype(dtype.numpy)
    return Literal(array) if dtype.is_integer or float(array) == count else None


FORMS: Mapping[str, Sequence[Form]] = {
    "sum": (reduce_without_ones, merge_reductions, sum_before_broadcast),
    "prod": (reduce_without_ones, merge_reductions),
    "max": (reduce_without_ones, merge_reductions, pick_before_broadcast),
    "min": (reduce_without_ones, merge_reductions, pick_before_broadcast),
    "any": (reduce_without_ones, merge_reductions, pick_before_broadcast),
    "all": (reduce_without_ones, merge_reductions, pick_before_broadcast),
}
"""The forms for each operator, in the order they are tried."""
