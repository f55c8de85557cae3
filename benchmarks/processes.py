"""The processes of contenders: started, asked, stopped while others are timed, and watched.

A process that is not having its turn is stopped, so that a pool that spins disturbs nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from contenders import CONTENDERS

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
STATISTICS = Path("/proc/stat")


def cores(threads):
    """The cores for so many threads: the last ones, as the first often serves interrupts."""
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return own[-threads:]


@contextlib.contextmanager
def placed(cores):
    """Keep this process, and what it starts meanwhile, on some cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Contestant:
    """The process of a contender; frameworks size their pools by the cores it may use."""

    def __init__(self, name, threads, folder, python=None, distance=lambda: 1.0):
        self.distance = distance
        self.name, self.cores, self.stopped = name, cores(threads), False
        environment = {
            key: value.format(threads=threads)
            for key, value in CONTENDERS[name].environment.items()
        }
        command = [python or sys.executable, HERE / "worker.py", name, threads, folder]
        with Path(folder, f"{name}-{threads}.log").open("ab") as log, placed(self.cores):
            self.process = subprocess.Popen(
                [str(part) for part in command], env=os.environ | environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    def answer(self, patience=600.0):
        """The next answer; a process that gives none in so many seconds is ended."""
        if not select.select([self.process.stdout], [], [], patience)[0]:
            self.process.kill()
            self.process.wait()
            return {"failed": f"no answer in {patience:.0f} s"}
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"failed": "the process ended"}

    def ask(self, word, patience=600.0, **operands):
        """The answer to a command."""
        self.go_on()
        try:
            self.process.stdin.write(json.dumps({"word": word, **operands}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return {"failed": "the process ended"}
        return self.answer(patience)

    @property
    def alive(self):
        """Whether the process still runs."""
        return self.process.poll() is None

    def stop(self):
        """Take the process off its cores."""
        if self.alive and not self.stopped:
            self.process.send_signal(signal.SIGSTOP)
            self.stopped = True

    def go_on(self):
        """Give the process its cores again."""
        if self.alive and self.stopped:
            self.process.send_signal(signal.SIGCONT)
            self.stopped = False

    def turn(self, seconds):
        """Time the built workload, and tell what may have disturbed that.

        `foreign` is the share of the cores that others used, `distance` how far apart they were.
        """
        far = self.distance()
        self.go_on()
        before, start = self.others(), time.perf_counter()
        answer = self.ask("time", seconds=seconds)
        share = (self.others() - before) / ((time.perf_counter() - start) * len(self.cores))
        self.stop()
        return answer | {"foreign": max(0.0, share), "distance": max(far, self.distance())}

    def others(self):
        """Seconds that all but this process have used of the cores so far; 0 where not known."""
        if not STATISTICS.exists() or not self.alive:
            return 0.0
        wanted = {f"cpu{core}" for core in self.cores}
        rows = [line.split() for line in STATISTICS.read_text().splitlines()]
        # user, nice, system, then two kinds of idling, then interrupts and what the host took
        busy = sum(
            sum(map(int, row[1:4])) + sum(map(int, row[6:9])) for row in rows if row[0] in wanted
        )
        own = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (busy - sum(map(int, own[11:13]))) / TICKS

    def end(self):
        """End the process."""
        self.go_on()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
