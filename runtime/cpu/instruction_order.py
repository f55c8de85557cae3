"""The order of a long formula's instructions: chains that do not need each other advance together.

A polynomial is a chain in which each step waits some four cycles for the one before. A processor
looks ahead over a few hundred instructions for others to run meanwhile, which is less than what
stands side by side of a formula with several functions in it. So the instructions are put into
the order in which a machine would begin them that looks ahead over all of them: of those whose
operands are there, first the one that the longest way to the end begins with. (List scheduling;
Hennessy and Gross, "Postpass Code Optimization of Pipeline Constraints", 1983.)
"""

from __future__ import annotations

import heapq
import re
from itertools import groupby

NAME = re.compile(r"%[\w.$-]+")
INTRINSIC = re.compile(r"@llvm\.(?:x86\.\w+\.mask\.)?([a-z]+)")

# Cycles until a result is there, and for how many its unit begins nothing else: those of vectors of
# 512 bits on units of 256, by and large. What is not here is free.
CYCLES = {
    "fadd": (3, 1), "fsub": (3, 1), "fmul": (4, 2), "fma": (4, 2), "scalef": (6, 2),
    "fdiv": (11, 4), "sqrt": (15, 4), "select": (2, 2), "shl": (1, 1), "load": (7, 1),
}  # fmt: skip
FREE = (0, 0)


def chains_together(lines: list[str]) -> list[str]:
    """Instructions in another order, in which each still follows those that it depends on.

    What writes memory keeps its place among all that use memory, and a line that begins or ends a
    basic block keeps its place among all.
    """
    result: list[str] = []
    for straight, group in groupby(lines, is_straight):
        together = list(group)
        result += ordered(together) if straight else together
    return result


def is_straight(line: str) -> bool:
    """Whether a line is an instruction that may stand anywhere among others of its basic block."""
    return line.startswith("  ") and operation(line) not in ("br", "ret", "switch", "phi", ";")


def operation(line: str) -> str:
    """What an instruction does: its word, or the intrinsic that it calls; "" for another call."""
    words = line.split(None, 3)
    word = words[2] if words[1:2] == ["="] else words[0]
    if word != "call":
        return word
    intrinsic = INTRINSIC.search(line)
    return intrinsic[1] if intrinsic else ""


class Instructions:
    """Which of some instructions wait for which, and how long the way from each to the end is."""

    def __init__(self, lines: list[str]) -> None:
        self.operations = [operation(line) for line in lines]
        self.waiting: list[list[int]] = [[] for _ in lines]  # for each instruction, those after it
        self.missing = [0] * len(lines)
        made: dict[str, int] = {}
        written, read = -1, set[int]()  # the last that writes memory, and what reads it after that
        for at, line in enumerate(lines):
            result, *operands = NAME.findall(line) if " = " in line else ["", *NAME.findall(line)]
            before = {made[name] for name in operands if name in made}
            if not result or self.operations[at] in ("load", "masked", ""):
                before |= {written} - {-1}
                read.add(at)
            if not result:
                before |= read - {at}
                written, read = at, set()
            for earlier in before:
                self.waiting[earlier].append(at)
            self.missing[at] = len(before)
            made[result] = at
        self.way = [0.0] * len(lines)
        for at in reversed(range(len(lines))):
            behind = max((self.way[later] for later in self.waiting[at]), default=0.0)
            self.way[at] = behind + self.cycles(at)[0]

    def cycles(self, at: int) -> tuple[float, float]:
        """Until the result is there, and until the next instruction can begin."""
        return CYCLES.get(self.operations[at], FREE)


def ordered(lines: list[str]) -> list[str]:
    """The instructions of a straight line, those with the longest way to the end first."""
    found = Instructions(lines)
    ready = [(-found.way[at], at) for at, missing in enumerate(found.missing) if not missing]
    heapq.heapify(ready)
    coming: list[tuple[float, int]] = []
    known = [0.0] * len(lines)
    clock, result = 0.0, []
    while ready or coming:
        if not ready:
            clock = max(clock, coming[0][0])
        while coming and coming[0][0] <= clock:
            at = heapq.heappop(coming)[1]
            heapq.heappush(ready, (-found.way[at], at))
        at = heapq.heappop(ready)[1]
        result.append(lines[at])
        until, busy = found.cycles(at)
        for later in found.waiting[at]:
            known[later] = max(known[later], clock + until)
            found.missing[later] -= 1
            if not found.missing[later]:
                heapq.heappush(coming, (known[later], later))
        clock += busy
    return result
