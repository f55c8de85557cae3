"""The thread pool: every iteration once, from any thread, across forks and exits."""

import ctypes
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from graphc.errors import GraphError
from graphc.runtime.cpu import pool
from graphc.runtime.cpu.code_generator import parse
from graphc.runtime.cpu.jit import Library, definitions, load, pool_library
from graphc.runtime.cpu.pool_code import EXPORTS, pool_code

LONG = 1_000_000  # nanoseconds an iteration is said to take: any region of two goes parallel

# `count` adds one to each element of its range; `nested` runs a region inside each iteration;
# `repeat` runs regions one after another.
CODE = """
declare void @graphc_parallel_for(ptr, ptr, ptr, i64, i64)
@pool = internal global ptr null

define void @count(ptr %counts, i64 %begin, i64 %end) {
entry:
  br label %look
look:
  %i = phi i64 [%begin, %entry], [%next, %add]
  %more = icmp slt i64 %i, %end
  br i1 %more, label %add, label %leave
add:
  %at = getelementptr i64, ptr %counts, i64 %i
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at
  %next = add i64 %i, 1
  br label %look
leave:
  ret void
}

define void @row(ptr %counts, i64 %begin, i64 %end) {
entry:
  %pool = load ptr, ptr @pool
  br label %look
look:
  %i = phi i64 [%begin, %entry], [%next, %add]
  %more = icmp slt i64 %i, %end
  br i1 %more, label %add, label %leave
add:
  %first = mul i64 %i, 100
  %at = getelementptr i64, ptr %counts, i64 %first
  call void @graphc_parallel_for(ptr %pool, ptr @count, ptr %at, i64 100, i64 1000000)
  %next = add i64 %i, 1
  br label %look
leave:
  ret void
}

define void @nested(ptr %pool, ptr %counts, i64 %rows) {
  store ptr %pool, ptr @pool
  call void @graphc_parallel_for(ptr %pool, ptr @row, ptr %counts, i64 %rows, i64 1000000)
  ret void
}

define void @repeat(ptr %pool, ptr %counts, i64 %count, i64 %work, i64 %times) {
entry:
  br label %look
look:
  %i = phi i64 [0, %entry], [%next, %run]
  %more = icmp slt i64 %i, %times
  br i1 %more, label %run, label %leave
run:
  call void @graphc_parallel_for(ptr %pool, ptr @count, ptr %counts, i64 %count, i64 %work)
  %next = add i64 %i, 1
  br label %look
leave:
  ret void
}
"""


@cache
def code() -> Library:
    return load(CODE)


def repeat(
    count: int, times: int = 1, work: int = LONG
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """How often each iteration ran in regions one after another."""
    counts = np.zeros(count, np.int64)
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)
    run(code().address("repeat"))(pool.address(), counts.ctypes.data, count, work, times)
    return counts


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = pool.get_num_threads()
    pool.set_num_threads(4)
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7, 15, 16, 17, 63, 64, 1000, 65537])
@pytest.mark.parametrize("work", [0, 10, 20_000, LONG, 2**62])
def test_every_iteration_runs_once(count: int, work: int) -> None:
    assert (repeat(count, 3, work) == 3).all()


def test_twenty_thousand_small_regions() -> None:
    assert (repeat(8, 20_000) == 20_000).all()


Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def region(body: "ctypes._FuncPointer", count: int) -> None:
    """Run a body as one region."""
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, Body, ctypes.c_void_p, *[ctypes.c_int64] * 2)
    run(pool_library().address("graphc_parallel_for"))(pool.address(), body, None, count, LONG)


def test_workers_take_part_and_are_waited_for() -> None:
    seen = set()
    done: list[int] = []

    def note(_: int, begin: int, end: int) -> None:
        seen.add(threading.get_native_id())
        time.sleep(0.005)
        done.append(end - begin)

    region(Body(note), 16)
    assert sum(done) == 16
    assert threading.get_native_id() in seen
    assert len(seen) > 1


PLACING = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="threads cannot be placed"
)


@PLACING
def test_a_worker_that_is_late_gets_the_processor_of_its_caller() -> None:
    caller = threading.get_native_id()
    late: list[set[int]] = []

    def work(_: int, begin: int, end: int) -> None:
        if threading.get_native_id() != caller and not late:
            late.append(set())
            time.sleep(0.3)
            late[0] = os.sched_getaffinity(0)
        else:
            time.sleep(0.001)

    pool.set_num_threads(2)
    for _ in range(100):
        region(Body(work), 8)
        if late:
            break
    assert len(late[0]) == 1
    assert late[0] <= os.sched_getaffinity(0)
    everyone = threading.Barrier(2, timeout=30)
    after: list[set[int]] = []

    def meet(_: int, begin: int, end: int) -> None:
        everyone.wait()
        if threading.get_native_id() != caller:
            after.append(os.sched_getaffinity(0))

    region(Body(meet), 2)
    processors = os.sched_getaffinity(0)
    assert len(after[0]) == max(1, len(processors) - 1)


