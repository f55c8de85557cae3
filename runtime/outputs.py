"""`out=`: arrays of the caller that results are written into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import GraphError, shown
from graphc.ir.node import Node
from graphc.runtime.loaded import Array
from graphc.runtime.sizes import shape_for
from graphc.structure import Rebuild, flatten, same_structure


class Outputs:
    """The outputs of a step, and what arrays may take their values."""

    def __init__(self, nodes: Sequence[Node], structure: Rebuild) -> None:
        self.nodes = nodes
        self.places = structure(range(len(nodes)))

    def check(
        self, out: Any, sizes: Mapping[str, int], arguments: Sequence[Array]
    ) -> tuple[Array, ...]:
        """The arrays given, one for each output.

        GraphError where they have not the structure of the outputs, or one is not an array of its
        output's dtype and shape, contiguous, aligned and writeable, or overlaps with an argument
        or with another one.
        """
        if not same_structure(self.places, out):
            raise GraphError(
                f"out must have the structure of the outputs, {count(len(self.nodes))}: "
                f"this is {shown(out)}"
            )
        arrays = flatten(out)[0]
        for at, (array, node) in enumerate(zip(arrays, self.nodes, strict=True)):
            name = "out" if len(arrays) == 1 else f"out (array {at})"
            check_array(name, array, node, shape_for(node.tensor, sizes))
            check_apart(name, array, arguments, arrays[:at])
        return tuple(arrays)


def count(outputs: int) -> str:
    """The number of outputs in words."""
    return "1 array" if outputs == 1 else f"{outputs} arrays"


def check_array(name: str, array: Any, node: Node, shape: tuple[int, ...]) -> None:
    """GraphError unless results can be written right into an array."""
    if type(array) is not np.ndarray:
        raise GraphError(f"{name} must be a NumPy array, this is {shown(array)}")
    dtype = node.tensor.dtype
    if array.dtype != dtype.numpy:
        raise GraphError(f"{name} has dtype {array.dtype}, the output is {dtype.name}")
    if array.shape != shape:
        raise GraphError(f"{name} has shape {array.shape}, the output has {shape}")
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable):
        raise GraphError(
            f"{name} must be contiguous in row-major order, aligned and writeable: "
            "results are written right into it"
        )


def check_apart(
    name: str, array: Array, arguments: Sequence[Array], others: Sequence[Array]
) -> None:
    """GraphError where an array for results shares memory with what is read or written besides."""
    for what, group in (("an argument", arguments), ("another array of out", others)):
        # all are contiguous, so that what may share memory by its bounds does
        hosts = (other for other in group if isinstance(other, np.ndarray))
        if any(np.may_share_memory(array, other) for other in hosts):
            raise GraphError(f"{name} overlaps with {what}: results need memory of their own")
