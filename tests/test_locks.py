"""Forks: locks are taken in the order of their nesting, and free in the child."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from graphc import locks
from graphc.ir import turn
from graphc.locks import Rank

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*and JAX is multithreaded:RuntimeWarning"),
]

COMPILE_AND_FORK = """
import os, random, threading, time
import numpy as np
import graphc as gx

def compile(number):
    x = gx.input("x", (8,), "float32")
    y = x
    for step in range(4):
        y = gx.tanh(y * float(number + step) + 1)
    return gx.compile([x], gx.sum(y) * y)

def compile_on(number=1):
    while True:
        compile(number)
        number += 7

compile(0)
threading.Thread(target=compile_on, daemon=True).start()
draw = random.Random(3)
for number in range(6):
    time.sleep(draw.random() * 0.05)
    child = os.fork()
    if child == 0:
        compile(1000 + number)(np.ones(8, np.float32))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
os._exit(7)
"""
PROFILE_AND_FORK = """
import os, sys, threading, time
import numpy as np
import graphc as gx

x = gx.input("x", (64, 64), "float32")
y = x
for number in range(6):
    y = gx.tanh(y @ x) + number
step, rows = gx.compile([x], y), np.ones((64, 64), np.float32)
step(rows)
thread = threading.Thread(target=lambda: step.profile(rows))
thread.start()
time.sleep(float(sys.argv[1]))
if os.fork() == 0:
    os._exit(0)
assert os.wait()[1] == 0
thread.join()
os._exit(7)
"""


def run(program: str, *arguments: str) -> int:
    """The exit status of a program that is killed if it takes too long."""
    command = [sys.executable, "-c", program, *arguments]
    environment = os.environ | {"GRAPHC_CACHE": "off"}
    return subprocess.run(command, env=environment, timeout=60, check=False).returncode


def test_a_child_compiles_though_another_thread_did() -> None:
    assert run(COMPILE_AND_FORK) == 7


@pytest.mark.parametrize("pause", ["0.001", "0.002", "0.004"])
def test_a_fork_and_a_profile_do_not_wait_for_each_other(pause: str) -> None:
    assert run(PROFILE_AND_FORK, pause) == 7


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Guards of this test alone."""
    own: list[Any] = []
    monkeypatch.setattr(locks, "GUARDS", own)
    return own


def noting(notes: list[str], text: str) -> Callable[[], None]:
    """A function that notes a text."""
    return lambda: notes.append(text)


@pytest.mark.usefixtures("guards")
def test_guards_are_taken_by_rank_and_the_later_first() -> None:
    notes: list[str] = []
    for name, rank in (
        ("llvm", Rank.LLVM),
        ("one", Rank.OWN),
        ("turn", Rank.TURN),
        ("two", Rank.OWN),
    ):
        locks.guard_forks(rank, noting(notes, name), noting(notes, f"/{name}"))
    locks.before_fork()
    assert notes == ["turn", "two", "one", "llvm"]
    notes.clear()
    locks.guard_forks(Rank.TURN, noting(notes, "late"), noting(notes, "/late"))
    locks.after_fork()
    assert notes == ["/llvm", "/one", "/two", "/turn"]  # what it took, and nothing else


@pytest.mark.usefixtures("guards")
def test_an_interrupt_ends_no_fork() -> None:
    tries, lock = iter([KeyboardInterrupt, KeyboardInterrupt, None]), threading.Lock()

    def hold() -> None:
        if (error := next(tries)) is not None:
            raise error
        lock.acquire()

    locks.guard_forks(Rank.OWN, hold, lock.release)
    locks.before_fork()
    assert lock.locked()
    locks.after_fork()
    assert not lock.locked()


def test_a_fork_leaves_no_marks() -> None:
    child = os.fork()
    if child == 0:
        os._exit(int(turn.WAITING[0]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert turn.WAITING[0] == 0
