"""Evaluate a graph node by node with NumPy: what every device is tested against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from graphc.ir import dim
from graphc.ir.dim import Dim, Size
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.types import TensorType, TupleType, Type

Array: TypeAlias = np.ndarray[Any, Any]
Sizes: TypeAlias = Mapping[str, int]


def evaluate(graph: Graph, inputs: Mapping[Node, Array]) -> list[Any]:
    """The value of each output, then the next value of each updated variable, as arrays.

    `inputs` gives an array for each input node; variables are read, not changed.
    """
    sizes = bind_sizes((node.tensor, np.shape(array)) for node, array in inputs.items())
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
    attrs = {name: bound(attr, sizes) for name, attr in node.attrs.items()}
    return node.op.reference(*(values[operand] for operand in node.inputs), **attrs)


def bind_sizes(pairs: Iterable[tuple[TensorType, tuple[int, ...]]]) -> dict[str, int]:
    """The values of the symbolic sizes that make types fit the shapes of arrays."""
    sizes: dict[str, int] = {}
    for tensor, shape in pairs:
        for size, actual in zip(tensor.shape, shape, strict=True):
            name = symbol_name(size)
            if name is not None:
                assert sizes.setdefault(name, actual) == actual, f"{name} has two values"
    return sizes


def symbol_name(size: Size) -> str | None:
    """The name of a size that is one symbol and nothing else."""
    if not isinstance(size, Dim):
        return None
    found = list(dim.symbols(size))
    return found[0].name if len(found) == 1 and size == dim.atom(found[0]) else None


def bound(attr: Any, sizes: Sizes) -> Any:
    """An attribute with numbers for the symbolic sizes in it, and a function for a graph."""
    if isinstance(attr, Graph):
        return lambda *arrays: evaluate_for(
            attr, dict(zip(attr.inputs, arrays, strict=True)), sizes
        )
    if isinstance(attr, Dim):
        return dim.evaluate(attr, sizes)
    return tuple(bound(item, sizes) for item in attr) if isinstance(attr, tuple) else attr


def conform(kind: Type, value: Any, sizes: Sizes) -> Any:
    """The value as an array of a type's dtype; its shape must be the type's."""
    if isinstance(kind, TupleType):
        return tuple(conform(k, v, sizes) for k, v in zip(kind.items, value, strict=True))
    array = np.asarray(value).astype(kind.dtype.numpy, copy=False)
    shape = tuple(dim.evaluate(size, sizes) for size in kind.shape)
    assert array.shape == shape, f"the reference made {array.shape} where {kind} was inferred"
    return array
