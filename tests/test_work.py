"""The estimate of a parallel loop's work, by which the pool decides whether to share it."""

import pytest

import graphc as gx
from graphc.ir import dim
from graphc.ir.kernel import For
from graphc.runtime.cpu.work import nanoseconds

COUNT = 1_000_003  # no multiple of any chunk


@pytest.mark.parametrize("size", [COUNT, "n"])
@pytest.mark.cpu("loops over its threads")
def test_a_chunk_whose_length_differs_counts_as_a_whole_one(size):
    x = gx.input("x", (size,), "float32")
    (kernel,) = gx.compile([x], gx.exp(x) * gx.sin(x)).program.kernels
    (chunks,) = kernel.body
    assert isinstance(chunks, For)
    assert chunks.kind == "parallel"
    in_all = dim.evaluate(nanoseconds(chunks.body) * chunks.limit, {"n": COUNT})
    assert in_all > COUNT / 4


def test_a_minimum_is_bounded_by_either_side():
    n, i = dim.symbol("n"), dim.symbol("i", "index", 8)
    assert dim.upper_bound(dim.minimum(16, n - i * 16)) == 16
    assert dim.upper_bound(dim.minimum(n - i, n * 2 - i)) == n
    assert dim.lower_bound(dim.minimum(16, n - i * 16)) is None
    inner = dim.symbol("k", "index", dim.minimum(16, n - i * 16))
    assert dim.upper_bound(i * 16 + inner) == 7 * 16 + 15


@pytest.mark.parametrize("size", [64, "n"])
@pytest.mark.cpu("loops over its threads")
def test_the_loops_of_a_triangle_count_as_if_they_were_full(size):
    x = gx.input("x", (9, size, size), "float32")
    (kernel,) = gx.compile([x], gx.linalg.cholesky(x, upper=True)).program.kernels
    (batch,) = (part for part in kernel.body if isinstance(part, For))
    assert batch.kind == "parallel"
    estimate = dim.evaluate(nanoseconds(batch.body), {"n": 64})
    products = 64**3 / 3
    assert products / 64 < estimate < products * 4
