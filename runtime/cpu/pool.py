"""The threads that share a kernel's parallel loop; `pool_code` is their native half.

There is one pool in a process. Its workers are daemon threads that call a native loop, without
Python's lock, until they are told to leave; the thread that calls a kernel is one more.
"""

from __future__ import annotations

import ctypes
import operator
import os
import threading

from graphc.errors import GraphError
from graphc.runtime.cpu.jit import Library, pool_library

VARIABLE = "GRAPHC_NUM_THREADS"
MOST = 4096  # threads: more than any machine has processors


def set_num_threads(count: int) -> None:
    """Use this many threads in kernels called from now on, the calling thread included.

    Without a call it is the environment variable GRAPHC_NUM_THREADS or, where that is not set,
    the number of processors that this process may use. Results do not depend on it. Raises
    GraphError unless count is an integer from 1 to 4096.
    """
    POOL.resize(checked(count, "set_num_threads"))


def get_num_threads() -> int:
    """The number of threads that kernels use, the calling thread included."""
    return POOL.count


def address() -> int:
    """The pool as native code passes it to `graphc_parallel_for`; starts the workers."""
    return POOL.start()


class Pool:
    """The workers and how many there should be; the first `start` makes them."""

    def __init__(self) -> None:
        self.chosen: int | None = None
        self.started = False
        self.address = 0
        self.threads: list[threading.Thread] = []
        self.changing = threading.RLock()  # a signal's handler may come in between

    @property
    def count(self) -> int:
        """How many threads there should be, the calling thread included."""
        if self.chosen is None:
            self.chosen = default_count()
        return self.chosen

    def start(self) -> int:
        """Start the workers unless they run, and give the address of the pool."""
        if not self.address:  # set last, so that nobody sees a pool that is still being made
            with self.changing:
                if not self.started:
                    count = self.count
                    self.started = True
                    self.hire(count - 1)
                self.address = pool_library().address("graphc_pool")
        return self.address

    def resize(self, count: int) -> None:
        """Have count threads; returns when those that have to go are gone."""
        with self.changing:
            self.chosen = count
            if self.started:
                self.hire(count - 1)

    def hire(self, workers: int) -> None:
        """Let workers go or start new ones."""
        code = pool_library()
        call(code, "graphc_pool_resize", workers)
        for thread in self.threads[workers:]:
            thread.join()
        del self.threads[workers:]
        for index in range(len(self.threads), workers):
            self.threads.append(start_worker(code, index))

    def renew(self) -> None:
        """Begin again in the child of a fork, where there is no thread but the one that forked."""
        self.threads = []
        self.changing = threading.RLock()
        if self.started:
            call(pool_library(), "graphc_pool_reset")
            self.hire(self.count - 1)


def start_worker(code: Library, index: int) -> threading.Thread:
    """Start a worker; daemon, for nobody could tell it to leave when the interpreter exits."""
    thread = threading.Thread(target=work, args=(code, index), name=f"graphc-{index}", daemon=True)
    thread.start()
    return thread


def work(code: Library, index: int) -> None:
    """Be a worker; this frame keeps the code alive even while the interpreter exits."""
    call(code, "graphc_pool_work", index)


def call(code: Library, name: str, *numbers: int) -> None:
    """Call a function of the native half for the pool, without Python's lock."""
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_uint32] * len(numbers))
    function(code.address(name))(code.address("graphc_pool"), *numbers)


def default_count() -> int:
    """The number of threads to begin with."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return available_processors()
    return checked(int(text) if text.strip().isdecimal() else text, VARIABLE)


def available_processors() -> int:
    """The number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def checked(count: object, name: str) -> int:
    """The count as an int; GraphError unless it is an integer from 1 to the most."""
    if hasattr(count, "__index__") and not isinstance(count, bool):
        number = operator.index(count)
        if 1 <= number <= MOST:
            return number
    raise GraphError(f"{name} takes a number of threads, an integer from 1 to {MOST}: {count!r}")


POOL = Pool()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.renew)
