"""Time what memory and elementary functions bound against NumPy, PyTorch and JAX, in turns.

The chain is x * sigmoid(x) + tanh(y) * exp(-z * z) + max(x - y, 0) over float32; the reductions
are those of a (4096, 1024) matrix of float32. Results are compared before anything is timed. Rounds
alternate between the contenders, and the least time of each counts, so that a busy machine
disturbs all alike; of one thread it is the process's own time that is taken, of several the wall
clock's.

graphc is timed twice: `call` is the call from Python, which allocates its results as the others do,
and `step` is the native step alone, into memory that exists.

    pip install -e '.[oracle]' && python benchmarks/memory_bound.py --threads 1 2
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from collections import deque

import numpy as np
from timing import clock_of, use_threads

import graphc as gx
from graphc.runtime.cpu.pool import address as pool_address

LEAST_WINDOW = 0.002  # seconds: shorter calls are repeated within a window
MATRIX = (4096, 1024)
REDUCTIONS = ("sum 1", "sum 0", "sum all", "mean 1", "mean 0", "mean all", "max 1", "argmax 1",
              "argmax all")  # fmt: skip


def native_step(step, arrays):
    """The native step of a compiled function of known sizes, into results that stay."""
    loaded = step.loaded
    binding = loaded.bindings.find({})
    outputs = loaded.interface.outputs
    results = [np.zeros(shape, output.type.dtype.numpy)
               for shape, output in zip(binding.shapes, outputs, strict=True)]  # fmt: skip
    addresses = loaded.addresses(binding, [*arrays, *results])
    pointers = (binding.sizes.ctypes.data, pool_address(), addresses.ctypes.data)
    function = loaded.step

    def run():
        function(*pointers)
        return results[0], (loaded, binding, arrays, addresses)  # live as long as the step

    return run


def chain(library, sigmoid, maximum):
    """The chain in the words of a library."""
    return lambda x, y, z: x * sigmoid(x) + library.tanh(y) * library.exp(-z * z) + maximum(x - y)


def numpy_sigmoid(x):
    """1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))


def chain_contenders(count):
    """The chain over so many elements: graphc's and the others' calls."""
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(count).astype(np.float32) for _ in range(3)]
    inputs = [gx.input(name, (count,), "float32") for name in "xyz"]
    step = gx.compile(inputs, chain(gx, gx.sigmoid, lambda v: gx.maximum(v, 0))(*inputs))
    functions = {"numpy": chain(np, numpy_sigmoid, lambda v: np.maximum(v, 0))}
    if torch := library("torch"):
        functions["torch"] = chain(torch, torch.sigmoid, lambda v: torch.clamp(v, min=0))
    if jax := library("jax"):
        functions["jax"] = jax.jit(
            chain(jax.numpy, jax.nn.sigmoid, lambda v: jax.numpy.maximum(v, 0))
        )
    return contenders(step, arrays, functions)


def reduction_contenders(name):
    """A reduction of the matrix, such as "sum 0" or "argmax all"."""
    word, _, where = name.partition(" ")
    axis = None if where == "all" else int(where)
    array = np.random.default_rng(0).standard_normal(MATRIX).astype(np.float32)
    x = gx.input("x", MATRIX, "float32")
    step = gx.compile([x], getattr(gx, word)(x, axis=axis))
    functions = {"numpy": lambda x: getattr(np, word)(x, axis=axis)}
    if torch := library("torch"):
        function = getattr(torch, {"max": "amax"}.get(word, word))
        functions["torch"] = function if axis is None else lambda x: function(x, dim=axis)
    if jax := library("jax"):
        functions["jax"] = jax.jit(lambda x: getattr(jax.numpy, word)(x, axis=axis))
    return contenders(step, [array], functions)


def contenders(step, arrays, functions):
    """What is timed, by name: graphc's step and call, and the others on arrays of their own."""
    found = {"step": native_step(step, arrays), "call": lambda: step(*arrays)}
    expected = functions["numpy"](*arrays)
    for name, function in functions.items():
        own = converted(name, arrays)
        found[name] = waiting(name, lambda function=function, own=own: function(*own))
    for name, run in found.items():
        got = run()[0] if name == "step" else run()
        np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-3, atol=2e-2, err_msg=name)
    return found


def converted(name, arrays):
    """The arrays as a library holds them."""
    if name == "torch":
        return [library("torch").from_numpy(array) for array in arrays]
    return [library("jax").numpy.asarray(a) for a in arrays] if name == "jax" else arrays


def waiting(name, run):
    """A call that returns when its result is there."""
    return (lambda: run().block_until_ready()) if name == "jax" else run


def library(name):
    """An installed library, or None."""
    if importlib.util.find_spec(name) is None:
        return None
    module = importlib.import_module(name)
    if name == "jax":
        importlib.import_module("jax.numpy")
    return module


def least_seconds(runs, seconds, clock):
    """The least time of a call of each contender, over rounds that take so many seconds."""
    repeats = {}
    for name, run in runs.items():
        run()
        start = clock()
        run()
        took = clock() - start
        repeats[name] = max(1, round(LEAST_WINDOW / max(took, 1e-7)))
    least = dict.fromkeys(runs, float("inf"))
    end = time.perf_counter() + seconds
    order = deque(runs)
    while time.perf_counter() < end:
        for name in order:
            start = clock()
            for _ in range(repeats[name]):
                runs[name]()
            least[name] = min(least[name], (clock() - start) / repeats[name])
        order.rotate()  # nobody always comes after the one who has emptied the caches
    return least


def report(label, threads, least):
    """One line: times in microseconds, and graphc's beside the best of the others."""
    others = {name: t for name, t in least.items() if name not in ("step", "call")}
    best = min(others, key=others.__getitem__)
    times = "  ".join(f"{name} {t * 1e6:7.0f}" for name, t in least.items())
    ratios = ", ".join(f"{name} {least[name] / others[best]:.2f}" for name in ("step", "call"))
    print(f"{threads} threads  {label:12} us: {times}   against {best}: {ratios}", flush=True)


def measure(threads, seconds):
    """All comparisons with so many threads, in this process."""
    use_threads(threads, library("torch"))
    clock = clock_of(threads)
    for count, label in ((10_000_000, "chain 10M"), (65_536, "chain 64K")):
        report(label, threads, least_seconds(chain_contenders(count), seconds, clock))
    for name in REDUCTIONS:
        report(name, threads, least_seconds(reduction_contenders(name), seconds, clock))


def main():
    """Read the options; each number of threads gets a process, for it is read at the start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    if len(options.threads) == 1:
        measure(options.threads[0], options.seconds)
        return
    for threads in options.threads:
        flags = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
        environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads), "XLA_FLAGS": flags}
        command = [sys.executable, __file__, "--threads", str(threads),
                   "--seconds", str(options.seconds)]  # fmt: skip
        subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
