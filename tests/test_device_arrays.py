"""Arrays that stay on a device: results, arguments, and what other libraries are handed."""

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import require_pocl
from fake_cuda import CUresult, FakeDriver

import graphc as gx
from graphc.runtime.accelerator.device_array import DeviceArray
from graphc.runtime.accelerator.dlpack import GIVEN, take
from graphc.runtime.accelerator.machine import Place
from graphc.runtime.cuda.machine import CudaExchange
from graphc.runtime.opencl.machine import POCL

OPENCL = f"opencl:{POCL}"
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
HOST = (1, 0)


@pytest.fixture(params=["opencl", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """A device with memory of its own."""
    if request.param == "opencl":
        require_pocl()
        return OPENCL
    request.getfixturevalue("fake")
    return "cuda"


def doubled(device: str, dtype: str = "float32", results: str = "device") -> gx.Executable:
    """A step that doubles rows."""
    x = gx.input("x", ("n", 3), dtype)
    return gx.compile([x], x + x, device=device, results=results)


class Foreign:
    """An array of another library, which knows DLPack and nothing else."""

    def __init__(self, array: Any, **changed: Any) -> None:
        self.array, self.changed = array, changed

    def __dlpack_device__(self) -> Any:
        return self.changed.get("device", self.array.__dlpack_device__())

    def __dlpack__(self, stream: int | None = None) -> Any:
        if "refusal" in self.changed:
            raise BufferError(self.changed["refusal"])
        return self.array.__dlpack__(stream=stream)


# --- results -------------------------------------------------------------------------------------


def test_a_result_stays_and_goes_into_the_next_step(device: str) -> None:
    step = doubled(device)
    once = step(ROWS)
    twice = step(once)
    assert isinstance(twice, DeviceArray)
    assert (twice.shape, twice.dtype, twice.ndim, len(twice)) == ((2, 3), np.float32, 2, 2)
    np.testing.assert_array_equal(twice.numpy(), 4 * ROWS)
    np.testing.assert_array_equal(np.asarray(once, np.float64), 2 * ROWS, strict=False)
    np.testing.assert_array_equal(doubled(device, results="host")(once), 4 * ROWS, strict=True)
    np.testing.assert_array_equal(doubled("cpu")(once), 4 * ROWS, strict=True)
    with pytest.raises(ValueError, match="by a copy alone"):
        np.array(once, copy=False)


def test_results_are_arrays_of_their_own(device: str) -> None:
    x = gx.input("x", (3,), "float32")
    w = gx.variable(np.ones(3, np.float32), "w")
    step = gx.compile([x], {"w": w, "again": [x, x]}, {w: w + x}, device=device, results="device")
    first, second = step(ROWS[0]), step(ROWS[1])
    assert first["w"].numpy().tolist() == [1, 1, 1]
    assert second["w"].numpy().tolist() == [1, 2, 3]
    assert first["again"][1].numpy().tolist() == ROWS[0].tolist()
    assert first["again"][0].place.memory is not first["again"][1].place.memory


def test_results_may_be_arguments_and_each_other(device: str) -> None:
    x, y = gx.input("x", ("n",), "float32"), gx.input("y", ("n",), "float32")
    total = x + y
    step = gx.compile([x, y], [x, total, x, total], device=device, results="device")
    first = step(ROWS[0], ROWS[1])
    second = step(first[1], first[1])
    third = step(second[0], first[0])
    del first
    assert [r.numpy().tolist() for r in second] == [[3, 5, 7], [6, 10, 14]] * 2
    assert [r.numpy().tolist() for r in third] == [[3, 5, 7], [3, 6, 9]] * 2
    memories = [r.place.memory for r in second + third]
    assert len({id(memory) for memory in memories}) == len(memories)


def test_loops_and_branches_of_the_host_read_and_write_where_arrays_lie(device: str) -> None:
    x, flag = gx.input("x", (2,), "float32"), gx.input("flag", (), "bool")
    powers = gx.while_loop(lambda v: v[0] < 100, lambda v: v * 2, x)
    chosen = gx.cond(flag, lambda v: v + 1, lambda v: v - 1, powers)
    step = gx.compile([x, flag], [chosen, ~flag], device=device, results="device")
    values, flag = np.array([3, 4], np.float32), np.array(True)
    for want in ([193, 257], [192, 256], [193, 257]):
        values, flag = step(values, flag)
        assert values.numpy().tolist() == want


def test_a_profile_of_a_step_whose_results_stay(device: str) -> None:
    step = doubled(device)
    there = step(ROWS)
    assert [call.runs for call in step.profile(there)] == [1] * len(step.program.calls)
    np.testing.assert_array_equal(there.numpy(), 2 * ROWS)


def test_threads_have_arrays_of_their_own(device: str) -> None:
    step = doubled(device)

    def chain(start: int) -> float:
        array: Any = np.full((4, 3), start, np.float32)
        for _ in range(10):
            array = step(array)
        return float(array.numpy()[2, 1])

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(chain, range(8))) == [1024 * start for start in range(8)]


def test_a_scalar_is_a_number(device: str) -> None:
    x = gx.input("x", (), "float32")
    result = gx.compile([x], x * 2.5, device=device, results="device")(np.float32(1))
    assert (float(result), int(result), bool(result), repr(result)) == (
        2.5, 2, True, f"DeviceArray({result.numpy()!r}, device={device[:6].rstrip(':')!r})",
    )  # fmt: skip
    with pytest.raises(TypeError, match="has no length"):
        len(result)


def test_on_the_cpu_results_are_arrays_of_numpy() -> None:
    assert type(doubled("reference")(ROWS)) is np.ndarray
    with pytest.raises(gx.GraphError, match="on the 'host' or on the 'device', not 'moon'"):
        doubled("reference", results="moon")


def test_results_that_stay_go_into_no_array_of_the_caller(device: str) -> None:
    with pytest.raises(gx.GraphError, match="given as out"):
        doubled(device)(ROWS, out=np.empty((2, 3), np.float32))


# --- arguments -----------------------------------------------------------------------------------


def test_an_array_of_another_library_is_not_copied_to_the_host(device: str) -> None:
    step = doubled(device)
    there = step(ROWS)
    reads: list[Any] = []
    step.loaded.machine.read = lambda *given: reads.append(given)
    try:
        result = step(Foreign(there))
    finally:
        del step.loaded.machine.read
    assert not reads
    np.testing.assert_array_equal(result.numpy(), 4 * ROWS)
    del there
    gc.collect()
    assert not GIVEN


@pytest.mark.parametrize("offset", [4, 16])
def test_an_array_that_begins_within_other_memory_is_read(offset: int, device: str) -> None:
    step = doubled(device)
    whole = step(np.arange(24, dtype=np.float32).reshape(8, 3))
    part = DeviceArray(whole.machine, Place(whole.place.memory, offset), whole.type, (2, 3))
    want = 4 * (np.arange(6, dtype=np.float32).reshape(2, 3) + offset // 4)
    np.testing.assert_array_equal(step(part).numpy(), want)
    np.testing.assert_array_equal(step(Foreign(part)).numpy(), want)


def test_kernels_are_given_aligned_memory_alone(fake: FakeDriver) -> None:
    step = doubled("cuda")
    whole = step(np.zeros((8, 3), np.float32))
    for offset, copies in ((0, 0), (16, 0), (4, 1)):
        part = DeviceArray(whole.machine, Place(whole.place.memory, offset), whole.type, (1, 3))
        step(Foreign(part))
        assert fake.asked.count("cuMemcpyDtoDAsync") == copies


def test_an_array_of_another_dtype_is_converted_where_that_loses_nothing(device: str) -> None:
    there = doubled(device)(ROWS)
    np.testing.assert_array_equal(doubled(device, "float64", "host")(Foreign(there)), 4 * ROWS)
    with pytest.raises(gx.GraphError, match="'x' has dtype float32, expected int32"):
        doubled(device, "int32")(there)


def test_an_array_that_cannot_be_taken_is_refused(device: str) -> None:
    step = doubled(device)
    there = step(ROWS)
    with pytest.raises(gx.GraphError, match="'x' cannot be taken: it needs a gradient"):
        step(Foreign(there, refusal="it needs a gradient"))
    with pytest.raises(gx.GraphError, match="'x' has shape"):
        step(doubled(device)(ROWS[:, :0].reshape(0, 3)).__class__(
            there.machine, there.place, there.type, (3, 2)))  # fmt: skip


def test_symbolic_sizes_follow_from_arrays_of_a_device(device: str) -> None:
    step = doubled(device)
    for rows in (0, 1, 5):
        values = np.ones((rows, 3), np.float32)
        assert step(step(values)).numpy().tolist() == (4 * values).tolist()


# --- other libraries -----------------------------------------------------------------------------


def test_numpy_takes_a_copy_by_way_of_the_host(device: str) -> None:
    there = doubled(device)(ROWS)
    np.testing.assert_array_equal(np.from_dlpack(there, device="cpu"), 2 * ROWS)
    with pytest.raises(BufferError, match="cannot go to"):
        there.__dlpack__(dl_device=(10, 3))
    with pytest.raises(BufferError, match="would have to be copied"):
        there.__dlpack__(dl_device=HOST, copy=False)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "bfloat16", "complex64"])
