"""Kernels by hand: a fixture that compiles one for this processor and runs it."""

import ctypes
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graphc.ir import dim
from graphc.ir.kernel import Kernel
from graphc.runtime.cpu import jit
from graphc.runtime.cpu.emit import PARALLEL_FOR, emit_kernel
from graphc.runtime.cpu.target import host

# In place of the pool: two ranges, the later first, one of them perhaps empty.
SERIAL_FOR = """
define void @graphc_parallel_for(ptr %pool, ptr %f, ptr %context, i64 %count, i64 %work) {
  %middle = udiv i64 %count, 2
  call void %f(ptr %context, i64 %middle, i64 %count)
  call void %f(ptr %context, i64 0, i64 %middle)
  ret void
}
"""

Run = Callable[..., None]


def run_kernel(
    kernel: Kernel,
    *arrays: np.ndarray,
    bits: int = 0,
    features: str | None = None,
    **sizes: int,
) -> None:
    """Run a kernel on arrays in the order of its buffers.

    bits narrows the vector registers; features are what the emitter is told of the processor.
    """
    target = replace(host(), vector_bits=bits) if bits else host()
    target = target if features is None else replace(target, features=features)
    emitted = emit_kernel(kernel, target)
    text = emitted.text.replace(PARALLEL_FOR, SERIAL_FOR)
    library = jit.load(text)
    table = np.array([dim.evaluate(s, sizes) for s in emitted.sizes] + [0], np.int64)
    pointers = [table.ctypes.data, None, *(array.ctypes.data for array in arrays)]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers))
    function(library.address(kernel.name))(*pointers)


@pytest.fixture
def run() -> Run:
    return run_kernel
