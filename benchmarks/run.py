"""Time graphc against whatever peers are installed, on the same data, interleaved in one run.

    python benchmarks/run.py [--groups gemm conv] [--contenders graphc jax] [--threads 1 2]
    python benchmarks/run.py --quick

Results are checked against float64 before anything is timed. A full run writes a table and a
picture beside this file. A quick one checks the results of all programs at small sizes, graphc's
unless others are named, and ends with an error if one is wrong. A contender may have an
interpreter of its own, in a virtual environment where its package is installed: --python
jax=path/to/python.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
from contenders import BY_DEFAULT, CONTENDERS
from distance import Distance
from measure import rounds, summary
from processes import Contestant, cores
from reference import results
from report import write_report
from roofline import Roof
from workloads import table

HERE = Path(__file__).resolve().parent
PATIENCE = 90  # seconds that a contender has to build a workload
LONGEST_TURN = 3.0


class Run:
    """Contestants on so many threads, in a folder that holds references and logs."""

    def __init__(self, options, threads, folder):
        self.folder, self.threads, self.versions, self.missing = folder, threads, {}, {}
        self.pythons = dict(given.split("=", 1) for given in options.python)
        self.distance = Distance(cores(threads)) if len(cores(threads)) > 1 else lambda: 1.0
        begun = [self.begin(name) for name in options.contenders]
        self.contestants = [contestant for contestant in begun if self.is_ready(contestant)]

    def begin(self, name):
        """Start the process of a contender."""
        python = self.pythons.get(name)
        return Contestant(name, self.threads, self.folder, python, self.distance)

    def is_ready(self, contestant):
        """Whether a process has found its framework."""
        answer = contestant.answer()
        contestant.stop()
        if "version" in answer:
            self.versions[contestant.name] = answer["version"]
            return True
        self.missing[contestant.name] = answer.get("missing") or answer["failed"]
        contestant.end()
        return False

    def revive(self):
        """Start again what has died: it failed at one workload, and may do others."""
        dead = [contestant for contestant in self.contestants if not contestant.alive]
        for contestant in dead:
            contestant.end()
        again = [self.begin(contestant.name) for contestant in dead]
        alive = [contestant for contestant in self.contestants if contestant.alive]
        self.contestants = alive + [contestant for contestant in again if self.is_ready(contestant)]

    def build(self, workload):
        """What each contestant answers to a workload, checked against the reference."""
        path = Path(self.folder) / f"{workload.name}.npz"
        if not path.exists():
            np.savez(path, **compact(results(workload)))
        self.revive()
        answers = {}
        for contestant in self.contestants:
            command = {"workload": workload.as_json()}
            answers[contestant.name] = contestant.ask("build", PATIENCE, **command)
            contestant.stop()
        return answers

    def ready(self, answers):
        """The contestants whose results are right."""
        return [one for one in self.contestants if "error" in answers.get(one.name, {})]

    def time(self, workload, count, seconds):
        """The rows of a workload: answers, and times of those that are right."""
        answers = self.build(workload)
        rows = summary(rounds(self.ready(answers), count, turn_seconds(workload, seconds)))
        for contestant in self.ready(answers):
            contestant.ask("drop")
            contestant.stop()
        return {name: answer | rows.get(name, {}) for name, answer in answers.items()}

    def close(self):
        """End all processes; those that are stopped would never end by themselves."""
        for contestant in self.contestants:
            contestant.end()


def compact(arrays):
    """References as they are stored: results, which may be large, in float32."""
    return {
        name: array.astype(np.float32) if name.startswith("result") else array
        for name, array in arrays.items()
    }


def turn_seconds(workload, seconds):
    """How long a turn lasts: longer for steps that take long, at a rate that any machine has."""
    return min(LONGEST_TURN, max(seconds, workload.work.operations / 1e11))


def chosen(options):
    """The workloads that the options ask for."""
    everything = table().values()
    groups = options.groups or {workload.group for workload in everything}
    names = options.workloads or {workload.name for workload in everything}
    return [one for one in everything if one.group in groups and one.name in names]


def check_all(run, options):
    """Check all programs at small sizes; True if none is wrong."""
    fine = bool(run.versions)
    small = {(w.program, w.optimizer, json.dumps(w.small().sizes)): w for w in chosen(options)}
    for workload in (one.small() for one in small.values()):
        for name, answer in run.build(workload).items():
            bad = answer.get("wrong") or answer.get("failed")
            fine = fine and not bad
            verdict = bad or answer.get("missing") or f"right, error {answer['error']:.1e}"
            print(f"{workload.name:26} {name:20} {verdict}", flush=True)
    return fine


def time_all(run, options):
    """Time all workloads, and write what was found after each."""
    path = options.output.with_suffix(".json")
    data = json.loads(path.read_text()) if path.exists() else {"workloads": {}}
    data |= {"machine": machine(), "versions": data.get("versions", {}) | run.versions}
    roof = Roof(run.threads)
    for workload in chosen(options):
        rows = run.time(workload, options.rounds, options.seconds)
        known = data["workloads"].setdefault(workload.name, {})
        known[str(run.threads)] = {"floor": roof.floor(workload.work), "rows": rows}
        path.write_text(json.dumps(data, indent=1))
        print(f"{workload.name:26} {run.threads} {told(rows)}", flush=True)
    write_report(data, options.output)


def told(rows):
    """The rows of a workload on one line, the fastest first."""
    timed = sorted((row["step"], name) for name, row in rows.items() if "step" in row)
    words = [f"{name} {step * 1e3:.4g} ms" for step, name in timed]
    bad = [
        f"{n}: {r.get('wrong') or r['failed']}"
        for n, r in rows.items()
        if {"wrong", "failed"} & {*r}
    ]
    return "  ".join([*words, *bad])


def machine():
    """The processor's name, and how many cores there are."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def options_parser(documentation):
    """A parser of the options that all scripts on these contenders share."""
    parser = argparse.ArgumentParser(description=documentation.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=table(), default=[], metavar="NAME")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=BY_DEFAULT)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="that a turn lasts")
    parser.add_argument("--python", nargs="+", default=[], metavar="CONTENDER=PATH")
    return parser


def read_options():
    """The options of the command line."""
    parser = options_parser(__doc__)
    groups = dict.fromkeys(workload.group for workload in table().values())
    parser.add_argument("--groups", nargs="+", choices=groups, default=[])
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--quick", action="store_true", help="check results at small sizes")
    parser.set_defaults(contenders=None)
    options = parser.parse_args()
    options.contenders = options.contenders or (["graphc"] if options.quick else BY_DEFAULT)
    return options


def main():
    """Check or time, as the options say."""
    options, fine = read_options(), True
    with tempfile.TemporaryDirectory() as folder:
        for threads in [1] if options.quick else options.threads:
            with contextlib.closing(Run(options, threads, folder)) as run:
                for name, reason in run.missing.items():
                    print(f"{name} was left out: {reason}", flush=True)
                if options.quick:
                    fine = check_all(run, options)
                else:
                    time_all(run, options)
    if not fine:
        sys.exit("not all results are right")


if __name__ == "__main__":
    main()
