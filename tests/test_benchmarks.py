"""The benchmarks' own parts, and a quick run: graphc is right on every program that they time."""

import importlib
import importlib.util
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
Import = Callable[[str], ModuleType]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    """Import a module of the benchmarks as their scripts do: from the folder they stand in."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (BENCHMARKS / f"{name.partition('.')[0]}.py").exists():
            del sys.modules[name]


# --- results -------------------------------------------------------------------------------------


def test_graphc_is_right_on_every_program() -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--quick", "--contenders", "graphc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    programs = {line.split()[0] for line in done.stdout.splitlines() if "right" in line}
    assert {"gemm_1x1024x4096", "resnet18_cifar_train_b32", "lstm_train", "tblock_train"} < programs


@pytest.mark.parametrize("seconds", [500, 0])
def test_the_script_for_a_gpu_runs_and_ends_in_its_table(seconds: int) -> None:
    options = ["--device=cpu", "--quick", "--no-checks", "--no-compile", f"--seconds={seconds}"]
    command = [sys.executable, str(BENCHMARKS / "run_gpu.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    *_, last = done.stdout.splitlines()
    assert last.startswith("tblock_train" if seconds else "milliseconds")
    assert ("no time was left for copy, elementwise" in done.stdout) == (seconds == 0)


@pytest.mark.skipif(importlib.util.find_spec("tinygrad") is not None, reason="it is installed")
def test_what_is_not_installed_is_left_out_and_no_success() -> None:
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--quick", "--groups", "call"]
    for others, code in ((["numpy"], 0), ([], 1)):
        contenders = ["--contenders", "tinygrad", *others]
        done = subprocess.run([*command, *contenders], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "tinygrad was left out: No module named 'tinygrad'" in done.stdout


@pytest.mark.parametrize("name", ["mlp_train_b64", "lenet_train_b64", "lstm_train", "tblock_train"])
def test_gradients_of_the_reference_are_differences(name: str, part: Import) -> None:
    reference, tape = part("reference"), part("tape")
    workload = part("workloads").table()[name].small()
    parameters, data = part("workload_data").draw(workload)
    generator = np.random.default_rng(0)
    way = {key: generator.normal(size=array.shape) for key, array in parameters.items()}

    def loss(distance: float) -> tuple[Any, list[Any]]:
        held = {key: tape.Value(a + distance * way[key]) for key, a in parameters.items()}
        values = reference.as_values(data)
        program = reference.PROGRAMS[workload.program]
        return program(held, values, workload.sizes), list(held.values())

    value, held = loss(0)
    along = sum(
        np.sum(slope * way[key])
        for key, slope in zip(parameters, tape.slopes(value, held), strict=True)
    )
    step = 1e-6
    difference = (loss(step)[0].array - loss(-step)[0].array) / (2 * step)
    assert math.isclose(along, difference, rel_tol=1e-5)


def test_a_nan_is_wrong(part: Import) -> None:
    verdict = part("worker").Worker.verdict
    assert "wrong" in verdict(math.nan, 1.0)
    assert "wrong" in verdict(1.1, 1.0)
    assert "wrong" not in verdict(0.9, 1.0)


# --- work and limits -----------------------------------------------------------------------------


def test_taps_on_the_padding_are_no_work(part: Import) -> None:
    workloads = part("workloads")
    for size, taps, stride, padding in itertools.product((5, 8), (1, 3, 4), (1, 2), (0, 1, 2)):
        outputs = range(workloads.convolved(size, taps, stride, padding))
        met = [0 <= at * stride - padding + tap < size for at in outputs for tap in range(taps)]
        assert workloads.taps_inside(size, taps, stride, padding) == sum(met)


def test_the_work_of_resnet_is_what_is_published(part: Import) -> None:
    work = part("workloads").table()["resnet18_infer_b1"].work
    # 1.8 G multiplications and additions (He et al., 2016), some of them on the padding
    assert 1.65e9 < work.operations / 2 < 1.82e9


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="it takes two cores")
def test_the_distance_of_cores_is_a_multiple_of_the_least(part: Import) -> None:
    before = os.sched_getaffinity(0)
    distance = part("distance").Distance(sorted(before))
    assert distance() == 1.0
    assert all(distance() >= 1.0 for _ in range(3))
    assert os.sched_getaffinity(0) == before


# --- measuring -----------------------------------------------------------------------------------


def turns(*steps: float, foreign: float = 0.0, distance: float = 1.0) -> list[dict[str, float]]:
    """Turns that took so long."""
    return [{"step": step, "foreign": foreign, "distance": distance} for step in steps]


def test_ratios_are_taken_within_rounds_to_the_best_peer(part: Import) -> None:
    rows = part("measure").summary(
        {
            "graphc": turns(1.0, 3.0, 2.0),
            "numpy": turns(0.1, 0.1, 0.1),  # shown, and no peer
            "jax": turns(2.0, 6.0, 2.0),
            "torch": turns(4.0, 9.0, 3.0),
        }
    )
    assert rows["graphc"] == {"step": 2.0, "disturbed": False, "ratio": 0.5}
    assert rows["torch"]["ratio"] == 1.5


def test_disturbed_turns_count_only_where_there_are_no_others(part: Import) -> None:
    summary = part("measure").summary
    mixed = turns(1.0, 1.2) + turns(9.0, foreign=0.5) + turns(8.0, distance=5.0)
    assert summary({"jax": mixed})["jax"]["step"] == 1.1
    rows = summary({"jax": turns(1.0, 3.0, 9.0, foreign=0.5)})
    assert (rows["jax"]["step"], rows["jax"]["disturbed"]) == (3.0, True)


def test_a_disturbed_turn_is_taken_again(part: Import) -> None:
    shares = [0.5, 0.3, 0.0, 0.9]

    class Disturbed:
        def turn(self, seconds: float) -> dict[str, float]:
            return turns(seconds, foreign=shares.pop(0))[0]

    assert part("measure").turn(Disturbed(), 1.0)["foreign"] == 0.0
    assert shares == [0.9]


def test_on_a_busy_machine_no_turn_is_taken_again(part: Import) -> None:
    class Busy:
        name = "torch"
        asked = 0

        def turn(self, seconds: float) -> dict[str, float]:
            self.asked += 1
            return turns(seconds, foreign=0.5)[0]

    measure, busy = part("measure"), Busy()
    measure.rounds([busy], 5, 0.1)
    assert busy.asked == 5 + measure.TRIES


def test_a_contender_that_fails_is_not_asked_again(part: Import) -> None:
    class Failing:
        name = "torch"
        asked = 0

        def turn(self, seconds: float) -> dict[str, Any]:
            self.asked += 1
            return {"failed": "no answer", **turns(0.0)[0]}

    measure, failing = part("measure"), Failing()
    rows = measure.summary(measure.rounds([failing], 5, 0.1))
    assert (failing.asked, rows["torch"]) == (1, {"failed": "no answer"})


def test_configurations_drawn_depend_on_the_seed_alone(part: Import) -> None:
    shapes = part("random_shapes")
    for kind in shapes.KINDS:
        first, again, other = (shapes.drawn(kind, seed, 3) for seed in (1, 1, 2))
        assert first == again
        assert [one.sizes for one in first] != [one.sizes for one in other]


def test_the_report_is_a_table_and_a_picture(part: Import, tmp_path: Path) -> None:
    row = {"step": 2e-3, "ratio": 0.5, "disturbed": False, "build": 0.1, "error": 0.0}
    rows = {"graphc": row, "jax": row | {"step": 4e-3}, "torch": {"missing": "not for it"}}
    entry = {"floor": 1e-3, "rows": rows}
    data = {"machine": "M", "versions": {"jax": "1"}, "workloads": {"gemm_64": {"1": entry}}}
    part("report").write_report(data, tmp_path / "results")
    text = (tmp_path / "results.md").read_text()
    assert "| gemm_64 | 2 ms | jax | 4 ms | 0.50 | 50%, 25% |" in text
    assert "- torch: not for it (gemm_64)" in text
    drawn = ElementTree.parse(tmp_path / "results.svg").getroot()
    assert "gemm_64" in [element.text for element in drawn.iter() if element.text]
