"""assign_layouts: keep values between convolutions as their loops want them in memory.

A convolution with many outputs is fastest where the channels of a place stand side by side. Its
result is put into memory so, and what follows (bias, normalisation, activation, sums, pooling, the
next convolution) works on it as it lies: "x, as channels lie second" is `permute_dims` of x as it
is stored, and each operator here moves behind that. Nothing is copied but where an operator that
counts on another order reads it, such as a reshape, or a result that the caller sees.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply, build
from graphc.ir.program import Decision
from graphc.ir.types import TensorType
from graphc.lang.movement import permute_dims, reshape
from graphc.ops.kinds import Elementwise
from graphc.passes.decisions import lines, record
from graphc.passes.lay_out_convolutions import lies_by_channels, prefers_outputs
from graphc.passes.permutations import permuted as merged

Axes = tuple[int, ...]


def assign_layouts(graph: Graph) -> Graph:
    """Store the results of convolutions with their channels last, and all that follows so."""
    if not any(node.op.name == "convolution" for node in graph.walk()):
        return graph
    return graph.rewrite(assigned)


def assigned(node: Node) -> Node:
    """The node over operands as they lie, behind a permutation; as it is where no rule applies."""
    rule = RULES.get(node.op.name, elementwise if isinstance(node.op, Elementwise) else None)
    if rule is None or not isinstance(node.type, TensorType):
        return node
    found = rule(node)
    return node if found is None else found


def channels_last(rank: int) -> Axes:
    """The order of axes in which the second has become the last."""
    return (0, *range(2, rank), 1)


def channels_second(rank: int) -> Axes:
    """The order of axes in which the last has become the second."""
    return (0, rank - 1, *range(1, rank - 1))


def as_stored(node: Node) -> Node | None:
    """What a value is a view of whose channels stand last in memory; None if it is none."""
    if node.op.name != "permute_dims" or node.ndim < 3:
        return None
    return node.inputs[0] if node.attrs["axes"] == channels_second(node.ndim) else None


def seen(stored: Node) -> Node:
    """A value with its channels last, as one with its channels second."""
    return permute_dims(stored, channels_second(stored.ndim))


def to_last(node: Node) -> Node:
    """A value with its channels last: as it is stored, or read across."""
    stored = as_stored(node)
    return permute_dims(node, channels_last(node.ndim)) if stored is None else stored


# --- rules: each returns the node behind a permutation, or None ----------------------------------


def convolution(node: Node) -> Node | None:
    """A convolution whose result is stored with its channels last, if vectors are fuller so.

    So is the gradient by a kernel: what reads it, an update, turns it in registers.
    """
    if not prefers_outputs(node) and not lies_by_channels(node):
        return None
    reason = "vectors along the channels are stored as they stand"
    record(Decision("assign_layouts", "channels last", repr(node), reason, where=lines([node])))
    return seen(apply("stage", permute_dims(node, channels_last(node.ndim))))


def elementwise(node: Node) -> Node | None:
    """An elementwise operator over operands as they lie, if most of them have channels last."""
    if not mostly_last(node):
        return None
    return seen(build(node.op, map(to_last, node.inputs), node.attrs))


def mostly_last(node: Node) -> bool:
    """Whether more operands have their channels last than not; repeated ones have no order."""
    dense = [operand for operand in node.inputs if not is_repeated(operand)]
    return sum(as_stored(operand) is not None for operand in dense) * 2 > len(dense)


def is_repeated(node: Node) -> bool:
    """Whether a value is made by repeating a smaller one, perhaps in another shape."""
    while node.op.name == "reshape":
        (node,) = node.inputs
    return node.op.name in ("broadcast", "constant")


def windows(node: Node) -> Node | None:
    """A pooling operator: its attributes have a number for each axis."""
    if node.attrs["window"][1] != 1:  # taps would be numbered in another order
        return None
    return by_axis(node)


def by_axis(node: Node) -> Node | None:
    """An operator whose attributes have a number for each axis."""
    if as_stored(node.inputs[0]) is None:
        return None
    axes = channels_last(node.ndim)
    attrs = {name: tuple(values[axis] for axis in axes) for name, values in node.attrs.items()}
    return seen(build(node.op, map(to_last, node.inputs), attrs))


def reduction(node: Node) -> Node | None:
    """A reduction over the axes where they are now; what is left may have to change places."""
    stored = as_stored(node.inputs[0])
    if stored is None:
        return None
    axes, gone = channels_last(stored.ndim), node.attrs["axes"]
    where = tuple(place for place, axis in enumerate(axes) if axis in gone)
    left = [axis for axis in axes if axis not in gone]
    result = build(node.op, [stored], {**node.attrs, "axes": where})
    return permute_dims(result, [left.index(axis) for axis in sorted(left)])


def concatenation(node: Node) -> Node | None:
    """Parts one after another, if most of them have their channels last."""
    if not mostly_last(node):
        return None
    axis = channels_last(node.ndim).index(node.attrs["axis"])
    return seen(apply("concat", *map(to_last, node.inputs), axis=axis))


def reshaped(node: Node) -> Node | None:
    """A reshape that leaves examples and channels as they are; any other reads a copy in order."""
    stored = as_stored(node.inputs[0])
    if stored is None:
        return None
    if node.ndim > 2 and node.shape[:2] == node.inputs[0].shape[:2]:
        return seen(reshape(stored, (node.shape[0], *node.shape[2:], node.shape[1])))
    return reshape(apply("stage", node.inputs[0]), node.shape)


def permuted(node: Node) -> Node | None:
    """permute_dims(permute_dims(x)) -> permute_dims(x), or x; a product is in memory before."""
    (inner,) = node.inputs
    if inner.op.name == "convolution":
        return permute_dims(apply("stage", inner), node.attrs["axes"])
    return merged(inner, node.attrs["axes"])


Rule = Callable[[Node], Node | None]

RULES: dict[str, Rule] = {
    "convolution": convolution,
    "stage": elementwise,
    "window_max": windows,
    "window_sum": windows,
    "window_argmax": windows,
    "window_gather": windows,
    "window_scatter": windows,
    "pad": by_axis,
    "slice": by_axis,
    **dict.fromkeys(("sum", "prod", "max", "min", "any", "all"), reduction),
    "concat": concatenation,
    "reshape": reshaped,
    "permute_dims": permuted,
}
