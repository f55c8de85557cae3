"""split_contractions: cut the sums of a contraction with few results, so that more blocks share it.

    for parallel %i < 64 {              for parallel %kc < 16 {
      for parallel %j < 64 {              for parallel %i < 64 { for parallel %j < 64 {
        accumulator %s = sum                accumulator %s_chunk = sum
        for serial %k < 4096 {              for serial %k < 256 { ... x[.., 256*%kc + %k] ... }
          accumulate %s x * w               store %partial0[...] = %s_chunk } } }
        }                               for parallel %i < 64 { for parallel %j < 64 {
        store %out[...] = %s              accumulator %s = sum
      }                                   for serial %kc < 16 { accumulate %s load %partial0[...] }
    }                                     store %out[...] = %s } }

A product of few rows and columns makes few tiles (`tile_contractions`), and a device has many
processors. The number of chunks follows from the sizes, and their sums are added in order, so the
bits are the same on every device.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.ir.kernel import Accumulate, For, Statement
from graphc.ir.program import Decision, Program
from graphc.passes.block_tile import LONGEST_SLICE, PROCESSORS, tiles_of, usual
from graphc.passes.contraction import Contraction, contraction_of
from graphc.passes.decisions import record
from graphc.passes.loop_nests import nested, perfect
from graphc.passes.order_terms import innermost
from graphc.passes.split_reductions import Chunks, Split, with_splits
from graphc.passes.tile_contractions import counts, is_worth_it, terms_of

FEWEST_TERMS = 256
"""Terms of a chunk, at least."""
LAUNCH, RESULT = 640_000, 0.6
"""What a launch more costs, and a result that is stored and loaded once more, in multiplications
of one processor: some microseconds, and the bytes that all of them together move meanwhile."""
CHUNK = 10_000
"""What it takes to add up one chunk more, in the same: a thread does so for one after another."""


def split_contractions(program: Program) -> Program:
    """Cut the sums of contractions that make too few tiles to keep a device busy."""
    return with_splits(program, [SplitContractions(kernel) for kernel in program.kernels])


class SplitContractions(Split):
    """A kernel with the sums of its contraction cut."""

    def whole(self, reduction: For, lasts: frozenset[str]) -> list[Statement]:
        """A reduction without results around it is no contraction."""
        return [reduction]

    def parts(self, nest: For, lasts: frozenset[str]) -> list[For]:
        """A nest as it is: a contraction has one sum."""
        return [nest]

    def rows(self, nest: For, lasts: frozenset[str]) -> list[Statement]:
        """A contraction in two nests, over chunks and over results."""
        found = contraction_of(nest)
        chunks = None if found is None or not is_worth_it(found) else chunks_for(found)
        if found is None or chunks is None:
            return [nest]
        loops, _ = perfect(nest)
        whole = nested(found.depth, (Accumulate(found.sum.name, found.left * found.right),))
        first, *second = self.cut(loops, [found.sum], whole, chunks)
        self.tell(found, chunks)
        inside = (*found.before, found.sum, *second, *found.after)
        return [first, nested(loops, inside)]

    def tell(self, found: Contraction, chunks: Chunks) -> None:
        """Record the choice."""
        terms = ("terms", str(found.count(found.depth)))
        record(Decision("split_contractions", f"{chunks.count} chunks of each sum",
                        f"@{self.kernel.name}", "there are too few tiles to keep a device busy",
                        (terms,), where=self.kernel.origin))  # fmt: skip


def chunks_for(found: Contraction) -> Chunks | None:
    """How the outermost loop of a sum is cut; None where there are tiles enough, or terms few."""
    outermost = found.depth[0]
    length = min(ways(found))[1]
    if length >= usual(outermost.limit):
        return None
    return Chunks((outermost.limit + length - 1) // length, length)


def ways(found: Contraction) -> Iterator[tuple[float, int]]:
    """Times of the contraction in chunks, and iterations of the outermost loop that these have.

    Each tile that it may have is there with so many chunks as give all processors one block, two
    and so on, to as many as they hold.
    """
    separate, rows, columns = counts(found)
    results = usual(separate * rows * columns)
    limit = usual(found.depth[0].limit)
    each = terms_of(found) // limit
    for tile in tiles_of(found.sum.dtype):
        tiles = max(1, tile.count(separate, rows, columns))
        for blocks in range(tile.together + 1):
            length = length_of(found, PROCESSORS * blocks // tiles)
            number = -(-limit // length)
            time = tile.cost(separate * number, rows, columns) * each * length
            more = LAUNCH + number * (CHUNK + RESULT * results) if number > 1 else 0
            yield time + more, length


def length_of(found: Contraction, wanted: int) -> int:
    """How many iterations of the outermost loop a chunk has, if about so many are wanted."""
    limit, terms = usual(found.depth[0].limit), terms_of(found)
    fewest = -(-FEWEST_TERMS * limit // terms)
    length = max(-(-limit // max(wanted, 1)), fewest)
    if len(found.depth) == 1 or innermost(found, LONGEST_SLICE) == 0:
        length = -(-length // LONGEST_SLICE) * LONGEST_SLICE  # whole slices
    return min(length, limit)
