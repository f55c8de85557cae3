"""The peak of resident memory of training steps, each contender in a process of its own.

    python benchmarks/peak_memory.py

The peak counts everything that a process has held: interpreter, framework, compiler, data, and
the steps. What it was before there was any program stands beside it.
"""

from __future__ import annotations

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
        for workload in (table()[name] for name in options.workloads or WORKLOADS):
            cells = []
            for name in options.contenders:
                found = peaks(name, workload, options, folder)
                cells.append(
                    f"{found[0] / MIB:.0f} MiB ({found[1] / MIB:.0f} before)" if found else "-"
                )
            print(f"| {workload.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
