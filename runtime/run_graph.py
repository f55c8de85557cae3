"""What `graphc run` does: run a graph once, with random arrays for the inputs not given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.ir.state import Variable
from graphc.ir.types import DType, TensorType, bool_
from graphc.runtime.arguments import listed
from graphc.runtime.compiler import compile_graph
from graphc.runtime.loaded import Array
from graphc.runtime.sizes import Sizes, check_given, shape_equations, shape_for

USUAL_SIZE = 4  # of a symbolic size that nothing decides
LARGEST_INTEGER = 8  # random integers stay below, since many stand for classes or positions


def run_graph(
    graph: Graph, device: str, arrays: Mapping[str, Array], sizes: Mapping[str, int], seed: int
) -> dict[str, Array]:
    """The outputs by number, and the new values of updated variables by name.

    arrays are inputs and variables by name. A symbolic size is the one given, or that of an
    array. Raises GraphError for a name that the graph does not have.
    """
    check_names("input or variable", arrays, [*graph.inputs, *graph.variables])
    bound = choose_sizes(graph, arrays, sizes)
    assign(graph, arrays)
    random = np.random.default_rng(seed)
    made = [random_array(random, node.tensor, bound) for node in graph.inputs]
    names = [node.attrs["name"] for node in graph.inputs]
    step = compile_graph(graph, device)
    outputs = step(*(arrays.get(name, array) for name, array in zip(names, made, strict=True)))
    results = {f"output{number}": np.asarray(array) for number, array in enumerate(outputs)}
    updated = [target for target, _ in graph.updates if isinstance(target, Variable)]
    return results | {target.attrs["name"]: target.value for target in updated}


def check_names(what: str, given: Mapping[str, Array], nodes: list[Node]) -> None:
    """GraphError unless every name given is that of a node."""
    names = [node.attrs["name"] for node in nodes]
    for name in given:
        if name not in names:
            raise GraphError(f"there is no {what} {name!r}: there are {listed(names)}")


def choose_sizes(
    graph: Graph, arrays: Mapping[str, Array], given: Mapping[str, int]
) -> dict[str, int]:
    """The symbolic sizes: as given, as arrays decide them, and the usual one for the rest."""
    sizes = Sizes(graph)
    check_given(given, sizes.names)
    inputs = [node for node in graph.inputs if node.attrs["name"] in arrays]
    shapes = [e for node in inputs for e in shape_equations(node, arrays[node.attrs["name"]])]
    chosen = dict(given)
    while True:
        known = sizes.complete(chosen, "the value chosen", shapes)
        missing = [name for name in sizes.names if name not in known]
        if not missing:
            return known
        chosen[missing[0]] = USUAL_SIZE


def assign(graph: Graph, arrays: Mapping[str, Array]) -> None:
    """Give variables the arrays of their names."""
    for node in graph.variables:
        if node.attrs["name"] in arrays:
            assert isinstance(node, Variable)
            node.value = arrays[node.attrs["name"]]


def random_array(
    random: np.random.Generator, tensor: TensorType, sizes: Mapping[str, int]
) -> Array:
    """Normally distributed floats and complex numbers, small integers, or bools."""
    shape = shape_for(tensor, sizes)
    dtype: DType = tensor.dtype
    if dtype.is_float:
        return random.standard_normal(shape).astype(dtype.numpy)
    if dtype.is_complex:
        return (random.standard_normal((*shape, 2)) @ [1, 1j]).astype(dtype.numpy)
    return random.integers(2 if dtype == bool_ else LARGEST_INTEGER, size=shape).astype(dtype.numpy)
