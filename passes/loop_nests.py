"""Loops that stand inside one another: taken apart, and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.kernel import For, Kernel, Let, Statement


def perfect(nest: For) -> tuple[list[For], tuple[Statement, ...]]:
    """The parallel loops of a nest, and what they hold; values between loops are moved inside."""
    loops: list[For] = [nest]
    moved: list[Statement] = []
    while (inner := independent(loops[-1].body)) is not None:
        moved += loops[-1].body[:-1]
        loops.append(inner)
    return loops, (*moved, *loops[-1].body)


def independent(body: Sequence[Statement]) -> For | None:
    """The parallel loop that stands in a block behind nothing but values; None if none does."""
    last = body[-1] if body else None
    if not isinstance(last, For) or last.kind != "parallel":
        return None
    return last if all(isinstance(s, Let) for s in body[:-1]) else None


def is_dealt_out(kernel: Kernel) -> bool:
    """Whether an earlier pass has dealt a kernel's loops to the blocks and threads of a device."""
    return any(isinstance(s, For) and s.kind == "block" for s in kernel.body)


def chain(outermost: For) -> list[For]:
    """A loop, the one that is all it holds, and so on inwards."""
    loops = [outermost]
    while len(loops[-1].body) == 1 and isinstance(loops[-1].body[0], For):
        loops.append(loops[-1].body[0])
    return loops


def nested(loops: Sequence[For], inside: tuple[Statement, ...]) -> For:
    """Loops around a body, the first one outermost."""
    for loop in reversed(loops):
        inside = (replace(loop, body=inside),)
    (nest,) = inside
    assert isinstance(nest, For)
    return nest
