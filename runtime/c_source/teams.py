"""Teams: how the threads of a block combine what each has come to, by halves.

Thread l takes what thread l + span has, for each span from half of the threads down to 1. In memory
that they share this takes a barrier a level. Where a device has warps, the levels across warps are
done by each warp for itself, after one barrier, and in the last ones its threads hand each other
values. What is combined with what is the same, and so are the bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from graphc.ir.kernel import Accumulator
from graphc.runtime.c_source.accumulators import combine, dtypes, words
from graphc.runtime.c_source.body import Body
from graphc.runtime.c_source.dialect import WARP, WarpWords
from graphc.runtime.c_source.types import MEMORY

THREAD = "thread"
"""The variable that holds a thread's number in its block."""
States: TypeAlias = Mapping[str, tuple[str, ...]]
"""The variables, or arrays, that hold the states of accumulators, by name."""


@dataclass(frozen=True, slots=True)
class Team:
    """So many threads that combine the states of accumulators.

    shared collects the memory that they have in common; barrier lets them meet.
    """

    body: Body
    accumulators: Mapping[str, Accumulator]
    lanes: int
    shared: list[str]
    barrier: Callable[[], None]

    def combined(self, partial: States, in_loop: bool) -> States:
        """What all threads have come to together, by name, known to each of them."""
        warp = self.body.context.dialect.warp
        if warp is None or self.lanes < WARP:
            return self.in_memory(self.kept(partial))
        if self.lanes > WARP:
            if in_loop:
                self.barrier()  # some may still read what was kept in the iteration before
            self.across_warps(partial, self.kept(partial), self.lanes // WARP)
        return self.within_warps(partial, warp)

    def kept(self, partial: States) -> States:
        """Arrays in shared memory with the states of all threads."""
        places: dict[str, tuple[str, ...]] = {}
        for name, own in partial.items():
            places[name] = tuple(self.body.names.fresh(f"{n}_of_all") for n in own)
            kinds = dtypes(self.accumulators[name])
            for dtype, array, value in zip(kinds, places[name], own, strict=True):
                space = self.body.context.dialect.shared
                self.shared.append(f"{space}{MEMORY[dtype.name]} {array}[{self.lanes}];")
                self.body.line(f"{array}[{THREAD}] = {value};")
        self.barrier()
        return places

    def in_memory(self, places: States) -> States:
        """All levels in memory."""
        span = self.body.names.fresh("span")
        with self.body.block(f"for (int {span} = {self.lanes // 2}; {span} > 0; {span} /= 2)"):
            with self.body.block(f"if ({THREAD} < {span})"):
                combine_all(self.body, self.accumulators, places, f"{THREAD} + {span}", THREAD)
            self.barrier()
        return at(places, "0")

    def across_warps(self, partial: States, places: States, warps: int) -> None:
        """The levels across warps, of which each warp does all for its own threads."""
        names, body = self.body.names, self.body
        arrays = {n: tuple(names.fresh(f"{p}_of_warps") for p in own) for n, own in partial.items()}
        for name, own in arrays.items():
            for word, array in zip(words(self.accumulators[name]), own, strict=True):
                body.line(f"{word} {array}[{warps}];")
        warp, span = names.fresh("warp"), names.fresh("span")
        with body.unrolled(f"for (int {warp} = 0; {warp} < {warps}; {warp}++)"):
            for name, own in arrays.items():
                for array, place in zip(own, places[name], strict=True):
                    text = f"{place}[{WARP} * {warp} + {THREAD} % {WARP}]"
                    body.line(f"{array}[{warp}] = {text};")
        with (
            body.unrolled(f"for (int {span} = {warps // 2}; {span} > 0; {span} /= 2)"),
            body.unrolled(f"for (int {warp} = 0; {warp} < {span}; {warp}++)"),
        ):
            combine_all(body, self.accumulators, arrays, f"{warp} + {span}", warp)
        for name, own in partial.items():
            for part, array in zip(own, arrays[name], strict=True):
                body.line(f"{part} = {array}[0];")

    def within_warps(self, partial: States, warp: WarpWords) -> States:
        """The levels within a warp; its first thread then tells the others."""
        span = self.body.names.fresh("span")
        with self.body.unrolled(f"for (int {span} = {WARP // 2}; {span} > 0; {span} /= 2)"):
            for name, own in partial.items():
                other = self.handed(name, own, lambda v: warp.below.format(value=v, distance=span))
                for line in combine(self.body.context, self.accumulators[name], other, own):
                    self.body.line(line)
        return {
            name: self.handed(name, own, lambda v: warp.first.format(value=v))
            for name, own in partial.items()
        }

    def handed(self, name: str, own: Sequence[str], word: Callable[[str], str]) -> tuple[str, ...]:
        """Names for what another thread of the warp has."""
        result = tuple(self.body.names.fresh(f"{part}_handed") for part in own)
        for kind, new, part in zip(words(self.accumulators[name]), result, own, strict=True):
            self.body.line(f"const {kind} {new} = {word(part)};")
        return result


def combine_all(
    body: Body, accumulators: Mapping[str, Accumulator], arrays: States, new: str, old: str
) -> None:
    """Bring the states at one place of arrays into those at another."""
    for name, own in arrays.items():
        later, before = ([f"{array}[{place}]" for array in own] for place in (new, old))
        for line in combine(body.context, accumulators[name], later, before):
            body.line(line)


def at(arrays: States, place: str) -> dict[str, tuple[str, ...]]:
    """The elements at a place of the arrays that accumulators have."""
    return {name: tuple(f"{a}[{place}]" for a in found) for name, found in arrays.items()}
