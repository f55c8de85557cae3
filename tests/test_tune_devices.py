"""tune on devices with memory of their own: schedules of equal bits, timed there and remembered."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_pocl
from fake_cuda import COMPILER, FakeDriver

import graphc as gx
from graphc.ir.kernel import For, Kernel, statements
from graphc.passes.choose import Plans, choosing
from graphc.passes.decisions import recording
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.accelerator.workshop import DeviceWorkshop
from graphc.runtime.cpu import code_cache, findings
from graphc.runtime.cuda.dialect import CUDA

POCL = "opencl:Portable"


@pytest.fixture(autouse=True)
def own_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Findings of this test alone."""
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path))
    monkeypatch.setattr(findings, "known", {})
    code_cache.disk_cache.cache_clear()
    yield
    code_cache.disk_cache.cache_clear()


def elementwise(**options: Any) -> gx.Executable:
    x = gx.input("x", (1024,), "float32")
    return gx.compile([x], gx.tanh(x) * x, device=POCL, **options)


def lanes_of(kernel: Kernel, kind: str) -> list[int]:
    """The lanes of the loops of a kind."""
    return [s.lanes for s in statements(kernel.body) if isinstance(s, For) and s.kind == kind]


def preferring(kind: str, lanes: int) -> Callable[[DeviceWorkshop, Kernel], Callable[[], float]]:
    """A stand-in for timing on which kernels with such a loop are fast."""

    def runner(workshop: DeviceWorkshop, kernel: Kernel) -> Callable[[], float]:
        seconds = 1.0 if lanes in lanes_of(kernel, kind) else 2.0
        return lambda: seconds

    return runner


@pytest.mark.parametrize(("kind", "lanes"), [("wide", 8), ("wide", 2), ("grid", 128)])
def test_the_fastest_way_is_taken_and_remembered(
    kind: str, lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_pocl()
    monkeypatch.setattr(DeviceWorkshop, "runner", preferring(kind, lanes))
    tuned = elementwise(tune=60)
    assert lanes in lanes_of(tuned.program.kernels[0], kind)
    again = elementwise(tune=0)
    assert again.source == tuned.source
    reasons = [d.reason for d in again.decisions if d.stage == "tune"]
    assert any("remembered" in reason for reason in reasons)
    values = np.linspace(-3, 3, 1024, dtype=np.float32)
    assert tuned(values).tobytes() == elementwise()(values).tobytes()


def test_kernels_are_timed_on_the_device() -> None:
    require_pocl()
    tuned = elementwise(tune=3)
    chosen = next(d for d in tuned.decisions if d.stage == "tune")
    assert "measured us" in dict(chosen.numbers)


def test_the_order_of_sums_is_no_choice() -> None:
    x = gx.input("x", (64, 512), "float32")
    graph = gx.compile([x], gx.softmax(x, axis=1)).graph
    plans = Plans()
    with choosing(plans), recording():
        program = translate(graph, CUDA).program
    (kernel,) = program.kernels
    names = {way.name for ways in plans.offered[kernel.name] for way in ways}
    assert names == {f"{n} warps a block" for n in (2, 4, 8, 16)}


@pytest.mark.skipif(COMPILER is None, reason="runs kernels through g++ or clang++")
def test_a_kernel_of_no_blocks_is_not_launched(fake: FakeDriver) -> None:
    x = gx.input("x", (0, 5), "float32")
    step = gx.compile([x], gx.tanh(x) * x, device="cuda", tune=0.1)
    assert step(np.ones((0, 5), np.float32)).shape == (0, 5)
    assert "cuLaunchKernel" not in fake.asked
