"""Choices: how a pass offers the legal ways to do something, and who takes one of them.

A pass calls `choose(kernel, usual, others)` wherever it stands, as it calls `record`. All ways must
give the same bits: a way may change what is kept in registers, which loop runs inside which, and
what one task of a thread is, never the order of a reduction. Without a chooser the usual way is
taken, and the others are not even made.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

Plan: TypeAlias = tuple[str, ...]
"""The names of the ways taken at a kernel's choices, in their order; the usual ones follow."""


@dataclass(frozen=True, slots=True)
class Way(Generic[T]):
    """A way to do something: its name among the others, what it is, and its predicted seconds."""

    name: str
    value: T
    seconds: float


class Chooser(Protocol):
    """Who chooses for the passes."""

    def choose(self, kernel: str, ways: list[Way[Any]]) -> Way[Any]:
        """One of the ways, the first of which is usual, at the next choice of a kernel."""


CHOOSER: contextvars.ContextVar[Chooser | None]
CHOOSER = contextvars.ContextVar("chooser", default=None)


def choose(kernel: str, usual: Way[T], others: Callable[[], Iterable[Way[T]]]) -> Way[T]:
    """The way that is taken for a kernel: the usual one, unless there is a chooser."""
    chooser = CHOOSER.get()
    if chooser is None:
        return usual
    ways = {usual.name: usual}
    for way in others():
        ways.setdefault(way.name, way)
    return chooser.choose(kernel, list(ways.values()))


@contextlib.contextmanager
def choosing(chooser: Chooser) -> Iterator[None]:
    """Let a chooser choose inside."""
    token = CHOOSER.set(chooser)
    try:
        yield
    finally:
        CHOOSER.reset(token)


class Plans:
    """A chooser that follows a plan for each kernel; it notes what it was offered and has taken.

    A name that is not offered, as of a plan that another version made, means the usual way.
    """

    def __init__(self, plans: Mapping[str, Plan] | None = None) -> None:
        self.plans = dict(plans or {})
        self.offered: dict[str, list[list[Way[Any]]]] = {}
        self.taken: dict[str, list[Way[Any]]] = {}

    def choose(self, kernel: str, ways: list[Way[Any]]) -> Way[Any]:
        """The way that the kernel's plan names."""
        offered = self.offered.setdefault(kernel, [])
        wanted = self.plans.get(kernel, ())[len(offered) : len(offered) + 1]
        offered.append(ways)
        way = next((way for way in ways if way.name in wanted), ways[0])
        self.taken.setdefault(kernel, []).append(way)
        return way
