"""Loaded: a step that is ready to run on some device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from graphc.ir.node import Node
from graphc.ir.program import Decision, Program
from graphc.passes.memory_plan import MemoryPlan
from graphc.runtime.profile import Profile
from graphc.structure import Rebuild

Array: TypeAlias = np.ndarray[Any, Any]

OUT = sys.intern("out")
"""The name of the argument for arrays that results are written into."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a graph is to be compiled, as `gx.compile` describes it.

    tune is None or seconds, results "host" or "device".
    """

    winograd: bool = False
    tune: float | None = None
    results: str = "host"
    tf32: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """The arguments of a call as contiguous arrays of the inputs' types, and the symbolic sizes.

    results are arrays to write into, one for each output, or none for new ones.
    """

    arrays: tuple[Array, ...]
    sizes: Mapping[str, int]
    results: tuple[Array, ...]


class Prepare(Protocol):
    """What happens to the arguments of a call before it runs."""

    @property
    def takes_out(self) -> bool:
        """Whether OUT names arrays for results, and not an input."""

    def __call__(self, *arguments: Any, **named: Any) -> Prepared:
        """What a call needs; GraphError for an argument that does not fit, before anything runs."""


class Loaded(Protocol):
    """What every device's `load` gives."""

    @property
    def program(self) -> Program | None:
        """The program that runs, or None where the graph is evaluated node by node."""

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What the passes chose, and why."""

    @property
    def seconds(self) -> tuple[tuple[str, float], ...]:
        """How long each pass and stage took, in order."""

    @property
    def found(self) -> int:
        """How many of the program's kernels a cache had, so that they were not generated anew."""

    def to_array(self, node: Node, value: Any) -> Any:
        """The value of an input as run takes it; GraphError for one that does not fit."""

    def run(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> list[Array]:
        """Run the step once: the outputs as new arrays; the variables are updated.

        Arguments are what `to_array` gives, contiguous and of the declared types; sizes gives the
        symbolic sizes.
        """

    def native_call(self, prepare: Prepare, structure: Rebuild) -> Callable[..., Any] | None:
        """A function that does a whole call natively, or None where calls go through `run`.

        It calls prepare with arguments that it does not know, returns the outputs in their
        structure, and takes turns at variables by itself (`graphc.ir.turn`).
        """

    def memory(self, sizes: Mapping[str, int]) -> MemoryPlan:
        """The memory of a call with these sizes."""

    def profile(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> Profile:
        """Where the time of a step goes, from running it some times; variables are updated."""

    def code(self, kind: str) -> str:
        """The generated code of a kind, such as "llvm" or "assembly"."""
