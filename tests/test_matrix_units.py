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
from graphc.passes.use_matrix_units import DEPTH, SKEW, warps_of
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.cuda import nvrtc
from graphc.runtime.cuda.dialect import CUDA

tiling = importlib.import_module("graphc.passes.tile_contractions")
SHARED = 48 << 10


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


def test_every_tile_fits_into_shared_memory() -> None:
    found = [tile for tile in tiles_of(gx.float32) if warps_of(tile)]
    assert len(found) > 1
    for tile in found:
        assert min(tile.rows, tile.columns) * DEPTH % THREADS == 0
        assert 2 * (tile.rows + tile.columns) * (DEPTH + SKEW) * 2 <= SHARED


@pytest.mark.parametrize("architecture", ["sm_90", "sm_100"])
def test_registers_hold_what_a_thread_keeps(
    architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--ptxas-options=-v"))
    x, w = gx.input("x", (4096, 1000), "bfloat16"), gx.input("w", (1000, 4096), "bfloat16")
    text = translate(Graph((x, w), (gx.maximum(x @ w, 0),)), CUDA).module.text
    compilation = nvrtc.Compilation(text, architecture)
    log = compilation.fill("nvrtcGetProgramLog").decode()
    assert len(re.findall("Used .* registers", log)) == 1
    assert re.findall(r"[1-9]\d* bytes spill", log) == []


def test_a_tensor_core_multiplies_where_there_is_one() -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")
    x = gx.input("x", (512, 512), "float16")
    text = translate(Graph((x,), (x @ x,)), CUDA).module.text
    counts = {
        architecture: nvrtc.Compilation(text, architecture).result("PTX").count(b"mma.sync")
        for architecture in ("compute_75", "compute_80", "compute_90")
    }
    assert counts["compute_75"] == 0
    assert counts["compute_80"] == counts["compute_90"] > 0
