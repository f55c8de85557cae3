"""Profile: where the time of a step goes, call by call, and what each call achieves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir import dim, scalar
from graphc.ir.kernel import Accumulate, For, Kernel, Statement, loads, statements, stores, values
from graphc.ir.program import Program
from graphc.ir.scalar import Call

SECONDS = 0.5
"""How long a step is run again and again."""
FEWEST, MOST = 3, 1000
"""The least rounds, however long a step takes, and the most."""
SILENT = ("where", "cast", "bitcast")
"""Functions that compute nothing: they choose, or see a value as another type."""
SAMPLES = 64
"""Iterations of a loop that are looked at where they differ."""


@dataclass(frozen=True, slots=True)
class CallProfile:
    """A call of a kernel: how often it runs in a step, and in how many seconds altogether.

    operations are those on floats in all its runs: additions, products, comparisons and each
    elementary function count as one, and a product that is added up as two. bytes are those of
    the buffers it reads or writes, each counted once in a run, and twice where it does both; a
    matrix that does not stay in cache is moved more often than that. where are the user's lines.
    """

    kernel: str
    where: tuple[str, ...]
    runs: float
    seconds: float
    operations: float
    bytes: float

    @property
    def operations_per_second(self) -> float:
        """The operations on floats that it does in a second; 0 if it never ran."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        """The bytes that it touches in a second; 0 if it never ran."""
        return self.bytes / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """The calls of a step in the order in which they stand; print it for a table, longest first.

    seconds is how long a step takes, what is between its calls included, and rounds how often it
    ran. Both times are means of the faster half of the rounds.
    """

    calls: tuple[CallProfile, ...]
    seconds: float
    rounds: int

    def __iter__(self) -> Iterator[CallProfile]:
        return iter(self.calls)

    def __str__(self) -> str:
        calls = sorted(self.calls, key=lambda call: -call.seconds)
        head = f"{1e6 * self.seconds:,.1f} us a step, of {self.rounds} rounds"
        title = "      us   share     runs   Gop/s    GB/s  kernel"
        return "\n".join([head, title, *(row for call in calls for row in self.rows(call))])

    def rows(self, call: CallProfile) -> list[str]:
        """A call's line, and one for each of the user's lines below it."""
        share = call.seconds / self.seconds if self.seconds else 0.0
        first = (
            f"{1e6 * call.seconds:8,.1f} {100 * share:5.1f} % {call.runs:8,.10g} "
            f"{1e-9 * call.operations_per_second:7.1f} {1e-9 * call.bytes_per_second:7.1f}  "
            f"{call.kernel}"
        )
        return [first, *(f"{'from':>45} {place}" for place in call.where)]


def count_rounds(run: Callable[[], np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """The counts of many rounds: of the step, then of its calls, the time and how often it ran."""
    deadline = time.perf_counter() + SECONDS
    counts: list[np.ndarray[Any, Any]] = []
    while len(counts) < FEWEST or (len(counts) < MOST and time.perf_counter() < deadline):
        counts.append(run())
    return np.array(counts)


def summarise(
    program: Program, counts: np.ndarray[Any, Any], tick: float, sizes: Mapping[str, int]
) -> Profile:
    """The means of the faster half of the rounds, where a tick of time is so many seconds."""
    order = np.argsort(counts[:, 0, 0], kind="stable")
    means = counts[order[: -(-len(order) // 2)]].mean(axis=0)
    calls = tuple(
        call_profile(program.kernel(call.kernel), float(runs), float(ticks * tick), sizes)
        for call, (ticks, runs) in zip(program.calls, means[1:], strict=True)
    )
    return Profile(calls, float(means[0, 0] * tick), len(counts))


def call_profile(
    kernel: Kernel, runs: float, seconds: float, sizes: Mapping[str, int]
) -> CallProfile:
    """What is known of a call that ran so often in so many seconds."""
    operations = operations_in(kernel.body, sizes)
    moved = bytes_of(kernel, sizes)
    return CallProfile(kernel.name, kernel.origin, runs, seconds, runs * operations, runs * moved)


def operations_in(body: tuple[Statement, ...], values_of: Mapping[str, int]) -> float:
    """The operations on floats in one execution of a body, for values of sizes and variables."""
    total = 0.0
    for statement in body:
        total += sum(is_operation(value) for value in scalar.walk(values(statement)))
        if isinstance(statement, Accumulate):
            total += statement.value.dtype.is_float
        if isinstance(statement, For):
            total += operations_of(statement, values_of)
    return total


def operations_of(nest: For, values_of: Mapping[str, int]) -> float:
    """The operations of a loop; where inner limits depend on its variable, from some iterations."""
    count, name = limit_of(nest, values_of), nest.variable.name
    inner = (s for s in statements(nest.body) if isinstance(s, For))
    uneven = any(name in {s.name for s in dim.symbols(loop.limit)} for loop in inner)
    chosen = sample(count) if uneven else [0][:count]
    each = [operations_in(nest.body, {**values_of, name: at}) for at in chosen]
    return count * sum(each) / len(each) if each else 0.0


def limit_of(nest: For, values_of: Mapping[str, int]) -> int:
    """How many iterations a loop has, or may have at most where a loaded value decides that."""
    limit = nest.limit
    if any(symbol.name not in values_of for symbol in dim.symbols(limit)):
        most = dim.upper_bound(limit)
        limit = 1 if most is None else most
    return max(0, dim.evaluate(limit, values_of))


def sample(count: int) -> list[int]:
    """All of so many iterations, or some of many, evenly from the first to the last."""
    few = min(count, SAMPLES)
    return [at * (count - 1) // (few - 1) for at in range(few)] if few > 1 else [0][:few]


def is_operation(value: scalar.Scalar) -> bool:
    """Whether a value is computed, and from floats."""
    return (
        isinstance(value, Call)
        and value.function not in SILENT
        and any(argument.dtype.is_float for argument in value.arguments)
    )


def bytes_of(kernel: Kernel, sizes: Mapping[str, int]) -> int:
    """The bytes of a kernel's buffers, twice those of one that it reads and writes."""
    touched = [{load.buffer for load in loads(kernel.body)},
               {store.buffer for store in stores(kernel.body)}]  # fmt: skip
    return sum(
        dim.evaluate(buffer.size, sizes) * buffer.dtype.bytes
        for names in touched
        for buffer in kernel.buffers
        if buffer.name in names
    )
