"""A device that the package does not have: kernels as C99, compiled by the system's C compiler.

A backend has two halves. The words of its C are a `Dialect`, which the printer of kernels takes;
what it does with memory and functions is a `Machine`, on which steps run. Everything between is
there already. It needs a C compiler: `cc`, or the one that the variable CC names.

    python examples/new_backend.py
"""

import ctypes
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

import graphc as gx
from graphc.passes.map_to_grid import map_to_grid
from graphc.passes.split_contractions import split_contractions
from graphc.passes.split_kernels import split_kernels
from graphc.passes.tile_contractions import tile_contractions
from graphc.runtime.accelerator.failures import refused
from graphc.runtime.accelerator.machine import SynchronousMachine
from graphc.runtime.accelerator.pipeline import PIPELINE, translate
from graphc.runtime.accelerator.residence import Residence
from graphc.runtime.accelerator.step import AcceleratorStep
from graphc.runtime.c_source.dialect import Dialect
from graphc.runtime.device import DEVICES, Device

COMPILER = os.environ.get("CC") or shutil.which("cc")
FLAGS = ("-std=c99", "-O2", "-ffp-contract=off", "-w", "-shared", "-fPIC", "-lm")

# --- the words: what C99 says otherwise than OpenCL C or CUDA C ----------------------------------

HEADING = """\
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
static inline uint32_t bits_of_f(float x) { union { float f; uint32_t u; } b = {x}; return b.u; }
static inline uint64_t bits_of_d(double x) { union { double d; uint64_t u; } b = {x}; return b.u; }
static inline float f_of_bits(uint32_t x) { union { uint32_t u; float f; } b = {x}; return b.f; }
static inline double d_of_bits(uint64_t x) { union { uint64_t u; double d; } b = {x}; return b.d; }
"""
C99 = Dialect(
    name="c99",
    suffix="c",
    heading=HEADING,
    integers={},
    entry="",
    bounds="",
    function="static inline",
    buffer="",
    shared="",
    block="0",
    thread="0",
    barrier="",
    bits={32: "bits_of_f", 64: "bits_of_d"},
    float_of={32: "f_of_bits", 64: "d_of_bits"},
    single="f",
    infinity={32: "INFINITY", 64: "(double)INFINITY"},
    nan={32: "NAN", 64: "(double)NAN"},
    long_suffix="LL",
)

# A processor takes loops as they are: none is spread over blocks and threads.
FOR_BLOCKS = (split_contractions, split_kernels, tile_contractions, map_to_grid)
PASSES = tuple(change for change in PIPELINE if change not in FOR_BLOCKS)

# --- the machine: memory is the host's, and a launch is a call -----------------------------------


class HostMachine(SynchronousMachine):
    """The processor as a machine: arrays of bytes as memory, functions of a shared library."""

    name, dialect = "c99", C99

    def allocate(self, size):
        """Memory is an array of bytes."""
        return np.empty(max(size, 1), np.uint8)

    def write(self, memory, offset, array):
        """Copy an array to memory."""
        memory[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)

    def read(self, memory, offset, array):
        """Copy memory into an array."""
        array.reshape(-1).view(np.uint8)[...] = memory[offset : offset + array.nbytes]

    def copy(self, source, target, size):
        """Copy from memory to memory."""
        target.memory[target.offset :][:size] = source.memory[source.offset :][:size]

    def build(self, module):
        """Compile a module to a shared library; its functions take 64-bit arguments."""
        if not module.entries:
            return []
        if COMPILER is None:
            raise gx.GraphError("the device 'c99' needs a C compiler: install one, or set CC")
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder, "kernels.c"), Path(folder, "kernels.so")
            source.write_text(module.text)
            command = [*COMPILER.split(), str(source), "-o", str(library), *FLAGS]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise refused(COMPILER, C99, module, done.stderr)
            loaded = ctypes.CDLL(str(library))
        return [loaded[entry.name] for entry in module.entries]

    def launch(self, function, blocks, threads, arguments):
        """Call a function."""
        addresses = [a if isinstance(a, int) else a.ctypes.data for a in arguments]
        function(*map(ctypes.c_int64, addresses))


@cache
def residence():
    """The one machine, with the variables that live on it."""
    return Residence(HostMachine())


def load(graph, options):
    """A graph, ready to run."""
    return AcceleratorStep(graph, translate(graph, C99, PASSES), residence(), options)


def main():
    """Train a small network on the new device, and compare with the device cpu."""
    DEVICES["c99"] = Device("c99", load)
    x, target = gx.input("x", ("n", 3), "float64"), gx.input("target", ("n",), "float64")
    w = gx.variable(np.zeros(3), name="w")
    loss = gx.mean(gx.square(gx.tanh(x @ w) - target))
    step = gx.compile([x, target], loss, updates={w: w - gx.grad(loss, w)}, device="c99")
    points = np.random.default_rng(0).normal(size=(50, 3))
    losses = [float(step(points, np.tanh(points @ [1.0, -2.0, 0.5]))) for _ in range(200)]
    print(
        f"loss {losses[0]:.4f}, after {len(losses)} steps {losses[-1]:.1e}; w is {w.value.round(3)}"
    )
    print(f"the kernels of one step:\n\n{step.loaded.code('source')[len(HEADING) :]}")
    apart = gx.compare(step, [points, np.zeros(50)], devices=["cpu", "c99"])
    print(f"where cpu and c99 part: {apart}")


if __name__ == "__main__":
    main()
