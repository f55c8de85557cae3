"""Stores past the caches: the values, and the bits, of stores as usual, wherever results lie."""

import numpy as np
import pytest
from calling import with_any_threads

import graphc as gx

random = np.random.default_rng(5)


def marked(step: gx.Executable) -> bool:
    """Whether the program stores something past the caches."""
    return any(b.past_cache for kernel in step.program.kernels for b in kernel.buffers)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.cpu("stores past its cache")
def test_results_are_those_of_numpy(dtype):
    count = (1 << 25) // np.dtype(dtype).itemsize + 37  # the last vectors are not whole
    x = gx.input("x", (count,), dtype)
    step = gx.compile([x], x + 3)
    array = random.integers(-9, 9, count).astype(dtype)
    assert marked(step)
    np.testing.assert_array_equal(with_any_threads(step, array), array + 3)


@pytest.mark.cpu("stores past its cache")
def test_results_may_lie_anywhere():
    rows, columns = 4096, 1024
    x = gx.input("x", (rows, columns), "float32")
    step = gx.compile([x], x * 2)
    assert marked(step)
    array = random.normal(size=(rows, columns)).astype(np.float32)
    memory = np.zeros(rows * columns + 17, np.float32)
    for begin in (1, 3, 16):
        memory[:] = -1
        out = memory[begin : begin + rows * columns].reshape(rows, columns)
        step(array, out=out)
        np.testing.assert_array_equal(out, array * 2)
        assert np.all(memory[:begin] == -1)
        assert np.all(memory[begin + rows * columns :] == -1)
