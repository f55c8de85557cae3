"""The device cuda on a driver that runs its kernels on the processor: everything but the GPU."""

import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import NETWORKS, Case
from fake_cuda import COMPILER, FakeDriver

import graphc as gx
from graphc.runtime.compiler import compile_graph
from graphc.runtime.cuda import device, machine
from graphc.runtime.cuda.dialect import CUDA
from graphc.runtime.cuda.nvrtc import NvrtcError
from graphc.runtime.cuda.staging import BLOCK

CYCLES, COMPILED = 1000, 250
"""Steps that are compiled, called and forgotten, and after how many the module is loaded anew."""
pytestmark = pytest.mark.skipif(COMPILER is None, reason="runs kernels through g++ or clang++")


def double() -> gx.Executable:
    """A step that doubles its input."""
    x = gx.input("x", ("n",), "float32")
    return gx.compile([x], x * 2, device="cuda")


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_values_of_the_cpu(name: str, fake: FakeDriver) -> None:
    got, want = (run_twice(NETWORKS[name](), device) for device in ("cuda", "cpu"))
    for here, there in zip(got, want, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-12, atol=1e-12)


def run_twice(case: Case, name: str) -> list[Any]:
    """The results of a second call, which begins with the variables that the first one left."""
    step = compile_graph(case.graph, name)
    step(*case.arguments)
    return [*step(*case.arguments), *(variable.value for variable in case.graph.variables)]


