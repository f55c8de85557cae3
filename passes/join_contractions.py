"""join_contractions: two products with a softmax between in one kernel, without the scores.

    call @matmul(%q, %k, %t0)               call @matmul_softmax_matmul_1(%q, %k, %v, %y)
    call @softmax(%t0, %t1)
    call @matmul_1(%t1, %v, %y)

What attention has between its products is larger than all it reads and writes. Here a block of
threads takes some rows through all three kernels (`passes/chain_tiling.py`), with a tile of scores
at a time in registers and in memory that the block shares. A total of a row, such as the maximum
of a softmax, needs all its scores; they are computed again for what is made of it. So each
exponential is the one that there would be of scores in memory, and masks or whatever else stands
between the products needs no rule of its own (`passes/contraction_chain.py`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.ir.dim import Size
from graphc.ir.kernel import Buffer, For, Kernel, relocate
from graphc.ir.program import (
    Branch,
    CallKernel,
    Decision,
    Program,
    Step,
    While,
    make_call,
    walk_steps,
)
from graphc.passes.block_tile import (
    MOST_REGISTERS,
    PROCESSORS,
    SHARED_BYTES,
    STEP_COST,
    WIDTHS,
    usual,
)
from graphc.passes.chain_tiling import ChainTile, ChainTiling
from graphc.passes.contraction_chain import (
    SCORES,
    WEIGHTS,
    BrokenChainError,
    Chain,
    NoChainError,
    chain_of,
)
from graphc.passes.decisions import record
from graphc.passes.joint_loops import with_joint_kernels, with_own_names
from graphc.passes.split_kernels import fresh
from graphc.passes.tile_contractions import is_worth_it, terms_of
from graphc.passes.widen_accesses import Starts

RESULTS = (16, 32, 48, 64, 128)
"""Columns of the second product that a block may have, whole ones for each of its threads."""


def join_contractions(program: Program) -> Program:
    """Make one kernel of two products and what is between, where that is the largest by far."""
    work = Joining(program)
    steps = work.steps(program.steps)
    return with_joint_kernels(program, steps, work.kernels.values(), work.gone)


@dataclass(frozen=True, slots=True)
class Link:
    """Calls of which one writes what the next one reads, each with where it stands."""

    placed: tuple[tuple[int, CallKernel], ...]
    scores: str
    weights: str

    @property
    def at(self) -> tuple[int, ...]:
        """Where each call stands."""
        return tuple(at for at, _ in self.placed)

    @property
    def calls(self) -> tuple[CallKernel, ...]:
        """The calls."""
        return tuple(call for _, call in self.placed)


class Joining:
    """The kernels of a program while some of them are joined."""

    def __init__(self, program: Program) -> None:
        self.allocations = program.allocations_by_name
        self.kernels = dict(program.kernels_by_name)
        self.gone: set[str] = set()
        self.refused: set[tuple[str, str]] = set()
        steps = list(walk_steps(program.steps))
        calls = [step for step in steps if isinstance(step, CallKernel)]
        self.touched = Counter(name for call in calls for name in set(call.arguments))
        kept = {*program.outputs, *(name for pair in program.updates for name in pair)}
        kept |= {step.condition for step in steps if isinstance(step, While | Branch)}
        self.free = {a.name for a in program.allocations if a.kind == "temporary"} - kept

    def steps(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Steps with chains joined where their last call stands; loops and branches likewise."""
        joined: dict[int, CallKernel] = {}
        dropped: set[int] = set()
        for link in self.links(steps):
            if dropped.isdisjoint(link.at) and (call := self.joined(steps, link)) is not None:
                joined[link.at[-1]] = call
                dropped.update(link.at)
        left = ((at, s) for at, s in enumerate(steps) if at in joined or at not in dropped)
        return tuple(joined[at] if at in joined else self.within(step) for at, step in left)

    def within(self, step: Step) -> Step:
        """A loop or a branch with its chains joined; nests are no deeper than a user's."""
        if isinstance(step, CallKernel):
            return step
        if isinstance(step, Branch):
            return Branch(step.condition, self.steps(step.yes), self.steps(step.no))
        return replace(step, steps=self.steps(step.steps))

    # --- which calls ---------------------------------------------------------------------------

    def links(self, steps: Sequence[Step]) -> Iterator[Link]:
        """Calls that hand on temporaries larger than all else that they touch."""
        calls = [(at, step) for at, step in enumerate(steps) if isinstance(step, CallKernel)]
        readers: dict[str, list[tuple[int, CallKernel]]] = {}
        for placed in calls:
            for name in self.names(placed[1], written=False):
                readers.setdefault(name, []).append(placed)
        for placed in calls:
            for scores in self.names(placed[1], written=True):
                for second in readers.get(scores, []):
                    for weights in self.names(second[1], written=True):
                        reading = readers.get(weights, [])
                        ways = [reading] if len(reading) == 2 else [[call] for call in reading]
                        links = (Link((placed, second, *way), scores, weights) for way in ways)
                        yield from (link for link in links if self.is_large(link))

    def names(self, call: CallKernel, written: bool) -> list[str]:
        """The allocations that a call writes, or those that it only reads."""
        buffers = self.kernels[call.kernel].buffers
        pairs = zip(call.arguments, buffers, strict=True)
        return [name for name, buffer in pairs if buffer.written == written]

    def is_large(self, link: Link) -> bool:
        """Whether calls in order hand on temporaries, more than all else that they touch."""
        between = {link.scores, link.weights}
        others = {name for call in link.calls for name in call.arguments} - self.own(link) - between
        in_order = link.at == tuple(sorted(set(link.at)))
        return in_order and between <= self.free and self.bytes(between) > self.bytes(others)

    def own(self, link: Link) -> set[str]:
        """The temporaries that the calls hand on to one another, and no other call touches."""
        counts = Counter(name for call in link.calls for name in set(call.arguments))
        return {n for n in counts if n in self.free and counts[n] == self.touched[n] > 1}

    def bytes(self, names: Iterable[str]) -> int:
        """The bytes of allocations, usually."""
        return sum(usual(self.allocations[name].bytes) for name in names)

    def is_undisturbed(self, steps: Sequence[Step], link: Link) -> bool:
        """Whether no call between changes what the chain's touch, or reads what they write."""
        first, last = link.at[0], link.at[-1]
        others = [s for at, s in enumerate(steps[:last]) if at > first and at not in link.at]
        calls = [step for step in walk_steps(others) if isinstance(step, CallKernel)]
        touched = {name for call in link.calls for name in call.arguments}
        changed = {name for call in calls for name in self.names(call, written=True)}
        written = {name for call in link.calls for name in self.names(call, written=True)}
        return not changed & touched and not written & {n for c in calls for n in c.arguments}

    # --- the joint kernel ------------------------------------------------------------------------

    def joined(self, steps: Sequence[Step], link: Link) -> CallKernel | None:
        """The call of a new kernel that does what a chain does; None if that would be worse."""
        own = self.own(link)
        parts = Parts(link, own, self.kernels)
        try:
            chain = chain_of(parts.kernels, parts.inside)
            if not {link.scores, link.weights} <= own:
                raise BrokenChainError("other kernels read what passes between them")
            if not self.is_undisturbed(steps, link):
                raise BrokenChainError(
                    "another kernel between them reads or changes what they touch"
                )
            tiling = tiling_of(chain, parts.starts)
        except NoChainError:
            return None
        except BrokenChainError as error:
            if (link.scores, link.weights) not in self.refused:
                self.note(link, "separate kernels", str(error))
            self.refused.add((link.scores, link.weights))
            return None
        kernel = parts.kernel(tiling.nest())
        self.kernels[kernel.name] = kernel
        self.gone |= own
        self.note(link, f"{len(chain.sweeps)} sweeps, {tiling.tile}",
                  "what passes between them is larger than all that they read and write",
                  (("temporaries", ", ".join(f"%{name}" for name in sorted(own))),
                   ("bytes", str(self.bytes(own))),
                   ("shared bytes", str(shared_bytes(tiling)))))  # fmt: skip
        return make_call(kernel.name, parts.places)

    def note(
        self, link: Link, choice: str, reason: str, numbers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Record what becomes of a chain."""
        kernels = [self.kernels[call.kernel] for call in link.calls]
        subject = ", ".join(f"@{kernel.name}" for kernel in kernels)
        where = tuple(dict.fromkeys(line for kernel in kernels for line in kernel.origin))
        record(Decision("join_contractions", choice, subject, reason, numbers, where))


class Parts:
    """The kernels of a chain over common buffers, with names for all that no two share.

    inside are the names of buffers that are own to the chain.
    """

    def __init__(self, link: Link, own: set[str], known: Mapping[str, Kernel]) -> None:
        self.known = known
        own = own | {link.scores, link.weights}
        inside = {name: f"own{number}" for number, name in enumerate(sorted(own))}
        inside |= {link.scores: SCORES, link.weights: WEIGHTS}
        self.inside = set(inside.values())
        every = dict.fromkeys(place for call in link.calls for place in call.places)
        self.places = [place for place in every if place[0] not in own]
        names = {place: f"b{number}" for number, place in enumerate(self.places)}
        self.starts = {name: [start] for (_, start), name in names.items()}
        taken: set[str] = set()
        self.buffers: dict[str, Buffer] = {}
        self.kernels: list[Kernel] = []
        for call in link.calls:
            kernel = known[call.kernel]
            moved: dict[str, tuple[str, Size]] = {}
            for buffer, place in zip(kernel.buffers, call.places, strict=True):
                moved[buffer.name] = (names[place], 0) if place in names else (
                    inside[place[0]], place[1])  # fmt: skip
                if place in names:
                    self.add(replace(buffer, name=names[place]))
            body = with_own_names(relocate(kernel.body, moved), taken)
            self.kernels.append(replace(kernel, body=body))

    def add(self, buffer: Buffer) -> None:
        """A parameter of the joint kernel, written if any of the kernels writes it."""
        before = self.buffers.get(buffer.name, buffer)
        self.buffers[buffer.name] = replace(buffer, written=buffer.written or before.written)

    def kernel(self, nest: For) -> Kernel:
        """The joint kernel under a name of its own, or the one there is with the same code."""
        buffers = tuple(self.buffers[f"b{number}"] for number in range(len(self.places)))
        for known in self.known.values():
            if known.buffers == buffers and known.body == (nest,):
                return known
        name = fresh("_then_".join(kernel.name for kernel in self.kernels), set(self.known))
        origin = dict.fromkeys(line for kernel in self.kernels for line in kernel.origin)
        return Kernel(name, buffers, (nest,), tuple(origin))


def tiling_of(chain: Chain, starts: Starts) -> ChainTiling:
    """A chain in the tiles that cost least; BrokenChainError where none are worth it or fit."""
    if not (is_worth_it(chain.first) and is_worth_it(chain.second)):
        raise BrokenChainError("there is too little work for tiles")
    tilings = [ChainTiling(chain, tile, starts) for tile in tiles_for(chain)]
    fitting = [tiling for tiling in tilings if shared_bytes(tiling) <= SHARED_BYTES]
    if not fitting:
        raise BrokenChainError("no tile fits into the memory that a block shares")
    return min(fitting, key=cost)


def tiles_for(chain: Chain) -> list[ChainTile]:
    """The tiles whose sums fit into registers, large ones first."""
    results = usual(chain.second.count(chain.second.columns))
    width = next((width for width in RESULTS if width >= results), RESULTS[-1])
    sides = itertools.product(reversed(WIDTHS), repeat=2)
    tiles = [ChainTile(rows, middle, width) for rows, middle in sides]
    words = max(chain.second.sum.dtype.bytes // 4, 1)
    return [tile for tile in tiles if words * tile.registers <= MOST_REGISTERS]


def shared_bytes(tiling: ChainTiling) -> int:
    """The shared memory of a block."""
    return sum(local.size * local.dtype.bytes for local in tiling.shared())


def cost(tiling: ChainTiling) -> int:
    """What all tiles take, in multiplications of one processor, as `BlockTile.cost` counts them."""
    chain, tile = tiling.chain, tiling.tile
    first, second = chain.first, chain.second
    rows = usual(first.count(first.rows))
    results = usual(second.count(second.columns))
    turns = tile.results.count(first.count(first.separate), rows, results)
    scores = tile.rows * tile.middle + STEP_COST * (tile.rows + tile.middle)
    product = tile.rows * tile.columns + STEP_COST * (tile.rows + tile.columns)
    again = len(chain.sweeps) * terms_of(first)
    steps = -(-usual(chain.middle.limit) // tile.middle)
    return -(-turns // PROCESSORS) * steps * (again * scores + tile.middle * product)
