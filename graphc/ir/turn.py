"""Whose turn it is to use variables: Python code takes turns, native calls mark what they use.

A native call begins and ends while it holds Python's global lock, so that it can look at the words
below and change them without any lock of its own. It runs where nobody else has a use for its
variables that excludes its own: many may read one, or one may change it. Python code cannot look
at several words at once; it raises WAITING, after which no native call that uses variables begins,
and waits until those in flight that concern it have ended. One turn in Python excludes all others.

Without native calls the lock alone decides, as it must where there is no global lock.

The value of a variable may be away, in the memory of a device that keeps it from call to call. Its
word then says AWAY, which no native call passes; a turn of anybody else brings the value home, if
it is not to be assigned anyway.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, TypeAlias

import numpy as np

from graphc.errors import GraphError
from graphc.locks import Rank, guard_forks

Word: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"

PATIENCE = 0.05
"""Seconds after which one who waits looks again, for an interrupt may have cost it the notice."""


def word() -> Word:
    """A word in memory that native code reads and writes, at first 0."""
    return np.zeros(1, np.int64)


class Absence(NamedTuple):
    """Who keeps a variable's value, and what brings it home."""

    keeper: object
    bring_home: Callable[[], None]


AWAY = -2  # of a word: the value is away
ABSENT: dict[int, tuple[weakref.ref[Word], Absence]] = {}  # by identity the words that say so

WAITING = word()  # turns in Python that have begun or want to
RUNNING = word()  # native calls in flight that have marked variables, and variables that are away
RETURNS = word()  # values that have come home, or are lost, so far
HOLDER = word()  # the thread that has its turn in Python, 0 while none has
LOCK = threading.RLock()
ENDED = threading.Condition(LOCK)


@contextmanager
def turn(
    users: Iterable[Word], keeper: object = None, assigns: bool = False, settled: int = -1
) -> Iterator[None]:
    """The time in which no other code uses variables, given by their words (`State.users`).

    Values that are away are brought home, but for those that the keeper has; they are given up
    where all of the variables are assigned new ones. settled is the number of returns when the
    keeper last had all values: without another one it still has them.
    """
    words = tuple(users)
    with LOCK:
        WAITING[0] += 1
        try:
            if settled == RETURNS[0]:
                words = ()
            while any(map(in_use, words)):
                ENDED.wait(PATIENCE)
            for word in words:
                if word[0] == AWAY and ABSENT[id(word)][1].keeper is not keeper:
                    (forget if assigns else return_home)(word)
            outer = int(HOLDER[0])
            HOLDER[0] = threading.get_ident()
            try:
                yield
            finally:
                HOLDER[0] = outer
        finally:
            WAITING[0] -= 1


def in_use(users: Word) -> bool:
    """Whether native calls in flight have marked a word."""
    return users[0] not in (0, AWAY)


def leave_home(users: Word, absence: Absence) -> None:
    """Say that a value is away; in the turn of its keeper."""
    key = id(users)
    ABSENT[key] = weakref.ref(users, lambda _: end_absence(key)), absence
    users[0] = AWAY
    np.add(RUNNING, 1, RUNNING)  # one call, so that no native call comes between


def return_home(users: Word) -> None:
    """Bring a value home."""
    ABSENT[id(users)][1].bring_home()
    forget(users)


def forget(users: Word) -> None:
    """Let the value at home be the variable's, whatever it was where it was away."""
    end_absence(id(users))
    users[0] = 0


def end_absence(key: int) -> None:
    """Forget that a value is away: it is at home, or its variable is no more."""
    del ABSENT[key]
    np.subtract(RUNNING, 1, RUNNING)
    note_return()


def note_return() -> None:
    """Have everybody look again at who keeps which values."""
    np.add(RETURNS, 1, RETURNS)


def let_others_go(users: Iterable[Word]) -> None:
    """Return once nobody uses some variables; somebody may again, before the caller does."""
    with turn(users):
        pass


def announce_end() -> None:
    """Wake who waits; for a native call that ends while WAITING is not 0."""
    with LOCK:
        ENDED.notify_all()


def begin_fork() -> None:
    """Have a turn in which no native call begins that uses variables."""
    LOCK.acquire()
    WAITING[0] += 1


def settle() -> None:
    """Let no native call be in flight, for in the child it would never end, and no value away.

    A value that cannot be brought home stays away, and whoever wants it is told why.
    """
    for found, _ in list(ABSENT.values()):
        if (users := found()) is not None:
            with suppress(GraphError):
                return_home(users)
    while RUNNING[0] > len(ABSENT):
        ENDED.wait(PATIENCE)


def end_fork() -> None:
    """Go on, in the parent and in the child."""
    WAITING[0] -= 1
    LOCK.release()


guard_forks(Rank.TURN, settle, lambda: None)
guard_forks(Rank.TURN, begin_fork, end_fork)  # the later one is taken first
