"""Calls leave nothing behind, and large outputs get memory that was used before."""

import gc
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import graphc as gx
from graphc.runtime.cpu.call import BindingRecord
from graphc.runtime.cpu.call_records import ENTRIES_BITS
from graphc.runtime.cpu.keeper_code import MOST_KEPT, WORTH_KEEPING
from graphc.runtime.recent import MOST
from tests.calling import affine, ramp


@pytest.mark.cpu("the memory of native calls, of which there are many")
def test_many_calls_leave_nothing_behind() -> None:
    x = gx.input("x", (3,), "float32")
    w = gx.variable(np.zeros(3, np.float32))
    steps = [gx.compile([x], t, updates={w: x}) for t in (x + 1, [x, (w,)], (x + 1, x + 1))]
    array, wrong = ramp(3), ramp(4)
    watched = (array, wrong, np.dtype("float32"), array.shape)
    for step in steps:
        step(array)
    gc.collect()
    before = [sys.getrefcount(found) for found in (*watched, *steps)]
    tracemalloc.start()
    for round in range(2):
        gc.collect()
        start = tracemalloc.get_traced_memory()[0]
        for step in steps:
            for _ in range(2_000 if round == 0 else 30_000):
                step(array)
            for _ in range(40):
                with pytest.raises(gx.GraphError):
                    step(wrong)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    assert grown < 10_000  # a tenth of a byte a call
    assert [sys.getrefcount(found) for found in (*watched, *steps)] == before


def test_a_step_is_freed_without_the_garbage_collector(way: str) -> None:
    step, result = affine(), 2 * ramp(4, 3) + ramp(3)
    step(ramp(4, 3), ramp(3))
    freed, call = weakref.ref(step.loaded), step.__call__
    gc.disable()
    try:
        del step
        np.testing.assert_array_equal(call(ramp(4, 3), ramp(3)), result)
        np.testing.assert_array_equal(call(ramp(2, 3), ramp(3)), result[:2])
        del call
        assert freed() is None
    finally:
        gc.enable()


def test_an_output_for_which_there_is_no_memory_is_an_error(way: str) -> None:
    x = gx.input("x", ("n",), "float64")
    step = gx.compile([x], [x + 1, gx.reshape(x, (-1, 1)) * x])
    many, few = np.ones(1 << 23), np.ones(2)
    for _ in range(2):
        with pytest.raises((MemoryError, gx.GraphError)):  # the second of other devices
            step(many)
        assert [array.tolist() for array in step(few)] == [[2, 2], [[1, 1], [1, 1]]]


@pytest.fixture
def double() -> gx.Executable:
    x = gx.input("x", ("n",), "float64")
    return gx.compile([x], 2 * x)


@pytest.mark.cpu("the memory that native calls keep for outputs")
def test_the_memory_of_large_outputs_is_used_again(double: gx.Executable) -> None:
    x = ramp(WORTH_KEEPING, dtype="float64")
    double(x)
    first = double(x)
    second = double(x)
    assert first.flags.owndata
    assert not np.may_share_memory(first, second)
    place = second.ctypes.data
    del second
    third = double(x)
    assert third.ctypes.data == place
    np.testing.assert_array_equal(third, 2 * x)
    np.testing.assert_array_equal(first, 2 * x)


def test_memory_of_outputs_can_be_resized_and_is_bounded(double: gx.Executable) -> None:
    result = double(ramp(WORTH_KEEPING, dtype="float64"))
    result.resize(2 * WORTH_KEEPING, refcheck=False)
    assert result[WORTH_KEEPING - 1] == 2 * WORTH_KEEPING - 2
    for size in range(WORTH_KEEPING, WORTH_KEEPING + 30):
        assert double(np.ones(size))[-1] == 2
    too_large = np.broadcast_to(np.float64(1), MOST_KEPT // 8 + 1)
    assert double(too_large)[-1] == 2
    assert double(np.ones(0)).tolist() == []


@pytest.mark.cpu("the records of native calls")
def test_sizes_met_long_ago_are_forgotten(way: str) -> None:
    step, y = affine(), ramp(3)
    for rows in (*range(2 * MOST), *range(10), *range(2 * MOST, 0, -1)):
        np.testing.assert_array_equal(step(ramp(rows, 3), y), 2 * ramp(rows, 3) + y)
    assert len(step.loaded.bindings.known.values) == MOST
    records = [o for o in gc.get_objects() if isinstance(o, BindingRecord)]
    assert len(records) <= MOST + 2**ENTRIES_BITS


def test_threads_with_many_sizes_do_not_take_each_other_s_bindings() -> None:
    x = gx.input("x", ("n",), "float64")
    step = gx.compile([x], gx.sum(gx.sin(x + gx.cumulative_sum(x))))
    arrays = [np.linspace(0, 1, 3_000 + rows) for rows in range(3 * MOST)]
    wanted = [float(step(array)) for array in arrays]
    wrong: list[int] = []

    def call(first: int) -> None:
        order = [*range(first, len(arrays)), *range(first)]
        wrong.extend(k for k in order if float(step(arrays[k])) != wanted[k])

    threads = [threading.Thread(target=call, args=(90 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.cpu("where large results of native calls begin")
def test_large_outputs_begin_at_a_line_of_the_cache() -> None:
    count = WORTH_KEEPING // 4 + 3
    x = gx.input("x", (count,), "float32")
    step = gx.compile([x], (x + 1, x * 2))
    results = [result for _ in range(3) for result in step(ramp(count))]
    assert [result.ctypes.data % 64 for result in results] == [0] * 6
    results[0].resize((2 * count,), refcheck=False)
    results[1].resize((5,), refcheck=False)
    assert [result.ctypes.data % 64 for result in results] == [0] * 6
    np.testing.assert_array_equal(results[0], np.append(ramp(count) + 1, np.zeros(count)))
    np.testing.assert_array_equal(results[1], 2 * ramp(5))
