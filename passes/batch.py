"""Batching: `vmap` makes a function of single examples one of whole batches.

The function is called once, on stand-ins of the types of one example. Then each operator says what
it is on a batch (`Op.batch`), so that the result is a graph without a loop over examples. Inside,
the batch axis always stands in front; `in_axes` and `out_axes` say where the user has it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from graphc.errors import GraphError, shown
from graphc.ir.dim import Size
from graphc.ir.node import Node, apply, made_at
from graphc.ir.size_proof import advice
from graphc.ir.types import TensorType
from graphc.lang.movement import moveaxis
from graphc.lang.operands import as_node, to_axis
from graphc.lang.sizes import is_integer
from graphc.ops.batching import repeated
from graphc.ops.fusion import over_batch
from graphc.structure import flatten

Axis: TypeAlias = int | None


def vmap(fn: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """The function that `fn` is on each example of a batch, as a function of whole batches.

    in_axes says along which axis each argument holds the examples, None for an argument that is
    the same for all: one integer for every argument, or a sequence with an entry for each, which
    may be nested as the argument is. out_axes says where the results hold them, likewise; None
    for a result that is the same for all. Nodes that `fn` uses from outside are the same for all.
    GraphError where the axes do not fit, or differ in size. It composes with itself and with
    derivatives, and the batch may be of symbolic size.
    """

    @functools.wraps(fn)
    def batched(*arguments: Any) -> Any:
        leaves, rebuild = flatten(arguments)
        axes = axes_of(in_axes, arguments, "in_axes")
        batches = [to_front(*pair) for pair in zip(leaves, axes, strict=True)]
        size = batch_size(batches)
        singles = [leaf if node is None else example(node)
                   for leaf, node in zip(leaves, batches, strict=True)]  # fmt: skip
        results = fn(*rebuild(singles))
        pairs = zip(singles, batches, strict=True)
        stands_for = {one: batch for one, batch in pairs if batch is not None}
        return put_back(results, axes_of(out_axes, results, "out_axes"), stands_for, size)

    return batched


def axes_of(axes: Any, tree: Any, what: str) -> list[Axis]:
    """The axis for each leaf of a structure, from one for all or a structure that leads to it."""
    if axes is None or is_integer(axes):
        return [axes] * len(flatten(tree)[0])
    parts, others = children(axes), children(tree)
    if parts is None or others is None or len(parts) != len(others):
        raise GraphError(
            f"vmap: {what} {shown(axes)} does not fit {shown(tree)}: "
            "it must be an integer, None, or one entry for each part"
        )
    return [axis for pair in zip(parts, others, strict=True) for axis in axes_of(*pair, what)]


def children(tree: Any) -> list[Any] | None:
    """The parts of a list, tuple or dict; None for a leaf."""
    if isinstance(tree, dict):
        return list(tree.values())
    return list(tree) if isinstance(tree, list | tuple) else None


def to_front(value: Any, axis: Axis) -> Node | None:
    """An argument with the axis of its examples in front; None where it has none."""
    if axis is None:
        return None
    node = as_node(value)
    return moveaxis(node, to_axis(axis, node.ndim, "vmap"), 0)


def batch_size(batches: Sequence[Node | None]) -> Size:
    """How many examples all arguments hold; GraphError where they disagree or there is none."""
    given = [node for node in batches if node is not None]
    if not given:
        raise GraphError("vmap: no argument holds examples: in_axes is None for all of them")
    for node in given[1:]:
        if node.shape[0] != given[0].shape[0]:
            raise GraphError(
                f"vmap: one argument holds {given[0].shape[0]} examples{made_at(given[0])}\n"
                f"  and another one {node.shape[0]}{made_at(node)}"
                f"{advice(node.shape[0], given[0].shape[0])}"
            )
    return given[0].shape[0]


def example(batch: Node) -> Node:
    """What stands for one example while the function is called."""
    return apply("input", name="example", type=TensorType(batch.dtype, batch.shape[1:]))


def put_back(results: Any, axes: Sequence[Axis], stands_for: dict[Node, Node], size: Size) -> Any:
    """The results for the whole batch, with the examples along the axes that the user wants."""
    leaves, rebuild = flatten(results)
    roots = [as_node(leaf) for leaf in leaves]
    done = over_batch(roots, stands_for)
    return rebuild([placed(root, done.get(root), axis, size)
                    for root, axis in zip(roots, axes, strict=True)])  # fmt: skip


def placed(single: Node, batch: Node | None, axis: Axis, size: Size) -> Node:
    """A result with its examples along an axis; None asks for one that is the same for all."""
    if axis is None:
        if batch is not None:
            raise GraphError(
                "vmap: out_axes is None for a result that differs from example to example"
                f"{made_at(single)}"
            )
        return single
    whole = repeated(single, size) if batch is None else batch
    return moveaxis(whole, 0, to_axis(axis, whole.ndim, "vmap"))
