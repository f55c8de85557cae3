"""Reductions in chunks: the values of NumPy, and the same bits for any number of threads."""

import numpy as np
import pytest
from calling import with_any_threads

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.kernel import loads
from graphc.passes.pipeline import run_passes
from graphc.runtime.accelerator.pipeline import PIPELINE

SHAPES = {
    (70_001,): [None],
    (300, 1024): [None, 0],
    (40_000, 10): [None, 0],
    (2, 80_000): [1],
    (3, 9000, 4): [1, (0, 1)],
    (9001, 40): [0],
}
CASES = [(shape, axis) for shape, axes in SHAPES.items() for axis in axes]
random = np.random.default_rng(11)


def test_columns_of_devices_are_not_added_up_in_memory():
    x = gx.input("x", (4096, 1024), "float32")
    graph = Graph((x,), (gx.sum(x, axis=0),))
    chunk = run_passes(graph, PIPELINE).result.kernels[0]
    (partial,) = (buffer.name for buffer in chunk.buffers if buffer.written)
    assert all(load.buffer != partial for load in loads(chunk.body))


def compiled(word, shape, axis, symbolic):
    sizes = [f"n{k}" for k in range(len(shape))] if symbolic else shape
    x = gx.input("x", sizes, "float32")
    return gx.compile([x], getattr(gx, word)(x, axis=axis))


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize(("shape", "axis"), CASES, ids=str)
def test_sums_and_extremes(shape, axis, symbolic):
    array = random.normal(size=shape).astype(np.float32)
    total = with_any_threads(compiled("sum", shape, axis, symbolic), array)
    np.testing.assert_allclose(total, array.sum(axis, np.float64), rtol=1e-4, atol=1e-2)
    least = with_any_threads(compiled("min", shape, axis, symbolic), array)
    np.testing.assert_array_equal(least, array.min(axis))


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
@pytest.mark.parametrize("values", ["ties", "nan", "-inf"])
@pytest.mark.parametrize(("shape", "axis"), [c for c in CASES if not isinstance(c[1], tuple)])
def test_positions(shape, axis, values, symbolic):
    array = random.integers(0, 100, shape).astype(np.float32)
    if values == "nan":
        array[random.random(shape) < 1e-4] = np.nan
    if values == "-inf":
        array[...] = -np.inf
    found = with_any_threads(compiled("argmax", shape, axis, symbolic), array)
    np.testing.assert_array_equal(found, array.argmax(axis))


@pytest.mark.cpu("its own chunks")
def test_every_long_reduction_of_a_kernel_has_chunks():
    x = gx.input("x", (100_000,), "float32")
    step = gx.compile([x], gx.std(x))
    (kernel,) = step.program.kernels
    assert str(step.decisions).count("stage='split_reductions'") == 2
    assert [b.name for b in kernel.buffers] == ["in0", "out0", "partial0", "partial1"]
    array = random.normal(5, 2, 100_000).astype(np.float32)
    np.testing.assert_allclose(with_any_threads(step, array), array.std(dtype=np.float64), 1e-4)


@pytest.mark.parametrize("symbolic", [False, True], ids=["known", "symbolic"])
def test_reductions_of_columns_that_follow_one_another_have_chunks_each(symbolic):
    shape = (9001, 40)
    x = gx.input("x", ("n", 40) if symbolic else shape, "float32")
    scale = gx.input("scale", (40,), "float32")
    step = gx.compile([x, scale], [gx.var(x * scale, axis=0), gx.std(x, axis=0)])
    array, factors = random.normal(5, 2, shape).astype(np.float32), np.arange(40, dtype=np.float32)
    if not symbolic:
        assert str(step.decisions).count("stage='split_reductions'") == 4
    for got, of in zip(
        with_any_threads(step, array, factors), (array * factors, array), strict=True
    ):
        want = of.var(axis=0, dtype=np.float64) if of is not array else of.std(0, np.float64)
        np.testing.assert_allclose(got, want, 1e-4)


def test_calls_of_one_kernel_have_partial_results_of_their_own():
    x, y = (gx.input(name, (100_000,), "float32") for name in "xy")
    step = gx.compile([x, y], [gx.sum(x), gx.sum(y)])
    arrays = [random.normal(size=100_000).astype(np.float32) for _ in range(2)]
    for got, array in zip(step(*arrays), arrays, strict=True):
        np.testing.assert_allclose(got, array.sum(dtype=np.float64), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (100_000, 0), (0, 100_000), (4, 0, 3)])
def test_where_there_is_nothing_there_are_no_chunks(shape):
    x = gx.input("x", shape, "float32")
    for axis in (None, *range(len(shape))):
        total = gx.compile([x], gx.sum(x, axis=axis))(np.ones(shape, np.float32))
        np.testing.assert_array_equal(total, np.ones(shape).sum(axis))
