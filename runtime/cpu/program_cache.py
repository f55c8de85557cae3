"""Whole programs that were compiled before, by the content of the user's graph.

A later process that builds the same graph runs no pass and prints no kernel. What it gets is what
the passes made: the same program, decisions and lines of the user's. The cache stays out of the way
where somebody watches the passes (GRAPHC_DUMP, GRAPHC_VERIFY), where operators or passes come from
outside graphc, for nobody can tell whether their code has changed, and where GRAPHC_CACHE is off.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

import graphc.ir
import graphc.lang
import graphc.ops
import graphc.passes
import graphc.passes.math
import graphc.runtime.cpu
from graphc.errors import is_internal
from graphc.ir.content import Content, UnknownContentError, content_of
from graphc.ir.graph import Graph
from graphc.passes.machine import Machine
from graphc.passes.pipeline import Pass, Run, is_watched, pass_name, run_passes
from graphc.runtime.cpu.build import Built, Stopwatch, build
from graphc.runtime.cpu.code_cache import disk_cache
from graphc.runtime.cpu.code_key import key_of, modules_of
from graphc.runtime.cpu.disk_cache import DiskCache
from graphc.runtime.cpu.packed import Compiled, pack, unpack

STAGE = "program cache"
UNREADABLE = (
    pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError, TypeError,
)  # fmt: skip
"""What pickle raises (by its documentation), and classes whose fields are not those of the data."""
MAKERS = (
    graphc, graphc.ir, graphc.lang, graphc.ops, graphc.passes, graphc.passes.math, graphc.runtime,
    graphc.runtime.cpu,
)  # fmt: skip
"""The packages whose modules take part in making programs."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a folder has, or will have, what a graph of some content is compiled to."""

    folder: DiskCache
    key: str
    content: Content

    def read(self) -> Compiled | None:
        """What is there; None where that is nothing, or nothing that can be read."""
        data = self.folder.read(self.key)
        try:
            return None if data is None else unpack(data, self.content)
        except UNREADABLE:
            return None

    def write(self, compiled: Compiled) -> None:
        """Keep what the graph was compiled to."""
        self.folder.write(self.key, pack(compiled, self.content))


def compile_program(graph: Graph, passes: Sequence[Pass], machine: Machine) -> tuple[Run, Built]:
    """What passes make of a graph, and its machine code: found in the cache, or kept there.

    machine is what times are predicted for.
    """
    watch = Stopwatch()
    with watch.measure(STAGE):
        place = place_for(graph, passes, machine)
        known = None if place is None else place.read()
    if known is not None:
        run = Run(known.program, known.decisions, tuple(watch.seconds.items()))
        return run, build(known.program, known.keys)
    run = run_passes(graph, passes)
    built = build(run.result)
    with watch.measure(STAGE):
        if place is not None:
            place.write(Compiled(run.result, run.decisions, built.keys))
    return replace(run, seconds=(*run.seconds, *watch.seconds.items())), built


def place_for(graph: Graph, passes: Sequence[Pass], machine: Machine) -> Place | None:
    """The place of what passes make of a graph; None where it may not be kept."""
    folder = disk_cache()
    internal = all(is_internal(getattr(change, "__module__", "")) for change in passes)
    if folder is None or not internal or is_watched():
        return None
    try:
        content = content_of(graph)
    except UnknownContentError:
        return None
    names = ", ".join(map(pass_name, passes))
    key = key_of("program", f"{circumstances()}\n{machine}\n{names}\n{content.number}")
    return Place(folder, key, content)


@cache
def circumstances() -> str:
    """What programs depend on besides the graph, the passes, and what `key_of` takes care of."""
    return "\n".join([sys.version, np.__version__, *modules_of(MAKERS)])
