"""From a graph to a program and source texts for devices that launch kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.graph import Graph
from graphc.ir.program import Program
from graphc.passes.collapse_loops import collapse_loops
from graphc.passes.fuse import fuse
from graphc.passes.graph_passes import GRAPH_PASSES
from graphc.passes.hoist_from_loops import hoist_from_loops
from graphc.passes.join_contractions import join_contractions
from graphc.passes.keep_rows import keep_rows
from graphc.passes.lower import lower
from graphc.passes.map_to_grid import map_to_grid
from graphc.passes.pipeline import Pass, Run, run_passes
from graphc.passes.plan_memory import plan_memory
from graphc.passes.sink_reshapes import sink_reshapes
from graphc.passes.split_contractions import split_contractions
from graphc.passes.split_convolutions import split_convolutions
from graphc.passes.split_kernels import split_kernels
from graphc.passes.split_loops import split_loops
from graphc.passes.split_reductions import split_reductions
from graphc.passes.tile_contractions import tile_contractions
from graphc.passes.use_matrix_units import use_matrix_units
from graphc.passes.use_warpgroups import use_warpgroups
from graphc.passes.widen_accesses import widen_accesses
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.c_source.emit import Module, emit


def fuse_in_any_order(graph: Graph) -> Graph:
    """Fuse; products read transposed operands as they lie: threads bring them along memory."""
    return fuse(graph, in_vectors=False)


MOST_HOISTED = 1 << 30
"""Bytes that the products of all steps of a loop may take."""


def hoist_into_memory(graph: Graph) -> Graph:
    """Compute products before loops; a launch for each step costs more than memory does."""
    return hoist_from_loops(graph, most=MOST_HOISTED)


def split_into_columns(program: Program) -> Program:
    """Cut long reductions with few results; what lies side by side is for threads side by side."""
    return split_reductions(program, in_memory=False)


# The passes that choose a schedule for each kernel, among those of equal bits.
SCHEDULES: tuple[Pass, ...] = (widen_accesses, map_to_grid, keep_rows)

PIPELINE: tuple[Pass, ...] = (
    *(hoist_into_memory if each is hoist_from_loops else each for each in GRAPH_PASSES),
    split_convolutions,
    sink_reshapes,
    fuse_in_any_order,
    lower,
    split_loops,
    collapse_loops,
    join_contractions,  # before what cuts long sums: it needs the whole of them
    split_into_columns,
    split_contractions,
    split_kernels,  # before plan_memory: what a later launch reads again must not be written over
    plan_memory,
    tile_contractions,
    *SCHEDULES,
)


def use_matrix_units_in_tf32(program: Program) -> Program:
    """Let matrix units compute products of float32 as well, whose factors they round."""
    return use_matrix_units(program, tf32=True)


def pipeline_of(dialect: Dialect, tf32: bool = False) -> tuple[Pass, ...]:
    """The passes for a dialect; some have words for units that multiply matrices.

    tf32 allows these to round the factors of products of float32.
    """
    if not dialect.matrix:
        return PIPELINE
    place = PIPELINE.index(tile_contractions)
    groups = (use_warpgroups,) if dialect.warpgroup else ()
    units = use_matrix_units_in_tf32 if tf32 else use_matrix_units
    return (*PIPELINE[:place], *groups, units, *PIPELINE[place:])


@dataclass(frozen=True, slots=True)
class Translated:
    """A program, and the source of its kernels in their order."""

    run: Run
    module: Module

    @property
    def program(self) -> Program:
        """The program."""
        program: Program = self.run.result
        return program


def translate(graph: Graph, dialect: Dialect, passes: Sequence[Pass] | None = None) -> Translated:
    """A graph's program and its kernels in a dialect of C; no device is asked anything.

    passes make the program of the graph; a device with other needs than blocks and threads gives
    its own. Where passes write their dumps (`graphc.passes.pipeline`) the source is saved as well.
    """
    run = run_passes(graph, pipeline_of(dialect) if passes is None else passes)
    module = emit(run.result.kernels, dialect)
    if run.folder is not None:
        (run.folder / f"source.{dialect.suffix}").write_text(module.text)
    return Translated(run, module)
