"""What is known of the processor: read from the system, measured by kernels, and remembered."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import graphc as gx
from graphc.passes.machine import TYPICAL, machine, predicting_for
from graphc.runtime.cpu import code_cache, findings, measure_machine, processor
from graphc.runtime.cpu.machine_code import UNROLLED
from graphc.runtime.cpu.machine_kernels import MachineKernels, aligned
from graphc.runtime.tool import main


@pytest.fixture
def nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GRAPHC_CACHE", str(tmp_path))
    monkeypatch.setattr(findings, "known", {})
    code_cache.disk_cache.cache_clear()
    yield
    code_cache.disk_cache.cache_clear()


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as a new process."""
    monkeypatch.setattr(findings, "known", {})


def test_kernels_compute_what_they_say() -> None:
    kernels = MachineKernels()
    count = 2 * UNROLLED
    a, b = aligned(count * kernels.width), aligned(count * kernels.width)
    a[:] = np.linspace(-20, 20, a.size)
    kernels.memory = [[a, b]]
    kernels.run("exponential", count, 1)
    np.testing.assert_allclose(b, np.exp(a), rtol=1e-5)
    for name in ("copy", "copy_past"):
        b[:] = 0
        kernels.run(name, count, 1)
        np.testing.assert_array_equal(b, a)
    for name in ("write", "write_past"):
        b[:] = 0
        kernels.run(name, count, 1)
        np.testing.assert_array_equal(b, 1)


def test_the_machine_is_measured_once(nothing_known: None, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []
    figures = replace(TYPICAL, name="measured")

    def measure() -> object:
        times.append(1)
        return replace(figures, float32=1e9 * len(times))

    monkeypatch.setattr(measure_machine, "measured", measure)
    assert measure_machine.known_machine() is None
    assert gx.machine() == gx.machine() == replace(figures, float32=1e9)
    forget(monkeypatch)
    assert measure_machine.known_machine() == replace(figures, float32=1e9)
    assert gx.machine(measure=True).float32 == 2e9
    forget(monkeypatch)
    assert gx.machine().float32 == 2e9


def test_a_machine_of_other_figures_is_unknown() -> None:
    figures = asdict(TYPICAL)
    assert measure_machine.read_machine(json.dumps(figures)) == TYPICAL
    del figures["float64"]
    assert measure_machine.read_machine(json.dumps(figures)) is None


def test_measured_figures_make_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_machine, "SECONDS", 1e-4)
    monkeypatch.setattr(measure_machine, "RUNS", 1)
    monkeypatch.setattr(measure_machine, "MOST_MEMORY", 1 << 22)
    found = measure_machine.measured()
    assert found.name
    assert list(found.caches) == sorted(set(found.caches))
    assert len(found.read) == len(found.written) == len(found.caches) + 1
    rates = (found.float32, found.float64, found.exponentials, *found.read, *found.written)
    assert all(np.isfinite(rate) and rate > 0 for rate in rates)


@pytest.mark.parametrize(
    ("rates", "caches"),
    [
        ([100, 100, 100, 50, 50, 20, 20], (4, 16)),
        ([90, 100, 95, 60, 40, 38, 40], (4,)),
        ([100, 50, 48, 50, 20, 19, 20], (1, 8)),
        ([100, 100, 100, 100, 100, 100, 100], (1 << 15,)),
    ],
)
def test_caches_end_where_reading_slows_down(rates: list[float], caches: tuple[int, ...]) -> None:
    assert measure_machine.cliffs([1, 2, 4, 8, 16, 32, 64], rates) == caches


def test_caches_that_linux_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2M"),
            ("3", "Unified", "30720K"), ("4", "Unified", "")]  # fmt: skip
    for number, row in enumerate(rows):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in zip(("level", "type", "size"), row, strict=True):
            (folder / name).write_text(text + "\n")
    monkeypatch.setattr(processor, "CACHES", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    assert processor.cache_sizes() == (48 << 10, 2 << 20, 30 << 20)
    monkeypatch.setattr(processor, "CACHES", tmp_path / "none")
    assert processor.cache_sizes() == ()


def test_the_processor_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text("processor : 0\nmodel name\t: Model T\nmodel name\t: other\n")
    monkeypatch.setattr(processor, "DESCRIPTION", described)
    assert processor.processor_name() == "Model T"
    monkeypatch.setattr(processor, "DESCRIPTION", tmp_path / "none")
    assert processor.processor_name()


def test_costs_are_predicted_for_the_machine_that_is_given() -> None:
    other = replace(TYPICAL, name="other")
    assert machine() is TYPICAL
    with predicting_for(other):
        assert machine() is other
    assert machine() is TYPICAL


def test_data_stay_in_the_first_cache_that_holds_them() -> None:
    first, second, third = TYPICAL.caches
    sizes = (0, first, first + 1, second, third, third + 1)
    assert [TYPICAL.level(size) for size in sizes] == [0, 0, 1, 1, 2, 3]


def test_the_command_prints_the_figures(
    nothing_known: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure_machine, "measured", lambda: TYPICAL)
    assert main(["machine", "--measure"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a typical processor, one core"
    assert lines[2].split() == ["float32", "100.0"]
    assert lines[-1].split() == ["memory", "20.0", "15.0"]