def test_dtypes_have_their_codes(dtype: str, fake: FakeDriver) -> None:
    x = gx.input("x", (2, 3), dtype)
    there = gx.compile([x], x, device="cuda", results="device")(ROWS.astype(x.dtype.numpy))
    taken = take(there.__dlpack__())
    assert (taken.dtype, taken.shape, taken.contiguous) == (x.dtype, (2, 3), True)
    assert taken.address == there.place.memory.value
    assert there.__dlpack_device__() == (CudaExchange.KIND, 0)


def test_another_stream_waits_for_the_step(fake: FakeDriver) -> None:
    there = doubled("cuda")(ROWS)
    for stream in (None, 2, 77, -1):
        there.__dlpack__(stream=stream)
    assert fake.waiting == [1, 2, 77]


def test_work_on_borrowed_memory_has_ended_when_a_call_fails(fake: FakeDriver) -> None:
    step = doubled("cuda", results="host")
    there = doubled("cuda")(ROWS)
    step(Foreign(there))
    fake.asked.clear()
    fake.failing = "cuMemcpyDtoHAsync", CUresult.CUDA_ERROR_LAUNCH_FAILED
    with pytest.raises(gx.GraphError, match="cuMemcpyDtoHAsync"):
        step(Foreign(there))
    assert fake.asked.index("cuStreamSynchronize") > fake.asked.index("cuMemcpyDtoHAsync")


