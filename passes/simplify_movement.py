"""Simplifications of what moves and repeats elements: each takes a node and returns a better one.

A form returns None where it does not apply. `FORMS` lists them by the operator they start from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from graphc.ir.dim import Size
from graphc.ir.node import Node, apply, build
from graphc.lang.operands import reshape_node
from graphc.ops.kinds import Elementwise
from graphc.passes.splat import fill, repeated, splat

Form: TypeAlias = Callable[[Node], Node | None]


def simplify_movement(node: Node) -> Node | None:
    """What the first form that applies makes of a node; None where none does."""
    name = "elementwise" if isinstance(node.op, Elementwise) else node.op.name
    for form in FORMS.get(name, ()):
        found = form(node)
        if found is not None:
            return found
    return None


def operate_before_broadcast(node: Node) -> Node | None:
    """f(broadcast(x), broadcast(y)) -> broadcast(f(x, y)): the work is done once, not repeated.

    All operands must be repeated along the same axes, those of one element along all.
    """
    spread = [operand for operand in node.inputs if repeated(operand) is None]
    if not node.tensor.shape or any(operand.op.name != "broadcast" for operand in spread):
        return None
    axes = spread[0].attrs["axes"] if spread else ()
    if any(operand.attrs["axes"] != axes for operand in spread):
        return None
    shape = tuple(node.shape[axis] for axis in axes)
    narrow = build(node.op, (narrowed(operand, shape) for operand in node.inputs), node.attrs)
    return apply("broadcast", narrow, shape=node.shape, axes=axes)


def narrowed(operand: Node, shape: Sequence[Size]) -> Node:
    """The operand before it was repeated or reshaped, over the given shape."""
    element = repeated(operand)
    return operand.inputs[0] if element is None else fill(element, shape)


def operate_before_reshape(node: Node) -> Node | None:
    """f(reshape(x), reshape(y)) -> reshape(f(x, y)), where only axes of size 1 come and go.

    So a pair of reshapes meets that has arithmetic between.
    """
    shaped = [operand for operand in node.inputs if repeated(operand) is None]
    if not shaped or any(operand.op.name != "reshape" for operand in shaped):
        return None
    shape = shaped[0].inputs[0].shape
    if any(operand.inputs[0].shape != shape for operand in shaped):
        return None
    if without_ones(shape) != without_ones(node.shape):
        return None
    return reshape_node(
        build(node.op, (narrowed(operand, shape) for operand in node.inputs), node.attrs),
        node.shape,
    )


def without_ones(shape: Sequence[Size]) -> list[Size]:
    """A shape without its axes of size 1."""
    return [size for size in shape if size != 1]


def move_before_fill(node: Node) -> Node | None:
    """Any movement of one repeated element -> that element, repeated over the new shape."""
    element = repeated(node.inputs[0])
    if element is None or (node.inputs[0] is element and node.op.name == "broadcast"):
        return None
    return fill(element, node.shape)


def drop_same_shape(node: Node) -> Node | None:
    """A reshape or broadcast to the operand's own shape -> the operand."""
    return node.inputs[0] if node.inputs[0].type == node.type else None


def merge_reshapes(node: Node) -> Node | None:
    """reshape(reshape(x)) -> reshape(x)."""
    (inner,) = node.inputs
    if inner.op.name != "reshape":
        return None
    return reshape_node(inner.inputs[0], node.shape)


def merge_broadcasts(node: Node) -> Node | None:
    """broadcast(broadcast(x)) -> broadcast(x)."""
    (inner,) = node.inputs
    if inner.op.name != "broadcast":
        return None
    axes = tuple(node.attrs["axes"][axis] for axis in inner.attrs["axes"])
    return apply("broadcast", inner.inputs[0], shape=node.shape, axes=axes)


def broadcast_without_ones(node: Node) -> Node | None:
    """broadcast(reshape(x)), where the reshape only adds axes of size 1 -> broadcast(x)."""
    (inner,) = node.inputs
    if inner.op.name != "reshape" or 1 in inner.inputs[0].shape:
        return None
    kept = [axis for axis, size in enumerate(inner.shape) if size != 1]
    if tuple(inner.shape[axis] for axis in kept) != inner.inputs[0].shape:
        return None
    axes = tuple(node.attrs["axes"][axis] for axis in kept)
    return apply("broadcast", inner.inputs[0], shape=node.shape, axes=axes)


def drop_permutation(node: Node) -> Node | None:
    """permute_dims that leaves every axis in its place -> the operand."""
    return node.inputs[0] if rising(node.attrs["axes"]) else None


def rising(axes: Sequence[int]) -> bool:
    """Whether each axis is above the one before it."""
    return all(left < right for left, right in pairwise(axes))


