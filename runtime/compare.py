"""compare: node by node on two devices, to find the first operator on which they do not agree.

The first device computes every value of the program. Then each device computes each node by itself
from the first one's values of its operands, so that no difference hides in a fusion or comes from
a node before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.errors import GraphError, TypeRuleError
from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply, made_at
from graphc.ir.types import DType, TensorType, as_dtype
from graphc.ops.kinds import Elementwise
from graphc.runtime.compiler import check_outputs, compile_graph
from graphc.runtime.executable import Executable
from graphc.runtime.loaded import Array
from graphc.runtime.sizes import check_decided

ULPS = 16.0
"""How many units in the last place results may differ, unless the caller says otherwise."""
LEAVES = ("input", "variable", "constant")


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two devices part: the node, the element of its value, and what each device has there.

    allowed is how far apart the two numbers may be.
    """

    node: Node
    element: tuple[int, ...]
    devices: tuple[str, str]
    values: tuple[Any, Any]
    allowed: float

    def __str__(self) -> str:
        place = f"[{', '.join(map(str, self.element))}]" if self.element else ""
        pairs = zip(self.devices, self.values, strict=True)
        said = " and ".join(f"{value!r} on {device!r}" for device, value in pairs)
        return (
            f"{self.node!r}{place} is {said}, which may differ by {self.allowed:.3g}"
            f"{made_at(self.node)}"
        )


def compare(
    fn: Callable[..., Any] | Executable,
    inputs: Sequence[Any],
    devices: Sequence[str] = ("cpu", "reference"),
    ulps: float = ULPS,
) -> Difference | None:
    """Run a program node by node on devices: where the first two of them part, or None.

    fn is a function from nodes to nodes, or a compiled step; inputs has an array for each argument.
    Each device gets the operands that the first one has computed. Integers and bools must be equal.
    Floats may differ by ulps units in the last place: of the element, or, where an operator adds up
    elements and they may cancel, of the largest element of the result. NaN is equal to NaN.

    Raises GraphError for fewer than two devices, and for whatever does not compile there.
    """
    if len(devices) < 2:
        raise GraphError(f"compare needs two devices or more, these are {list(devices)}")
    if isinstance(fn, Executable):
        graph, arrays = fn.graph, list(inputs)
    else:
        arrays = [np.asarray(array) for array in inputs]
        graph = graph_of(fn, arrays)
    nodes = [node for node in graph.walk() if isinstance(node.type, TensorType)]
    values = dict(zip(nodes, compile_graph(Graph(graph.inputs, tuple(nodes)), devices[0])(*arrays),
                      strict=True))  # fmt: skip
    isolated, operands = isolate(graph, nodes)
    given = [*arrays, *(values[node] for node in operands)]
    results = [compile_graph(isolated, device)(*given) for device in devices]
    checked = [node for node in nodes if node.op.name not in LEAVES]
    for node, first, *others in zip(checked, *results, strict=True):
        for device, other in zip(devices[1:], others, strict=True):
            found = difference(node, (devices[0], device), (first, other), ulps)
            if found is not None:
                return found
    return None


def graph_of(fn: Callable[..., Any], arrays: Sequence[Array]) -> Graph:
    """The graph that a function makes of inputs like some arrays."""
    inputs = tuple(
        apply("input", name=f"x{place}", type=TensorType(dtype_of(array, place), array.shape))
        for place, array in enumerate(arrays)
    )
    outputs, _ = check_outputs(fn(*inputs))
    graph = Graph(inputs, outputs)
    check_decided(graph)
    return graph


def dtype_of(array: Array, place: int) -> DType:
    """The dtype of an argument; GraphError where graphc has none like it."""
    try:
        return as_dtype(array.dtype)
    except TypeRuleError as error:
        raise GraphError(f"compare: argument {place}: {error}") from None


def isolate(graph: Graph, nodes: Sequence[Node]) -> tuple[Graph, list[Node]]:
    """Each node over inputs of its own, and the nodes whose values those inputs take.

    The graph's own inputs come first: they decide the symbolic sizes.
    """
    inputs: dict[Node, Node] = {}
    copies: dict[Node, Node] = {}
    for node in graph.walk():
        if node.op.name in LEAVES:
            continue
        operands = [copies[x] if not isinstance(x.type, TensorType) else stand_in(inputs, x)
                    for x in node.inputs]  # fmt: skip
        copies[node] = apply(node.op.name, *operands, **node.attrs)
    outputs = tuple(copies[node] for node in nodes if node in copies)
    return Graph((*graph.inputs, *inputs.values()), outputs), list(inputs)


def stand_in(inputs: dict[Node, Node], node: Node) -> Node:
    """The input that takes a node's value."""
    if node not in inputs:
        inputs[node] = apply("input", name=f"value_{len(inputs)}", type=node.type)
    return inputs[node]


def difference(
    node: Node, devices: tuple[str, str], values: tuple[Array, Array], ulps: float
) -> Difference | None:
    """The first element at which two values of a node are too far apart."""
    first, second = (np.asarray(value) for value in values)
    allowed = bound(node, first, ulps)
    far = ~agree(first, second, allowed)
    if not far.any():
        return None
    element = tuple(int(at) for at in np.unravel_index(int(np.argmax(far)), far.shape))
    there = (first[element], second[element])
    return Difference(node, element, devices, there, float(allowed[element]))


def bound(node: Node, value: Array, ulps: float) -> Array:
    """How far another value may be from one, element by element."""
    dtype = node.dtype.part
    if not dtype.is_float:
        return np.zeros(value.shape)
    wide = np.abs(value.astype(np.complex128 if node.dtype.is_complex else np.float64))
    sizes = np.where(np.isfinite(wide), wide, 0.0)
    if not isinstance(node.op, Elementwise) or node.dtype.is_complex:
        sizes = np.full(value.shape, np.max(sizes, initial=0.0))
    return np.asarray(ulps * np.maximum(sizes, smallest(dtype)) * dtype.epsilon)


def smallest(dtype: DType) -> float:
    """The least normal number of a float dtype, by whose spacing all smaller ones are measured."""
    return float(2.0 ** {"float16": -14, "float64": -1022}.get(dtype.name, -126))


def agree(first: Array, second: Array, allowed: Array) -> Array:
    """Whether elements are near enough, equal, or both NaN."""
    if first.dtype.kind not in "fcV":
        return np.asarray(first == second)
    wide = np.complex128 if first.dtype.kind == "c" else np.float64
    left, right = first.astype(wide), second.astype(wide)
    with np.errstate(invalid="ignore"):
        near = np.abs(left - right) <= allowed
    return np.asarray(near | (left == right) | (np.isnan(left) & np.isnan(right)))
