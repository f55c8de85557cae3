"""Check and time graphc on a GPU beside PyTorch and JAX on the same card, in one call.

    python benchmarks/run_gpu.py                                # checks, then times, then the table
    python benchmarks/run_gpu.py --parts kernels products       # some of it
    python benchmarks/run_gpu.py --device opencl --quick --parts kernels    # the script, anywhere

The checks are the numeric tests with `--device`, for a part of the time at most. Programs are
those of the other benchmarks (`contenders/`); data and parameters stay on the card. Each program's
results are compared with those of PyTorch before it is timed. A round gives each contender its
turn; times are medians of rounds, by the wall clock, of calls that end when the card is done. The
column `on GPU` is what graphc's kernels take by the card's own clock, one after another: rates are
of that, and what they are compared with is by the same clock. float32 is full precision for all.
What does not fit into `--seconds` is left out, and named.
"""

import argparse
import importlib
import os
import platform
import signal
import statistics
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter

import numpy as np

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the card is everybody's

from workload_data import draw
from workloads import FLOAT, Work, Workload, product_work
from workloads import table as workload_table

ROOT = Path(__file__).resolve().parent.parent
CHECKS = [
    "test_gpu.py", "test_every_op.py", "test_every_derivative.py", "test_scan.py",
    "test_while_loop.py", "test_compile.py", "test_nn.py", "test_optim.py", "test_random_graphs.py",
]  # fmt: skip
PEERS = {
    "eager": ("torch_programs", {}),
    "compiled": ("torch_programs", {"compile": True}),
    "jax": ("jax_programs", {}),
}
"""The columns of the table besides graphc's: a module of contenders, and its options."""
CHECKING = 0.4
"""The share of the time that the checks may take."""
SHORT = 2  # bytes of bfloat16


# --- what is timed -------------------------------------------------------------------------------


def kernels():
    """Element-wise and row-wise kernels, which memory bounds; the first is a copy."""
    count = 1 << 26
    moved = Work(read=FLOAT * count, written=FLOAT * count)
    yield Workload("copy", "kernels", "chain", {"chain": [("abs", None)], "elements": count},
                   work=moved)  # fmt: skip
    work = replace(moved, read=3 * FLOAT * count)
    yield Workload("elementwise", "kernels", "elementwise", {"elements": count}, work=work)
    for name in ("softmax", "layernorm", "logsumexp", "sum0", "sum1", "sumall", "argmax1"):
        whole = name in ("softmax", "layernorm")
        work = replace(moved, written=FLOAT * count if whole else 0)
        sizes = {"rows": count >> 12, "columns": 1 << 12}
        yield Workload(name, "kernels", name, sizes, work=work)


def products():
    """Matrix products, those of bfloat16 against cuBLAS in PyTorch's eager column."""
    for side, short in ((4096, False), (4096, True), (8192, True)):
        name = f"matmul {side} {'bfloat16' if short else 'float32'}"
        sizes = {"m": side, "k": side, "n": side, "short": short}
        yield Workload(name, "products", "product", sizes, work=product_work(side, side, side),
                       tolerance=2e-2 if short else 1e-3)  # fmt: skip


def training():
    """Training steps of networks."""
    listed = workload_table()
    sizes = {
        "mlp_train_b512": {}, "lenet_train_b64": {"batch": 512},
        "resnet18_cifar_train_b32": {"batch": 128}, "lstm_train": {},
        "tblock_train": {"batch": 16, "length": 256, "features": 512, "wide": 2048},
    }  # fmt: skip
    for name, changed in sizes.items():
        found = listed[name]
        yield replace(found, sizes=found.sizes | changed, work=Work(), tolerance=5e-3)


PARTS = {"kernels": kernels, "products": products, "training": training}


def data_of(workload):
    """The parameters and the data of a workload, in its dtype."""
    parameters, data = draw(workload)
    if workload.sizes.get("short"):
        short = importlib.import_module("ml_dtypes").bfloat16
        data = {name: array.astype(short) for name, array in data.items()}
    return parameters, data


# --- who is timed --------------------------------------------------------------------------------


def find_peers(options, where):
    """The modules of the contenders that are installed and have the device."""
    found = {}
    for column, (module, _) in PEERS.items():
        try:
            loaded = importlib.import_module(f"contenders.{module}")
        except ImportError:
            continue
        if module == "torch_programs" and where == "cuda" and not loaded.torch.cuda.is_available():
            continue
        if column != "compiled" or options.compiled:
            loaded.prepare(os.cpu_count())
            found[column] = loaded
    return found


def use_full_precision(peers):
    """Have products of float32 computed with all its bits, as graphc does."""
    if "eager" in peers:
        backends = peers["eager"].torch.backends
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = False
    if "jax" in peers:
        peers["jax"].jax.config.update("jax_default_matmul_precision", "float32")


def jobs_of(workload, peers, options, where):
    """A job for each contender, graphc's first; those whose results are not PyTorch's are said."""
    ours = importlib.import_module("contenders.graphc_programs")
    makers = {"graphc": (ours, {"device": options.device})}
    makers |= {c: (m, PEERS[c][1] | {"device": where}) for c, m in peers.items()}
    jobs, results = {}, {}
    given = data_of(workload)
    for column, (module, settings) in makers.items():
        if module.missing(workload, settings):
            continue
        try:
            job = module.build(workload, *given, settings)
            results[column] = [np.asarray(a, np.float64) for a in job.results(job.step())]
            jobs[column] = job
        except Exception as error:
            print(f"{workload.name}: {column} fails: {error}", flush=True)
    for column in [c for c in jobs if not agree(results, c, workload.tolerance)]:
        print(f"{workload.name}: {column} differs from PyTorch", flush=True)
        del jobs[column]
    return jobs


