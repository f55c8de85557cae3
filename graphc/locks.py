"""Locks that survive a fork: the child of a fork finds them free.

The thread that forks takes all of them before, in the order in which threads take one within
another: else two would wait for each other. Python ignores what goes wrong meanwhile, and forks
nevertheless.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from enum import IntEnum
from typing import Any, NamedTuple


class Rank(IntEnum):
    """Which locks are taken within which: LLVM's within all others, a turn's within none."""

    TURN = 0
    OWN = 1
    LLVM = 2


class Guard(NamedTuple):
    """What keeps a fork from happening at a wrong moment, and what lets others go on."""

    rank: Rank
    hold: Callable[[], object]
    let_go: Callable[[], object]


GUARDS: list[Guard] = []
"""All guards in the order of their taking; of one rank, those of later modules are outside."""
FORKING = threading.local()
"""The guards that the thread has taken which forks."""


def guard_forks(rank: Rank, hold: Callable[[], object], let_go: Callable[[], object]) -> None:
    """Have every fork hold something before, and let it go in the parent and in the child."""
    GUARDS.insert(0, Guard(rank, hold, let_go))
    GUARDS.sort(key=lambda guard: guard.rank)


def fork_safe_lock() -> AbstractContextManager[Any]:
    """A lock that no other thread holds at the moment of a fork, for such would never let go."""
    lock = threading.RLock()
    guard_forks(Rank.OWN, lock.acquire, lock.release)
    return lock


def before_fork() -> None:
    """Take all guards."""
    FORKING.guards = []
    for guard in tuple(GUARDS):
        surely(guard.hold)
        FORKING.guards.append(guard)


def after_fork() -> None:
    """Let them go, the last one first."""
    for guard in reversed(FORKING.guards):
        guard.let_go()


def surely(hold: Callable[[], object]) -> None:
    """Hold something, however often the user interrupts the wait, which ends no fork."""
    while True:
        with suppress(KeyboardInterrupt):
            hold()
            return


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=before_fork, after_in_parent=after_fork, after_in_child=after_fork)
