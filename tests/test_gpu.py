"""What only a GPU shows: memory in the order of streams, graphs of launches, tensor cores.

`test_cuda_machine.py` and `test_cuda_memory.py` have a driver that stands in for NVIDIA's. It does
everything at once, and multiplies as this project understands a tensor core. Here are real ones.
"""

import gc
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import GraphError
from graphc.ir.types import as_dtype
from graphc.runtime.cuda.driver import list_devices

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    """Skip where there is none."""
    try:
        list_devices()
    except GraphError as error:
        pytest.skip(f"needs a GPU: {error.message.splitlines()[0]}")


def there(inputs: Sequence[gx.Node], outputs: Any, updates: Any = None) -> gx.Executable:
    """A step on the GPU, whose results stay there."""
    return gx.compile(inputs, outputs, updates or {}, device="cuda", results="device")


def double() -> gx.Executable:
    """A step that doubles its input."""
    x = gx.input("x", ("n",), "float32")
    return there([x], x * 2)


def integers(*shape: int, most: int = 6) -> Array:
    """Small integers, of which all products and sums here are exact."""
    count = int(np.prod(shape))
    numbers = (np.arange(count, dtype=np.int64) * 7919) % (2 * most + 1) - most
    return numbers.reshape(shape).astype(np.float32)


# --- calls ---------------------------------------------------------------------------------------


def test_results_are_arguments_of_the_next_call() -> None:
    step, array = double(), np.ones(1000, np.float32)
    for number in range(1, 12):
        array = step(array)
        assert (array.numpy() == 2.0**number).all()


def test_arguments_change_places() -> None:
    a, b = gx.input("a", ("n",), "float32"), gx.input("b", ("n",), "float32")
    step = there([a, b], [a, a + b, a, gx.sum(a - b)])
    one, two = (double()(np.full(5, value, np.float32)) for value in (0.5, 1))
    for x, y in ((one, two), (two, two), (one, one), (two, one), (one, two)):
        left, right = x.numpy(), y.numpy()
        first, total, again, difference = step(x, y)
        np.testing.assert_array_equal(first.numpy(), left)
        np.testing.assert_array_equal(again.numpy(), left)
        np.testing.assert_array_equal(total.numpy(), left + right)
        assert float(difference) == np.sum(left - right)


def test_threads_have_values_of_their_own() -> None:
    step = double()

    def chain(start: int) -> float:
        x, array = gx.input("x", ("n",), "float32"), np.full(257, start, np.float32)
        own = there([x], x + start)
        for _ in range(10):
            array = step(array)
        return float(own(array).numpy()[200])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(chain, range(32))) == [1025.0 * start for start in range(32)]


def test_nothing_stays_in_the_pool_of_steps_that_are_gone() -> None:
    machine = double().loaded.machine
    used = machine.driver.api.CUmemPool_attribute.CU_MEMPOOL_ATTR_USED_MEM_CURRENT

    def in_use() -> int:
        gc.collect()
        machine.finish()
        return int(machine.driver.ask("cuMemPoolGetAttribute", machine.pool.handle, used))

    def cycle() -> None:
        x, w = gx.input("x", ("n",), "float32"), gx.variable(np.ones((), np.float32), "w")
        step = there([x], x * w, {w: w + 1})
        for size in (2, 5, 100_000):
            step(np.ones(size, np.float32)).__dlpack__(stream=-1)

    cycle()
    before = in_use()
    for _ in range(20):
        cycle()
    assert in_use() == before


# --- memory of others ----------------------------------------------------------------------------


def test_arrays_of_torch_are_read_where_they_lie() -> None:
    torch = pytest.importorskip("torch")
    x = gx.input("x", ("k", 3), "float32")
    step = there([x], x + 1)
    whole = torch.arange(24, dtype=torch.float32, device="cuda").reshape(8, 3)
    for part in (whole, whole[4:], whole[1:3]):  # of which one begins at 12 bytes
        assert torch.equal(torch.from_dlpack(step(part)), part + 1)


def test_memory_is_not_reused_while_another_stream_reads_it() -> None:
    torch = pytest.importorskip("torch")
    step, size, stream = double(), 32 << 20, torch.cuda.Stream()
    for number in range(6):
        mine = step(np.full(size, number, np.float32))
        with torch.cuda.stream(stream):
            taken = torch.from_dlpack(mine)
            torch.cuda._sleep(20_000_000)  # some 10 ms, after which it is read
            read = taken.clone()
        del taken, mine
        other = step(np.full(size, -1, np.float32))
        stream.synchronize()
        assert float(read.min()) == float(read.max()) == 2 * number
        del other


@pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="it takes the whole GPU's memory")
def test_what_the_pool_keeps_is_given_up_before_memory_is_short() -> None:
    driver = double().loaded.machine.driver
    _, whole = driver.api.cuMemGetInfo()[1:]
    s = gx.input("s", (), "float32")
    for share in (0.4, 0.75, 0.5):
        there([s], gx.broadcast_to(s, (int(whole * share / 4),)))(np.float32(share))
    with pytest.raises(gx.GraphError, match=r"memory does not suffice.*the step needs"):
        there([s], gx.broadcast_to(s, (int(whole * 1.2 / 4),)))(np.float32(1))


# --- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize(
    "sizes",
    [
        (2048, 64, 2048), (1003, 200, 1096), (1000, 136, 1096), (4096, 512, 512),
        (512, 40, 256), (300, 70, 200), (256, 33, 260), (64, 4096, 64),
    ],
)  # fmt: skip
@pytest.mark.parametrize("turned", ["", "left", "right", "left right"])
def test_products_are_exact(dtype: str, sizes: tuple[int, int, int], turned: str) -> None:
    m, k, n = sizes
    left, right = integers(m, k, most=2), integers(k, n, most=2)
    x = gx.input("x", (k, m) if "left" in turned else (m, k), dtype)
    w = gx.input("w", (n, k) if "right" in turned else (k, n), dtype)
    total = (x.T if "left" in turned else x) @ (w.T if "right" in turned else w)
    step = gx.compile([x, w], total, device="cuda", tf32=True)
    numpy = as_dtype(dtype).numpy
    given = [left.T if "left" in turned else left, right.T if "right" in turned else right]
    got = step(*(np.ascontiguousarray(array).astype(numpy) for array in given))
    np.testing.assert_array_equal(got, (left @ right).astype(numpy))


@pytest.mark.parametrize(
    ("images", "channels", "kernels", "side", "size", "stride"),
    [(8, 64, 64, 32, 3, 1), (8, 64, 128, 16, 3, 2), (32, 1, 6, 28, 5, 1), (8, 32, 64, 8, 1, 1)],
)
def test_convolutions_and_gradients_are_those_of_numpy(
    images: int, channels: int, kernels: int, side: int, size: int, stride: int
) -> None:
    x = gx.input("x", (images, channels, side, side), "float32")
    w = gx.input("w", (kernels, channels, size, size), "float32")
    y = gx.nn.conv2d(x, w, padding=size // 2, stride=stride)
    slope = gx.input("slope", y.shape, "float32")
    outputs = [y, *gx.grad(gx.sum(y * slope), [x, w])]
    given = [integers(*map(int, node.shape), most=2) for node in (x, w, slope)]
    got = gx.compile([x, w, slope], outputs, device="cuda")(*given)
    wanted = gx.compile([x, w, slope], outputs, device="reference")(*given)
    for ours, want in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(ours, want)
