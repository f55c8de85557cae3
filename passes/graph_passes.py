"""The passes that every device begins with: they keep a graph a graph, and suit any machine."""

from __future__ import annotations

from graphc.passes.expand_while_gradient import expand_while_gradient
from graphc.passes.fold_constants import fold_constants
from graphc.passes.hoist_from_loops import hoist_from_loops
from graphc.passes.invert_sums import invert_sums
from graphc.passes.merge_loops import merge_loops
from graphc.passes.pipeline import Pass
from graphc.passes.remove_custom_gradient import remove_custom_gradient
from graphc.passes.remove_dead_code import remove_dead_code
from graphc.passes.remove_duplicates import remove_duplicates
from graphc.passes.remove_stop_gradient import remove_stop_gradient
from graphc.passes.simplify import simplify
from graphc.passes.sink_from_loops import sink_from_loops
from graphc.passes.split_complex import split_complex
from graphc.passes.stabilise import stabilise

GRAPH_PASSES: tuple[Pass, ...] = (
    remove_stop_gradient,
    remove_custom_gradient,
    expand_while_gradient,
    merge_loops,
    split_complex,
    simplify,
    hoist_from_loops,
    sink_from_loops,
    stabilise,
    invert_sums,
    fold_constants,
    simplify,
    remove_duplicates,
    remove_dead_code,
)
