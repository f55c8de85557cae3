"""Apply a change to each kernel of a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.ir.kernel import Kernel
from graphc.ir.program import Program


def on_kernels(program: Program, change: Callable[[Kernel], Kernel]) -> Program:
    """The program with every kernel changed; calls find kernels by name, so names stay."""
    return replace(program, kernels=tuple(change(kernel) for kernel in program.kernels))
