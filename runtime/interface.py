"""Interface: what a compiled program takes from its caller, gives back, and has in common."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.graph import Graph
from graphc.ir.program import Program
from graphc.ir.turn import Word
from graphc.ir.types import TensorType


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array that the caller owns: its type in the user's graph, and its allocation's place.

    The program may see the same memory as another type: complex numbers as pairs of real ones.
    """

    type: TensorType
    slot: int


@dataclass(frozen=True, slots=True)
class Result:
    """Which output a result is; repeated where an earlier result is that array already."""

    output: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Interface:
    """The inputs, the outputs, what results they are, and the words of the variables.

    readers are of variables that are only read, changed of those with updates (`State.users`).
    """

    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    results: tuple[Result, ...]
    readers: tuple[Word, ...]
    changed: tuple[Word, ...]
    slots: int

    @property
    def caller_owned(self) -> tuple[Buffer, ...]:
        """The inputs, then the outputs."""
        return self.inputs + self.outputs


def interface_of(graph: Graph, program: Program) -> Interface:
    """The interface of a program that a graph was compiled to."""
    slots = {a.name: slot for slot, a in enumerate(program.allocations)}
    owned = [[s for s, a in enumerate(program.allocations) if a.kind == kind]
             for kind in ("input", "output")]  # fmt: skip
    inputs = [Buffer(n.tensor, s) for n, s in zip(graph.inputs, owned[0], strict=True)]
    results = [owned[1].index(slots[name]) for name in program.outputs]
    firsts = {output: at for at, output in reversed(list(enumerate(results)))}
    outputs = [Buffer(graph.outputs[firsts[k]].tensor, s) for k, s in enumerate(owned[1])]
    changed = {id(w): w for w in (target.attrs["state"].users for target, _ in graph.updates)}
    used = {id(w): w for w in (a.state.users for a in program.allocations if a.state is not None)}
    return Interface(
        tuple(inputs),
        tuple(outputs),
        tuple(Result(output, firsts[output] != at) for at, output in enumerate(results)),
        tuple(word for key, word in used.items() if key not in changed),
        tuple(changed.values()),
        len(slots),
    )
