"""How long an iteration takes, roughly: what the pool of threads decides by."""

from __future__ import annotations

import math
from collections.abc import Mapping

from graphc.ir import dim, scalar
from graphc.ir.dim import Size
from graphc.ir.kernel import For, Statement, values
from graphc.ir.program import CallKernel, Program, Repeat, Step, While, inner_steps
from graphc.ir.scalar import TRANSCENDENTAL, TRANSCENDENTAL_COST, Call, Load, Scalar

PER_NANOSECOND = 4  # instructions that a processor finishes
LANES = 8  # elements that a vector instruction works on, typically


def nanoseconds(body: tuple[Statement, ...]) -> Size:
    """An estimate for one execution of a body, as a size over size symbols."""
    return dim.floor_divide(instructions(body), PER_NANOSECOND) + 1


def instructions(body: tuple[Statement, ...]) -> Size:
    """Instructions that a body executes."""
    total: Size = sum(weight(v) for s in body for v in scalar.walk(values(s)))
    for statement in body:
        if isinstance(statement, For):
            inner = (instructions(statement.body) + 1) * limit(statement)
            vector = statement.kind == "vector"
            total = total + (dim.floor_divide(inner, LANES) + 1 if vector else inner)
    return total


def limit(loop: For) -> Size:
    """A loop's limit, or the most it can be."""
    if not dim.variables(loop.limit):
        return loop.limit
    most = dim.upper_bound(loop.limit)
    return 1 if most is None else most


def weight(value: Scalar) -> int:
    """Instructions that a value costs."""
    if isinstance(value, Call):
        return TRANSCENDENTAL_COST if value.function in TRANSCENDENTAL else 1
    return int(isinstance(value, Load))


def runs_of(program: Program) -> dict[str, Size] | None:
    """How often each kernel runs, at most; None where a loop may run for ever."""
    runs: dict[str, Size] = dict.fromkeys((kernel.name for kernel in program.kernels), 0)
    pending: list[tuple[Step, Size]] = [(step, 1) for step in program.steps]
    while pending:
        step, times = pending.pop()
        match step:
            case While():
                return None
            case CallKernel(kernel=name):
                runs[name] = runs[name] + times
            case Repeat(variable=variable):
                times = times * limit(For(variable, "serial", ()))
        pending += ((inner, times) for inner in inner_steps(step))
    return runs


class Work:
    """How long a program takes: what it says of each kernel is worked out once."""

    def __init__(self, program: Program) -> None:
        self.runs = runs_of(program)
        self.each = {kernel.name: nanoseconds(kernel.body) for kernel in program.kernels}

    def nanoseconds(self, sizes: Mapping[str, int]) -> float:
        """An estimate for one thread and given sizes; infinity where a loop may run for ever."""
        if self.runs is None:
            return math.inf
        pairs = ((times, self.each[name]) for name, times in self.runs.items())
        return sum(dim.evaluate(a, sizes) * dim.evaluate(b, sizes) for a, b in pairs)
