"""search_schedules: time the schedules that passes may choose for a kernel, and take the fastest.

The passes that schedule loops offer ways of equal bits (`passes.choose`). One choice after another
takes the way with which the kernel runs fastest, tried in the order of predicted cost. Nothing here
knows the device: it gives the passes and a function that makes a kernel ready to be timed.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from graphc.ir import dim
from graphc.ir.kernel import Kernel, sizes, statements
from graphc.ir.print_kernel import print_kernel
from graphc.ir.program import Decision, Program
from graphc.passes.choose import Plan, Plans, Way, choosing
from graphc.passes.decisions import record, recording
from graphc.passes.pipeline import Pass
from graphc.passes.predict_cost import predicted, work_of
from graphc.runtime.progress import Progress

Runner: TypeAlias = Callable[[], float]
"""Runs a kernel for a moment and gives the seconds of one run."""

ROUNDS = 5  # in which two schedules take turns
HOPELESS = 1.3  # a schedule that is this much slower in two rounds is given up
WORTH = 0.98  # what a schedule must take at most, of the best one's time, to replace it


class Workshop(Protocol):
    """What a device gives to a search."""

    passes: Sequence[Pass]
    """The passes over programs that schedule loops, kernel by kernel."""

    circumstances: str
    """What the times of kernels depend on, besides the machine: such as the number of threads."""

    def runner(self, kernel: Kernel) -> Runner:
        """A scheduled kernel of known sizes, made ready to be timed on data of its own."""

    def recall(self, subject: str) -> str | None:
        """What was remembered of a subject."""

    def remember(self, subject: str, finding: str) -> None:
        """Keep a finding for later processes."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A kernel with its loops scheduled, the ways that were taken for it, and all there were."""

    kernel: Kernel
    ways: tuple[Way[Any], ...]
    offered: tuple[list[Way[Any]], ...]

    @property
    def plan(self) -> Plan:
        """The names of its ways."""
        return tuple(way.name for way in self.ways)

    @property
    def predicted(self) -> float:
        """Its predicted time in seconds."""
        least = work_of(self.kernel.body, self.kernel.buffers).seconds
        return max(least, sum(way.seconds for way in self.ways))


@dataclass(slots=True)
class Finding:
    """What is known of a kernel's schedules: seconds by plan, and whether all have been tried."""

    best: Plan
    usual: Plan
    seconds: dict[Plan, float] = field(default_factory=dict)
    complete: bool = False

    def text(self) -> str:
        """The finding as JSON."""
        rows = [[list(plan), seconds] for plan, seconds in self.seconds.items()]
        return json.dumps([self.best, self.usual, rows, self.complete])


def read_finding(text: str) -> Finding:
    """The finding that a text holds."""
    best, usual, rows, complete = json.loads(text)
    return Finding(
        tuple(best), tuple(usual), {tuple(plan): seconds for plan, seconds in rows}, complete
    )


@dataclass(slots=True)
class Trial:
    """A schedule that is being timed: its least time so far."""

    schedule: Schedule
    run: Runner
    seconds: float = float("inf")

    def turn(self) -> None:
        """Run once more."""
        self.seconds = min(self.seconds, self.run())


def search_schedules(
    program: Program, workshop: Workshop, seconds: float, runs: Mapping[str, int]
) -> dict[str, Plan]:
    """The fastest known plan for each kernel that has choices, searched for so many seconds.

    runs says how often each kernel runs: time is spent where a program spends it. With 0 seconds,
    what earlier searches have found is used. All answers are on record.
    """
    end = time.monotonic() + seconds
    searches = [Search(kernel, workshop) for kernel in program.kernels]
    open_ones = [search for search in searches if search.begin(seconds)]
    weights = [s.usual.predicted * runs.get(s.kernel.name, 1) for s in open_ones]
    order = sorted(range(len(open_ones)), key=lambda at: weights[at], reverse=True)
    left = sum(weights)
    with closing_line() as progress:
        for number, at in enumerate(order, start=1):
            remaining = max(0.0, end - time.monotonic())
            share = remaining * weights[at] / left if left else remaining
            place = f"{number} of {len(order)} kernels"
            if remaining:
                open_ones[at].go_on(time.monotonic() + share, place, progress)
            left -= weights[at]
    for search in searches:
        search.say()
    return {s.kernel.name: s.finding.best for s in searches if s.finding is not None}


@contextmanager
def closing_line() -> Iterator[Progress]:
    """A line of progress that is gone afterwards."""
    progress = Progress()
    try:
        yield progress
    finally:
        progress.end()