@pytest.mark.usefixtures("fake")
def test_what_is_computed_in_vain_is_left_out() -> None:
    x, y = gx.input("x", (2, 3), "float32"), gx.input("y", (2, 4), "float32")
    left, right = gx.pad(gx.exp(x), ((0, 0), (1, 4))), gx.pad(gx.log(y), ((0, 0), (4, 0)))
    step = gx.compile([x, y], [left + right, gx.concat([gx.sin(x), gx.tanh(y)], axis=1)],
                      device="cuda")  # fmt: skip
    assert len(step.program.kernels) == 3  # a concatenation has one for each part
    given = np.array([[1, np.inf, 0], [np.nan, -88, 89]], np.float32), -np.ones((2, 4), np.float32)
    given[1][1, 2:] = 3, np.inf
    with np.errstate(all="ignore"):
        want = np.zeros((2, 8), np.float32)
        want[:, 1:4] = np.exp(given[0])
        want[:, 4:] += np.log(given[1])
        both = np.concatenate([np.sin(given[0]), np.tanh(given[1])], axis=1)
    for got, expected in zip(step(*given), (want, both), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 2 * BLOCK // 4 + 1, 3 * BLOCK // 4])
def test_arrays_pass_through_pinned_memory_in_parts(count: int, fake: FakeDriver) -> None:
    x = gx.input("x", ("n",), "float32")
    values = np.arange(count, dtype=np.float32)
    np.testing.assert_array_equal(gx.compile([x], x, device="cuda")(values), values)
    assert fake.asked.count("cuMemHostAlloc") == 2


def test_what_threads_combine_has_the_same_bits_with_warps_and_without(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = gx.input("x", (5, 300), "float32")
    wide = gx.input("wide", (3, 5000), "float16")
    outputs = [
        gx.softmax(x, axis=1), gx.argmax(x, axis=1), gx.sum(x), gx.any(x > 3), gx.sum(wide, axis=1),
        gx.argmin(wide, axis=1), gx.max(wide), gx.var(x, axis=1), gx.argmax(gx.round(x)),
        gx.sum(gx.round(x).astype("int8"), axis=1), gx.prod(x.astype("float64"), axis=1),
    ]  # fmt: skip
    draws = np.random.default_rng(0)
    arguments = draws.normal(size=(5, 300)), draws.normal(size=(3, 5000))
    texts, results = [], []
    for warp in (CUDA.warp, None):
        changed = replace(CUDA, warp=warp)
        monkeypatch.setattr(machine, "dialect_for", lambda architecture, dialect=changed: dialect)
        device.opened.cache_clear()
        step = gx.compile([x, wide], outputs, device="cuda")
        texts.append(step.source)
        results.append(
            step(*(a.astype(i.dtype.numpy) for a, i in zip(arguments, (x, wide), strict=True)))
        )
    assert "__shfl_down_sync" in texts[0]
    assert "__shfl_down_sync" not in texts[1]
    for here, there in zip(*results, strict=True):
        assert here.tobytes() == there.tobytes()


def test_conversions_of_float16_are_those_of_numpy(fake: FakeDriver) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    spread = np.random.default_rng(0).integers(0, 1 << 32, 1 << 14, np.uint32).view(np.float32)
    x, y = gx.input("x", halves.shape, "float16"), gx.input("y", (len(spread) + 65536,), "float32")
    step = gx.compile([x, y], [x.astype("float32"), y.astype("float16")], device="cuda")
    assert step.source.count("cvt.") == 2
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.concatenate([spread, halves.astype(np.float32) * np.float32(1.0001)])
        wanted = halves.astype(np.float32), values.astype(np.float16)
    for got, want in zip(step(halves, values), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_warp_that_not_all_threads_reach_is_found(fake: FakeDriver) -> None:
    text = """
void kernel_part(long long *y) {
  if (threadIdx.x < 9) y[0] = __shfl_sync(0xffffffff, 1, 0);
}
"""
    _, module = fake.cuModuleLoadData(text.encode())
    _, kernel = fake.cuModuleGetFunction(module, b"kernel_part")
    words = np.zeros(2, np.int64)
    places = np.array([words.ctypes.data], np.int64)
    words[0] = words[1:].ctypes.data
    for threads, good in ((32, False), (9, True)):
        (status,) = fake.cuLaunchKernel(kernel, 1, 1, 1, threads, 1, 1, 0, 0, places.ctypes.data, 0)
        assert (status == 0) == good


# --- variables -----------------------------------------------------------------------------------


def test_a_variable_is_where_it_was_last_changed(fake: FakeDriver) -> None:
    w = gx.variable(np.zeros(3, np.float32), "w")
    there, other, here = (
        gx.compile([], w, {w: w + by}, device=device)
        for by, device in ((1, "cuda"), (10, "cuda"), (100, "cpu"))
    )
    want = 0
    for number in range(40):
        step, by = ((there, 1), (there, 1), (other, 10), (here, 100))[(number * number + 1) % 7 % 4]
        assert step().tolist() == [want] * 3
        want += by
        if number % 11 == 5:
            assert w.value.tolist() == [want] * 3
        if number % 11 == 8:
            w.value, want = np.full(3, -5, np.float32), -5


def test_a_call_looks_at_variables_only_when_one_has_moved(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = [gx.variable(np.ones(3, np.float32), f"w{at}") for at in range(4)]
    step = gx.compile([], [], {w: w + 1 for w in variables}, device="cuda")
    taken: list[Any] = []
    residence = step.loaded.residence
    take_variable = residence.take
    monkeypatch.setattr(residence, "take", lambda a: (taken.append(a), take_variable(a)))
    for count, move in ((4, False), (4, False), (8, True), (8, False)):
        if move:
            assert variables[2].value.tolist() == [3] * 3
        step()
        assert len(taken) == count
    assert [w.value[0] for w in variables] == [5] * 4


# --- recorded launches ---------------------------------------------------------------------------


def test_a_step_is_recorded_once_and_replayed(fake: FakeDriver) -> None:
    case = NETWORKS["adam_step"]()
    step = compile_graph(case.graph, "cuda")
    step(*case.arguments)
    launches = fake.asked.count("cuGraphAddKernelNode")
    assert launches > 1
    changes = fake.asked.count("cuGraphExecKernelNodeSetParams")
    for _ in range(3):
        step(*case.arguments)
    assert fake.asked.count("cuGraphAddKernelNode") == launches
    assert fake.asked.count("cuGraphExecKernelNodeSetParams") == changes
    assert fake.asked.count("cuGraphLaunch") == 4
    assert "cuLaunchKernel" not in fake.asked


def test_other_sizes_are_recorded_anew(fake: FakeDriver) -> None:
    step = double()
    for size in (3, 5, 3):
        np.testing.assert_array_equal(step(np.ones(size, np.float32)), np.full(size, 2))
    assert fake.asked.count("cuGraphInstantiate") == 2


def test_a_loop_that_the_device_ends_is_launched_step_by_step(fake: FakeDriver) -> None:
    x = gx.input("x", (), "float32")
    doubled = gx.while_loop(lambda v: v < 100, lambda v: v * 2, x)
    assert gx.compile([x], doubled, device="cuda")(np.float32(3)) == 192
    assert "cuGraphInstantiate" not in fake.asked


# --- memory --------------------------------------------------------------------------------------


def test_a_call_allocates_nothing_after_the_first(fake: FakeDriver) -> None:
    case = NETWORKS["adam_step"]()
    step = compile_graph(case.graph, "cuda")
    step(*case.arguments)
    allocated = fake.asked.count("cuMemAllocFromPoolAsync")
    # an arena, a place for each input, and the variables that stay
    assert allocated == 1 + len(case.graph.inputs) + len(case.graph.variables)
    step(*case.arguments)
    assert fake.asked.count("cuMemAllocFromPoolAsync") == allocated


def test_nothing_is_left_of_a_thousand_steps(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAPHC_VERIFY")  # it takes most of the time, and other tests have it
    device.residence("0")
    left = alive(fake)
    kept = cycle()
    # for each of two sizes a place for the input, and a graph in two forms; w, and a module
    held = np.subtract(alive(fake), left).tolist()
    assert held == [2 + 1, 2 * 2 + 1 + len(kept.program.kernels)]
    for number in range(CYCLES):
        cycle()
        if number % COMPILED == 0:  # nobody has the module any more: it is loaded anew
            del kept
            gc.collect()
            kept = cycle()
    del kept
    assert alive(fake) == left


def cycle() -> gx.Executable:
    """A step that is compiled, and called with two sizes, one result of which is handed on."""
    x, w = gx.input("x", ("n",), "float32"), gx.variable(np.ones((), np.float32), "w")
    made = gx.compile([x], x * w, {w: w + 1}, device="cuda", results="device")
    for size in (2, 5):
        result = made(np.ones(size, np.float32))
    assert result.numpy().tolist() == [2.0] * 5
    result.__dlpack__()
    return made


def alive(fake: FakeDriver) -> tuple[int, int]:
    """Blocks of memory, and modules, kernels, graphs and events, that are not given back."""
    gc.collect()
    return len(fake.memory), len(fake.handles)


def test_a_step_that_needs_too_much_memory_says_so(fake: FakeDriver) -> None:
    step = double()
    fake.room = 100
    with pytest.raises(gx.GraphError, match=r"the GPU 'Fake GPU' fails .* memory does not suffice"):
        step(np.ones(1000, np.float32))
    fake.room = 1 << 20
    assert step(np.ones(1000, np.float32)).sum() == 2000


def powers() -> gx.Executable:
    """A step with a kernel for each of four results."""
    x = gx.input("x", (3,), "float64")
    return gx.compile([x], [gx.sum(x**n, axis=0) for n in range(2, 6)], device="cuda")


def test_kernels_are_compiled_side_by_side(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    meeting = threading.Barrier(2, timeout=60)  # which one thread alone would wait for in vain

    def compile_together(text: str, architecture: str) -> bytes:
        texts.append(text)
        meeting.wait()
        return text.encode()

    monkeypatch.setattr(machine, "PART", 1)
    monkeypatch.setattr(machine, "compile_cubin", compile_together)
    monkeypatch.setattr(machine, "available_processors", lambda: 2)
    step = powers()
    assert len(step.program.kernels) == len(texts) == 4
    assert step(np.array([1.0, 2, 3])) == [14, 36, 98, 276]
    again = powers()
    assert len(texts) == 4
    assert again(np.ones(3)) == [3, 3, 3, 3]


# --- what is said --------------------------------------------------------------------------------


def test_gpus_are_chosen_by_number_or_name(fake: FakeDriver) -> None:
    fake.names = ("Small GPU", "Large GPU")
    assert [device.choose(name)[1] for name in ("0", "1", "large")] == [
        "Small GPU", "Large GPU", "Large GPU",
    ]  # fmt: skip
    with pytest.raises(gx.GraphError, match=r"no GPU '2'. There are:\n  0: Small GPU\n  1: Large"):
        device.choose("2")


def test_a_driver_without_a_gpu_says_so(fake: FakeDriver) -> None:
    fake.names = ()
    with pytest.raises(gx.GraphError, match=r"needs an NVIDIA GPU .* CUDA_ERROR_NO_DEVICE"):
        double()


def test_a_kernel_that_does_not_compile_names_the_line_and_a_file(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(text: str, architecture: str) -> bytes:
        raise NvrtcError(f"no code for {architecture}")

    monkeypatch.setattr(machine, "compile_cubin", refuse)
    with pytest.raises(gx.GraphError) as caught:
        double()
    message = str(caught.value)
    assert "no code for sm_90a" in message
    assert "test_cuda_machine.py" in message
    kept = Path(message.partition("kernels that are in ")[2].partition(":")[0])
    assert "kernel_multiply" in kept.read_text()
    kept.unlink()


@pytest.mark.usefixtures("fake")
def test_a_part_that_does_not_compile_names_its_own_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str, architecture: str) -> bytes:
        if "tanh" in text.partition("__global__")[2]:
            raise NvrtcError("no code for this one")
        return text.encode()

    monkeypatch.setattr(machine, "PART", 1)
    monkeypatch.setattr(machine, "compile_cubin", refuse)
    x, y = gx.input("x", (3,), "float32"), gx.input("y", (4,), "float32")
    good = gx.exp(x)
    bad = gx.tanh(y)  # the line that is named
    with pytest.raises(gx.GraphError) as caught:
        gx.compile([x, y], [good, bad], device="cuda")
    message = str(caught.value)
    assert "bad = gx.tanh(y)" in message
    assert "good" not in message
    kept = Path(message.partition("kernels that are in ")[2].partition(":")[0])
    assert kept.read_text().count("__global__") == 1
    kept.unlink()
