"""The kernels that devices make of every operator, of its gradients, and of networks."""

from collections.abc import Iterator
from dataclasses import replace

from corpus import NETWORKS
from samples import SAMPLES, accepted, node_of

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.kernel import Kernel
from graphc.ir.types import DType
from graphc.passes.pipeline import run_passes
from graphc.runtime.accelerator.pipeline import PIPELINE

PROGRAMS = (*sorted(SAMPLES), *sorted(NETWORKS))
"""The names of operators and of networks."""


def programs(name: str) -> Iterator[Graph]:
    """The graphs of an operator, one a dtype and one for its gradients, or of a network."""
    if name in NETWORKS:
        yield NETWORKS[name]().graph
        return
    for dtype in accepted(name):
        yield every_sample(name, dtype)
    if SAMPLES[name].smooth and gx.float32 in accepted(name):
        yield gradients(every_sample(name, gx.float32))


def every_sample(name: str, dtype: DType) -> Graph:
    """All samples of an operator side by side."""
    parts = [node_of(name, s, dtype, f"x{k}_") for k, s in enumerate(SAMPLES[name].samples)]
    inputs = tuple(node for nodes, _ in parts for node in nodes)
    return Graph(inputs, tuple(output for _, output in parts))


def gradients(graph: Graph) -> Graph:
    """The gradients of the sum of all squares that a graph gives, by its inputs of floats."""
    squares = [gx.sum(gx.square(out)) for out in graph.outputs if out.dtype.is_float]
    total = sum(squares, gx.constant(0.0, "float32"))
    smooth = [node for node in Graph((), (total,)).walk() if node in set(graph.inputs)]
    return Graph(graph.inputs, tuple(gx.grad(total, [n for n in smooth if n.dtype.is_float])))


def kernels(name: str) -> list[Kernel]:
    """The kernels of an operator or a network, each once, without the lines they come from."""
    made = (run_passes(graph, PIPELINE).result.kernels for graph in programs(name))
    return list(dict.fromkeys(replace(k, name=name, origin=()) for all in made for k in all))
