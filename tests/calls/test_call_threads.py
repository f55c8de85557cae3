"""Calls from several threads, and the turns of those that use variables."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

import graphc as gx
from graphc.ir import turn
from graphc.runtime.cpu import call as call_module
from tests.calling import affine, long_step, ramp


def test_a_training_step_of_many_variables(way: str) -> None:
    x = gx.input("x", (), "float32")
    weights = [gx.variable(np.full(k + 1, k, np.float32)) for k in range(30)]
    step = gx.compile([x], gx.sum(weights[-1]), updates={w: w + x for w in weights})
    for count in range(5):
        assert step(np.array(1, np.float32)) == 30 * (29 + count)
    for k, w in enumerate(weights):
        assert w.value.tolist() == [k + 5] * (k + 1)


def test_random_keys_go_on_from_call_to_call(way: str) -> None:
    key = gx.variable(np.array([0, 7], np.uint32), name="key")
    keys = gx.random.split(key)
    step = gx.compile([], gx.random.uniform(keys[0], (3,)), updates={key: keys[1]})
    draws = [step().tolist() for _ in range(4)]
    assert len({tuple(draw) for draw in draws}) == 4


@pytest.mark.parametrize("rows", [2, 20_000])
def test_eight_threads_call_one_step(way: str, rows: int) -> None:
    x = gx.input("x", ("n", 16), "float64")
    step = gx.compile([x], gx.softmax(gx.cumulative_sum(x, axis=0) @ np.eye(16), axis=1))
    arrays = [np.random.default_rng(k).normal(size=(rows + k % 3, 16)) for k in range(8)]
    expected = [step(array) for array in arrays]

    def call(k: int) -> bool:
        return all(np.array_equal(step(arrays[k]), expected[k]) for _ in range(20))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(8)))


def test_the_code_of_calls_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly() -> object:
        time.sleep(0.05)
        return object()

    monkeypatch.setattr(call_module, "made_native", cache(slowly))
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda _: call_module.native(), range(4)))) == 1


@pytest.mark.parametrize("rounds", [1, 500])
def test_eight_threads_change_one_variable(way: str, rounds: int) -> None:
    step, w = long_step(rounds)
    other = gx.compile([], [w + 1], updates={w: w + 1})

    def call(k: int) -> bool:
        return len([step(1.0) if k % 2 else other() for _ in range(25)]) == 25

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(call, range(8)))
    assert w.value.tolist() == [200] * 1024
    assert not any(word[0] for word in (turn.WAITING, turn.RUNNING, w.attrs["state"].users))


def in_flight() -> bool:
    """Wait for a native call that has given Python's global lock away and marked variables."""
    end = time.monotonic() + 20
    while not turn.RUNNING[0] and time.monotonic() < end:
        time.sleep(0)
    return bool(turn.RUNNING[0])


def test_a_long_call_lets_other_threads_run_and_is_waited_for() -> None:
    step, w = long_step(60_000)
    other = affine()
    step(0)
    thread = threading.Thread(target=step, args=(np.array(1.0),))
    thread.start()
    assert in_flight()
    assert other(ramp(2, 3), ramp(3)).tolist() == [[0, 3, 6], [6, 9, 12]]
    assert w.value.tolist() == [1] * 1024
    thread.join()


def test_a_call_within_the_turn_of_its_own_thread_goes_ahead(way: str) -> None:
    step, w = long_step(500)
    with turn.turn([w.attrs["state"].users]):  # as a signal's handler finds it
        step(np.array(1.0))
        step(np.array(1.0))
        assert w.value.tolist() == [2] * 1024
    assert not any(word[0] for word in (turn.WAITING, turn.HOLDER))


@pytest.mark.cpu("native calls, which interrupts wait for")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer")
def test_an_interrupt_while_calls_are_in_flight_leaves_no_marks() -> None:
    step, w = long_step(5_000)
    one = np.array(1.0)
    step(one)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    count = 0
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes when it comes
            while True:
                count += 1
                step(one)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not any(word[0] for word in (turn.WAITING, turn.RUNNING, w.attrs["state"].users))
    assert w.value[0] in (count, count + 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.cpu("a fork of a process can go on")
def test_a_fork_waits_for_calls_that_use_variables() -> None:
    step, w = long_step(60_000)
    step(0)
    thread = threading.Thread(target=step, args=(np.array(1.0),))
    thread.start()
    assert in_flight()
    child = os.fork()
    if child == 0:
        step(np.array(1.0))
        os._exit(0 if w.value.tolist() == [2] * 1024 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()
    assert w.value.tolist() == [1] * 1024
