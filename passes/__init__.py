"""How: the passes, one transformation a file; `PASSES` names them all.

On graphs:
  remove_stop_gradient  drop what only differentiation reads
  remove_custom_gradient
                        drop what only differentiation reads, when the user has given rules
  expand_while_gradient
                        go back over the steps of a loop, keeping a few of its states
  merge_loops           run once what several loops do alike
  split_complex         write complex numbers as pairs of real ones
  hoist_from_loops      do the products of all steps as one before a loop
  sink_from_loops       do sums of products over all steps as one product after a loop
  simplify              algebra, movements and reductions, to a fixpoint
  stabilise             logarithms and exponentials that do not overflow or cancel
  invert_sums           multiply a softmax by the reciprocals of its sums
  fold_constants        compute what depends on constants alone
  remove_duplicates     write equal things equally, so that they become one
  remove_dead_code      drop updates and results without effect
  use_winograd          do convolutions of 3 by 3 taps in tiles, where the user allows it
  split_convolutions    do without the zeros between elements that stand apart
  assign_layouts        keep values between convolutions with their channels last
  lay_out_convolutions  store what convolutions read as their loops read it
  lay_out_loops         store matrices that a loop multiplies by in panels, before it
  lay_out_products      store the columns of large matrices in panels
  lay_out_transposes    store transposed left operands of products in strips
  lay_out_constants     store constants as the kernels that read them want them
  sink_reshapes         do elementwise work on tall products before they are seen as stacks
  fuse                  put operators that can share a kernel into one
  inline_fusions        take fusions apart again

From a graph to a program:
  lower                 write each fusion as a kernel, with a buffer for every value

On programs:
  split_loops           cut a loop where its variable is divided
  collapse_loops        make one loop of nested loops that walk memory as one
  interchange_loops     put two loops innermost that can become a register tile
  block_sums            cut long sums into blocks whose terms stay in cache
  contract_temporaries  what passes from kernel to kernel stays in cache, a block at a time
  join_contractions     two products with a softmax between as one, without the scores
  split_reductions      cut long reductions with few results into chunks
  split_contractions    cut the sums of products with few results, for more blocks of threads
  tile_loops            choose how each loop runs: in vectors, in tiles, on threads
  join_rows             loops over the same row become one
  stage_rows            keep in cache what several loops over a row compute
  split_kernels         make a kernel of each nest of parallel loops
  plan_memory           update states in place, and reuse memory that dies
  store_past_cache      keep what no cache can hold out of the caches
  widen_accesses        load and store several neighbours at once
  use_warpgroups        let four warps multiply large matrices of 16-bit floats in shared memory
  use_matrix_units      let warps multiply matrices of 16-bit floats on a device's units
  tile_contractions     let a block of threads compute a tile of a product in shared memory
  map_to_grid           deal loops to a device's blocks and threads
  keep_rows             keep in registers what several loops over a row need

Derivatives (`differentiate`) are taken while the user's graph is built, before all passes.
`pipeline` runs passes in order; `decisions` is how they say why; `rule` is what algebra is
written in, `sweep` what applies it, and `splat` and `guards` are the questions it asks of nodes.
"""

if __name__ != "graphc.passes":
    raise ImportError("import graphc.passes, not passes")

from collections.abc import Callable
from typing import Any

from graphc.passes.assign_layouts import assign_layouts
from graphc.passes.block_sums import block_sums
from graphc.passes.collapse_loops import collapse_loops
from graphc.passes.contract_temporaries import contract_temporaries
from graphc.passes.expand_while_gradient import expand_while_gradient
from graphc.passes.fold_constants import fold_constants
from graphc.passes.fuse import fuse
from graphc.passes.hoist_from_loops import hoist_from_loops
from graphc.passes.inline_fusions import inline_fusions
from graphc.passes.interchange_loops import interchange_loops
from graphc.passes.invert_sums import invert_sums
from graphc.passes.join_contractions import join_contractions
from graphc.passes.join_rows import join_rows
from graphc.passes.keep_rows import keep_rows
from graphc.passes.lay_out_constants import lay_out_constants
from graphc.passes.lay_out_convolutions import lay_out_convolutions
from graphc.passes.lay_out_loops import lay_out_loops
from graphc.passes.lay_out_products import lay_out_products
from graphc.passes.lay_out_transposes import lay_out_transposes
from graphc.passes.lower import lower
from graphc.passes.map_to_grid import map_to_grid
from graphc.passes.merge_loops import merge_loops
from graphc.passes.plan_memory import plan_memory
from graphc.passes.remove_custom_gradient import remove_custom_gradient
from graphc.passes.remove_dead_code import remove_dead_code
from graphc.passes.remove_duplicates import remove_duplicates
from graphc.passes.remove_stop_gradient import remove_stop_gradient
from graphc.passes.simplify import simplify
from graphc.passes.sink_from_loops import sink_from_loops
from graphc.passes.sink_reshapes import sink_reshapes
from graphc.passes.split_complex import split_complex
from graphc.passes.split_contractions import split_contractions
from graphc.passes.split_convolutions import split_convolutions
from graphc.passes.split_kernels import split_kernels
from graphc.passes.split_loops import split_loops
from graphc.passes.split_reductions import split_reductions
from graphc.passes.stabilise import stabilise
from graphc.passes.stage_rows import stage_rows
from graphc.passes.store_past_cache import store_past_cache
from graphc.passes.tile_contractions import tile_contractions
from graphc.passes.tile_loops import tile_loops
from graphc.passes.use_matrix_units import use_matrix_units
from graphc.passes.use_warpgroups import use_warpgroups
from graphc.passes.use_winograd import use_winograd
from graphc.passes.widen_accesses import widen_accesses

PASSES: dict[str, Callable[[Any], Any]] = {
    function.__name__: function
    for function in (
        remove_stop_gradient,
        remove_custom_gradient,
        expand_while_gradient,
        merge_loops,
        split_complex,
        hoist_from_loops,
        sink_from_loops,
        simplify,
        stabilise,
        invert_sums,
        fold_constants,
        remove_duplicates,
        remove_dead_code,
        use_winograd,
        split_convolutions,
        assign_layouts,
        lay_out_convolutions,
        lay_out_loops,
        lay_out_products,
        lay_out_transposes,
        lay_out_constants,
        sink_reshapes,
        fuse,
        inline_fusions,
        lower,
        split_loops,
        collapse_loops,
        interchange_loops,
        block_sums,
        contract_temporaries,
        join_contractions,
        split_reductions,
        split_contractions,
        tile_loops,
        join_rows,
        stage_rows,
        split_kernels,
        plan_memory,
        store_past_cache,
        widen_accesses,
        use_warpgroups,
        use_matrix_units,
        tile_contractions,
        map_to_grid,
        keep_rows,
    )
}
"""Every pass by its name, which is also its file's."""
