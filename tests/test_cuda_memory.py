"""Memory of a GPU: the pool that it comes from, and arrays that are used where they lie."""

import gc
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from fake_cuda import COMPILER, CUresult, FakeDriver

import graphc as gx
from graphc.runtime.accelerator import launches
from graphc.runtime.accelerator.binding import COPIED, FREE, given_by_calls
from graphc.runtime.accelerator.dlpack import take
from graphc.runtime.accelerator.launches import count_users
from graphc.runtime.accelerator.pipeline import translate
from graphc.runtime.cuda import record
from graphc.runtime.cuda.dialect import CUDA

ONES = np.ones(3, np.float32)

pytestmark = pytest.mark.skipif(COMPILER is None, reason="runs kernels through g++ or clang++")


def double() -> gx.Executable:
    """A step that doubles its input, and leaves the result on the GPU."""
    x = gx.input("x", ("n",), "float32")
    return gx.compile([x], x * 2, device="cuda", results="device")


def test_each_gpu_works_in_its_own_context(fake: FakeDriver) -> None:
    fake.names = ("First", "Second")
    for number in (0, 1, 0):
        x = gx.input("x", ("n",), "float32")
        step = gx.compile([x], x * (number + len(fake.loaded_in)), device=f"cuda:{number}")
        step(ONES)
    assert fake.loaded_in == [1, 2, 1]


def test_the_context_of_another_library_is_current_again(fake: FakeDriver) -> None:
    fake.names = ("First", "Second")
    x = gx.input("x", ("n",), "float32")
    step = gx.compile([x], x * 2, device="cuda:1", results="device")
    there = step(ONES)
    others = fake.cuDevicePrimaryCtxRetain(0)[1]
    fake.cuCtxSetCurrent(others)
    assert step(there).numpy().tolist() == [4, 4, 4]
    assert fake.cuCtxGetCurrent()[1] == others
    fake.failing = "cuMemAllocFromPoolAsync", CUresult.CUDA_ERROR_OUT_OF_MEMORY
    with pytest.raises(gx.GraphError, match="memory"):
        step(there)
    fake.failing = "", CUresult.CUDA_SUCCESS
    del there, step
    assert fake.cuCtxGetCurrent()[1] == others


# --- the pool ------------------------------------------------------------------------------------


def test_memory_that_was_freed_serves_the_next_call(fake: FakeDriver) -> None:
    step = double()
    addresses = []
    for _ in range(4):
        result = step(np.ones(1000, np.float32))
        addresses.append(result.place.memory.value)
    assert addresses == 2 * addresses[:2]  # a result is freed when the name has the next one
    assert not {"cuMemAlloc", "cuMemFree", "cuCtxSynchronize"} & set(fake.asked)


def test_memory_that_is_kept_is_given_up_before_there_is_not_enough(fake: FakeDriver) -> None:
    step = double()
    for size in (30_000, 40_000):
        step(np.ones(size, np.float32))
    fake.room = 4 * (30_000 + 40_000 + 50_000) - 1
    assert step(np.ones(50_000, np.float32)).numpy().sum() == 100_000
    assert fake.asked.count("cuMemPoolTrimTo") == 1
    assert fake.asked[fake.asked.index("cuMemPoolTrimTo") - 1] == "cuStreamSynchronize"
    fake.room = 1000
    with pytest.raises(
        gx.GraphError, match=r"not suffice; the step needs 480,000 bytes for n=60000"
    ):
        step(np.ones(60_000, np.float32))
    assert fake.asked.count("cuMemPoolTrimTo") > 1


