"""What a neighbour costs: the time of a step while a busy process holds one core, and without it.

A process that only counts is kept on each core in turn, and is stopped in every other round, so
that both figures come from one run. The ratio is that of the means over a round: what a step costs
that waits for a thread without a core would hide behind a median.

    python benchmarks/loaded.py --threads 2
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time

import programs_graphc
from timing import use_threads

BUSY = "while True: pass"
PROGRAMS = ("mlp", "transformer")


class Neighbour:
    """A process that keeps a core busy, while it is let."""

    def __init__(self, core):
        self.process = subprocess.Popen([sys.executable, "-c", BUSY])
        os.sched_setaffinity(self.process.pid, {core})
        self.rest()

    def rest(self):
        """Stop it."""
        self.process.send_signal(signal.SIGSTOP)

    def work(self):
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        """End it."""
        self.process.kill()
        self.process.wait()


def seconds_per_call(step, arguments, seconds):
    """The mean time of a call, over calls for so many seconds."""
    calls, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < seconds:
        step(*arguments)
        calls += 1
    return taken / calls


def compare(step, arguments, core, rounds, seconds):
    """The mean times of rounds without a neighbour on a core and with one, in pairs."""
    neighbour, pairs = Neighbour(core), []
    try:
        for _ in range(rounds):
            quiet = seconds_per_call(step, arguments, seconds)
            neighbour.work()
            pairs.append((quiet, seconds_per_call(step, arguments, seconds)))
            neighbour.rest()
    finally:
        neighbour.end()
    return pairs


def main():
    """Read the options and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--programs", nargs="+", default=PROGRAMS, choices=PROGRAMS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    use_threads(options.threads)
    for program in options.programs:
        step, arguments = getattr(programs_graphc, program)()
        for core in sorted(os.sched_getaffinity(0)):
            pairs = compare(step, arguments, core, options.rounds, options.seconds)
            quiet, loaded = (1e3 * statistics.median(column) for column in zip(*pairs, strict=True))
            ratios = [with_neighbour / alone for alone, with_neighbour in pairs]
            print(f"{program}, {options.threads} threads, core {core} busy: "
                  f"{quiet:.2f} ms alone, {loaded:.2f} ms beside it, "
                  f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