def test_work_on_borrowed_memory_has_ended_when_there_is_no_memory(fake: FakeDriver) -> None:
    step = doubled("cuda")
    there = step(ROWS)
    step(Foreign(there))
    fake.asked.clear()
    fake.failing = "cuMemAllocFromPoolAsync", CUresult.CUDA_ERROR_OUT_OF_MEMORY
    with pytest.raises(gx.GraphError, match="its memory does not suffice"):
        step(Foreign(there))
    assert fake.asked[-1] == "cuStreamSynchronize"


def test_work_on_borrowed_memory_has_ended_when_the_call_returns(fake: FakeDriver) -> None:
    step = doubled("cuda")
    there = step(ROWS)
    waits = fake.asked.count("cuStreamSynchronize")
    step(there)
    assert fake.asked.count("cuStreamSynchronize") == waits
    step(Foreign(there))
    assert fake.asked.count("cuStreamSynchronize") == waits + 1
    x, w = gx.input("x", ("n", 3), "float32"), gx.variable(np.zeros(3, np.float32), "w")
    update = gx.compile([x], [], {w: gx.sum(x, axis=0)}, device="cuda")  # its end waits as well
    update(Foreign(there))
    assert fake.asked.count("cuStreamSynchronize") == waits + 2


AT_THE_END = """
import sys, importlib
import numpy as np
from graphc.ir.types import float32
from graphc.runtime.accelerator.dlpack import capsule_of

class Array:
    memory = np.arange(4, dtype=np.float32)

    def __dlpack__(self, **options):
        return capsule_of(self, self.memory.ctypes.data, 0, (1, 0), float32, (4,))

    def __dlpack_device__(self):
        return 1, 0

library = importlib.import_module(sys.argv[1])
np.taken = library.from_dlpack(Array())  # which outlives the modules of this program
sys.left = Array().__dlpack__()
print(float(np.taken[3]))
"""


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_process_may_end_while_others_have_arrays(library: str) -> None:
    pytest.importorskip(library)
    ended = subprocess.run(
        [sys.executable, "-c", AT_THE_END, library], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "3.0\n", "")


@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy"])
def test_memory_is_shared_with_other_libraries(
    library: str, fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's memory is the host's, and so can be handed to libraries that know no GPU."""
    other = pytest.importorskip(library)
    there = doubled("cuda")(ROWS)
    monkeypatch.setattr(there.machine.exchange, "device", HOST)
    monkeypatch.setattr(there.machine.exchange, "stream", None)
    array = other.from_dlpack(there)
    np.testing.assert_array_equal(np.asarray(array), 2 * ROWS)
    assert len(GIVEN) == 1
    np.testing.assert_array_equal(doubled("cuda")(array).numpy(), 4 * ROWS)
    if library == "torch":
        array[0, 0] = 7
        assert there.numpy()[0, 0] == 7
        with pytest.raises(gx.GraphError, match="'x' is not contiguous"):
            doubled("cuda")(other.ones(3, 4).T[:, :3])
        with pytest.raises(gx.GraphError, match="'x' cannot be taken: "):
            doubled("cuda")(other.ones(2, 3, requires_grad=True))
    del array, there
    gc.collect()
    assert not GIVEN