def test_whatever_needs_memory_is_given_what_is_kept(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    double()(np.ones(30_000, np.float32))
    load = fake.cuModuleLoadData

    def load_where_there_is_room(code: bytes) -> Any:
        return (CUresult.CUDA_ERROR_OUT_OF_MEMORY, None) if fake.kept else load(code)

    monkeypatch.setattr(fake, "cuModuleLoadData", load_where_there_is_room, raising=False)
    x = gx.input("x", (3,), "float32")
    assert gx.compile([x], x * 3, device="cuda")(ONES).tolist() == [3, 3, 3]


def test_what_others_were_handed_is_freed_when_they_have_ended(fake: FakeDriver) -> None:
    step = double()
    result, other = step(ONES), step(ONES)
    taken = take(result.__dlpack__())
    del result, other
    assert taken.address in fake.memory
    assert "cuCtxSynchronize" not in fake.asked
    del taken
    assert fake.asked[-2:] == ["cuCtxSynchronize", "cuMemFreeAsync"]
    del step
    gc.collect()
    assert fake.asked.count("cuCtxSynchronize") == 1


def test_a_gpu_without_pools_allocates_as_it_can(fake: FakeDriver) -> None:
    fake.attributes["pools"] = 0
    step = double()
    result = step(ONES)
    result.__dlpack__()
    assert step(result).numpy().tolist() == [4, 4, 4]
    before = len(fake.memory)
    del result
    assert len(fake.memory) == before - 1
    assert fake.asked[-1] == "cuMemFree"


def test_memory_may_be_freed_by_any_thread_while_a_step_is_recorded(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [double()(ONES)]
    add = fake.cuGraphAddKernelNode

    def free_meanwhile(*arguments: Any) -> Any:
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
        return add(*arguments)

    monkeypatch.setattr(fake, "cuGraphAddKernelNode", free_meanwhile, raising=False)
    assert double()(np.ones(5, np.float32)).numpy().tolist() == [2] * 5
    assert not held


def test_a_thread_copies_when_another_has_its_elements(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = double().loaded.machine
    mine, other = (machine.allocate(12) for _ in range(2))
    machine.write(mine, 0, ONES)
    threads: list[threading.Thread] = []

    def interrupted(event: int) -> Any:
        if not threads:
            threads.append(threading.Thread(target=machine.write, args=(other, 0, 2 * ONES)))
            threads[0].start()
            threads[0].join(0.1)
        return (CUresult.CUDA_SUCCESS,)

    monkeypatch.setattr(fake, "cuEventSynchronize", interrupted, raising=False)
    array = np.zeros(3, np.float32)
    machine.read(mine, 0, array)
    assert array.tolist() == [1, 1, 1]
    threads[0].join()
    machine.read(other, 0, array)
    assert array.tolist() == [2, 2, 2]


# --- arrays where they lie -----------------------------------------------------------------------


def test_arrays_of_the_device_are_neither_copied_nor_moved(fake: FakeDriver) -> None:
    step = double()
    result = step(ONES)
    launches = fake.asked.count("cuGraphAddKernelNode")
    for number in range(2, 7):
        result = step(result)
        assert result.numpy().tolist() == [2**number] * 3
    assert "cuMemcpyDtoDAsync" not in fake.asked
    assert fake.asked.count("cuGraphAddKernelNode") == launches


def test_only_launches_that_use_other_memory_are_changed(fake: FakeDriver) -> None:
    x, y = gx.input("x", (3,), "float32"), gx.input("y", (2, 40), "float32")
    step = gx.compile([x, y], [x * 2, gx.sum(y)], device="cuda")
    copy = gx.compile([x, y], [x, y], device="cuda", results="device")
    there = copy(ONES, np.ones((2, 40), np.float32))
    before = fake.asked.count("cuGraphExecKernelNodeSetParams")
    assert [r.tolist() for r in step(*there)] == [[2, 2, 2], 80]
    changes = fake.asked.count("cuGraphExecKernelNodeSetParams")
    assert changes == before + 2
    step(*there)
    assert fake.asked.count("cuGraphExecKernelNodeSetParams") == changes
    assert [r.tolist() for r in step(3 * ONES, there[1])] == [[6, 6, 6], 80]
    assert fake.asked.count("cuGraphExecKernelNodeSetParams") == changes + 1


def test_a_change_that_fails_is_made_anew(fake: FakeDriver) -> None:
    x, y = gx.input("x", (3,), "float32"), gx.input("y", (3,), "float32")
    step = gx.compile([x, y], x - y, device="cuda")
    copy = gx.compile([x, y], [x * 1, y * 1, x + y], device="cuda", results="device")
    one, two, three = copy(ONES, 2 * ONES)
    assert step(one, two).tolist() == [-1, -1, -1]
    fake.failing = "cuGraphExecKernelNodeSetParams", CUresult.CUDA_ERROR_INVALID_VALUE
    with pytest.raises(gx.GraphError, match="cuGraphExecKernelNodeSetParams"):
        step(three, one)
    fake.failing = "", CUresult.CUDA_SUCCESS
    assert step(one, two).tolist() == [-1, -1, -1]
    assert step(three, three).tolist() == [0, 0, 0]
    assert step(three, two).tolist() == [1, 1, 1]


def test_a_change_that_is_interrupted_is_made_anew(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = gx.input("x", (3,), "float32"), gx.input("y", (3,), "float32")
    step = gx.compile([x, y], x - y, device="cuda")
    copy = gx.compile([x, y], [x * 1, y * 1, x + y], device="cuda", results="device")
    one, two, three = copy(ONES, 2 * ONES)
    assert step(one, two).tolist() == [-1, -1, -1]

    def interrupted(pairs: Iterable[Any]) -> Iterator[Any]:
        yield 0, next(iter(pairs))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(record, "enumerate", interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            step(three, two)
    assert step(one, three).tolist() == [-2, -2, -2]


def test_small_arrays_of_many_launches_are_copied(fake: FakeDriver) -> None:
    x = gx.input("x", (6, 3), "float32")
    total, rows = gx.scan(lambda c, e: (c + e, c), np.zeros(3, np.float32), x)
    step = gx.compile([x], [total, rows], device="cuda", results="device")
    there = gx.compile([x], x * 1, device="cuda", results="device")(np.ones((6, 3), np.float32))
    for _ in range(2):
        total, rows = step(there)
        assert total.numpy().tolist() == [6, 6, 6]
        assert rows.numpy()[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    copies = fake.asked.count("cuMemcpyDtoDAsync")
    assert copies == 2 * 2  # the rows that go in, and those that come out
    (decision,) = [d for d in step.decisions if d.stage == "launch"]
    assert decision.numbers == (("where the caller has them", "y1"),)
    assert fake.asked.count("cuGraphExecKernelNodeSetParams") < 6


def test_arrays_are_copied_where_that_takes_less_time_than_telling_launches() -> None:
    x = gx.input("x", (6, "m"), "float32")
    total, _ = gx.scan(lambda c, e: (c + e, ()), gx.zeros_like(x[0]), x)
    program = translate(gx.compile([x], total).graph, CUDA).program
    users = count_users(program, {"m": 1})["x"]
    assert users >= 6
    enough = COPIED * (users - FREE) // (6 * 4) + 1
    for size, given in ((1, []), (enough - 2, []), (enough, ["x"])):
        assert list(given_by_calls(program, ["x"], {"m": size})) == given


@pytest.mark.parametrize("recorded", [True, False])
def test_a_step_gives_its_memory_back_without_the_garbage_collector(
    recorded: bool, fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not recorded:
        monkeypatch.setattr(launches, "MOST_RECORDED", 0)
    x, w = gx.input("x", ("n",), "float32"), gx.input("w", (3, 3), "float32")
    gc.collect()
    before = len(fake.memory)
    gc.disable()
    try:
        step = gx.compile([x, w], [x * 2, w @ w], device="cuda")
        step(ONES, np.ones((3, 3), np.float32))
        step(np.ones(5, np.float32), np.ones((3, 3), np.float32))
        assert ("cuGraphLaunch" in fake.asked) == recorded
        del step
        staging = 2
        assert len(fake.memory) <= before + staging
    finally:
        gc.enable()