def agree(results, column, tolerance):
    """Whether results are those of PyTorch, relative to the largest of each."""
    pairs = zip(results[column], results.get("eager", results[column]), strict=True)
    return all(np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1e-6) for a, b in pairs)


# --- the run -------------------------------------------------------------------------------------


def check(options):
    """Run the numeric tests on the device; what is to be said of them."""
    tests = [str(ROOT / "tests" / name) for name in CHECKS]
    workers = str(min(8, os.cpu_count() or 1))
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-n", workers]
    limit = CHECKING * options.seconds
    running = subprocess.Popen([*command, f"--device={options.device}", *tests], cwd=ROOT)
    try:
        return "all passed" if running.wait(limit) == 0 else "FAILED"
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGINT)  # it names what has failed so far
        running.wait()
        return f"cut off after {limit:.0f} s without an end"


def time_in_turns(jobs, seconds):
    """The median seconds of each job's step, in rounds for so long."""
    times = {name: [] for name in jobs}
    for job in jobs.values():
        job.step()
    end = perf_counter() + seconds
    while not all(times.values()) or perf_counter() < end:
        for name, job in jobs.items():
            start = perf_counter()
            job.step()
            times[name].append(perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def time_on_device(job):
    """The seconds that the kernels of a step take by the device's own clock."""
    return sum(call.seconds for call in job.function.profile())


def time_parts(options, where):
    """The times of each workload, and which there was no time for."""
    peers = find_peers(options, where)
    use_full_precision(peers)
    lines, left = [], []
    for workload in (w for part in options.parts for w in PARTS[part]()):
        if perf_counter() > options.end:
            left.append(workload.name)
            continue
        chosen = replace(workload.small(), work=Work()) if options.quick else workload
        jobs = jobs_of(chosen, peers, options, where)
        try:
            times = time_in_turns(jobs, 0.01 if options.quick else options.turns)
            if "graphc" in jobs:
                times["on GPU"] = time_on_device(jobs["graphc"])
            if "eager" in jobs and where == "cuda" and chosen.work.operations:
                times["cuBLAS"] = jobs["eager"].seconds_on_device()
        except Exception as error:
            print(f"{chosen.name}: {error}", flush=True)
            continue
        lines.append((chosen, times))
        *_, row = table(lines)
        print(row, flush=True)
    return lines, left


def table(lines):
    """The rows of the table: milliseconds of each, graphc's by the best other's, and its rate."""
    columns = ["on GPU", "graphc", *PEERS]
    yield f"{'milliseconds':<26}" + "".join(f"{name:>10}" for name in columns) + f"{'ratio':>8}"
    for workload, times in lines:
        shown = "".join(f"{1e3 * times[c]:10.3f}" if c in times else f"{'-':>10}" for c in columns)
        others = [times[column] for column in PEERS if column in times]
        both = others and "graphc" in times
        ratio = f"{times['graphc'] / min(others):8.2f}" if both else f"{'-':>8}"
        yield f"{workload.name:<26}{shown}{ratio}  {rate(workload, times, lines)}"


def rate(workload, times, lines):
    """How much graphc's kernels do in a second, and how that compares with a copy, or cuBLAS."""
    work, seconds = workload.work, times.get("on GPU")
    if seconds is None or not work.operations + work.read:
        return ""
    if work.operations:
        share = f"{100 * times['cuBLAS'] / seconds:.0f} % of cuBLAS" if "cuBLAS" in times else ""
        return f"{work.operations / seconds / 1e12:.2f} TFLOP/s  {share}"
    reached = (work.read + work.written) / seconds
    copies = [
        (w.work.read + w.work.written) / min(t.values()) for w, t in lines if w.name == "copy"
    ]  # the fastest of anybody's
    share = f"{100 * reached / copies[0]:.0f} % of a copy" if copies else ""
    return f"{reached / 1e9:.0f} GB/s  {share}"


def print_machine(where):
    """The card and the versions, for the record."""
    card = platform.processor() or platform.machine()
    if where == "cuda" and "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        card = sys.modules["torch"].cuda.get_device_name()
    print(f"{card}; Python {platform.python_version()}", end="")
    for name in ("graphc-compiler", "torch", "jax", "cuda-bindings", "nvidia-cuda-nvrtc"):
        try:
            print(f", {name} {version(name)}", end="")
        except PackageNotFoundError:
            print(f", no {name}", end="")
    print()


def parse_options():
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=540, help="for all of it")
    parser.add_argument("--turns", type=float, default=1.5, help="seconds for each program")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--no-checks", dest="checks", action="store_false")
    parser.add_argument("--no-compile", dest="compiled", action="store_false")
    options = parser.parse_args()
    options.end = perf_counter() + options.seconds
    return options


def main():
    """Check, time, and print the table last."""
    options = parse_options()
    where = "cuda" if options.device.partition(":")[0] == "cuda" else "cpu"
    checked = check(options) if options.checks else "not run"
    lines, left = time_parts(options, where)
    print_machine(where)
    print(f"numeric tests on {options.device}: {checked}")
    if left:
        print(f"no time was left for {', '.join(left)}")
    print("\n".join(table(lines)))
    return 1 if checked == "FAILED" or not all("graphc" in times for _, times in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
