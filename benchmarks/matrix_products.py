"""Time matrix products against NumPy's BLAS, interleaved in one run, one thread each.

Every shape is compiled twice: for these very sizes, and for symbolic ones. Results are checked
before they are timed. Times are those of the processor, the least of all rounds, so that a machine
with other work to do gives the same. Set OPENBLAS_NUM_THREADS=1 for NumPy to take one thread, too.
"""

import argparse
import os
import sys
import time

import numpy as np
from timing import seconds_per_call

import graphc as gx

SHAPES = (
    (64, 64, 64), (64, 784, 256), (100, 100, 100), (256, 256, 256), (512, 512, 512),
    (1024, 1024, 1024), (2048, 2048, 2048), (4096, 64, 64), (1, 1024, 4096), (4, 1024, 1024),
    (64, 3072, 768),
)  # fmt: skip
OPERATIONS_A_SAMPLE = 2e7  # multiplications: a few milliseconds


def compiled(shapes):
    """The product of two inputs of the given shapes, compiled."""
    a, b = (gx.input(name, shape, "float32") for name, shape in zip("ab", shapes, strict=True))
    return gx.compile([a, b], a @ b)


def compare(m, k, n, rounds):
    """Print the rates of both compilations and of NumPy, and the ratios of their times."""
    generator = np.random.default_rng(0)
    a = generator.random((m, k), dtype=np.float32)
    b = generator.random((k, n), dtype=np.float32)
    functions = (compiled(((m, k), (k, n))), compiled((("m", "k"), ("k", "n"))), np.matmul)
    for function in functions:
        np.testing.assert_allclose(function(a, b), a @ b, rtol=1e-6 * k)
    repeats = max(1, round(OPERATIONS_A_SAMPLE / (m * k * n)))
    calls = [lambda f=function: f(a, b) for function in functions]
    times = [[seconds_per_call(call, repeats, time.process_time) for call in calls]
             for _ in range(rounds)]  # fmt: skip
    least = [min(column) for column in zip(*times, strict=True)]
    rates = [2e-9 * m * k * n / t for t in least]
    ratios = [t / least[2] for t in least[:2]]
    print(f"{m:5} x {k:4} x {n:4}  {rates[0]:7.1f} {rates[1]:9.1f} {rates[2]:7.1f} GFLOP/s"
          f"   time against NumPy {ratios[0]:5.2f} {ratios[1]:5.2f}", flush=True)  # fmt: skip


def main():
    """Read the options and compare all shapes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        sys.exit("set OPENBLAS_NUM_THREADS=1: the comparison is on one thread")
    gx.set_num_threads(1)
    print("    m x    k x    n   static  symbolic   NumPy")
    for shape in SHAPES:
        compare(*shape, options.rounds)


if __name__ == "__main__":
    main()
