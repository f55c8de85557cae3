"""Products of 16-bit floats on matrix units: their numbers on a stand-in, and code for GPUs."""

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_cuda import COMPILER, installed
from test_tile_contractions import numbers

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.types import as_dtype
from graphc.passes.block_tile import THREADS, tiles_of
from graphc.passes.use_matrix_units import DEPTH_BYTES, SKEW, SKEW_BYTES, warps_of
from graphc.runtime.accelerator.pipeline import pipeline_of, translate
from graphc.runtime.cuda import nvrtc
from graphc.runtime.cuda.dialect import CUDA

tiling = importlib.import_module("graphc.passes.tile_contractions")
block_tile = importlib.import_module("graphc.passes.block_tile")
SHARED = 64 << 10
"""Bytes of shared memory that a block may have on all GPUs of compute capability 7.5 or more."""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A GPU on the processor, with tiles for any amount of work."""
    if COMPILER is None:
        pytest.skip("runs kernels through g++ or clang++")
    monkeypatch.setattr(tiling, "ENOUGH_WORK", 1)
    with installed(tmp_path) as found:
        yield found


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("sizes", [(128, 64, 128), (40, 70, 24), (16, 33, 130)])
def test_products_have_the_values_of_numpy(dtype: str, sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    x, w = gx.input("x", (m, k), dtype), gx.input("w", (k, n), dtype)
    total = gx.matmul(x, w)
    step = gx.compile([x, w], gx.astype(total, "float32"), device="cuda")
    assert "multiply_matrices" in step.source
    left, right = numbers(m, k) / 16, numbers(k, n) / 4
    numpy = as_dtype(dtype).numpy
    got = step(left.astype(numpy), right.astype(numpy))
    np.testing.assert_array_equal(got, (left @ right).astype(numpy).astype(np.float32))


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("terms", "size"), [(24, 16), (40, 16), (200, 16), (12, 8), (34, 4)])
@pytest.mark.parametrize("turned", [False, True])
def test_operands_are_copied_ahead_where_they_are_aligned(
    terms: int, size: int, turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_tile, "PROCESSORS", 1)
    x, w = gx.input("x", (64, terms), "float16"), gx.input("w", (terms, 48), "float16")
    total = x @ gx.input("w", (48, terms), "float16").T if turned else x @ w
    step = gx.compile([x, total.inputs[1].inputs[0] if turned else w], total, device="cuda")
    assert f"begin_copy_{size}(&left" in step.source
    left, right = numbers(64, terms) / 16, numbers(terms, 48) / 4
    given = np.ascontiguousarray(right.T) if turned else right
    got = step(left.astype(np.float16), given.astype(np.float16))
    np.testing.assert_array_equal(got, (left @ right).astype(np.float16))


@pytest.mark.usefixtures("fake")
def test_operands_that_are_not_aligned_are_loaded() -> None:
    x, w = gx.input("x", (64, 33), "float16"), gx.input("w", (33, 64), "float16")
    step = gx.compile([x, w], x @ w, device="cuda")
    assert "multiply_matrices" in step.source
    assert "begin_copy" not in step.source
    left, right = numbers(64, 33) / 16, numbers(33, 64) / 4
    got = step(left.astype(np.float16), right.astype(np.float16))
    np.testing.assert_array_equal(got, (left @ right).astype(np.float16))


@pytest.mark.usefixtures("fake")
def test_a_block_shares_more_than_a_kernel_may_declare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_tile, "PROCESSORS", 1)
    x, w = gx.input("x", (256, 64), "float32"), gx.input("w", (64, 256), "float32")
    step = gx.compile([x, w], x @ w, device="cuda", tf32=True)
    assert "extern __shared__" in step.source
    left, right = numbers(256, 64), numbers(64, 256)
    np.testing.assert_array_equal(step(left, right), left @ right)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("rows", [16, 32, 64, 128])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_width_of_a_slice_is_read_as_it_was_stored(
    rows: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_tile, "PROCESSORS", 1)
    columns = 2048 // rows
    x, w = gx.input("x", (rows, 72), dtype), gx.input("w", (72, columns), dtype)
    z = gx.input("z", (columns, 72), dtype)
    step = gx.compile([x, w, z], [x @ w, x @ z.T, w.T @ x.T], device="cuda")
    numpy = as_dtype(dtype).numpy
    left, right = numbers(rows, 72) / 16, numbers(72, columns) / 4
    given = (a.astype(numpy) for a in (left, right, np.ascontiguousarray(right.T)))
    want = (left @ right).astype(numpy)
    for got, expected in zip(step(*given), (want, want, want.T), strict=True):
        np.testing.assert_array_equal(got.astype(np.float32), expected.astype(np.float32))


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("sizes", [(128, 64, 128), (40, 70, 24), (16, 33, 130)])
@pytest.mark.parametrize("turned", [False, True])
def test_products_of_float32_where_the_user_allows_tf32(
    sizes: tuple[int, int, int], turned: bool
) -> None:
    m, k, n = sizes
    shapes = ((k, m), (n, k)) if turned else ((m, k), (k, n))
    x, w = (gx.input(*given, "float32") for given in zip("xw", shapes, strict=True))
    total = x.T @ w.T if turned else x @ w
    assert "multiply_matrices" not in gx.compile([x, w], total, device="cuda").source
    step = gx.compile([x, w], total, device="cuda", tf32=True)
    assert "multiply_matrices_tf32" in step.source
    left, right = (numbers(*shape) for shape in shapes)
    want = left.T @ right.T if turned else left @ right
    np.testing.assert_array_equal(step(left, right), want)


@pytest.mark.usefixtures("fake")
def test_the_error_of_tf32_is_that_of_rounded_factors() -> None:
    x, w = gx.input("x", (64, 200), "float32"), gx.input("w", (200, 48), "float32")
    step = gx.compile([x, w], gx.sin(x) @ w, device="cuda", tf32=True)
    draw = np.random.default_rng(5)
    left, right = (draw.normal(size=s).astype(np.float32) for s in ((64, 200), (200, 48)))
    factor = np.sin(left.astype(np.float64))
    error = np.abs(step(left, right) - factor @ right.astype(np.float64))
    magnitude = np.abs(factor) @ np.abs(right.astype(np.float64))
    assert np.all(error <= (2.0**-10 + 2.0**-22 + 201 * 2.0**-23) * magnitude)
    assert np.max(error / magnitude) > 2.0**-16  # they were rounded


@pytest.mark.usefixtures("fake")
def test_tf32_keeps_infinities_and_nan() -> None:
    x, w = gx.input("x", (16, 24), "float32"), gx.input("w", (24, 16), "float32")
    step = gx.compile([x, w], x @ w, device="cuda", tf32=True)
    left, right = numbers(16, 24), np.ones((24, 16), np.float32)
    left[3, 5], left[4, 0], left[5, 1] = np.inf, np.nan, -np.inf
    np.testing.assert_array_equal(step(left, right), left @ right)


@pytest.mark.parametrize("dtype", [gx.float16, gx.float32], ids=str)
def test_every_tile_fits_into_shared_memory(dtype: gx.DType) -> None:
    found = [tile for tile in tiles_of(gx.float32) if warps_of(tile)]
    assert len(found) > 1
    depth = DEPTH_BYTES // dtype.bytes
    skew = SKEW_BYTES // dtype.bytes  # as it is where nothing is in lines
    for tile in found:
        assert min(tile.rows, tile.columns) * depth % THREADS == 0
        widths = tile.rows, tile.columns
        slices = sum(max(n * (depth + skew), (n + SKEW) * depth) for n in widths)
        assert 3 * slices * dtype.bytes <= SHARED


@pytest.mark.parametrize("architecture", ["sm_90", "sm_100"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_registers_hold_what_a_thread_keeps(
    architecture: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--ptxas-options=-v"))
    x, w = gx.input("x", (4096, 1000), dtype), gx.input("w", (1000, 4096), dtype)
    graph = Graph((x, w), (gx.maximum(x @ w, 0),))
    text = translate(graph, CUDA, pipeline_of(CUDA, tf32=True)).module.text
    compilation = nvrtc.Compilation(text, architecture)
    log = compilation.fill("nvrtcGetProgramLog").decode()
    assert len(re.findall("Used .* registers", log)) == 1
    assert re.findall(r"[1-9]\d* bytes spill", log) == []


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_tensor_core_multiplies_where_there_is_one(dtype: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")
    x = gx.input("x", (512, 512), dtype)
    passes = pipeline_of(CUDA, tf32=True)
    text = translate(Graph((x,), (x @ x.T,)), CUDA, passes).module.text
    counts = {
        architecture: nvrtc.Compilation(text, architecture).result("PTX").count(b"mma.sync")
        for architecture in ("compute_75", "compute_80", "compute_90")
    }
    assert counts["compute_75"] == 0
    assert counts["compute_80"] == counts["compute_90"] > 0
