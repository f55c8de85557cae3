"""Decisions are data: how a pass says what it chose and why, and how the pipeline collects it.

A pass calls `record(Decision(...))` wherever it stands; nothing has to be handed down to it, and
outside of `recording` the call does nothing.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterable, Iterator

from graphc.ir.node import Node
from graphc.ir.program import Decision

RECORD: contextvars.ContextVar[list[Decision] | None]
RECORD = contextvars.ContextVar("record", default=None)


def record(decision: Decision) -> None:
    """Add a decision to the record that is being kept, if one is."""
    kept = RECORD.get()
    if kept is not None:
        kept.append(decision)


@contextlib.contextmanager
def recording() -> Iterator[list[Decision]]:
    """Keep a record of the decisions taken inside, in order; an outer record goes without them."""
    kept: list[Decision] = []
    token = RECORD.set(kept)
    try:
        yield kept
    finally:
        RECORD.reset(token)


def lines(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The user's lines that nodes stand at, each once: the `where` of a Decision."""
    return tuple(dict.fromkeys(str(node.where) for node in nodes if node.where is not None))