@PLACING
def test_a_caller_that_is_late_goes_on_where_it_may() -> None:
    caller, before = threading.get_native_id(), os.sched_getaffinity(0)
    others: list[int] = []

    def work(_: int, begin: int, end: int) -> None:
        if threading.get_native_id() == caller:
            time.sleep(0.05)
        else:
            others.append(end - begin)
            time.sleep(0.001)

    for _ in range(5):
        region(Body(work), 16)
    assert others
    assert os.sched_getaffinity(0) == before


@PLACING
def test_a_caller_has_its_processors_back_when_a_region_ends() -> None:
    caller, before = threading.get_native_id(), os.sched_getaffinity(0)

    def work(_: int, begin: int, end: int) -> None:
        if threading.get_native_id() == caller:
            time.sleep(0.0003)

    body, after = Body(work), set[frozenset[int]]()
    for _ in range(1000):
        region(body, 16)
        after.add(frozenset(os.sched_getaffinity(0)))
    assert after == {frozenset(before)}


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("machine", ["x86_64", "arm64", "riscv64", "s390x"])
def test_there_is_a_pool_for_every_system(
    system: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    defined = definitions(parse(pool_code()))
    assert set(defined) == set(EXPORTS)


def test_a_region_inside_a_region() -> None:
    counts = np.zeros(50 * 100, np.int64)
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    run(code().address("nested"))(pool.address(), counts.ctypes.data, 50)
    assert (counts == 1).all()


def test_several_callers_at_once() -> None:
    results: list[bool] = []

    def call() -> None:
        results.append(all((repeat(1000, 200) == 200).all() for _ in range(5)))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert results == [True] * 4


def workers() -> int:
    return sum(thread.name.startswith("graphc-") for thread in threading.enumerate())


def test_the_number_of_threads_can_change() -> None:
    for count in (1, 5, 2, 3, 3, 1, 4):
        pool.set_num_threads(count)
        assert pool.get_num_threads() == count
        assert (repeat(100, 50) == 50).all()
        assert workers() == count - 1


def test_the_number_of_threads_can_change_while_regions_run() -> None:
    results: list[bool] = []
    caller = threading.Thread(target=lambda: results.append((repeat(64, 50_000) == 50_000).all()))
    caller.start()
    for count in (1, 4, 2, 3) * 10:
        pool.set_num_threads(count)
    caller.join(30)
    assert results == [True]


def test_threads_that_start_a_pool_at_once_all_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made, found = pool.Pool(), list[int]()
    monkeypatch.setattr(made, "hire", lambda _: time.sleep(0.05))
    callers = [threading.Thread(target=lambda: found.append(made.start())) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)
    assert found == [pool.address()] * 4


def test_a_pool_whose_start_was_interrupted_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    made = pool.Pool()
    monkeypatch.setattr(made, "hire", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.start()
    assert made.start() == pool.address()


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None, True, 4097, 1 << 40])
def test_wrong_numbers_of_threads_are_refused(count: object) -> None:
    with pytest.raises(GraphError, match="an integer from 1 to 4096") as caught:
        pool.set_num_threads(count)  # type: ignore[arg-type]
    assert repr(count) in str(caught.value)
    assert pool.get_num_threads() == 4


def finish(child: int, seconds: float = 20) -> int:
    """A child's exit status; it is killed if it takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*and JAX is multithreaded:RuntimeWarning")
def test_the_child_of_a_fork_has_a_pool_of_its_own() -> None:
    repeat(1000, 100)
    for _ in range(5):
        child = os.fork()
        if child == 0:
            right = (repeat(1000, 100) == 100).all() and workers() == 3
            os._exit(0 if right else 1)
        assert finish(child) == 0
    assert (repeat(1000, 100) == 100).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*and JAX is multithreaded:RuntimeWarning")
def test_a_fork_while_another_thread_runs_regions() -> None:
    caller = threading.Thread(target=repeat, args=(64, 100_000))
    caller.start()
    child = os.fork()
    if child == 0:
        os._exit(0 if (repeat(1000, 100) == 100).all() else 1)
    assert finish(child) == 0
    caller.join(30)


def python(program: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


START = "from graphc.runtime.cpu import pool\nprint(pool.get_num_threads())\npool.address()\n"


@pytest.mark.parametrize("pause", ["", "import time; time.sleep(0.05)"])
def test_the_interpreter_exits_while_workers_wait(pause: str) -> None:
    for _ in range(3):
        done = python(START + pause, GRAPHC_NUM_THREADS="8")
        assert (done.returncode, done.stdout, done.stderr) == (0, "8\n", "")


def test_the_environment_sets_the_number_of_threads() -> None:
    done = python(START, GRAPHC_NUM_THREADS="many")
    assert done.returncode == 1
    assert "GRAPHC_NUM_THREADS takes a number of threads" in done.stderr
