"""One contender in one process: it reads commands as lines of JSON, and answers in JSON.

    python worker.py CONTENDER THREADS FOLDER

FOLDER holds the references. A command has a word: "build" makes a workload, checks its results and
answers how long that took; "time" answers the seconds of a step, sampled for a while; "drop"
forgets the workload; "memory" answers the peak.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
import traceback
from importlib import metadata
from pathlib import Path

import numpy as np
from contenders import CONTENDERS
from workload_data import draw
from workloads import from_json

STEPS = 3  # of training, that are checked
LOSS_ERROR, PARAMETER_ERROR = 2e-3, 0.03  # relative to the loss, and to how far parameters moved
STATUS = Path("/proc/self/status")
SAMPLE = 3e-4  # seconds that a sample lasts at least


class Worker:
    """A contender and the workload that it has built."""

    def __init__(self, name, threads, folder):
        contender = CONTENDERS[name]
        self.module, self.options, self.folder = contender.load(), contender.options, folder
        self.module.prepare(threads)
        self.clock = time.process_time if threads == 1 else time.perf_counter
        self.workload = self.job = None

    def build(self, workload, checked=True):
        """Make a workload, run it and compare what it gives."""
        self.workload = from_json(workload)
        reason = self.module.missing(self.workload, self.options)
        if reason:
            return {"missing": reason}
        parameters, data = draw(self.workload)
        start, used = time.perf_counter(), time.process_time()
        self.job = self.module.build(self.workload, parameters, data, self.options)
        given = self.job.step()
        seconds = {"build": time.perf_counter() - start, "build_cpu": time.process_time() - used}
        if not checked:
            return seconds
        check = self.check_training if self.workload.optimizer else self.check_results
        return seconds | check(given, parameters)

    def reference(self):
        """What the results must be."""
        return np.load(self.folder / f"{self.workload.name}.npz")

    def check_results(self, given, parameters):
        """The error of results, relative to the largest of each."""
        errors, reference = [], self.reference()
        for at, result in enumerate(self.job.results(given)):
            right = reference[f"result{at}"]
            if result.shape != right.shape:
                return {"wrong": f"result {at} has the shape {result.shape}, not {right.shape}"}
            errors.append(np.abs(result - right).max() / np.abs(right).max())
        return self.verdict(max(errors), self.workload.tolerance)

    def check_training(self, given, before):
        """The errors of the first losses, and of the parameters after them."""
        losses = [float(self.job.results(given)[0])]
        losses += [float(self.job.results(self.job.step())[0]) for _ in range(STEPS - 1)]
        reference = self.reference()
        loss = np.abs(losses / reference["losses"] - 1).max()
        wrong = moved = 0.0
        for name, value in self.job.parameters().items():
            right = reference[f"parameter_{name}"]
            wrong += np.abs(value - right).sum()
            moved += np.abs(before[name] - right).sum()
        return self.verdict(max(loss / LOSS_ERROR, wrong / moved / PARAMETER_ERROR), 1.0)

    @staticmethod
    def verdict(error, limit):
        """The answer for an error; a NaN is wrong."""
        answer = {"error": float(error)}
        return answer if error <= limit else {"wrong": f"error {error:.2g}, limit {limit:.2g}"}

    def time(self, seconds):
        """Seconds a step, sampled for so long after a step or two that do not count."""
        step, clock, once = self.job.step, self.clock, 0.0
        for _ in range(2):
            if once < seconds:
                start = clock()
                step()
                once = clock() - start
        count, samples = max(1, round(SAMPLE / max(once, 1e-7))), []
        end = time.perf_counter() + seconds
        while not samples or time.perf_counter() < end:
            start = clock()
            for _ in range(count):
                step()
            samples.append((clock() - start) / count)
        return {"step": statistics.median(samples), "samples": len(samples)}

    def drop(self):
        """Forget the workload."""
        self.job = None
        return {}

    def memory(self, steps):
        """The largest resident size of this process in bytes, after some more steps."""
        for _ in range(steps):
            self.job.step()
        return {"peak": peak()}


def peak():
    """The largest resident size of this process so far, in bytes."""
    if STATUS.exists():  # unlike getrusage, this does not remember the process before `exec`
        (line,) = (line for line in STATUS.read_text().splitlines() if "VmHWM" in line)
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def version(package):
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return getattr(sys.modules.get(package), "__version__", "unknown")


def serve(name, threads, folder, answers):
    """Answer commands until there are no more."""

    def answer(data):
        print(json.dumps(data), file=answers, flush=True)

    try:
        start = time.perf_counter()
        worker = Worker(name, threads, folder)
    except ImportError as error:
        answer({"missing": str(error)})
        return
    ready = {"import": time.perf_counter() - start}
    answer(ready | {"version": version(CONTENDERS[name].package), "memory": peak()})
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer(getattr(worker, command.pop("word"))(**command))
        except Exception as error:  # the others go on, and the report names it
            traceback.print_exc()
            answer({"failed": f"{type(error).__name__}: {str(error)[:200]}"})


def main():
    """Serve; what a framework prints goes to the log, not between the answers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), answers)


if __name__ == "__main__":
    main()
