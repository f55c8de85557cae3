"""Preparation: what happens to the arguments of a call before it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc.ir.graph import Graph
from graphc.ir.node import Node
from graphc.runtime.arguments import match_arguments, to_array
from graphc.runtime.loaded import OUT, Array, Prepared
from graphc.runtime.outputs import Outputs
from graphc.runtime.recent import Recent
from graphc.runtime.sizes import Sizes
from graphc.structure import Rebuild


class Preparation:
    """The arguments of a step, matched to its inputs, converted and checked.

    structure is that of the outputs. sizes are the symbolic ones, of which each binding is checked
    when it is new. convert makes an array of the value for an input.
    """

    def __init__(
        self, graph: Graph, structure: Rebuild, convert: Callable[[Node, Any], Any] = to_array
    ) -> None:
        self.convert = convert
        self.inputs = graph.inputs
        self.sizes = Sizes(graph)
        self.outputs = Outputs(graph.outputs, structure)
        self.takes_out = all(node.attrs["name"] != OUT for node in graph.inputs)
        self.known: Recent[tuple[tuple[int, ...], ...], dict[str, int]] = Recent()

    def __call__(self, *arguments: Any, **named: Any) -> Prepared:
        """What a call needs; GraphError for an argument that does not fit, before anything runs."""
        out = named.pop(OUT, None) if self.takes_out else None
        values = match_arguments(self.inputs, arguments, named)
        arrays = [
            self.convert(node, value) for node, value in zip(self.inputs, values, strict=True)
        ]
        sizes = self.sizes_for(arrays)
        results = () if out is None else self.outputs.check(out, sizes, arrays)
        return Prepared(tuple(arrays), sizes, results)

    def sizes_for(self, arrays: Sequence[Array]) -> dict[str, int]:
        """The symbolic sizes that arguments decide; shapes are checked when they are new."""
        shapes = tuple(array.shape for array in arrays)
        sizes = self.known.find(shapes)
        return self.known.enter(shapes, self.sizes.bind(arrays)) if sizes is None else sizes
