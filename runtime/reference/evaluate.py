"""Evaluate a graph node by node with NumPy: what every device is tested against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.types import TupleType, Type
from graphc.runtime.loaded import Array
from graphc.runtime.sizes import bind_sizes, bound

Sizes: TypeAlias = Mapping[str, int]


def evaluate(graph: Graph, inputs: Mapping[Node, Array], sizes: Sizes | None = None) -> list[Any]:
    """The value of each output, then the next value of each updated variable, as arrays.

    `inputs` gives an array for each input node; variables are read, not changed. Where the
    symbolic sizes are not given, the arrays decide them: GraphError where their shapes do not fit.
    """
    if sizes is None:
        sizes = bind_sizes(graph, [np.asarray(inputs[node]) for node in graph.inputs])
    with np.errstate(all="ignore"):
        return evaluate_for(graph, inputs, sizes)


def evaluate_for(graph: Graph, inputs: Mapping[Node, Array], sizes: Sizes) -> list[Any]:
    """The value of each root of a graph for known sizes."""
    values: dict[Node, Any] = {}
    for node in graph.walk():
        values[node] = conform(node.type, value_of(node, values, inputs, sizes), sizes)
    return [values[root] for root in graph.roots]


def value_of(
    node: Node, values: Mapping[Node, Any], inputs: Mapping[Node, Array], sizes: Sizes
) -> Any:
    """What a node's operator makes of the values of its operands."""
    if node.op.name == "input":
        return inputs[node]
    if node.op.name == "variable":
        return node.attrs["state"].array
    attrs = {name: attribute(attr, sizes) for name, attr in node.attrs.items()}
    return node.op.reference(*(values[operand] for operand in node.inputs), **attrs)


def attribute(attr: Any, sizes: Sizes) -> Any:
    """An attribute as a reference takes it: a function for a graph, numbers for sizes."""
    if isinstance(attr, Graph):
        return lambda *arrays: evaluate_for(
            attr, dict(zip(attr.inputs, arrays, strict=True)), sizes
        )
    return bound(attr, sizes)


def conform(kind: Type, value: Any, sizes: Sizes) -> Any:
    """The value as an array of a type's dtype; its shape must be the type's."""
    if isinstance(kind, TupleType):
        return tuple(conform(k, v, sizes) for k, v in zip(kind.items, value, strict=True))
    array = np.asarray(value).astype(kind.dtype.numpy, copy=False)
    shape = tuple(dim.evaluate(size, sizes) for size in kind.shape)
    assert array.shape == shape, f"the reference made {array.shape} where {kind} was inferred"
    return array
