"""What a barrier is in C: waits for what a thread has begun, and then the meeting itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc.ir.kernel import Barrier

if TYPE_CHECKING:
    from graphc.runtime.c_source.statements import Writer

MOST_LEFT = 1
"""Barriers back to copies or products that are not waited for; to wait for more is always right."""


def lines_of(writer: Writer, barrier: Barrier | None = None) -> list[str]:
    """The lines of a barrier of the writer's kernel; without one, of a barrier for everything."""
    need, lines = writer.body.context.need, []
    pending, running = (0, 0) if barrier is None else (barrier.pending, barrier.running)
    if writer.copies:
        lines.append(f"{need(f'end_copies_but_{min(pending, MOST_LEFT)}')}();")
    if writer.products:
        lines.append(f"{need('show_copies')}();")
        lines.append(f"{need(f'end_products_but_{min(running, MOST_LEFT)}')}();")
    return [*lines, f"{writer.meeting};"]
