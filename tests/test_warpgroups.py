"""Products of 16-bit floats in warpgroups: their numbers on a stand-in, and code for GPUs."""

import importlib
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_compilation import compiling_fast
from fake_cuda import COMPILER, installed
from test_tile_contractions import numbers

import graphc as gx
from graphc.ir.graph import Graph
from graphc.ir.types import as_dtype
from graphc.passes.swizzled_lines import PIECES, SwizzledLines
from graphc.passes.use_warpgroups import DEPTH, LARGE, SMALL, GroupTile
from graphc.runtime.accelerator.pipeline import pipeline_of, translate
from graphc.runtime.cuda import nvrtc
from graphc.runtime.cuda.dialect import HOPPER

tiling = importlib.import_module("graphc.passes.tile_contractions")
groups = importlib.import_module("graphc.passes.use_warpgroups")
SHARED = 227 << 10
"""Bytes of shared memory that a multiprocessor has for blocks (CUDA C++ Programming Guide)."""
REGISTERS = 64 << 10
TILES = {"large": LARGE, "small": SMALL}
WAYS = list(itertools.product([False, True], repeat=2))
"""Whether the operands lie in memory turned."""
CASES = list(zip(WAYS, ["float16", "bfloat16"] * 2, strict=True))


@pytest.fixture(params=list(TILES))
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """A GPU on the processor, with tiles of one kind for any amount of work."""
    if COMPILER is None:
        pytest.skip("runs kernels through g++ or clang++")
    monkeypatch.setattr(tiling, "ENOUGH_WORK", 1)
    monkeypatch.setattr(groups, "FEWEST_TILES", 1)
    for name in ("LARGE", "SMALL"):
        monkeypatch.setattr(groups, name, TILES[request.param])
    with installed(tmp_path) as found:
        yield found


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("turned", "dtype"), CASES, ids=str)
def test_products_have_the_values_of_numpy(turned: tuple[bool, bool], dtype: str) -> None:
    m, k, n = 264 if turned[0] else 263, 136, 136  # parts of a second tile and of a slice
    left, right = numbers(m, k) / 16, numbers(k, n) / 4
    got = product(left, right, dtype, turned)
    want = np.maximum((left @ right).astype(as_dtype(dtype).numpy), 0)
    np.testing.assert_array_equal(got.astype(np.float32), want.astype(np.float32))


def product(left: Any, right: Any, dtype: str, turned: tuple[bool, bool]) -> Any:
    """The positive part of a product on the GPU, of operands that lie in memory turned or not."""
    given = [a.T if t else a for a, t in zip((left, right), turned, strict=True)]
    x, w = (gx.input(name, a.shape, dtype) for name, a in zip("xw", given, strict=True))
    factors = [a.T if t else a for a, t in zip((x, w), turned, strict=True)]
    total = gx.maximum(factors[0] @ factors[1], 0)
    step = gx.compile([x, w], total, device="cuda")
    assert f"multiply_warpgroup_{dtype}_128_{int(turned[0])}{int(not turned[1])}" in step.source
    numpy = as_dtype(dtype).numpy
    return step(*(np.ascontiguousarray(a).astype(numpy) for a in given))


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("terms", [8, 64, 200])
def test_sums_of_any_length(terms: int) -> None:
    left, right = numbers(64, terms) / 16, numbers(terms, 64) / 4
    got = product(left, right, "float16", (False, False))
    np.testing.assert_array_equal(got, np.maximum(left @ right, 0).astype(np.float16))


@pytest.mark.usefixtures("fake")
def test_stacks_of_matrices() -> None:
    x, w = gx.input("x", (3, 72, 80), "bfloat16"), gx.input("w", (3, 80, 64), "bfloat16")
    step = gx.compile([x, w], gx.astype(x @ w, "float32"), device="cuda")
    assert "multiply_warpgroup" in step.source
    left, right = numbers(3, 72, 80) / 16, numbers(3, 80, 64) / 4
    numpy = as_dtype("bfloat16").numpy
    want = (left @ right).astype(numpy).astype(np.float32)
    np.testing.assert_array_equal(step(left.astype(numpy), right.astype(numpy)), want)


