"""Apply a change to each kernel of a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.ir.kernel import Kernel
from graphc.ir.program import Program


def on_kernels(program: Program, change: Callable[[Kernel], Kernel]) -> Program:
    """The program with every kernel changed; calls find kernels by name, so names stay.

    A kernel that a change leaves equal stays the same object: what was known of it still holds.
    """
    changed = ((kernel, change(kernel)) for kernel in program.kernels)
    return replace(program, kernels=tuple(old if new == old else new for old, new in changed))
