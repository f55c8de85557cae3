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

from graphc.ir.kernel import Accumulate, For, Statement
from graphc.ir.program import Decision, Program
from graphc.passes.block_tile import LONGEST_SLICE, PROCESSORS, tiles_of, usual
from graphc.passes.contraction import Contraction, contraction_of
from graphc.passes.decisions import record
from graphc.passes.loop_nests import nested, perfect
from graphc.passes.split_reductions import Chunks, Split, with_splits
from graphc.passes.tile_contractions import counts, is_worth_it, terms_of

FEWEST_TERMS = 256
"""Terms of a chunk, at least."""
LAUNCH, RESULT = 640_000, 0.6
"""What a launch more costs, and a result that is stored and loaded once more, in multiplications
of one processor: some microseconds, and the bytes that all of them together move meanwhile."""
MOST_CHUNKS = 32
"""Chunks, at most: a thread adds their results up, one after another."""


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
    terms, limit = terms_of(found), usual(outermost.limit)
    most = min(terms // FEWEST_TERMS, MOST_CHUNKS, limit)
    wanted = number_of_chunks(found, most)
    if wanted < 2:
        return None
    length = -(-limit // wanted)
    if len(found.depth) == 1:
        length = -(-length // LONGEST_SLICE) * LONGEST_SLICE  # whole slices
    return Chunks((outermost.limit + length - 1) // length, length)


def number_of_chunks(found: Contraction, most: int) -> int:
    """How many chunks take the least time, in the tile that suits them."""
    separate, rows, columns = counts(found)
    results = usual(separate * rows * columns)
    ways: list[tuple[float, int]] = []
    for tile in tiles_of(found.sum.dtype):
        tiles = max(1, tile.count(separate, rows, columns))
        for number in {1, max(1, min(PROCESSORS // tiles, most))}:
            cost = tile.cost(separate * number, rows, columns) * terms_of(found) / number
            more = LAUNCH + RESULT * number * results if number > 1 else 0
            ways.append((cost + more, number))
    return min(ways)[1]