def merge_permutations(node: Node) -> Node | None:
    """permute_dims(permute_dims(x)) -> permute_dims(x)."""
    (inner,) = node.inputs
    if inner.op.name != "permute_dims":
        return None
    axes = tuple(inner.attrs["axes"][axis] for axis in node.attrs["axes"])
    return apply("permute_dims", inner.inputs[0], axes=axes)


def permute_before_broadcast(node: Node) -> Node | None:
    """permute_dims(broadcast(x)) -> broadcast(permute_dims(x)), which moves fewer elements."""
    (inner,) = node.inputs
    if inner.op.name != "broadcast":
        return None
    places = [node.attrs["axes"].index(axis) for axis in inner.attrs["axes"]]
    order = tuple(sorted(range(len(places)), key=lambda axis: places[axis]))
    moved = inner.inputs[0]
    if not rising(order):
        moved = apply("permute_dims", moved, axes=order)
    return apply("broadcast", moved, shape=node.shape, axes=tuple(sorted(places)))


def drop_flip(node: Node) -> Node | None:
    """A flip along no axes, or axes of size 1 -> without those."""
    axes = tuple(axis for axis in node.attrs["axes"] if node.shape[axis] != 1)
    if len(axes) == len(node.attrs["axes"]) and axes:
        return None
    return apply("flip", node.inputs[0], axes=axes) if axes else node.inputs[0]


def merge_flips(node: Node) -> Node | None:
    """flip(flip(x)) -> a flip along the axes that one of them names."""
    (inner,) = node.inputs
    if inner.op.name != "flip":
        return None
    axes = tuple(sorted(set(node.attrs["axes"]) ^ set(inner.attrs["axes"])))
    return apply("flip", inner.inputs[0], axes=axes)


def drop_slice(node: Node) -> Node | None:
    """A slice of everything, in order -> the operand."""
    whole = node.inputs[0].type == node.type
    same = whole and all(step == 1 for step in node.attrs["steps"])
    return node.inputs[0] if same and not any(node.attrs["starts"]) else None


def merge_slices(node: Node) -> Node | None:
    """slice(slice(x)) -> slice(x)."""
    (inner,) = node.inputs
    if inner.op.name != "slice":
        return None
    outer_starts, starts = node.attrs["starts"], inner.attrs["starts"]
    outer_steps, steps = node.attrs["steps"], inner.attrs["steps"]
    return apply(
        "slice",
        inner.inputs[0],
        starts=tuple(a + b * c for a, b, c in zip(starts, outer_starts, steps, strict=True)),
        sizes=node.attrs["sizes"],
        steps=tuple(a * b for a, b in zip(steps, outer_steps, strict=True)),
    )


def unpad(node: Node) -> Node | None:
    """A slice of what a pad has put its operand between -> the operand."""
    (inner,) = node.inputs
    if inner.op.name != "pad" or any(inner.attrs["interior"]):
        return None
    same = inner.inputs[0].type == node.type and all(step == 1 for step in node.attrs["steps"])
    return inner.inputs[0] if same and node.attrs["starts"] == inner.attrs["low"] else None


def drop_pad(node: Node) -> Node | None:
    """A pad of nothing -> the operand."""
    added = any(any(node.attrs[name]) for name in ("low", "high", "interior"))
    return None if added else node.inputs[0]


def pad_zeros(node: Node) -> Node | None:
    """Zeros between zeros -> zeros."""
    value = splat(node.inputs[0])
    plain = value is not None and not any(value.array.tobytes())
    return fill(apply("constant", value=value), node.shape) if plain else None


def drop_empty_pieces(node: Node) -> Node | None:
    """concat -> without the operands that are empty; a single one by itself."""
    axis = node.attrs["axis"]
    pieces = [piece for piece in node.inputs if piece.shape[axis] != 0] or node.inputs[:1]
    if len(pieces) == 1:
        return pieces[0]
    return None if len(pieces) == len(node.inputs) else apply("concat", *pieces, axis=axis)


def join_fills(node: Node) -> Node | None:
    """concat of pieces that repeat the same element -> that element, repeated."""
    elements = [repeated(piece) for piece in node.inputs]
    first = elements[0]
    same = first is not None and all(element is first for element in elements)
    return fill(first, node.shape) if same and first is not None else None


FORMS: Mapping[str, Sequence[Form]] = {
    "elementwise": (operate_before_broadcast, operate_before_reshape),
    "reshape": (drop_same_shape, move_before_fill, merge_reshapes),
    "broadcast": (drop_same_shape, move_before_fill, merge_broadcasts, broadcast_without_ones),
    "permute_dims": (
        drop_permutation, move_before_fill, merge_permutations, permute_before_broadcast,
    ),
    "flip": (drop_flip, move_before_fill, merge_flips),
    "slice": (drop_slice, move_before_fill, merge_slices, unpad),
    "pad": (drop_pad, pad_zeros),
    "concat": (drop_empty_pieces, join_fills),
}  # fmt: skip
"""The forms for each operator, in the order they are tried."""