@pytest.mark.usefixtures("fake")
def test_infinities_and_nan_spread() -> None:
    left, right = numbers(64, 64), np.ones((64, 64), np.float32)
    left[3, 5], left[40, 63], left[5, 0] = np.inf, np.nan, -np.inf
    x, w = gx.input("x", (64, 64), "float16"), gx.input("w", (64, 64), "float16")
    got = gx.compile([x, w], x @ w, device="cuda")(left.astype("float16"), right.astype("float16"))
    np.testing.assert_array_equal(got, (left @ right).astype(np.float16))


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(("m", "k", "n"), [(64, 33, 64), (64, 64, 36), (60, 128, 64)])
def test_operands_without_pieces_of_16_bytes_are_for_warps(m: int, k: int, n: int) -> None:
    turned = m % 8 != 0  # then rows of the left operand lie side by side
    x = gx.input("x", (k, m) if turned else (m, k), "float16")
    w = gx.input("w", (k, n), "float16")
    step = gx.compile([x, w], (x.T if turned else x) @ w, device="cuda")
    assert "multiply_matrices_float16" in step.source
    assert "multiply_warpgroup" not in step.source
    left, right = numbers(m, k) / 16, numbers(k, n) / 4
    given = np.ascontiguousarray(left.T) if turned else left
    got = step(given.astype(np.float16), right.astype(np.float16))
    np.testing.assert_array_equal(got, (left @ right).astype(np.float16))


def test_small_products_are_for_warps() -> None:
    x = gx.input("x", (512, 512), "float16")
    for graph, is_large in ((Graph((x,), (x @ x,)), False), (large("float16"), True)):
        text = translate(graph, HOPPER, pipeline_of(HOPPER)).module.text
        assert ("multiply_warpgroup" in text) == is_large


def large(dtype: str, turned: tuple[bool, bool] = (False, False), side: int = 4096) -> Graph:
    """A product of large matrices, with something after it."""
    x, w = gx.input("x", (side, 1000), dtype), gx.input("w", (1000, side), dtype)
    if turned[0]:
        x = gx.input("x", (1000, side), dtype)
    if turned[1]:
        w = gx.input("w", (side, 1000), dtype)
    total = (x.T if turned[0] else x) @ (w.T if turned[1] else w)
    return Graph((x, w), (gx.tanh(total + 1),))


@pytest.mark.parametrize("tile", TILES.values(), ids=list(TILES))
def test_a_multiprocessor_holds_the_blocks_that_share_it(tile: GroupTile) -> None:
    blocks, threads = len(tile.times), tile.tile.rows * 2
    slices = 2 * DEPTH * (tile.tile.rows + tile.tile.columns)
    assert blocks * tile.slots * slices <= SHARED - 1024 * blocks
    assert blocks * threads * 128 == REGISTERS
    assert tile.slots >= 3 + tile.running  # those two and what is on its way


@pytest.mark.parametrize(("turned", "dtype"), CASES, ids=str)
@pytest.mark.parametrize("side", [2048, 4096])
def test_products_run_on_while_threads_meet(
    dtype: str, turned: tuple[bool, bool], side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--ptxas-options=-v"))
    text = translate(large(dtype, turned, side), HOPPER, pipeline_of(HOPPER)).module.text
    compilation = nvrtc.Compilation(text, "sm_90a")
    log = compilation.fill("nvrtcGetProgramLog").decode()
    assert compilation.result("PTX").count(b"wgmma.mma_async") >= 4
    assert "serialized" not in log, "ptxas has products wait for one another"
    assert re.findall(r"[1-9]\d* bytes spill", log) == []
    assert int(re.findall(r"Used (\d+) registers", log)[0]) <= 128


@pytest.mark.parametrize("architecture", ["sm_75", "sm_90", "sm_100"])
def test_other_gpus_compile_the_same_source(architecture: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")
    text = translate(large("bfloat16"), HOPPER, pipeline_of(HOPPER)).module.text
    with compiling_fast():
        code = nvrtc.Compilation(text, architecture)
    assert code.result("PTX").count(b"wgmma") == 0


@pytest.mark.parametrize(("rows", "width"), [(256, 64), (64, 128), (64, 256)])
def test_lines_are_those_of_the_ptx_isa(rows: int, width: int) -> None:
    lines = SwizzledLines(rows, width, PIECES)
    for row, column in itertools.product(range(rows), range(width)):
        panel, within = divmod(column, DEPTH)
        place = 2 * ((panel * rows + row) * DEPTH + within)  # bytes, as they come
        assert 2 * lines.at(row, column) == place ^ (place >> 7 & 7) << 4
