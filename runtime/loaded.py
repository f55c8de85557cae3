"""Loaded: a step that is ready to run on some device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from graphc.ir.program import Decision, Program
from graphc.passes.memory_plan import MemoryPlan

Array: TypeAlias = np.ndarray[Any, Any]


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

    def run(self, arguments: Sequence[Array], sizes: Mapping[str, int]) -> list[Array]:
        """Run the step once: the outputs as new arrays; the variables are updated.

        Arguments are contiguous and of the declared types; sizes gives the symbolic sizes.
        """

    def memory(self, sizes: Mapping[str, int]) -> MemoryPlan:
        """The memory of a call with these sizes."""

    def code(self, kind: str) -> str:
        """The generated code of a kind, such as "llvm" or "assembly"."""
