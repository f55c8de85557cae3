"""A device that fails: what is said, and what becomes of variables."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_cuda import COMPILER, CUresult, FakeDriver

import graphc as gx
from graphc import locks
from graphc.runtime.accelerator import launches
from graphc.runtime.cuda import device

pytestmark = pytest.mark.skipif(COMPILER is None, reason="runs kernels through g++ or clang++")
ONES = np.ones(3, np.float32)


class Training:
    """Steps that change a variable: the first launches two kernels, of which one may fail."""

    def __init__(self) -> None:
        x = gx.input("x", (3,), "float32")
        self.w = gx.variable(ONES, "w")
        self.step = gx.compile([x], gx.sum(x), {self.w: self.w + x}, device="cuda")
        self.here = gx.compile([], self.w * 1)

    def fail(self, fake: FakeDriver) -> str:
        """What is said where the driver fails."""
        fake.failing = "cuGraphLaunch", CUresult.CUDA_ERROR_LAUNCH_FAILED
        with pytest.raises(gx.GraphError) as caught:
            self.step(ONES)
        fake.failing = "", CUresult.CUDA_SUCCESS
        return str(caught.value)


def test_a_failure_names_the_lines_and_a_file_with_the_source(fake: FakeDriver) -> None:
    said = Training().fail(fake)
    assert "the GPU 'Fake GPU' fails in cuGraphLaunch: a kernel failed" in said
    assert "the process has lost the GPU" in said
    assert f"{Path(__file__).name}:" in said
    kept = Path(said.partition("kernels that are in ")[2].partition("\n")[0])
    assert "kernel_sum" in kept.read_text()
    kept.unlink()


def test_a_launch_that_is_refused_names_its_kernel(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "MOST_RECORDED", 0)
    training = Training()
    fake.failing = "cuLaunchKernel", CUresult.CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
    with pytest.raises(gx.GraphError, match=r"more registers .* which is to run kernel_sum"):
        training.step(ONES)


def test_a_variable_whose_value_is_at_home_has_it_after_a_failure(fake: FakeDriver) -> None:
    training = Training()
    training.fail(fake)
    assert training.w.value.tolist() == [1, 1, 1]
    training.step(ONES)
    assert training.w.value.tolist() == [2, 2, 2]


def test_a_variable_that_may_be_half_changed_is_lost_until_it_is_assigned(fake: FakeDriver) -> None:
    training = Training()
    training.step(ONES)
    training.fail(fake)
    for use in (lambda: training.w.value, lambda: training.step(ONES), training.here):
        with pytest.raises(gx.GraphError, match=r"'w' has lost its value, because .* failed: the"):
            use()
    locks.before_fork()
    locks.after_fork()
    training.w.value = 3 * ONES
    training.step(ONES)
    assert training.here().tolist() == [4, 4, 4]


def test_a_failure_before_any_launch_changes_nothing(fake: FakeDriver) -> None:
    training = Training()
    training.step(ONES)
    fake.failing = "cuMemcpyHtoDAsync", CUresult.CUDA_ERROR_LAUNCH_FAILED
    with pytest.raises(gx.GraphError, match="cuMemcpyHtoDAsync"):
        training.step(ONES)
    fake.failing = "", CUresult.CUDA_SUCCESS
    assert training.w.value.tolist() == [2, 2, 2]


def test_launches_that_cannot_be_told_of_memory_change_nothing(fake: FakeDriver) -> None:
    training = Training()
    x = gx.input("x", (3,), "float32")
    there = gx.compile([x], x * 1, device="cuda", results="device")(ONES)
    training.step(ONES)
    fake.failing = "cuGraphExecKernelNodeSetParams", CUresult.CUDA_ERROR_OUT_OF_MEMORY
    with pytest.raises(gx.GraphError, match="cuGraphExecKernelNodeSetParams: its memory"):
        training.step(there)
    fake.failing = "", CUresult.CUDA_SUCCESS
    assert training.w.value.tolist() == [2, 2, 2]
    training.step(there)
    assert training.w.value.tolist() == [3, 3, 3]


def test_no_memory_for_a_result_is_found_before_any_launch(fake: FakeDriver) -> None:
    x = gx.input("x", ("n",), "float32")
    w = gx.variable(np.zeros((), np.float32), "w")
    step = gx.compile([x], x * 2, {w: w + 1}, device="cuda", results="device")
    kept = step(np.ones(1000, np.float32))
    fake.room = 100
    with pytest.raises(gx.GraphError, match=r"not suffice; .* 4,000 of them for the input x"):
        step(np.ones(1000, np.float32))
    assert w.value == 1
    del kept
    step(np.ones(1000, np.float32))
    assert w.value == 2


def test_an_interrupt_between_launches_is_a_failure(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "MOST_RECORDED", 0)
    training = Training()
    training.step(ONES)

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake, "cuLaunchKernel", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        training.step(ONES)
    with pytest.raises(gx.GraphError, match="failed: KeyboardInterrupt; assign a new value"):
        training.w.value  # noqa: B018


def test_an_interrupt_after_the_launches_leaves_the_new_value(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training()

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training.step.loaded.machine, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.step(ONES)
    monkeypatch.undo()
    assert training.w.value.tolist() == [2, 2, 2]


def test_memory_that_does_not_suffice_is_counted(fake: FakeDriver) -> None:
    x = gx.input("x", ("n", 3), "float32")
    step = gx.compile([x], gx.exp(x) @ np.ones((3, 100), np.float32), device="cuda")
    fake.room = 1000
    with pytest.raises(gx.GraphError) as caught:
        step(np.ones((50, 3), np.float32))
    said = str(caught.value)
    assert "its memory does not suffice; the step needs" in said
    assert "for n=50, 20,000 of them for the output y0" in said
    assert f"{Path(__file__).name}:" in said


def test_one_gpu_has_one_residence_whatever_it_is_called(fake: FakeDriver) -> None:
    assert device.residence("0") is device.residence("fake") is device.residence("Fake GPU")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_is_told_that_it_cannot_use_the_device(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training()
    training.step(ONES)
    process = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: process + 1)
    for use in (lambda: training.step(ONES), Training):
        with pytest.raises(gx.GraphError, match=r"is a fork of one that uses the device 'cuda'"):
            use()


# --- how a step is launched ----------------------------------------------------------------------


@pytest.mark.parametrize("most", [7, 8])
def test_a_step_of_very_many_launches_is_not_recorded(
    most: int, fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "MOST_RECORDED", most)
    x = gx.input("x", ("n", 3), "float32")
    total, _ = gx.scan(lambda c, e: (gx.tanh(c + e), ()), np.zeros(3, np.float32), x)
    step = gx.compile([x], total, device="cuda")
    step(np.ones((6, 3), np.float32))
    (decision,) = [d for d in step.decisions if d.stage == "launch"]
    count = sum(map(fake.asked.count, ("cuLaunchKernel", "cuGraphAddKernelNode")))
    assert decision.subject == "n=6"
    assert decision.choice == ("as a whole" if count <= most else "one by one")
    assert ("cuGraphLaunch" in fake.asked) == (count <= most)
    assert count > 6


def test_a_profile_is_of_no_launches_but_its_own(fake: FakeDriver) -> None:
    training = Training()
    training.step(ONES)
    loaded = training.step.loaded
    entry, function = next(iter(loaded.kernels.values()))
    launch, memory = fake.cuLaunchKernel, loaded.machine.allocate(1 << 10)
    arguments = [memory, 0] * (len(entry.sizes) + 8)

    def beside(*given: Any) -> Any:
        object.__setattr__(fake, "cuLaunchKernel", launch)
        own = (function, 1, entry.threads, arguments)
        other = threading.Thread(target=loaded.machine.launch, args=own)
        other.start()
        other.join()
        return launch(*given)

    object.__setattr__(fake, "cuLaunchKernel", beside)
    profile = training.step.profile(ONES)
    assert [call.runs for call in profile] == [1] * len(training.step.program.calls)


def test_a_profile_has_the_gpu_s_time_of_each_launch(fake: FakeDriver) -> None:
    training = Training()
    profile = training.step.profile(ONES)
    assert [call.runs for call in profile] == [1] * len(training.step.program.calls)
    assert all(0 < call.seconds < profile.seconds for call in profile)
    assert "cuEventElapsedTime" in fake.asked
    assert training.w.value.tolist() == [1, 1, 1]
