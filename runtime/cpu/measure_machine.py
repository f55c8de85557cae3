"""The machine as `passes.machine` wants to know it, measured once in half a second and kept.

Nothing is measured unless it is asked for: by `graphc machine`, `gx.machine()`, or a compilation
that searches for schedules. All figures are those of one core.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from graphc.passes.machine import TYPICAL, Machine
from graphc.runtime.cpu.findings import recall, remember
from graphc.runtime.cpu.machine_code import FLOAT
from graphc.runtime.cpu.machine_kernels import MachineKernels
from graphc.runtime.cpu.processor import cache_sizes, processor_name

KIND = "machine"
SECONDS, RUNS = 0.003, 3  # of a run of a kernel, and how many; the best counts
IN_REGISTERS = 1 << 14  # vectors: how long a pass is that touches no memory
MOST_MEMORY = 1 << 27  # bytes read to measure memory, at most
SMALLEST, LARGEST = 1 << 13, 1 << 26  # bytes that are tried where caches must be found
DROP = 0.75  # by which the rate falls where data no longer fit


def machine(measure: bool = False) -> Machine:
    """What one core of this processor does at most: remembered, or measured in half a second.

    Measured figures are kept on the disk, where compiled code is. With measure they are measured
    again, as after a change of the machine.
    """
    known = None if measure else known_machine()
    if known is None:
        known = measured()
        remember(KIND, processor_name(), json.dumps(asdict(known)))
    return known


def known_machine() -> Machine | None:
    """The machine as it was measured before; None where it was not."""
    text = recall(KIND, processor_name())
    return None if text is None else read_machine(text)


def read_machine(text: str) -> Machine | None:
    """The machine that JSON describes; None where it describes something else."""
    data: Any = json.loads(text)
    if set(data) != {field.name for field in fields(Machine)}:
        return None
    figures: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return Machine(**figures)


def measured() -> Machine:
    """The machine, measured now."""
    kernels = MachineKernels(seconds=SECONDS, runs=RUNS)
    width = kernels.width
    caches = cache_sizes() or found_caches(kernels)
    places = [size // 2 for size in caches]
    places.append(min(MOST_MEMORY, 2 * caches[-1]) if caches else MOST_MEMORY)

    def rate(name: str, per_vector: float, size: int) -> float:
        count = size // (FLOAT * width)
        return per_vector * count / kernels.seconds(name, count)

    in_first = places[0] // 2
    registers = IN_REGISTERS * FLOAT * width
    return Machine(
        processor_name(),
        float32=rate("peak", 2 * width, registers),
        float64=rate("peak_double", width, registers),
        exponentials=rate("exponential", width, in_first),
        caches=caches,
        read=tuple(rate("read", FLOAT * width, size) for size in places),
        written=tuple(rate("write", FLOAT * width, size) for size in places),
    )


def found_caches(kernels: MachineKernels) -> tuple[int, ...]:
    """The sizes of the caches, found by reading ever more."""
    sizes = [SMALLEST << step for step in range((LARGEST // SMALLEST).bit_length())]
    vectors = [size // (FLOAT * kernels.width) for size in sizes]
    rates = [size / kernels.seconds("read", n) for size, n in zip(sizes, vectors, strict=True)]
    return cliffs(sizes, rates)


def cliffs(sizes: Sequence[int], rates: Sequence[float]) -> tuple[int, ...]:
    """The largest sizes before the rate falls, each once where it goes on falling."""
    found: list[int] = []
    level = rates[0]
    falling = False
    for size, rate in zip(sizes[:-1], rates[1:], strict=True):
        falls = rate < DROP * level
        if falls and not falling:
            found.append(size)
        falling, level = falls, rate if falls else max(rate, level)
    return tuple(found) or TYPICAL.caches[:1]
