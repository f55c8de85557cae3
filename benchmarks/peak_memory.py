"""The peak of resident memory of training steps, each contender in a process of its own.

    python benchmarks/peak_memory.py

The peak counts everything that a process has held: interpreter, framework, compiler, data, and
the steps. Each step runs in two processes, of which the first finds graphc's cache of machine code
empty and the second what the first has left there. What the peak was before there was any program
stands beside both.
"""

from __future__ import annotations

import os
import tempfile

from processes import Contestant
from run import options_parser
from workloads import table

WORKLOADS = ("mlp_train_b64", "mlp_train_b512", "resnet18_cifar_train_b32")
STEPS = 3
MIB = 2**20


def peaks(name, workload, options, folder):
    """The peak of a process in bytes, and before the program; None where there is none."""
    pythons = dict(given.split("=", 1) for given in options.python)
    contestant = Contestant(name, options.threads[0], folder, pythons.get(name))
    try:
        ready = contestant.answer()
        if "memory" not in ready:
            return None
        built = contestant.ask("build", workload=workload.as_json(), checked=False)
        if "build" not in built:
            return None
        return contestant.ask("memory", steps=STEPS)["peak"], ready["memory"]
    finally:
        contestant.end()


def main():
    """Print the table."""
    parser = options_parser(__doc__)
    parser.set_defaults(contenders=("graphc", "torch", "jax"), threads=[1])
    options = parser.parse_args()
    print("| workload | " + " | ".join(options.contenders) + " |")
    print("| --- |" + " --- |" * len(options.contenders))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRAPHC_CACHE"] = f"{folder}/cache"
        for workload in (table()[name] for name in options.workloads or WORKLOADS):
            cells = []
            for name in options.contenders:
                empty, full = (peaks(name, workload, options, folder) for _ in range(2))
                cells.append(
                    f"{empty[0] / MIB:.0f}, {full[0] / MIB:.0f} MiB ({full[1] / MIB:.0f} before)"
                    if empty and full
                    else "-"
                )
            print(f"| {workload.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
