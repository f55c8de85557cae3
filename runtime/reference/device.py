"""The device "reference": every node evaluated by NumPy, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphc.errors import GraphError
from graphc.ir.graph import Graph
from graphc.ir.program import Decision, Program
from graphc.passes.memory_plan import MemoryPlan
from graphc.runtime.arguments import to_array
from graphc.runtime.loaded import Array, Options, Prepare
from graphc.runtime.profile import Profile
from graphc.runtime.reference.evaluate import evaluate
from graphc.structure import Rebuild


class ReferenceStep:
    """A graph that is evaluated as it stands, without any pass."""

    program: Program | None = None
    decisions: tuple[Decision, ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()
    found = 0
    to_array = staticmethod(to_array)

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> list[Array]:
        """The outputs; next values of variables are stored once all of them are known."""
        inputs = dict(zip(self.graph.inputs, arguments, strict=True))
        values = [np.array(value) for value in evaluate(self.graph, inputs, sizes)]
        split = len(self.graph.outputs)
        for (target, _), value in zip(self.graph.updates, values[split:], strict=True):
            target.attrs["state"].array[...] = value
        return values[:split]

    def native_call(self, prepare: Prepare, structure: Rebuild) -> None:
        """None: NumPy is called from Python."""

    def memory(self, sizes: Mapping[str, int]) -> MemoryPlan:
        """Refused: NumPy allocates as it goes."""
        raise GraphError("the device 'reference' plans no memory: compile for 'cpu' to see it")

    def profile(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> Profile:
        """Refused: there are no kernels."""
        raise GraphError("the device 'reference' runs no kernels: compile for 'cpu' to profile it")

    def code(self, kind: str) -> str:
        """Refused: there is none."""
        raise GraphError("the device 'reference' generates no code: compile for 'cpu' to see it")


def load(graph: Graph, options: Options) -> ReferenceStep:
    """A graph made ready for NumPy, which has one way to compute each operator."""
    return ReferenceStep(graph)
