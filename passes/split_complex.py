"""split_complex: complex numbers become pairs of real ones, so that no kernel knows them.

Inside, the two parts are nodes of their own, which passes and fusion treat as any others. What lies
in memory across a call, which is inputs, variables and outputs, is the same memory seen as real
numbers: an array of complex numbers is one of their parts with a last axis of size 2.
"""

from __future__ import annotations

from types import MappingProxyType

from graphc.ir.graph import Graph
from graphc.ir.node import Node, apply
from graphc.ir.op import OPS
from graphc.ir.state import State, Variable
from graphc.ir.types import TensorType
from graphc.lang.movement import stack
from graphc.ops.complex_parts import is_complex, joined, over_parts, parts


def split_complex(graph: Graph) -> Graph:
    """Write complex numbers as pairs of real ones, also in loops and branches.

    Each operator says what it does to the parts of its operands (`Op.split`). Inputs, variables
    and outputs keep their memory: complex64[n] becomes float32[n, 2].
    """
    leaves = [leaf for leaf in (*graph.inputs, *graph.variables) if is_complex(leaf)]
    seen = {leaf: seen_as_parts(leaf) for leaf in leaves}
    known = {leaf: joined((part_of(real, 0), part_of(real, 1))) for leaf, real in seen.items()}
    done = over_parts(graph.roots, known)
    return Graph(
        tuple(seen.get(node, node) for node in graph.inputs),
        tuple(in_memory(done[node]) for node in graph.outputs),
        tuple((seen.get(old, old), in_memory(done[new])) for old, new in graph.updates),
    )


def seen_as_parts(leaf: Node) -> Node:
    """An input or variable that is the same memory as a complex one, as real numbers."""
    kind = TensorType(leaf.dtype.part, (*leaf.shape, 2))
    attrs = {**leaf.attrs, "type": kind}
    if leaf.op.name == "input":
        return apply("input", **attrs)
    state: State = leaf.attrs["state"]
    attrs["state"] = state.seen_as(kind.dtype, (*state.array.shape, 2))
    return Variable(OPS["variable"], (), MappingProxyType(attrs), kind, leaf.where)


def part_of(pairs: Node, place: int) -> Node:
    """The real parts, at place 0 of the last axis, or the imaginary ones at 1."""
    return pairs[..., place]


def in_memory(node: Node) -> Node:
    """A result as it lies in memory: the parts of each complex number side by side."""
    return stack(parts(node), axis=-1) if is_complex(node) else node
