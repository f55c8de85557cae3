"""Time from the start of a process to a program's first result, caches empty and full.

Each run is a new process, on a folder for caches that is empty at first. Reported are the least
seconds of some rounds, in which the contenders take turns: until the library is imported, until
the step is compiled (with graphc's own account of it), and until the first call has returned; and
the processor time of all threads, which says more than the clock on a busy machine.
Contenders are graphc and, where they are installed, JAX and PyTorch (eager). Modules count as
compiled to bytecode before.

    pip install -e '.[oracle]' && python benchmarks/start_up.py
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CONTENDERS = ("graphc", "jax", "torch")
PROGRAMS = ("mlp", "resnet18", "transformer")
COMPILING = ("passes", "emit", "machine code", "kernels")
COLUMNS = ("import", "built", *COMPILING, "call", "in all", "processor")

CHILD = """
import sys, time
started, contender, name = float(sys.argv[1]), sys.argv[2], sys.argv[3]
sys.path.insert(0, sys.argv[4])
library = __import__(contender)
imported = time.monotonic()
programs = __import__("programs_" + contender)
step, arguments = getattr(programs, name)()
built = time.monotonic()
first = step(*arguments)
ended, used = time.monotonic(), time.process_time()
import json
import numpy as np
result = np.asarray(first[0] if isinstance(first, tuple) else first)
print(json.dumps({"import": imported - started, "built": built - imported,
                  "call": ended - built, "in all": ended - started,
                  "processor": used,
                  "result": np.ravel(result)[:8].tolist(), **programs.stages(step)}))
"""


def measure(contender, program, caches, threads):
    """What a new process reports about a program; caches is its folder for what it keeps."""
    environment = {key: v for key, v in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {
        "GRAPHC_CACHE": str(caches / "graphc"),
        "GRAPHC_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(caches / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-c", CHILD, str(time.monotonic()), contender, program, str(FOLDER)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{contender}, {program}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def best(reports):
    """The least of each figure over some reports, and the last of what is no time."""
    return {
        key: min(r[key] for r in reports) if isinstance(value, float) else value
        for key, value in reports[-1].items()
    }


def compare(program, contenders, rounds, threads):
    """Reports of a program by contender and state of its caches; results must agree."""
    reports = {(c, state): [] for c in contenders for state in ("empty", "full")}
    for _ in range(rounds):
        for contender in contenders:
            with tempfile.TemporaryDirectory() as folder:
                for state in ("empty", "full"):
                    found = measure(contender, program, Path(folder), threads)
                    reports[contender, state].append(found)
    found = {key: best(of_key) for key, of_key in reports.items()}
    wanted = found[contenders[0], "empty"]["result"]
    for (contender, state), report in found.items():
        far = max(abs(a - b) for a, b in zip(report["result"], wanted, strict=True))
        if not far <= 1e-3 * max(1, *map(abs, wanted)):
            sys.exit(f"{program}: {contender} ({state}) has {report['result']}, not {wanted}")
    return found


def shown(value):
    """Seconds or a word, in a column."""
    return f"{value:12.3f}" if isinstance(value, float) else f"{value:>12}"


def main():
    """Read the options and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    contenders = [c for c in options.contenders if importlib.util.find_spec(c)]
    print(f"{'':32}" + "".join(f"{column:>13}" for column in COLUMNS))
    for program in options.programs:
        found = compare(program, contenders, options.rounds, options.threads)
        for (contender, state), report in found.items():
            cells = " ".join(shown(report.get(column, "")) for column in COLUMNS)
            print(f"{program:12} {contender:8} {state:9} {cells}", flush=True)


if __name__ == "__main__":
    main()