class Search:
    """The search for the schedule of one kernel."""

    def __init__(self, kernel: Kernel, workshop: Workshop) -> None:
        self.kernel = kernel
        self.workshop = workshop
        self.usual = self.scheduled(())
        self.finding: Finding | None = None
        self.refusal = ""
        self.remembered = False
        self.best: Trial

    @property
    def subject(self) -> str:
        """What findings are about: the kernel's text, whatever its name, and the circumstances."""
        bare = replace(self.kernel, name="", origin=())
        return f"{self.workshop.circumstances}\n{print_kernel(bare)}"

    def begin(self, seconds: float) -> bool:
        """Whether there is something to search for: choices that are not known."""
        if all(len(ways) == 1 for ways in self.usual.offered):
            return False
        if not is_static(self.kernel):
            self.refusal = "its sizes are symbolic"
            return False
        text = self.workshop.recall(self.subject)
        if text is not None:
            self.finding = read_finding(text)
            self.remembered = True
        elif not seconds:
            self.refusal = "no search has timed it, and there is no time for one"
        return seconds > 0 and (self.finding is None or not self.finding.complete)

    def scheduled(self, plan: Plan) -> Schedule:
        """The kernel scheduled by a plan."""
        plans = Plans({self.kernel.name: plan})
        program = Program((), (self.kernel,), (), ())
        with choosing(plans), recording():
            for change in self.workshop.passes:
                program = change(program)
        name = self.kernel.name
        ways, offered = plans.taken.get(name, ()), plans.offered.get(name, ())
        return Schedule(program.kernels[0], tuple(ways), tuple(offered))

    def go_on(self, end: float, place: str, progress: Progress) -> None:
        """Time schedules until the clock shows `end`."""
        start = time.monotonic()
        known = self.finding or Finding(self.usual.plan, self.usual.plan)
        self.finding, self.remembered = known, False
        self.best = Trial(self.usual, self.workshop.runner(self.usual.kernel))
        if known.best == known.usual:
            self.best.turn()
            known.seconds[known.usual] = self.best.seconds
        else:
            self.race(self.scheduled(known.best))
        longest = time.monotonic() - start
        known.complete = True
        for schedule in self.others(known):
            begin = time.monotonic()
            if begin + longest > end:
                known.complete = False
                break
            progress.show(f"timing schedules of {self.kernel.name}, {place}: "
                          f"{self.best.seconds * 1e6:.3g} us, {end - begin:.0f} s")  # fmt: skip
            self.race(schedule)
            longest = max(longest, time.monotonic() - begin)
        known.best = self.best.schedule.plan
        self.workshop.remember(self.subject, known.text())

    def others(self, known: Finding) -> Iterator[Schedule]:
        """Schedules that differ from the best so far in one choice, and are not known."""
        seen = {print_kernel(self.best.schedule.kernel)}
        for site in itertools.count():
            if site >= len(self.best.schedule.offered):
                return
            for way in sorted(self.best.schedule.offered[site], key=lambda way: way.seconds):
                schedule = self.scheduled((*self.best.schedule.plan[:site], way.name))
                text = print_kernel(schedule.kernel)
                if text not in seen and schedule.plan not in known.seconds:
                    seen.add(text)
                    yield schedule

    def race(self, schedule: Schedule) -> None:
        """Let a schedule and the best so far take turns, and keep the faster one."""
        assert self.finding is not None
        best, other = self.best, Trial(schedule, self.workshop.runner(schedule.kernel))
        for turn in range(ROUNDS):
            other.turn()
            best.turn()
            if turn and other.seconds > HOPELESS * best.seconds:
                break
        for trial in (best, other):
            self.finding.seconds[trial.schedule.plan] = trial.seconds
        if other.seconds < WORTH * best.seconds:
            self.best = other

    def say(self) -> None:
        """Record what was chosen, and what was not."""
        name = self.kernel.name
        if self.finding is None:
            if self.refusal:
                record(Decision("tune", "usual schedule", name, self.refusal))
            return
        known = self.finding
        reason = f"the fastest of {len(known.seconds)} schedules that were timed"
        reason += "" if known.complete else " until the time was up"
        if self.remembered:
            reason = f"remembered from a search: {reason}"
        plans = sorted(known.seconds, key=lambda plan: (plan != known.best, known.seconds[plan]))
        for plan in plans:
            chosen = plan == known.best
            choice = " and ".join(plan) + (" (as usual)" if plan == known.usual else "")
            numbers = (predicted(self.scheduled(plan).predicted), measured(known.seconds[plan]))
            record(Decision("tune", choice if chosen else f"not {choice}", name,
                            reason if chosen else "it is not faster", numbers))  # fmt: skip


def measured(seconds: float) -> tuple[str, str]:
    """A measured cost as one of the numbers of a decision."""
    return "measured us", f"{seconds * 1e6:.3g}"


def is_static(kernel: Kernel) -> bool:
    """Whether no size of a kernel is symbolic."""
    inside = [size for statement in statements(kernel.body) for size in sizes(statement)]
    symbols = {
        s for size in (*(b.size for b in kernel.buffers), *inside) for s in dim.symbols(size)
    }
    return all(symbol.kind != "size" for symbol in symbols)
